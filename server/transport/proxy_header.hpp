#pragma once
// The header a proxy (HAProxy, a cloud's load balancer) puts before a connection's first byte to
// say where it came from: "The PROXY protocol", versions 1 (text) and 2 (binary), of haproxy.org.
// Pure. Any thread.

#include "base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

namespace stentor::server {

/// Longest header taken, TLVs included; version 1 ends at 107 bytes by itself.
inline constexpr std::size_t kProxyHeaderBytesMax = 2048;

struct ProxyNeedsMore {};
struct ProxyMalformed {
    const char* why;  // static
};
struct ProxyHeader {
    std::size_t bytes_used = 0;
    /// The client's address; empty where the header does not say (LOCAL, UNKNOWN, a Unix socket):
    /// then it is the proxy's own connection.
    std::string address;
    std::uint16_t port = 0;
};

/// Reads the header at the front of `bytes`, which must begin with one. Never asks for more than
/// kProxyHeaderBytesMax.
[[nodiscard]] std::variant<ProxyNeedsMore, ProxyMalformed, ProxyHeader> parse_proxy_header(
    ByteView bytes);

/// A header, or enough of one to tell it from an HTTP request: what to say of it where none is
/// wanted.
[[nodiscard]] bool begins_proxy_header(ByteView bytes) noexcept;

}  // namespace stentor::server
