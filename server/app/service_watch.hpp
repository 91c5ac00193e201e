#pragma once
// Tells the service manager how the broker fares, and that all shards turn: WATCHDOG=1 leaves only
// after each of them has answered a question through its mailbox, so a shard that hangs ends in the
// manager's hands. Not asked are the threads of the store: a disk that hangs is not mended by a
// restart, and who waits for it is told nothing false meanwhile.
// The HTTP server's thread, which it also vouches for.

#include "server/admin/api.hpp"
#include "server/admin/snapshots.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace stentor::app {

/// What a status line is about.
struct ServiceFacts {
    admin::Readiness readiness = admin::Readiness::starting;
    std::size_t doors = 0;
    std::size_t clients = 0;
    std::size_t sessions_away = 0;
    std::optional<std::uint64_t> log_bytes = {};  // nothing: nothing is kept on disk
    std::size_t shards = 0;
    std::size_t silent = 0;  // of the shards
    std::uint64_t silent_seconds = 0;
};

/// For `systemctl status`: one line.
[[nodiscard]] std::string status_line(const ServiceFacts& facts);

struct ServiceWatchParts {
    const std::atomic<admin::Readiness>* readiness = nullptr;
    std::size_t doors = 0;
    /// Asks all shards; nothing: there are none yet.
    std::function<boost::asio::awaitable<std::optional<admin::Figures>>()> ask;
    std::function<std::optional<std::uint64_t>()> log_bytes;
};

/// Until `io` ends. Without a service manager there is no need to call it.
[[nodiscard]] boost::asio::awaitable<void> watch_for_service_manager(boost::asio::io_context& io,
                                                                     ServiceWatchParts parts);

}  // namespace stentor::app
