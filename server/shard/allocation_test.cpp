// The steady path through a shard takes one allocation per message, the Message itself: bytes are
// received, decoded, routed to a subscriber of the same shard, encoded and handed to the transport.
//
// A program of its own, because it counts what operator new is asked for.

#include "tests/kit/allocations.hpp"
#include "tests/kit/lone_shard.hpp"

#include <gtest/gtest.h>

#include <cstddef>

namespace stentor::server {
namespace {

constexpr int kMessagesPerTurn = 8;
constexpr int kTurns = 500;
constexpr int kWarmUpTurns = 50;

using SteadyPath = LoneShard;

TEST_F(SteadyPath, TakesOneAllocationForAMessageOfQos0) {
    const ConnectionId subscriber = connected("62");
    bring(subscriber, "82 09 0001 00 0003 612f62 00");  // SUBSCRIBE a/b
    const ConnectionId publisher = connected("61");
    Bytes turn;
    for (int i = 0; i < kMessagesPerTurn; ++i) {
        const Bytes publish = from_hex("30 07 0003 612f62 00 78").value();  // a/b, "x"
        turn.insert(turn.end(), publish.begin(), publish.end());
    }
    const auto run = [&](int turns) {
        for (int i = 0; i < turns; ++i) {
            ASSERT_EQ(shard_.received(publisher, turn, now_), turn.size());
            shard_.step(now_);
        }
    };
    run(kWarmUpTurns);
    const std::size_t before = kit::allocations;
    ASSERT_GT(before, 0U) << "the counter counts";
    const std::size_t bytes_before = transport_.bytes;
    run(kTurns);
    EXPECT_EQ(transport_.bytes - bytes_before, kTurns * turn.size()) << "each arrives";
    EXPECT_EQ(kit::allocations - before, std::size_t{kTurns} * kMessagesPerTurn);
}

}  // namespace
}  // namespace stentor::server
