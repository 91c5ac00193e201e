#include "server/core/subscription_index.hpp"

#include "base/random.hpp"
#include "protocol/message.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/random_topics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

using Added = SubscriptionIndex::Added;
using Removed = SubscriptionIndex::Removed;

constexpr mqtt::SubscriptionOptions kQos2{
    .qos = mqtt::QoS::exactly_once, .no_local = true, .retain_as_published = true};

Subscriber session(std::uint32_t slot, std::uint64_t since = 0, std::uint32_t identifier = 0) {
    return {.id = SubscriberId::session(slot),
            .options = {},
            .subscription_identifier = identifier,
            .since = Seq{since}};
}

// (subscriber, identifier) of every entry that matches.
using Matches = std::multiset<std::pair<std::uint32_t, std::uint32_t>>;

Matches match(SubscriptionIndex& index, std::string_view topic) {
    MatchSet found;
    index.match(topic, mqtt::topic_hash(topic), found);
    Matches matches;
    for (const MatchSet::Source source : found.sources()) {
        EXPECT_FALSE(source.empty());
        for (const Subscriber& entry : source) {
            matches.emplace(entry.id.packed(), entry.subscription_identifier);
        }
    }
    return matches;
}

TEST(SubscriptionIndex, FindsExactAndWildcardFilters) {
    SubscriptionIndex index;
    EXPECT_EQ(index.add("a/b", session(1)), Added::new_filter);
    EXPECT_EQ(index.add("a/b", session(2)), Added::new_subscriber);
    EXPECT_EQ(index.add("a/+", session(3)), Added::new_filter);
    EXPECT_EQ(index.add("#", session(1)), Added::new_filter);
    EXPECT_EQ(index.add("a/b/#", session(4)), Added::new_filter);
    EXPECT_EQ(match(index, "a/b"), (Matches{{1, 0}, {2, 0}, {3, 0}, {1, 0}, {4, 0}}));
    EXPECT_EQ(match(index, "a/c"), (Matches{{3, 0}, {1, 0}}));
    EXPECT_EQ(match(index, "$a/c"), Matches{});
    EXPECT_EQ(index.subscriptions(), 5U);
    EXPECT_EQ(index.exact_filters(), 1U);
    EXPECT_EQ(index.wildcard_filters(), 3U);
}

TEST(SubscriptionIndex, OneMatchingFilterIsASingleSource) {
    SubscriptionIndex index;
    index.add("a", session(1));
    index.add("a", session(2));
    index.add("b/#", session(1));
    MatchSet found;
    index.match("a", mqtt::topic_hash("a"), found);
    EXPECT_TRUE(found.is_single_source());
    EXPECT_EQ(found.size(), 2U);
    index.match("c", mqtt::topic_hash("c"), found);
    EXPECT_TRUE(found.empty());
}

TEST(SubscriptionIndex, SubscribingAgainKeepsSinceAndTakesTheOptions) {
    for (const std::string_view filter : {"a/b", "a/+"}) {
        SubscriptionIndex index;
        index.add(filter, session(1, 10, 5));
        Subscriber again = session(1, 20, 6);
        again.options = kQos2;
        EXPECT_EQ(index.add(filter, again), Added::replaced);
        EXPECT_EQ(index.subscriptions(), 1U);
        const Subscriber* const entry = index.find(filter, again.id);
        ASSERT_NE(entry, nullptr);
        EXPECT_EQ(entry->since, Seq{10});
        EXPECT_EQ(entry->options, kQos2);
        EXPECT_EQ(entry->subscription_identifier, 6U);
    }
}

TEST(SubscriptionIndex, UnsubscribingStartsAfresh) {
    SubscriptionIndex index;
    index.add("a/+", session(1, 10));
    EXPECT_EQ(index.remove("a/+", session(1).id), Removed::filter);
    EXPECT_EQ(index.remove("a/+", session(1).id), Removed::not_found);
    EXPECT_EQ(index.find("a/+", session(1).id), nullptr);
    EXPECT_EQ(index.add("a/+", session(1, 20)), Added::new_filter);
    EXPECT_EQ(index.find("a/+", session(1).id)->since, Seq{20});
}

