#include "tools/client/tool_main.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <exception>
#include <utility>

namespace stentor::tools {

RunResult run_to_end(boost::asio::io_context& io,
                     ClientRunner& runner,
                     const std::function<void()>& interrupted) {
    // A reader of our output that has gone is seen as a failed write.
    std::signal(SIGPIPE, SIG_IGN);
    RunResult result;
    boost::asio::signal_set signals{io, SIGINT, SIGTERM};
    std::function<void(const boost::system::error_code&, int)> on_signal =
        [&](const boost::system::error_code& error, int /*signal*/) {
            if (error) return;
            if (result.interrupted || !runner.session().connected()) {
                result.interrupted = true;
                io.stop();
                return;
            }
            result.interrupted = true;
            signals.async_wait(on_signal);
            interrupted();
        };
    signals.async_wait(on_signal);
    boost::asio::co_spawn(
        io,
        runner.run(),
        [&](const std::exception_ptr& failure, std::optional<ConnectError> error) {
            // The connection is closed; what still waits (stdin, timers) waits for nothing.
            io.stop();
            if (failure) std::rethrow_exception(failure);
            result.error = std::move(error);
        });
    io.run();
    return result;
}

}  // namespace stentor::tools
