#include "server/core/interest_stripe.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace stentor::server {
namespace {

constexpr ShardId kShard{3};

InterestKey key(std::uint64_t number) { return InterestKey{SplitMix64{number}.next()}; }

TEST(InterestStripe, TakesKeysThatLookLikeNone) {
    InterestStripe stripe;
    for (const std::uint64_t hash : {0ULL, 1ULL, 2ULL}) {  // free, the durable bit alone, and 2
        EXPECT_EQ(stripe.look_up(InterestKey{hash}).shards, 0U);
    }
    stripe.raise(InterestKey{0}, kShard, true);
    EXPECT_EQ(stripe.look_up(InterestKey{0}).shards, 0b1000U);
    stripe.lower(InterestKey{0}, kShard, true);
    EXPECT_EQ(stripe.look_up(InterestKey{0}).shards, 0U);
}

TEST(InterestStripe, KeepsEveryKeyWhileItGrows) {
    InterestStripe stripe;
    for (std::uint64_t i = 0; i < 10'000; ++i) stripe.raise(key(i), kShard, i % 3 == 0);
    for (std::uint64_t i = 0; i < 10'000; ++i) {
        const InterestStripe::Found found = stripe.look_up(key(i));
        ASSERT_EQ(found.shards, 0b1000U);
        ASSERT_EQ(found.durable, i % 3 == 0);
    }
    EXPECT_EQ(stripe.look_up(key(10'000)).shards, 0U);
    EXPECT_EQ(stripe.counters().keys, 10'000U);
}

// Keys come and go so that the slots are tidied up again and again, under the eyes of readers.
TEST(InterestStripe, ReadersSeeStandingKeysWhileOthersChurn) {
    constexpr std::uint64_t kStanding = 40;
    constexpr std::uint64_t kSteps = 300'000;
    InterestStripe stripe;
    for (std::uint64_t i = 0; i < kStanding; ++i) stripe.raise(key(i), kShard, true);
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> missed{0};
    const auto read = [&](std::uint64_t seed) {
        Random random{seed};
        while (!done.load(std::memory_order_relaxed)) {
            const InterestStripe::Found found = stripe.look_up(key(random.below(kStanding)));
            if (found.shards != 0b1000U || !found.durable) missed.fetch_add(1);
        }
    };
    std::vector<std::thread> readers;
    for (std::uint64_t seed = 0; seed < 2; ++seed) readers.emplace_back(read, seed);
    for (std::uint64_t step = 0; step < kSteps; ++step) {
        stripe.raise(key(kStanding + step), kShard, false);
        stripe.lower(key(kStanding + step), kShard, false);
    }
    done.store(true);
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(missed.load(), 0U);
    EXPECT_EQ(stripe.counters().keys, kStanding);
}

}  // namespace
}  // namespace stentor::server
