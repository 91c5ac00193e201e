#include "server/shard/rates.hpp"

#include <gtest/gtest.h>

namespace stentor::server {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant{} + 1000s;

TEST(SecondlyGate, CountsAnewEachSecond) {
    SecondlyGate gate{3};
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(gate.admit(kStart + 100ms));
    EXPECT_FALSE(gate.admit(kStart + 999ms));
    EXPECT_TRUE(gate.admit(kStart + 1s));
    SecondlyGate open{0};
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(open.admit(kStart));
}

// Shards look at the clock once a turn, and not at the same moment.
TEST(SecondlyGate, WhoLagsBehindBeginsNoSecondAnew) {
    SecondlyGate gate{3};
    int admitted = 0;
    for (int i = 0; i < 10; ++i) {
        admitted += gate.admit(kStart + 1s) ? 1 : 0;
        admitted += gate.admit(kStart + 999ms) ? 1 : 0;
    }
    EXPECT_EQ(admitted, 3);
}

TEST(TokenBucket, ASecondsWorthAtOnceThenTheRate) {
    TokenBucket bucket;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(bucket.take(10, kStart), 0s) << i;
    EXPECT_EQ(bucket.take(10, kStart), 100ms);
    EXPECT_EQ(bucket.take(10, kStart + 100ms), 100ms);
    EXPECT_EQ(bucket.take(10, kStart + 10s), 0s);
}

}  // namespace
}  // namespace stentor::server
