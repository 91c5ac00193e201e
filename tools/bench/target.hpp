#pragma once
// Which broker is loaded, and from which addresses.
// Start-up; main thread.

#include "base/result.hpp"
#include "tools/client/arguments.hpp"
#include "tools/client/broker_url.hpp"

#include <cstdint>
#include <string>
#include <sys/socket.h>

namespace stentor::bench {

struct Target {
    sockaddr_storage address{};
    socklen_t size = 0;
    std::string text;       // as a URL
    bool loopback = false;  // a socket file is, too

    /// The n-th source address towards a 127.0.0.0/8 target: 127.0.0.1, 127.0.0.2 and so on. A
    /// source has 28,000 ports or so. Other targets have one source, the system's.
    [[nodiscard]] sockaddr_storage source(std::uint32_t n) const noexcept;
    [[nodiscard]] bool has_sources() const noexcept;
};

/// The first address that a name resolves to. Fails with the resolver's words.
[[nodiscard]] Result<Target, tools::UsageError> resolve(const tools::Address& address);

}  // namespace stentor::bench