TEST(SubscriptionIndex, RemovesOnlyTheSubscriberAskedFor) {
    SubscriptionIndex index;
    index.add("a", session(1));
    index.add("a", session(2));
    EXPECT_EQ(index.remove("a", session(3).id), Removed::not_found);
    EXPECT_EQ(index.remove("b", session(1).id), Removed::not_found);
    EXPECT_EQ(index.remove("a/#", session(1).id), Removed::not_found);
    EXPECT_EQ(index.remove("a", session(1).id), Removed::subscriber);
    EXPECT_EQ(match(index, "a"), (Matches{{2, 0}}));
}

TEST(SubscriptionIndex, AFilterAndItsPrefixAreDifferentFilters) {
    SubscriptionIndex index;
    index.add("a/#", session(1));
    index.add("a/+", session(2));
    index.add("a/+/#", session(3));
    index.add("+", session(4));
    index.remove("a/+", session(2).id);
    EXPECT_EQ(match(index, "a/b"), (Matches{{1, 0}, {3, 0}}));
    EXPECT_EQ(match(index, "a"), (Matches{{1, 0}, {4, 0}}));
}

TEST(SubscriptionIndex, SharedGroupsAndSessionsOfOneSlotAreDifferent) {
    SubscriptionIndex index;
    index.add("a", session(1));
    index.add("a", {.id = SubscriberId::shared_group(1), .options = {}, .since = kNoSeq});
    EXPECT_EQ(index.subscriptions(), 2U);
    EXPECT_EQ(index.remove("a", SubscriberId::shared_group(1)), Removed::subscriber);
    EXPECT_EQ(match(index, "a"), (Matches{{1, 0}}));
}

TEST(SubscriptionIndex, ManySubscribersOfOneFilterLeaveInAnyOrder) {
    constexpr std::uint32_t kSubscribers = 100'000;
    for (const std::string_view filter : {"all", "all/#"}) {
        SubscriptionIndex index;
        for (std::uint32_t i = 0; i < kSubscribers; ++i) index.add(filter, session(i));
        std::vector<std::uint32_t> order(kSubscribers);
        for (std::uint32_t i = 0; i < kSubscribers; ++i) order[i] = i;
        std::shuffle(order.begin(), order.end(), Random{1});
        for (const std::uint32_t slot : order) {
            ASSERT_NE(index.remove(filter, SubscriberId::session(slot)), Removed::not_found);
        }
        EXPECT_EQ(index.subscriptions(), 0U);
    }
}

TEST(SubscriptionIndex, GivesMemoryBack) {
    SubscriptionIndex index;
    const auto change = [&](bool add) {
        for (std::uint32_t i = 0; i < 1000; ++i) {
            for (const std::string& filter : {"device/" + std::to_string(i),
                                              "device/" + std::to_string(i) + "/+",
                                              std::string{"all"}}) {
                if (add) {
                    index.add(filter, session(i));
                } else {
                    index.remove(filter, SubscriberId::session(i));
                }
            }
        }
    };
    change(true);
    change(false);
    const std::size_t after_one = index.memory_bytes();
    for (int round = 0; round < 3; ++round) {
        change(true);
        EXPECT_GT(index.memory_bytes(), after_one);
        change(false);
        EXPECT_EQ(index.memory_bytes(), after_one);
    }
}

TEST(SubscriptionIndex, TheCacheSurvivesChangesThatDoNotConcernTheTopic) {
    SubscriptionIndex index;
    index.add("device/1/+", session(1));
    EXPECT_EQ(match(index, "device/1/state"), (Matches{{1, 0}}));
    index.add("device/1/+", session(2));  // the filter is not new
    index.add("device/2/+", session(2));
    index.remove("device/2/+", SubscriberId::session(2));
    EXPECT_EQ(match(index, "device/1/state"), (Matches{{1, 0}, {2, 0}}));
    EXPECT_EQ(index.cache_counters().hits, 1U);
    index.add("device/#", session(3));
    EXPECT_EQ(match(index, "device/1/state"), (Matches{{1, 0}, {2, 0}, {3, 0}}));
    EXPECT_EQ(index.cache_counters().hits, 1U);
}

