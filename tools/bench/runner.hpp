#pragma once
// A workload, phase by phase: who connects when, when messages flow, when enough is enough.
// Main thread; blocks until the run has ended. Every phase ends by its count, its time, or because
// nothing has moved for `patience`.

#include "tools/bench/bench_options.hpp"
#include "tools/bench/fleet.hpp"
#include "tools/bench/plan.hpp"
#include "tools/bench/progress.hpp"
#include "tools/bench/report.hpp"
#include "tools/bench/target.hpp"
#include "tools/bench/traffic.hpp"

#include <atomic>
#include <cstdint>
#include <string_view>

namespace stentor::bench {

class Runner {
  public:
    /// `interrupted` ends the run early when it becomes true; it outlives the runner.
    Runner(const BenchOptions& options, const Target& target, const std::atomic<bool>& interrupted);

    [[nodiscard]] Report run();

  private:
    struct Range {
        std::uint32_t begin;
        std::uint32_t end;
    };

    void run_clients();
    void run_storm();
    void run_traffic();
    void run_subscribers();
    void run_offline();
    void run_retained();

    /// Each is a phase of the report, and false when the run cannot go on.
    bool connect(std::string_view phase, Range clients, SessionUse use);
    bool publish(std::string_view phase, std::uint32_t fan);
    bool drain(std::string_view phase, Range clients, SessionUse use);

    /// These are not.
    void leave(Range clients, Farewell farewell);
    void tidy_up();
    void clear_retained();
    void wait_for(Duration time, std::string_view phase);
    void open_some(Range clients, std::uint32_t& next, SessionUse use, Instant start);
    [[nodiscard]] std::uint64_t progress_count() const noexcept;

    PhaseReport& begin_phase(std::string_view name);
    void end_phase(Instant begun, Instant ended);
    bool give_up(std::string_view why);
    [[nodiscard]] Duration patience() const noexcept;
    [[nodiscard]] bool interrupted() const noexcept { return interrupted_.load(); }
    [[nodiscard]] Range publishers() const noexcept { return {0, plan_.publishers}; }
    [[nodiscard]] Range subscribers() const noexcept { return {plan_.publishers, plan_.clients()}; }

    const BenchOptions& options_;
    const std::atomic<bool>& interrupted_;
    Plan plan_;
    Fleet fleet_;
    Traffic traffic_;
    Progress progress_;
    Report report_;
    TrafficCounters counted_;  // as of the phase's begin
    std::uint64_t delivered_before_ = 0;
};

}  // namespace stentor::bench
