#include "tools/bench/progress.hpp"

#include "tools/bench/report.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace stentor::bench {
namespace {

constexpr Duration kInterval = std::chrono::seconds{1};

double seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

}  // namespace

Progress::Progress(bool quiet, pid_t broker) noexcept
    : quiet_{quiet},
      terminal_{::isatty(STDERR_FILENO) == 1},
      broker_{broker},
      begun_{monotonic_now()},
      last_{read_meter(broker)} {}

void Progress::tick(std::string_view phase, const Fleet& fleet, const Traffic& traffic) {
    if (quiet_ || fleet.now() - last_.at < kInterval) return;
    const Reading reading = read_meter(broker_);
    const double elapsed = seconds(reading.at - last_.at);
    const auto rate = [elapsed](std::uint64_t now, std::uint64_t before) {
        return short_number(static_cast<double>(now - before) / elapsed);
    };
    const std::uint64_t published = traffic.counters().published;
    const std::uint64_t delivered = traffic.delivered();
    std::string line =
        fmt::format("{:4.0f} s  {:<8} {} clients  sent {}/s  delivered {}/s  generator {:.0f} %",
                    seconds(reading.at - begun_),
                    phase,
                    fleet.ready_count(),
                    rate(published, last_published_),
                    rate(delivered, last_delivered_),
                    100 * seconds(reading.own_cpu - last_.own_cpu) / elapsed);
    if (reading.broker_cpu && last_.broker_cpu) {
        line += fmt::format("  broker {:.0f} %",
                            100 * seconds(*reading.broker_cpu - *last_.broker_cpu) / elapsed);
    }
    fmt::print(stderr, "{}{}{}", terminal_ ? "\r\033[K" : "", line, terminal_ ? "" : "\n");
    (void)std::fflush(stderr);
    line_open_ = terminal_;
    last_ = reading;
    last_published_ = published;
    last_delivered_ = delivered;
}

void Progress::finish() {
    if (line_open_) fmt::print(stderr, "\r\033[K");
    line_open_ = false;
}

}  // namespace stentor::bench
