#pragma once
// What a run has found, as text for people and as JSON for programs.
// Pure values. Main thread.

#include "tools/bench/bench_options.hpp"
#include "tools/bench/histogram.hpp"
#include "tools/bench/meter.hpp"
#include "tools/bench/traffic.hpp"
#include "tools/bench/verifier.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace stentor::bench {

/// A stretch of a run: connecting, traffic, draining. Empty histograms are left out of reports.
struct PhaseReport {
    std::string name;
    Duration elapsed{};
    std::uint64_t connected = 0;
    std::uint64_t published = 0;
    std::uint64_t acknowledged = 0;
    std::uint64_t delivered = 0;
    Histogram connect;
    Histogram acknowledge;
    Histogram delivery;
    Reading before;
    Reading after;
    std::uint32_t clients_open = 0;  // at its end

    [[nodiscard]] Duration generator_cpu() const noexcept { return after.own_cpu - before.own_cpu; }
    /// Of the phase, until its end was noticed: near 1 the figures are the generator's limit.
    [[nodiscard]] double generator_share() const noexcept;
    [[nodiscard]] std::optional<Duration> broker_cpu() const noexcept;
};

struct Report {
    std::vector<PhaseReport> phases;
    Verdict verdict;
    TrafficCounters counters;
    std::uint64_t unsent = 0;  // open loop: due, and not sent before the run was given up
    std::uint64_t connections_failed = 0;
    std::string failure;  // empty: the run went through

    [[nodiscard]] bool ok() const noexcept {
        return verdict.flawless() && counters.refused == 0 && unsent == 0 &&
               connections_failed == 0 && failure.empty();
    }
};

[[nodiscard]] std::string as_text(const BenchOptions& options,
                                  const std::string& target,
                                  const Report& report);
/// One object on one line; latencies in milliseconds.
[[nodiscard]] std::string as_json(const BenchOptions& options,
                                  const std::string& target,
                                  const Report& report);

/// 1234567 as "1.23 M".
[[nodiscard]] std::string short_number(double value);

}  // namespace stentor::bench
