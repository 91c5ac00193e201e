#pragma once
// What the programs built on ClientRunner share: running it to its end, and stopping on signals.
// Main thread only.

#include "tools/client/client_runner.hpp"
#include "tools/client/reporter.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <optional>

namespace stentor::tools {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

struct RunResult {
    bool interrupted = false;           // SIGINT or SIGTERM
    std::optional<ConnectError> error;  // why the runner gave up
};

/// Runs `io` until `runner` has ended. The first SIGINT or SIGTERM calls `interrupted` (which is to
/// finish the runner); a second one, or one while no connection is up, stops at once.
/// Called once per process.
[[nodiscard]] RunResult run_to_end(boost::asio::io_context& io,
                                   ClientRunner& runner,
                                   const std::function<void()>& interrupted);

}  // namespace stentor::tools
