#include "server/core/interest_stripe.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace stentor::server {
namespace {

constexpr ShardId kShard{3};

InterestKey key(std::uint64_t number) { return InterestKey{SplitMix64{number}.next()}; }

TEST(InterestStripe, TakesKeysThatLookLikeNone) {
    InterestChunks chunks;
    InterestStripe stripe{chunks};
    for (const std::uint64_t hash : {0ULL, 1ULL, 2ULL, 3ULL, 4ULL}) {  // free, flags alone, and 4
        EXPECT_EQ(stripe.look_up(InterestKey{hash}).shards, 0U);
    }
    stripe.raise(InterestKey{0}, kShard, true);
    EXPECT_EQ(stripe.look_up(InterestKey{0}).shards, 0b1000U);
    stripe.lower(InterestKey{0}, kShard, true);
    EXPECT_EQ(stripe.look_up(InterestKey{0}).shards, 0U);
}

TEST(InterestStripe, KeepsEveryKeyWhileItGrows) {
    InterestChunks chunks;
    InterestStripe stripe{chunks};
    for (std::uint64_t i = 0; i < 10'000; ++i) stripe.raise(key(i), kShard, i % 3 == 0);
    for (std::uint64_t i = 0; i < 10'000; ++i) {
        const InterestStripe::Found found = stripe.look_up(key(i));
        ASSERT_EQ(found.shards, 0b1000U);
        ASSERT_EQ(found.durable, i % 3 == 0);
    }
    EXPECT_EQ(stripe.look_up(key(10'000)).shards, 0U);
    EXPECT_EQ(stripe.counters().keys, 10'000U);
}

TEST(InterestStripe, CountsFromTheSecondSubscriptionOn) {
    InterestChunks chunks;
    InterestStripe stripe{chunks};
    const auto found = [&] { return stripe.look_up(key(1)); };
    for (int round = 0; round < 2; ++round) {
        stripe.raise(key(1), ShardId{0}, true);
        EXPECT_TRUE(found().durable);
        stripe.raise(key(1), ShardId{1}, false);
        EXPECT_EQ(found().shards, 0b11U);
        stripe.raise(key(1), ShardId{1}, false);
        stripe.lower(key(1), ShardId{0}, true);  // the one that was not counted to begin with
        EXPECT_EQ(found().shards, 0b10U);
        EXPECT_FALSE(found().durable);
        stripe.lower(key(1), ShardId{1}, false);
        EXPECT_EQ(found().shards, 0b10U);
        stripe.raise(key(1), ShardId{2}, true);
        EXPECT_TRUE(found().durable);
        stripe.lower(key(1), ShardId{1}, false);
        stripe.lower(key(1), ShardId{2}, true);
        EXPECT_EQ(found().shards, 0U);
        EXPECT_EQ(stripe.counters().keys, 0U);
    }
}

TEST(InterestStripe, AFilterOfOneSubscriberCostsItsSlot) {
    constexpr std::uint64_t kKeys = 100'000;
    InterestChunks chunks;
    InterestStripe stripe{chunks};
    for (std::uint64_t i = 0; i < kKeys; ++i) stripe.raise(key(i), kShard, true);
    const std::size_t bytes = stripe.counters().memory_bytes + chunks.memory_bytes();
    // One stripe alone grows into new chunks; what it leaves is for others. See InterestTable.
    EXPECT_LT(bytes, kKeys * 60);
}

// Two stripes grow in turn, each into the chunks that the other has left, under the eyes of
// readers.
TEST(InterestStripe, ReadersSeeTheirKeysWhileChunksChangeHands) {
    constexpr std::uint64_t kStanding = 10;
    InterestChunks chunks;
    std::array<InterestStripe, 2> stripes{InterestStripe{chunks}, InterestStripe{chunks}};
    for (std::uint64_t i = 0; i < kStanding; ++i) stripes[i % 2].raise(key(i), kShard, true);
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> missed{0};
    const auto read = [&](std::uint64_t seed) {
        Random random{seed};
        while (!done.load(std::memory_order_relaxed)) {
            const std::uint64_t i = random.below(kStanding);
            const InterestStripe::Found found = stripes[i % 2].look_up(key(i));
            if (found.shards != 0b1000U || !found.durable) missed.fetch_add(1);
        }
    };
    std::vector<std::thread> readers;
    for (std::uint64_t seed = 0; seed < 2; ++seed) readers.emplace_back(read, seed);
    for (std::uint64_t i = kStanding; i < 60'000; ++i) stripes[i % 2].raise(key(i), kShard, true);
    done.store(true);
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(missed.load(), 0U);
}

// Keys come and go so that the slots are tidied up again and again, under the eyes of readers.
TEST(InterestStripe, ReadersSeeStandingKeysWhileOthersChurn) {
    constexpr std::uint64_t kStanding = 40;
    constexpr std::uint64_t kSteps = 300'000;
    InterestChunks chunks;
    InterestStripe stripe{chunks};
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
