#include "server/app/running_clock.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace stentor::app {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

Instant machine_now;
RunningClock::Source machine() {
    return []() noexcept { return machine_now; };
}

TEST(RunningClock, GoesOnWhereTheStoreStopped) {
    for (const Instant at : {Instant{hours{5}}, Instant{hours{500}}}) {
        machine_now = Instant{hours{50}};
        RunningClock clock{machine()};
        clock.begin_at(at);
        EXPECT_EQ(clock.now(), at) << "however long the machine has been running";
        machine_now += minutes{1};
        EXPECT_EQ(clock.now(), at + minutes{1});
    }
}

TEST(RunningClock, BeginsAfterNoTime) {
    machine_now = Instant{};
    RunningClock clock{machine()};
    clock.begin_at(Instant{});
    EXPECT_GT(clock.now(), Instant{});
}

TEST(RunningClock, NeverGoesBackWhenTheStoreIsOpenedAgain) {
    machine_now = Instant{hours{1}};
    RunningClock clock{machine()};
    clock.begin_at(Instant{hours{5}});
    clock.advance_to(Instant{hours{4}});
    EXPECT_EQ(clock.now(), Instant{hours{5}});
    clock.advance_to(Instant{hours{6}});
    EXPECT_EQ(clock.now(), Instant{hours{6}});
}

}  // namespace
}  // namespace stentor::app
