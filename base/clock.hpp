#pragma once
// Points in time as values. The types are pure; the two functions at the end are the only place
// where the program reads a clock of the operating system (they live in clock.cpp, which protocol/
// does not link against by contract: it is handed its `now`).
// Any thread.

#include <chrono>
#include <cstdint>
#include <ratio>

namespace stentor {

/// A clock without now(): whoever needs the time is given it, so that tests and the simulator can
/// make it pass.
struct StoreClock {
    using rep = std::int64_t;
    using period = std::micro;
    using duration = std::chrono::duration<rep, period>;
    using time_point = std::chrono::time_point<StoreClock>;
    static constexpr bool is_steady = true;
};

using Duration = StoreClock::duration;
/// Comparable only with others of the same origin; the default one is the origin itself.
using Instant = StoreClock::time_point;

inline constexpr Instant kNever = Instant::max();  // a deadline that is not set

/// `at + delay`, or kNever where that would overflow. Negative delays count as none.
[[nodiscard]] constexpr Instant saturating_add(Instant at, Duration delay) noexcept {
    if (delay <= Duration::zero()) return at;
    if (at.time_since_epoch() > Duration::max() - delay) return kNever;
    return at + delay;
}

/// Never goes back, stands still while the machine sleeps; the origin is the machine's start.
[[nodiscard]] Instant monotonic_now() noexcept;

/// Milliseconds since 1970 as the machine believes it; may jump in both directions.
[[nodiscard]] std::int64_t wall_clock_unix_ms() noexcept;

}  // namespace stentor
