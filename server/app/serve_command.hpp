#pragma once
// `stentor serve`: options, access and log are set up, the server is started, and the main thread
// waits for signals until it has stopped. Called once per process, before any thread exists.

#include "server/config/load.hpp"

namespace stentor::app {

/// 0: stopped as asked. 1: could not start, or the server gave up. 2: configuration.
[[nodiscard]] int run_serve(const config::Sources& sources);

}  // namespace stentor::app
