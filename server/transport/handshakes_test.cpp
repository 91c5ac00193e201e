#include "server/transport/handshakes.hpp"

#include <gtest/gtest.h>

namespace stentor::server {
namespace {

using Stage = Handshakes::Stage;

constexpr std::uint64_t kFlood = 1;
constexpr std::uint64_t kElsewhere = 2;

ConnectionId number(std::uint32_t slot) { return {.slot = slot, .generation = 1}; }

class HandshakesTest : public testing::Test {
  protected:
    void flood(std::uint32_t first, std::uint32_t count) {
        for (std::uint32_t i = first; i < first + count; ++i) {
            EXPECT_EQ(handshakes.wait(number(i), kFlood, Stage::first, {}), std::nullopt);
        }
    }
    /// The next one's hello is answered, and its handshake goes on.
    ConnectionId answer_one(std::uint64_t lane) {
        const ConnectionId who = handshakes.take_next().who;
        handshakes.has_answered();
        EXPECT_EQ(handshakes.is_under_way(who, lane), std::nullopt);
        return who;
    }

    Handshakes handshakes{{.waiting_max = 100, .under_way_max = 10}};
};

TEST_F(HandshakesTest, WhoComesFromElsewhereWaitsForOneOfAFlood) {
    flood(0, 100);
    EXPECT_EQ(handshakes.wait(number(200), kElsewhere, Stage::first, {}), number(0))
        << "there is no room, and the flood makes it";
    (void)answer_one(kFlood);
    const auto turn = handshakes.take_next();
    EXPECT_EQ(turn.who, number(200));
    EXPECT_EQ(turn.waited_for, 1U);
}

TEST_F(HandshakesTest, WhoComesFromTheSameAddressBehindAFloodWaitsForOneAsWell) {
    flood(0, 99);
    flood(200, 1);
    (void)answer_one(kFlood);
    const auto turn = handshakes.take_next();
    EXPECT_EQ(turn.who, number(200));
    EXPECT_EQ(turn.waited_for, 1U);
}

TEST_F(HandshakesTest, WhoGoesOnHasEveryOtherTurn) {
    flood(0, 2);
    const ConnectionId first = answer_one(kFlood);
    const ConnectionId second = answer_one(kFlood);
    flood(2, 98);
    EXPECT_EQ(handshakes.wait(first, kFlood, Stage::answered, {}), std::nullopt);
    EXPECT_EQ(handshakes.wait(second, kFlood, Stage::answered, {}), std::nullopt);
    EXPECT_EQ(handshakes.take_next().who, first);
    (void)answer_one(kFlood);
    const auto turn = handshakes.take_next();
    EXPECT_EQ(turn.who, second);
    EXPECT_EQ(turn.waited_for, 1U);
}

TEST_F(HandshakesTest, WhoGoesOnDoesNotKeepOthersFromBeginning) {
    for (std::uint32_t i = 0; i < 10; ++i) {
        flood(i, 1);
        (void)answer_one(kFlood);
    }
    for (std::uint32_t i = 0; i < 10; ++i) {
        EXPECT_EQ(handshakes.wait(number(i), kFlood, Stage::answered, {}), std::nullopt);
    }
    flood(100, 1);
    const bool is_first = handshakes.take_next().who == number(100);
    const bool is_second = handshakes.take_next().who == number(100);
    EXPECT_TRUE(is_first || is_second);
}

TEST_F(HandshakesTest, AtTheBoundOfThoseThatWaitTheOldestOfTheLargestGoes) {
    flood(0, 100);
    EXPECT_EQ(handshakes.wait(number(100), kFlood, Stage::first, {}), number(0));
    EXPECT_EQ(handshakes.wait(number(101), kElsewhere, Stage::first, {}), number(1));
    EXPECT_EQ(handshakes.size(), 100U);
}

TEST_F(HandshakesTest, AtTheBoundOfThoseUnderWayTheOldestOfTheLargestGoes) {
    for (std::uint32_t i = 0; i < 10; ++i) {
        flood(i, 1);
        (void)answer_one(kFlood);
    }
    EXPECT_EQ(handshakes.wait(number(50), kElsewhere, Stage::first, {}), std::nullopt);
    EXPECT_EQ(handshakes.is_under_way(handshakes.take_next().who, kElsewhere), number(0));
}

TEST_F(HandshakesTest, WhoWaitsAgainIsCountedOnce) {
    for (std::uint32_t i = 0; i < 3; ++i) {
        flood(i, 1);
        EXPECT_EQ(handshakes.is_under_way(handshakes.take_next().who, kFlood), std::nullopt);
    }
    EXPECT_EQ(handshakes.size(), 3U);
    flood(0, 3);  // of each a part of its hello had come
    EXPECT_EQ(handshakes.size(), 3U);
    EXPECT_EQ(handshakes.take_next().who, number(0));
    EXPECT_EQ(handshakes.size(), 3U);
    handshakes.forget(number(1));
    EXPECT_EQ(handshakes.size(), 2U);
    handshakes.forget(number(0));
    EXPECT_EQ(handshakes.size(), 1U);
    handshakes.forget(number(2));
    EXPECT_EQ(handshakes.size(), 0U);
    // Nor does it matter by which bound it goes.
    for (std::uint32_t i = 0; i < 10; ++i) {
        flood(i, 1);
        EXPECT_EQ(handshakes.is_under_way(handshakes.take_next().who, kFlood), std::nullopt);
    }
    flood(0, 1);
    flood(20, 1);
    EXPECT_EQ(handshakes.take_next().who, number(0));
    flood(0, 1);
    EXPECT_EQ(handshakes.take_next().who, number(0));  // the one that came last
    flood(0, 1);
    EXPECT_EQ(handshakes.is_under_way(number(21), kFlood), number(0));
    EXPECT_EQ(handshakes.size(), 12U);
    handshakes.forget(number(0));
    EXPECT_EQ(handshakes.size(), 11U);
}

TEST_F(HandshakesTest, SinceWhenSomebodyHasWaitedIsKnown) {
    const Instant now{std::chrono::seconds{5}};
    EXPECT_EQ(handshakes.wait(number(1), kFlood, Stage::first, now), std::nullopt);
    EXPECT_EQ(handshakes.take_next().since, now);
}

TEST_F(HandshakesTest, WhoIsForgottenHasNoTurn) {
    flood(0, 3);
    const ConnectionId first = answer_one(kFlood);
    EXPECT_EQ(handshakes.wait(first, kFlood, Stage::answered, {}), std::nullopt);
    handshakes.forget(first);
    handshakes.forget(number(1));
    EXPECT_EQ(handshakes.size(), 1U);
    EXPECT_EQ(handshakes.take_next().who, number(2));
    EXPECT_FALSE(handshakes.anybody_waits());
}

}  // namespace
}  // namespace stentor::server
