#pragma once
// `stentor health [URL]`: asks a broker on this machine whether it serves clients, for containers
// and scripts that have no curl.
// Main thread.

#include <cstdint>
#include <string>

namespace stentor::app {

struct HealthArguments {
    std::string url = "http://127.0.0.1:9100/readyz";
    std::uint32_t seconds_max = 5;
};

/// 0: status 200. 1: another status, or no answer in time. 2: no URL that could be asked.
[[nodiscard]] int run_health(const HealthArguments& arguments);

}  // namespace stentor::app
