#include "base/random.hpp"

#include <gtest/gtest.h>

#include <array>

namespace stentor {
namespace {

TEST(Random, SplitMixMatchesThePublishedSequence) {
    SplitMix64 generator{1234567};
    EXPECT_EQ(generator.next(), 6457827717110365317U);
    EXPECT_EQ(generator.next(), 3203168211198807973U);
    EXPECT_EQ(generator.next(), 9817491932198370423U);
}

TEST(Random, TheSeedDecidesTheSequence) {
    Random a{42};
    Random b{42};
    Random c{43};
    bool differs = false;
    for (int i = 0; i < 100; ++i) {
        const auto value = a.next();
        EXPECT_EQ(value, b.next());
        differs = differs || value != c.next();
    }
    EXPECT_TRUE(differs);
}

TEST(Random, TheSequenceNeverChangesBetweenVersions) {
    Random generator{0};  // stored seeds of failed simulations depend on this
    EXPECT_EQ(generator.next(), 11091344671253066420U);
    EXPECT_EQ(generator.next(), 13793997310169335082U);
}

TEST(Random, BelowStaysBelowAndReachesAll) {
    Random generator{1};
    std::array<int, 6> seen{};
    for (int i = 0; i < 6000; ++i) ++seen.at(generator.below(6));
    for (const int count : seen) EXPECT_NEAR(count, 1000, 150);
    EXPECT_EQ(generator.below(1), 0U);
}

TEST(Random, BetweenIncludesBothEnds) {
    Random generator{2};
    bool low = false;
    bool high = false;
    for (int i = 0; i < 200; ++i) {
        const auto value = generator.between(3, 5);
        EXPECT_TRUE(value >= 3 && value <= 5);
        low = low || value == 3;
        high = high || value == 5;
    }
    EXPECT_TRUE(low && high);
    (void)generator.between(0, Random::max());
}

TEST(Random, ChanceIsAShare) {
    Random generator{3};
    int hits = 0;
    for (int i = 0; i < 10'000; ++i) hits += generator.chance(1, 4) ? 1 : 0;
    EXPECT_NEAR(hits, 2500, 250);
    EXPECT_FALSE(generator.chance(0, 5));
    EXPECT_TRUE(generator.chance(5, 5));
}

TEST(Random, SplitGeneratorsDiffer) {
    Random parent{4};
    Random child = parent.split();
    EXPECT_NE(parent.next(), child.next());
}

TEST(Random, TheSystemGivesSomethingNewEachTime) {
    EXPECT_NE(random_seed(), random_seed());
    const HashKey key = random_hash_key();
    EXPECT_NE(key.k0, key.k1);
    random_bytes({});
}

}  // namespace
}  // namespace stentor
