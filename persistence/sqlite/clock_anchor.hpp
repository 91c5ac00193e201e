#pragma once
// The store's clock between commits, and when it is to be written down (rule 11). What is written,
// beside the machine's clock of the same moment, is all that the next start has to tell how much
// time has passed: a machine's clock that was set in between must not count as time.
// Pure. One thread.

#include "base/clock.hpp"

#include <cstdint>

namespace stentor::store {

/// What the machine's two clocks show at one moment.
struct MachineTime {
    Instant monotonic;
    std::int64_t wall_unix_ms = 0;
};

class ClockAnchor {
  public:
    /// The store's clock is `at` now, and has just been written.
    ClockAnchor(Instant at, MachineTime now) noexcept
        : at_{at}, seen_{now.monotonic}, written_{now} {}

    /// A commit at `monotonic` has brought the store's clock to `at`. It never goes back.
    void carry_to(Instant at, Instant monotonic) noexcept;
    /// The store's clock then.
    [[nodiscard]] Instant at(Instant monotonic) const noexcept;

    /// Whether it is to be written: a minute after the last time, or at once when the two clocks
    /// have gone apart since then.
    [[nodiscard]] bool is_due(MachineTime now) const noexcept;
    void written(MachineTime now) noexcept { written_ = now; }

  private:
    Instant at_;
    Instant seen_;  // when it was at_
    MachineTime written_;
};

/// What the store's clock is to show after a pause: on by the wall clock's difference if that is
/// plausible, otherwise where it stopped.
[[nodiscard]] Instant clock_after_pause(Instant at,
                                        std::int64_t wall_unix_ms_then,
                                        std::int64_t wall_unix_ms_now) noexcept;

}  // namespace stentor::store
