#pragma once
// Which broker is loaded, and from which addresses.
// Start-up; main thread.

#include "base/result.hpp"
#include "tools/client/arguments.hpp"
#include "tools/client/broker_url.hpp"
#include "tools/client/stream.hpp"

#include <boost/asio/ssl/context.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <sys/socket.h>

namespace stentor::bench {

struct Target {
    sockaddr_storage address{};
    socklen_t size = 0;
    std::string text;       // as a URL
    bool loopback = false;  // a socket file is, too

    /// What all connections' TLS has in common.
    struct Security {
        std::unique_ptr<boost::asio::ssl::context> context;
        tools::Address address;  // whom certificates are to be for
        tools::TlsOptions options;
    };
    std::shared_ptr<const Security> security;  // null: without TLS
    bool is_web_socket = false;
    std::string web_socket_host;  // as in a Host header
    std::string web_socket_path;

    /// The n-th source address towards a 127.0.0.0/8 target: 127.0.0.1, 127.0.0.2 and so on. A
    /// source has 28,000 ports or so. Other targets have one source, the system's.
    [[nodiscard]] sockaddr_storage source(std::uint32_t n) const noexcept;
    [[nodiscard]] bool has_sources() const noexcept;
};

/// The first address that a name resolves to. Fails with the resolver's words, or with the file
/// that TLS cannot use.
[[nodiscard]] Result<Target, tools::UsageError> resolve(const tools::Address& address,
                                                        const tools::TlsOptions& tls = {});

}  // namespace stentor::bench
