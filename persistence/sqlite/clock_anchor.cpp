#include "persistence/sqlite/clock_anchor.hpp"

#include <algorithm>
#include <chrono>

namespace stentor::store {
namespace {

// What a wrong clock may add to a pause when nobody could write any more.
constexpr Duration kWrittenEvery = std::chrono::minutes{1};
// More than an NTP daemon slews in a minute, less than anybody's expiry interval is about.
constexpr std::uint64_t kApartMsMax = 2000;

// A longer absence than this is taken for a wrong clock, and not counted (docs/limits.md).
constexpr Duration kPauseMax = std::chrono::days{366};

}  // namespace

void ClockAnchor::carry_to(Instant at, Instant monotonic) noexcept {
    at_ = std::max(this->at(monotonic), at);
    seen_ = std::max(seen_, monotonic);
}

Instant ClockAnchor::at(Instant monotonic) const noexcept {
    return saturating_add(at_, monotonic - seen_);
}

bool ClockAnchor::is_due(MachineTime now) const noexcept {
    const Duration passed = now.monotonic - written_.monotonic;
    if (passed >= kWrittenEvery) return true;
    const std::int64_t passed_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(passed).count();
    // Unsigned, as the machine may believe anything: apart by less, in either direction, is small.
    const std::uint64_t apart = static_cast<std::uint64_t>(now.wall_unix_ms) -
                                static_cast<std::uint64_t>(written_.wall_unix_ms) -
                                static_cast<std::uint64_t>(passed_ms);
    return apart + kApartMsMax > 2 * kApartMsMax;
}

Instant clock_after_pause(Instant at,
                          std::int64_t wall_unix_ms_then,
                          std::int64_t wall_unix_ms_now) noexcept {
    if (wall_unix_ms_now < wall_unix_ms_then) return at;
    constexpr std::int64_t kPauseMsMax =
        std::chrono::duration_cast<std::chrono::milliseconds>(kPauseMax).count();
    // Unsigned, as either may be anything.
    const auto pause = static_cast<std::uint64_t>(wall_unix_ms_now) -
                       static_cast<std::uint64_t>(wall_unix_ms_then);
    if (pause > static_cast<std::uint64_t>(kPauseMsMax)) return at;
    return saturating_add(at, std::chrono::milliseconds{static_cast<std::int64_t>(pause)});
}

}  // namespace stentor::store
