#include "server/core/interest_table.hpp"

#include "base/random.hpp"
#include "protocol/message.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/random_topics.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace stentor::server {
namespace {

constexpr Durability kTransient = Durability::transient;
constexpr Durability kDurable = Durability::durable;

Interest look_up(const InterestTable& table, std::string_view topic) {
    return table.look_up(topic, mqtt::topic_hash(topic));
}

Interest interest(std::uint64_t shards, bool durable) {
    return {.shards = ShardMask{shards}, .durable = durable};
}

TEST(InterestTable, NamesTheShardsThatWantATopic) {
    InterestTable table;
    EXPECT_EQ(look_up(table, "a"), interest(0, false));
    table.raise("a", ShardId{0}, kTransient);
    table.raise("+", ShardId{3}, kDurable);
    table.raise("b/#", ShardId{63}, kTransient);
    EXPECT_EQ(look_up(table, "a"), interest(0b1001, true));
    EXPECT_EQ(look_up(table, "b"), interest(1ULL << 63U | 0b1000, true));
    EXPECT_EQ(look_up(table, "b/c/d"), interest(1ULL << 63U, false));
    EXPECT_EQ(look_up(table, "c/d"), interest(0, false));
}

TEST(InterestTable, AFilterOfOneSubscriberIsSmall) {
    InterestTable table;
    constexpr std::size_t kFilters = 100'000;
    for (std::size_t i = 0; i < kFilters; ++i) {
        table.raise("user/" + std::to_string(i) + "/inbox", ShardId{0}, kDurable);
    }
    EXPECT_LT(table.counters().memory_bytes, kFilters * 36);
}

TEST(InterestTable, LeadingWildcardsDoNotWantDollarTopics) {  // [MQTT-4.7.2-1]
    InterestTable table;
    table.raise("#", ShardId{0}, kDurable);
    table.raise("+/x", ShardId{1}, kDurable);
    EXPECT_EQ(look_up(table, "$SYS/x"), interest(0, false));
    table.raise("$SYS/#", ShardId{2}, kTransient);
    EXPECT_EQ(look_up(table, "$SYS/x"), interest(0b100, false));
}

TEST(InterestTable, KeepsAnInterestUntilTheLastOfItsSubscribers) {
    for (const std::string_view filter : {"a/b", "a/+"}) {
        InterestTable table;
        table.raise(filter, ShardId{1}, kDurable);
        table.raise(filter, ShardId{1}, kTransient);
        table.raise(filter, ShardId{1}, kDurable);
        table.raise(filter, ShardId{2}, kTransient);
        table.lower(filter, ShardId{1}, kDurable);
        EXPECT_EQ(look_up(table, "a/b"), interest(0b110, true));
        table.lower(filter, ShardId{1}, kDurable);
        EXPECT_EQ(look_up(table, "a/b"), interest(0b110, false));
        table.lower(filter, ShardId{1}, kTransient);
        EXPECT_EQ(look_up(table, "a/b"), interest(0b100, false));
        table.lower(filter, ShardId{2}, kTransient);
        EXPECT_EQ(look_up(table, "a/b"), interest(0, false));
        EXPECT_EQ(table.counters().keys, 0U);
        EXPECT_EQ(table.counters().shapes, 0U);
    }
}

TEST(InterestTable, DurableOfOneShardOutlivesThatOfAnother) {
    InterestTable table;
    table.raise("a", ShardId{1}, kDurable);
    table.raise("a", ShardId{2}, kDurable);
    table.lower("a", ShardId{1}, kDurable);
    EXPECT_EQ(look_up(table, "a"), interest(0b100, true));
}

// More shapes than there is room for: the answers become too wide, never too narrow, and are exact
// again when the crowd has left.
TEST(InterestTable, WidensShapesThatFindNoRoom) {
    constexpr unsigned kLevels = 12;
    InterestTable table;
    std::vector<std::string> filters;
    for (unsigned open = 1; open < 1U << kLevels; open += 7) {
        std::string filter = "root";
        for (unsigned level = 0; level < kLevels; ++level)
            filter += (open >> level & 1U) != 0 ? "/+" : "/x";
        table.raise(filter, ShardId{0}, kDurable);
        filters.push_back(filter);
    }
    EXPECT_LE(table.counters().shapes,
              InterestTable::kShapesMax + InterestTable::kWidenedLevelsMax + 1);
    EXPECT_GT(table.counters().widened_shapes, 0U);
    std::string topic = "root";
    for (unsigned level = 0; level < kLevels; ++level) topic += "/x";
    EXPECT_EQ(look_up(table, topic), interest(1, true));
    EXPECT_EQ(look_up(table, "elsewhere"), interest(0, false));
    for (std::size_t i = 0; i < filters.size(); ++i) {
        ASSERT_EQ(look_up(table, topic), interest(1, true));
        table.lower(filters[i], ShardId{0}, kDurable);
    }
    EXPECT_EQ(look_up(table, topic), interest(0, false));
    EXPECT_EQ(table.counters().shapes, 0U);
    EXPECT_EQ(table.counters().widened_shapes, 0U);
    EXPECT_EQ(table.counters().keys, 0U);
    table.raise("root/+/x", ShardId{0}, kTransient);
    EXPECT_EQ(look_up(table, "root/a/y"), interest(0, false));
}

TEST(InterestTable, ChurnDoesNotGrowIt) {
    InterestTable table;
    std::size_t bytes = 0;
    for (int i = 0; i < 200'000; ++i) {
        const std::string filter = "device/" + std::to_string(i) + (i % 2 == 0 ? "" : "/+");
        table.raise(filter, ShardId{0}, kDurable);
        table.lower(filter, ShardId{0}, kDurable);
        if (i == 100'000) bytes = table.counters().memory_bytes;
    }
    EXPECT_EQ(table.counters().keys, 0U);
    EXPECT_EQ(table.counters().memory_bytes, bytes);
}

// The table against the naive matcher: with no crowd of shapes it is exact.
TEST(InterestTable, AgreesWithTheMatcher) {
    struct Raised {
        std::string filter;
        ShardId shard;
        Durability durability;
    };
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        mqtt::RandomTopics random{seed};
        InterestTable table{{.k0 = seed, .k1 = 1}};
        std::vector<Raised> raised;
        for (int step = 0; step < 500; ++step) {
            switch (random.below(4)) {
                case 0:
                case 1:
                    raised.push_back({.filter = random.filter(4),
                                      .shard = ShardId{static_cast<std::uint16_t>(random.below(8))},
                                      .durability = random.below(3) == 0 ? kDurable : kTransient});
                    table.raise(
                        raised.back().filter, raised.back().shard, raised.back().durability);
                    break;
                case 2: {
                    if (raised.empty()) break;
                    std::swap(raised[random.below(raised.size())], raised.back());
                    table.lower(
                        raised.back().filter, raised.back().shard, raised.back().durability);
                    raised.pop_back();
                    break;
                }
                default: {
                    const std::string topic = random.name();
                    Interest expected;
                    for (const Raised& one : raised) {
                        if (!mqtt::matches(one.filter, topic)) continue;
                        expected.shards |= ShardMask::of(one.shard);
                        expected.durable |= one.durability == kDurable;
                    }
                    ASSERT_EQ(look_up(table, topic), expected) << topic;
                }
            }
        }
    }
}

// Several threads raise and lower filters of their own while each checks, after every raise(), that
// all threads' standing interests are seen. A standing interest is announced through an atomic
// after raise() has returned and withdrawn before lower() is called.
class InterestTableThreads : public ::testing::TestWithParam<bool> {};

TEST_P(InterestTableThreads, NeverMissAStandingInterest) {
    constexpr std::size_t kThreads = 4;
    constexpr std::size_t kFilters = 32;  // of each thread
    constexpr int kSteps = 20'000;
    const bool same_filters = GetParam();

    InterestTable table;
    // 0: not standing; otherwise the Durability + 1 it stands with, all steps of one thread counted
    // in the upper bits, so that a checker notices a change while it looked.
    std::array<std::array<std::atomic<std::uint64_t>, kFilters>, kThreads> standing{};
    std::atomic<std::uint64_t> missed{0};

    const auto filter_of = [&](std::size_t thread, std::size_t i) {
        const std::string owner = same_filters ? "t" : "t" + std::to_string(thread);
        switch (i % 4) {
            case 0:
                return owner + "/" + std::to_string(i);
            case 1:
                return owner + "/" + std::to_string(i) + "/+";
            case 2:
                return owner + "/+/" + std::to_string(i) + "/#";
            default:
                return owner + "/+" + std::string(i % 16, '/') + "+";
        }
    };
    const auto topic_of = [&](std::string filter) {
        for (char& c : filter) {
            if (c == '+' || c == '#') c = 'x';
        }
        return filter;
    };
    const auto check = [&](std::size_t thread, std::size_t i) {
        const std::uint64_t before = standing[thread][i].load(std::memory_order_acquire);
        if ((before & 3U) == 0) return;
        const Interest found = look_up(table, topic_of(filter_of(thread, i)));
        if (standing[thread][i].load(std::memory_order_acquire) != before)
            return;  // it fell meanwhile
        const bool wants_durable = (before & 3U) == 2;
        if (!found.shards.contains(ShardId{static_cast<std::uint16_t>(thread)}) ||
            (wants_durable && !found.durable)) {
            missed.fetch_add(1);
        }
    };
    const auto run = [&](std::size_t thread) {
        const ShardId shard{static_cast<std::uint16_t>(thread)};
        Random random{thread};
        for (std::uint64_t step = 1; step <= kSteps; ++step) {
            const std::size_t i = random.below(kFilters);
            const std::uint64_t now = standing[thread][i].load(std::memory_order_relaxed) & 3U;
            if (now == 0) {
                const Durability durability = random.chance(1, 2) ? kDurable : kTransient;
                table.raise(filter_of(thread, i), shard, durability);
                standing[thread][i].store(step << 2U | (durability == kDurable ? 2U : 1U),
                                          std::memory_order_release);
            } else {
                // Read-modify-write: a checker that still sees it standing afterwards has looked
                // before the lower() below.
                standing[thread][i].exchange(step << 2U, std::memory_order_seq_cst);
                table.lower(filter_of(thread, i), shard, now == 2 ? kDurable : kTransient);
            }
            // What comes and goes only once pushes the stripes into growing and tidying.
            const std::string passing = "p/" + std::to_string(thread) + "/" + std::to_string(step);
            table.raise(passing, shard, kTransient);
            if (!look_up(table, passing).shards.contains(shard)) missed.fetch_add(1);
            if (random.chance(7, 8)) table.lower(passing, shard, kTransient);
            check(random.below(kThreads), random.below(kFilters));
            check(random.below(kThreads), random.below(kFilters));
        }
    };
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < kThreads; ++thread) threads.emplace_back(run, thread);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(missed.load(), 0U);
}

INSTANTIATE_TEST_SUITE_P(SameFilters, InterestTableThreads, ::testing::Bool());

}  // namespace
}  // namespace stentor::server
