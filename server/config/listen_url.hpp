#pragma once
// The URL of a listener: mqtt://127.0.0.1:1883, ws://[::1]:8083/mqtt, unix:///run/stentor.sock.
// Pure value and its parser; no name is resolved and no socket touched. Any thread.

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stentor::config {

enum class Scheme : std::uint8_t { mqtt, mqtts, ws, wss, http, https, unix_socket, automatic };

/// "mqtt", "unix", "auto", ...; static.
[[nodiscard]] std::string_view scheme_name(Scheme scheme) noexcept;

struct ListenUrl {
    Scheme scheme = Scheme::mqtt;
    /// Without brackets. A name or an address; empty for unix_socket. "0.0.0.0" and "::" mean all.
    std::string host;
    std::uint16_t port = 0;  // 0: any free port
    /// The path of the socket file for unix_socket, of the WebSocket for ws and wss; else empty.
    std::string path;

    friend bool operator==(const ListenUrl&, const ListenUrl&) = default;
};

/// What is wrong with a URL, at which byte of the text, and what to write instead.
struct UrlError {
    std::string what;
    std::string hint;        // may be empty
    std::size_t offset = 0;  // into the text that was given
    std::size_t length = 0;  // 0: the error is a place, not a stretch
};

/// Reads a listener URL. Ports default to 1883, 8883 (mqtts), 8083 (ws), 8084 (wss), 8080 (http),
/// 8443 (https) and 1883 (auto); the path of ws and wss to "/mqtt".
[[nodiscard]] Result<ListenUrl, UrlError> parse_listen_url(std::string_view text);

/// The URL as `listening url=` prints it: always with the port, IPv6 addresses in brackets.
[[nodiscard]] std::string to_string(const ListenUrl& url);

/// 127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104. Only addresses: names are not resolved.
[[nodiscard]] bool is_loopback_address(std::string_view host) noexcept;

/// True if only this machine can reach the listener: a loopback address, "localhost" or a Unix
/// socket. A name can resolve to anything, so whoever binds asks is_loopback_address() again about
/// what it got. Whether a *peer* counts as local also depends on what it brings (a PROXY header,
/// X-Forwarded-For); that is the transport's to say.
[[nodiscard]] bool is_loopback(const ListenUrl& url) noexcept;

}  // namespace stentor::config
