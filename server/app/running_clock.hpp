#pragma once
// The clock that shards are given: the store's (rule 11), carried on by the machine's monotonic
// one. begin_at() and advance_to() by whoever opens the store, now() from any thread.

#include "base/clock.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>

namespace stentor::app {

class RunningClock {
  public:
    using Source = Instant (*)() noexcept;
    explicit RunningClock(Source source = &monotonic_now) noexcept : source_{source} {}

    [[nodiscard]] Instant now() const noexcept {
        return source_() + Duration{ahead_.load(std::memory_order_relaxed)};
    }
    /// Where the store stopped, also on a machine that has been running for longer than the store:
    /// that is not time in which anything expires. Before the first shard runs.
    void begin_at(Instant at) noexcept {
        constexpr Instant kEarliest{std::chrono::seconds{1}};  // 0 is "no time"
        ahead_ = (std::max(at, kEarliest) - source_()).count();
    }
    /// A store that was opened again is further on. Never back.
    void advance_to(Instant at) noexcept {
        if (const Instant is = now(); is < at) ahead_ += (at - is).count();
    }

  private:
    const Source source_;
    std::atomic<Duration::rep> ahead_{0};
};

}  // namespace stentor::app
