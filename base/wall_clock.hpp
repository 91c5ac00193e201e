#pragma once
// The time of day for people: finer than clock.hpp's, and for nothing but to be shown. It is read
// in clock.cpp, as all clocks are.
// Any thread.

#include <cstdint>

namespace stentor {

/// Microseconds since 1970 as the machine believes it; may jump in both directions.
[[nodiscard]] std::int64_t wall_clock_unix_us() noexcept;

}  // namespace stentor
