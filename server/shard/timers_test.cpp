#include "server/shard/timers.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace stentor::server {
namespace {

using namespace std::chrono_literals;

std::vector<std::uint32_t> fired(Timers& timers, Instant now) {
    std::vector<std::uint32_t> ids;
    for (Timer due; timers.pop_due(now, due);) ids.push_back(due.id);
    return ids;
}

TEST(Timers, FireInOrderAndNotBefore) {
    Timers timers;
    for (const std::uint32_t id : {5U, 1U, 4U, 2U, 3U}) {
        timers.set(Instant{} + std::chrono::seconds{id}, TimerKind::keep_alive, id, 7);
    }
    EXPECT_EQ(timers.next(), Instant{} + 1s);
    EXPECT_EQ(fired(timers, Instant{} + 3s), (std::vector<std::uint32_t>{1, 2, 3}));
    EXPECT_EQ(fired(timers, Instant{} + 3s), std::vector<std::uint32_t>{});
    EXPECT_EQ(fired(timers, kNever), (std::vector<std::uint32_t>{4, 5}));
    EXPECT_EQ(timers.next(), kNever);
}

TEST(Timers, SweepKeepsTheOthersInOrder) {
    Timers timers;
    for (std::uint32_t id = 0; id < 1000; ++id) {
        timers.set(Instant{} + std::chrono::seconds{id * 7919 % 1000},
                   TimerKind::session_expiry,
                   id * 7919 % 1000,
                   0);
    }
    timers.sweep([](const Timer& timer) { return timer.id % 3 != 0; });
    EXPECT_EQ(timers.size(), 334U);
    std::vector<std::uint32_t> wanted;
    for (std::uint32_t id = 0; id < 1000; id += 3) wanted.push_back(id);
    EXPECT_EQ(fired(timers, kNever), wanted);
}

TEST(Timers, TagIsTheLowPartOfTheGeneration) {
    Timers timers;
    timers.set(Instant{}, TimerKind::will_delay, 1, 0xFFFF'FFFF);
    Timer due;
    ASSERT_TRUE(timers.pop_due(Instant{}, due));
    EXPECT_EQ(due.kind(), TimerKind::will_delay);
    EXPECT_TRUE(Timers::same_tag(due.tag(), 0xFFFF'FFFF));
    EXPECT_FALSE(Timers::same_tag(due.tag(), 0xFFFF'FFFE));
}

}  // namespace
}  // namespace stentor::server
