#pragma once
// What the programs built on ClientRunner share: reading their command line, running it to its end,
// stopping on signals.
// Main thread only.

#include "tools/client/client_runner.hpp"
#include "tools/client/connection_options.hpp"
#include "tools/client/reporter.hpp"

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

/// All of such a program but its work: reads the command line into `Options`, prints the help or
/// what is wrong, and otherwise returns what `run(options, connection, reporter)` does.
template <class Options, class Run>
[[nodiscard]] int run_client_tool(int argc, char** argv, Run run) {
    Reporter reporter{argc > 0 ? argv[0] : "stentor"};
    const std::vector<std::string_view> words(argv + std::min(argc, 1), argv + argc);
    Options options;
    std::string help;
    if (const auto parsed = Options::parse(words, options, help); !parsed) {
        reporter.usage(parsed.error());
        return kExitUsage;
    }
    if (!help.empty()) {
        std::fwrite(help.data(), 1, help.size(), stdout);
        return kExitOk;
    }
    auto connection = prepare(options.connection);
    if (!connection) {
        reporter.usage(connection.error());
        return kExitUsage;
    }
    if (options.connection.quiet) reporter.set(Verbosity::quiet);
    if (options.connection.debug) reporter.set(Verbosity::debug);
    return run(options, *std::move(connection), reporter);
}

}  // namespace stentor::tools
