#include "server/shard/backlog_check.hpp"

#include <gtest/gtest.h>

namespace stentor::server {
namespace {

using mqtt::DropReason;

constexpr BacklogBounds kBounds{.messages_max = 4, .bytes_max = 1000};

BacklogCheck checked(std::uint64_t messages,
                     std::size_t bytes,
                     const store::GiveWay& give_way = {}) {
    BacklogCheck check{kBounds, give_way};
    for (std::uint64_t i = 1; i <= messages; ++i) check.add(Seq{10 * i}, bytes);
    return check;
}

TEST(BacklogCheck, WithinTheBoundsNobodyMoves) {
    const auto outcome = checked(4, 250).conclude(Seq{5}, Seq{100});
    EXPECT_EQ(outcome.through, kNoSeq);
    EXPECT_EQ(outcome.lost, 0U);
    EXPECT_EQ(outcome.room, kBacklogSlack);
}

TEST(BacklogCheck, BeyondTheMessagesTheOldestAreLost) {
    const auto outcome = checked(6, 1).conclude(Seq{5}, Seq{100});
    EXPECT_EQ(outcome.through, Seq{20});
    EXPECT_EQ(outcome.lost, 2U);
    EXPECT_EQ(outcome.reason, DropReason::backlog_full);
}

TEST(BacklogCheck, BeyondTheBytesTheOldestAreLost) {
    const auto outcome = checked(4, 300).conclude(Seq{5}, Seq{100});
    EXPECT_EQ(outcome.through, Seq{10});
    EXPECT_EQ(outcome.lost, 1U);
}

TEST(BacklogCheck, AMessageLargerThanAllThatMayWaitIsLost) {
    const auto outcome = checked(1, 1001).conclude(Seq{5}, Seq{100});
    EXPECT_EQ(outcome.through, Seq{10});
    EXPECT_EQ(outcome.lost, 1U);
}

TEST(BacklogCheck, WhatWasSentMeanwhileIsNotLost) {
    EXPECT_EQ(checked(6, 1).conclude(Seq{10}, Seq{100}).lost, 1U);
    const auto outcome = checked(6, 1).conclude(Seq{20}, Seq{100});
    EXPECT_EQ(outcome.lost, 0U);
    EXPECT_EQ(outcome.through, kNoSeq);
}

TEST(BacklogCheck, TheRoomIsThatOfTheBoundThatIsNearer) {
    const auto nothing = checked(0, 0).conclude(Seq{5}, Seq{100});
    EXPECT_GE(nothing.room, kFullBacklog - 1);
    constexpr auto kFull = static_cast<double>(kFullBacklog);
    const auto half = checked(2, 1).conclude(Seq{5}, Seq{100});
    EXPECT_NEAR(static_cast<double>(half.room), kFull / 2, 2);
    const auto bytes = checked(1, 750).conclude(Seq{5}, Seq{100});
    EXPECT_NEAR(static_cast<double>(bytes.room), kFull / 4, 2);
}

TEST(BacklogCheck, NothingReachesABoundThatWasNotLogged) {
    BacklogLoad load = 0;
    for (int i = 0; i < 4; ++i) load += kBounds.load_of(1, 1);
    EXPECT_GE(load, kFullBacklog) << "four messages are a full backlog";
    load = 0;
    for (int i = 0; i < 10; ++i) load += kBounds.load_of(1, 100);
    EXPECT_GE(load, kFullBacklog) << "and so are ten times 100 bytes";
    constexpr BacklogBounds kLarge{.messages_max = UINT32_MAX, .bytes_max = UINT64_MAX};
    EXPECT_GE(kLarge.load_of(1, 0), 1U);
}

TEST(BacklogCheck, WhatIsTooOldIsLostHoweverLittle) {
    store::GiveWay give_way;
    give_way.too_old_below = Seq{21};
    const auto outcome = checked(4, 1, give_way).conclude(Seq{5}, Seq{100});
    EXPECT_EQ(outcome.through, Seq{20});
    EXPECT_EQ(outcome.lost, 2U);
    EXPECT_EQ(outcome.reason, DropReason::too_old);
}

TEST(BacklogCheck, OnlyWhoHoldsMuchGivesWayToBeginWith) {
    store::GiveWay give_way;
    give_way.large_below = Seq{31};
    give_way.large_bytes = 300;
    const auto small = checked(4, 99, give_way).conclude(Seq{5}, Seq{100});
    EXPECT_EQ(small.through, kNoSeq);
    EXPECT_TRUE(small.spared);
    const auto outcome = checked(4, 100, give_way).conclude(Seq{5}, Seq{100});
    EXPECT_FALSE(outcome.spared);
    EXPECT_EQ(outcome.through, Seq{30});
    EXPECT_EQ(outcome.lost, 3U);
    EXPECT_EQ(outcome.reason, DropReason::log_full);
    give_way.everybody_below = Seq{11};
    EXPECT_EQ(checked(4, 99, give_way).conclude(Seq{5}, Seq{100}).through, Seq{10});
}

TEST(BacklogCheck, WhoNeedsNothingOfItMovesOnAtNoCost) {
    store::GiveWay give_way;
    give_way.large_below = Seq{9};
    give_way.large_bytes = 300;
    const auto outcome = checked(4, 1, give_way).conclude(Seq{5}, Seq{100});
    EXPECT_EQ(outcome.through, Seq{8});
    EXPECT_EQ(outcome.lost, 0U);
    give_way.large_below = Seq{1000};
    EXPECT_EQ(checked(0, 1, give_way).conclude(Seq{5}, Seq{100}).through, Seq{100})
        << "no further than was read";
}

TEST(BacklogCheck, SoMuchIsLostThatItIsDoneInSteps) {
    store::GiveWay give_way;
    give_way.large_below = Seq{1'000'000};
    give_way.large_bytes = 1'000'000;
    BacklogCheck check{kBounds, give_way};
    std::uint64_t seq = 0;
    while (!check.is_due()) check.add(Seq{++seq}, 1);
    const auto outcome = check.conclude(kNoSeq, Seq{seq});
    EXPECT_EQ(outcome.lost, seq - kBounds.messages_max);
    EXPECT_EQ(outcome.through, Seq{seq - kBounds.messages_max});
    EXPECT_EQ(outcome.room, 0U) << "it is counted again at once";
    EXPECT_FALSE(outcome.spared) << "and only then known whether it is";
}

}  // namespace
}  // namespace stentor::server