TEST(SubscriptionIndex, AnswersTopicsThatDoNotFitIntoTheCache) {
    SubscriptionIndex index;
    const std::string topic(500, 'x');
    for (std::uint32_t i = 0; i < 20; ++i) {
        index.add(i % 2 == 0 ? "#" : "+", session(i));
        std::string filter = "+";
        for (std::uint32_t level = 0; level < i; ++level) filter += "/+";
        index.add(filter + "/#", session(i));
    }
    for (int round = 0; round < 2; ++round) {
        EXPECT_EQ(match(index, topic).size(), 21U);
        EXPECT_EQ(match(index, "a/a/a/a/a/a/a/a/a/a").size(), 20U);
    }
    EXPECT_EQ(index.cache_counters().hits, 0U);
    EXPECT_EQ(index.cache_counters().bypassed, 4U);
}

TEST(SubscriptionIndex, TakesTheDeepestFilters) {
    SubscriptionIndex index;
    std::string plus = "+";
    std::string topic = "a";
    for (int i = 1; i < 64; ++i) {
        plus += "/+";
        topic += "/a";
        index.add(plus + (i < 63 ? "/#" : ""), session(static_cast<std::uint32_t>(i)));
        index.add(topic.substr(0, topic.size() - 1) + "+", session(static_cast<std::uint32_t>(i)));
    }
    EXPECT_EQ(match(index, topic).size(), 64U);
}

// The index against the naive matcher, with every kind of change in between. A small cache meets
// collisions, a large one stale entries.
class SubscriptionIndexModel : public ::testing::TestWithParam<std::size_t> {};

TEST_P(SubscriptionIndexModel, AgreesWithTheMatcher) {
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
        SCOPED_TRACE(seed);
        mqtt::RandomTopics random{seed};
        SubscriptionIndex index{
            {.hash_key = {.k0 = seed, .k1 = 0}, .cached_topics_max = GetParam()}};
        std::map<std::pair<std::string, std::uint32_t>, Subscriber> model;
        std::vector<std::string> topics;
        for (int i = 0; i < 20; ++i) topics.push_back(random.name());
        const std::size_t slots = random.below(2) == 0 ? 3 : 60;
        for (std::uint32_t step = 0; step < 300; ++step) {
            const std::string filter = random.filter(4);
            const auto slot = static_cast<std::uint32_t>(random.below(slots));
            const bool existed = model.contains({filter, slot});
            switch (random.below(4)) {
                case 0:
                case 1: {
                    const Subscriber added = session(slot, step, step);
                    EXPECT_EQ(index.add(filter, added) == Added::replaced, existed);
                    auto [at, is_new] = model.try_emplace({filter, slot}, added);
                    at->second.subscription_identifier = step;
                    ASSERT_EQ(index.find(filter, added.id)->since, at->second.since);
                    break;
                }
                case 2: {
                    auto at = model.begin();  // something that is there
                    if (model.empty()) break;
                    std::advance(at, random.below(model.size()));
                    const auto [victim, victim_slot] = at->first;
                    model.erase(at);
                    const auto next = model.lower_bound({victim, 0});
                    const bool others = next != model.end() && next->first.first == victim;
                    EXPECT_EQ(index.remove(victim, SubscriberId::session(victim_slot)),
                              others ? Removed::subscriber : Removed::filter);
                    break;
                }
                default: {
                    const std::string& topic = topics[random.below(topics.size())];
                    Matches expected;
                    for (const auto& [key, entry] : model) {
                        if (!mqtt::matches(key.first, topic)) continue;
                        expected.emplace(entry.id.packed(), entry.subscription_identifier);
                    }
                    ASSERT_EQ(match(index, topic), expected) << topic;
                }
            }
            ASSERT_EQ(index.subscriptions(), model.size());
        }
    }
}

INSTANTIATE_TEST_SUITE_P(CacheSizes, SubscriptionIndexModel, ::testing::Values(0, 1, 16, 8192));

}  // namespace
}  // namespace stentor::server
