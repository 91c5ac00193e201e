#include "base/clock.hpp"

#include <gtest/gtest.h>

namespace stentor {
namespace {

using namespace std::chrono_literals;

TEST(Clock, TicksAreMicroseconds) {
    EXPECT_EQ(Duration{90s}.count(), 90'000'000);
    EXPECT_EQ(Instant{} + 1500us, Instant{Duration{1500}});
}

TEST(Clock, SaturatesInsteadOfOverflowing) {
    EXPECT_EQ(saturating_add(Instant{} + 1s, 2s), Instant{} + 3s);
    EXPECT_EQ(saturating_add(Instant{} + 1s, Duration::max()), kNever);
    EXPECT_EQ(saturating_add(kNever, 1us), kNever);
    EXPECT_EQ(saturating_add(Instant{} + 1s, -5s), Instant{} + 1s);
}

TEST(Clock, MonotonicNeverGoesBack) {
    const Instant first = monotonic_now();
    EXPECT_LE(first, monotonic_now());
}

TEST(Clock, WallClockIsInUnixMilliseconds) {
    EXPECT_GT(wall_clock_unix_ms(), 1'500'000'000'000);
    EXPECT_LT(wall_clock_unix_ms(), 10'000'000'000'000);
}

}  // namespace
}  // namespace stentor
