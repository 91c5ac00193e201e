#pragma once
// What a starting broker says: what holds without a configuration file, the doors, the ready line.
// Main thread.

#include "server/config/options.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace stentor::app {

/// The box for who starts without a configuration file: what holds now, and how to open up.
[[nodiscard]] std::string welcome_box(const config::Options& options);

/// The box, if stderr is a terminal with a log for people; otherwise the event `configuration` with
/// the same. Call after log_start().
void welcome(const config::Options& options);

/// `listening url=<URL>` per door on stdout, whatever the log's level: programs that started us
/// wait for it. The log (stderr) has the same as events, but not if both are one terminal, pipe or
/// file, which would have it twice.
void announce_doors(const std::vector<std::string>& urls);

/// The same with the `ready` line, which follows once.
void announce_ready(const config::Options& options, std::int64_t started_in_ms);

}  // namespace stentor::app
