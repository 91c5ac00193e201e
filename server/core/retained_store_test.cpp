#include "server/core/retained_store.hpp"

#include "base/bytes.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/random_topics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

using Stored = RetainedStore::Stored;
using namespace std::chrono_literals;

constexpr Instant kStart{};
constexpr Seq kAll{UINT64_MAX};

MessagePtr message(std::string_view topic,
                   std::string_view payload,
                   std::optional<std::uint32_t> expiry_seconds = std::nullopt) {
    return mqtt::Message::create({.topic = topic,
                                  .properties = {},
                                  .payload = as_bytes(payload),
                                  .publisher = {},
                                  .retain = true,
                                  .arrival = kStart,
                                  .message_expiry_seconds = expiry_seconds});
}

Stored store(RetainedStore& retained,
             std::string_view topic,
             std::uint64_t seq,
             std::string_view payload) {
    return retained.store({.message = message(topic, payload), .seq = Seq{seq}});
}

std::string payload_of(const RetainedValue* value) {
    return value == nullptr ? "(none)" : std::string{as_text(value->message->payload())};
}

std::vector<std::string> topics(const RetainedStore& retained,
                                std::string_view filter,
                                Seq through = kAll,
                                Instant now = kStart) {
    RetainedCursor cursor;
    std::vector<RetainedValue> values;
    while (!cursor.done) retained.match(filter, through, now, {}, cursor, values);
    std::vector<std::string> found;
    for (const RetainedValue& value : values) found.emplace_back(value.message->topic());
    return found;
}

using Topics = std::vector<std::string>;

TEST(RetainedStore, KeepsTheNewestOfATopic) {
    RetainedStore retained;
    EXPECT_EQ(store(retained, "a", 5, "five"), Stored::added);
    EXPECT_EQ(store(retained, "a", 7, "seven"), Stored::replaced);
    EXPECT_EQ(store(retained, "a", 6, "six"), Stored::stale);
    EXPECT_EQ(store(retained, "a", 7, "again"), Stored::stale);
    EXPECT_EQ(payload_of(retained.find("a", kStart)), "seven");
    EXPECT_EQ(retained.size(), 1U);
}

TEST(RetainedStore, AnEmptyPayloadClears) {  // [MQTT-3.3.1-6] [MQTT-3.3.1-7]
    RetainedStore retained;
    EXPECT_EQ(store(retained, "a", 1, ""), Stored::nothing_to_clear);
    EXPECT_EQ(store(retained, "a", 2, "two"), Stored::added);
    EXPECT_EQ(store(retained, "a", 1, ""), Stored::stale);
    EXPECT_EQ(store(retained, "a", 3, ""), Stored::cleared);
    EXPECT_EQ(retained.find("a", kStart), nullptr);
    EXPECT_EQ(retained.size(), 0U);
    EXPECT_EQ(retained.bytes(), 0U);
}

TEST(RetainedStore, AnOlderValueDoesNotComeBackAfterAClear) {
    RetainedStore retained;
    store(retained, "a", 1, "one");
    store(retained, "a", 3, "");
    EXPECT_EQ(store(retained, "a", 2, "two"), Stored::stale);
    EXPECT_EQ(store(retained, "b", 2, "two"), Stored::added);
    retained.applied_through(Seq{2});
    EXPECT_EQ(store(retained, "a", 3, "three"), Stored::stale);
    retained.applied_through(Seq{3});
    EXPECT_EQ(store(retained, "a", 4, "four"), Stored::added);
}

TEST(RetainedStore, RefusesPastItsLimits) {
    RetainedStore retained{{.messages_max = 2}};
    store(retained, "a", 1, "x");
    store(retained, "b", 2, "x");
    EXPECT_EQ(store(retained, "c", 3, "x"), Stored::refused);
    EXPECT_EQ(store(retained, "b", 4, "a longer one"), Stored::replaced);
    EXPECT_EQ(store(retained, "a", 5, ""), Stored::cleared);
    EXPECT_EQ(store(retained, "c", 6, "x"), Stored::added);
}

TEST(RetainedStore, RefusesPastItsBytes) {
    RetainedStore measure;
    store(measure, "a", 1, std::string(100, 'x'));
    RetainedStore retained{{.bytes_max = measure.bytes()}};
    EXPECT_EQ(store(retained, "a", 1, std::string(100, 'x')), Stored::added);
    EXPECT_EQ(store(retained, "b", 2, "x"), Stored::refused);
    EXPECT_EQ(store(retained, "a", 3, std::string(200, 'x')), Stored::refused);
    EXPECT_EQ(retained.find("a", kStart), nullptr) << "what it was is not the last value any more";
    EXPECT_EQ(store(retained, "a", 2, "late"), Stored::stale);
    EXPECT_EQ(store(retained, "a", 4, std::string(90, 'x')), Stored::added);
    EXPECT_EQ(store(retained, "a", 5, std::string(50, 'x')), Stored::replaced);
    EXPECT_EQ(store(retained, "a", 6, std::string(100, 'x')), Stored::replaced);
    EXPECT_EQ(store(retained, "a", 7, ""), Stored::cleared);
    EXPECT_EQ(retained.bytes(), 0U);
}

TEST(RetainedStore, MatchesInTopicOrder) {
    RetainedStore retained;
    std::uint64_t seq = 0;
    for (const std::string_view topic :
         {"a/b", "a", "a!", "a/b/c", "$SYS/a", "b", "a/", "a/c", "/", "%", "!"}) {
        store(retained, topic, ++seq, "x");
    }
    EXPECT_EQ(topics(retained, "#"),
              (Topics{"/", "!", "%", "a", "a/", "a/b", "a/b/c", "a/c", "a!", "b"}));
    EXPECT_EQ(topics(retained, "a/#"), (Topics{"a", "a/", "a/b", "a/b/c", "a/c"}));
    EXPECT_EQ(topics(retained, "a/+"), (Topics{"a/", "a/b", "a/c"}));
    EXPECT_EQ(topics(retained, "+/+/c"), (Topics{"a/b/c"}));
    EXPECT_EQ(topics(retained, "+"), (Topics{"!", "%", "a", "a!", "b"}));
    EXPECT_EQ(topics(retained, "$SYS/#"), (Topics{"$SYS/a"}));
    EXPECT_EQ(topics(retained, "a/b"), (Topics{"a/b"}));
    EXPECT_EQ(topics(retained, "x/#"), Topics{});
    EXPECT_EQ(topics(retained, "#", Seq{2}), (Topics{"a", "a/b"}));
}

TEST(RetainedStore, ALiteralPrefixIsARange) {
    RetainedStore retained;
    for (std::uint64_t i = 0; i < 1000; ++i) {
        store(retained, "site/" + std::to_string(i) + "/state", i + 1, "x");
        store(retained, "site/" + std::to_string(i) + "/version", i + 1, "x");
    }
    RetainedCursor cursor;
    std::vector<RetainedValue> values;
    retained.match("site/7/#", kAll, kStart, {.values_max = 100, .steps_max = 5}, cursor, values);
    EXPECT_TRUE(cursor.done);
    EXPECT_EQ(values.size(), 2U);

    // "+" before a literal level: two or three steps for each of its values, not one per topic.
    cursor = {};
    values.clear();
    retained.match(
        "site/+/nothing", kAll, kStart, {.values_max = 100, .steps_max = 2010}, cursor, values);
    EXPECT_TRUE(cursor.done);
    EXPECT_TRUE(values.empty());
}

TEST(RetainedStore, EveryPageAdvances) {
    RetainedStore retained;
    for (std::uint64_t i = 0; i < 100; ++i) store(retained, "a/" + std::to_string(i), i + 1, "x");
    RetainedCursor cursor;
    std::vector<RetainedValue> values;
    std::size_t pages = 0;
    for (; !cursor.done; ++pages) {
        const std::string before = cursor.next_topic;
        retained.match("#", Seq{1}, kStart, {.values_max = 10, .steps_max = 7}, cursor, values);
        EXPECT_TRUE(cursor.done || cursor.next_topic != before);
    }
    EXPECT_EQ(values.size(), 1U);
    EXPECT_EQ(pages, 15U);
}

TEST(RetainedStore, ExpiredValuesAreNotFoundAndSweptAway) {
    RetainedStore retained;
    retained.store({.message = message("a/1", "x", 10), .seq = Seq{1}});
    retained.store({.message = message("a/2", "x"), .seq = Seq{2}});
    retained.store({.message = message("a/3", "x", 20), .seq = Seq{3}});
    EXPECT_EQ(topics(retained, "a/+", kAll, kStart + 9s), (Topics{"a/1", "a/2", "a/3"}));
    EXPECT_EQ(topics(retained, "a/+", kAll, kStart + 10s), (Topics{"a/2", "a/3"}));
    EXPECT_EQ(retained.find("a/1", kStart + 10s), nullptr);
    EXPECT_EQ(topics(retained, "a/1", kAll, kStart + 10s), Topics{});
    EXPECT_EQ(retained.size(), 3U);
    const auto first = retained.sweep(kStart + 10s, 1);
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first[0].message->topic(), "a/1");
    EXPECT_EQ(first[0].seq, Seq{1});
    EXPECT_EQ(retained.sweep(kStart + 20s, 1).size(), 0U);
    EXPECT_EQ(retained.sweep(kStart + 20s, 1).size(), 1U);
    EXPECT_EQ(retained.sweep(kStart + 20s, 100).size(), 0U);
    EXPECT_EQ(retained.size(), 1U);
}

// Of an earlier run, whose shard had a larger share.
TEST(RetainedStore, WhatIsRestoredMayBeMoreThanTheLimit) {
    RetainedStore retained{{.messages_max = 2}};
    for (std::uint64_t i = 1; i <= 4; ++i) {
        retained.restore({.message = message("a/" + std::to_string(i), "x"), .seq = Seq{i}});
    }
    EXPECT_EQ(topics(retained, "a/+"), (Topics{"a/1", "a/2", "a/3", "a/4"}));
    EXPECT_EQ(store(retained, "a/5", 5, "x"), Stored::refused);
    EXPECT_EQ(store(retained, "a/4", 6, "y"), Stored::replaced);
    EXPECT_EQ(store(retained, "a/1", 7, ""), Stored::cleared);
    EXPECT_EQ(store(retained, "a/2", 8, ""), Stored::cleared);
    EXPECT_EQ(store(retained, "a/5", 9, "x"), Stored::refused);
    EXPECT_EQ(store(retained, "a/3", 10, ""), Stored::cleared);
    EXPECT_EQ(store(retained, "a/5", 11, "x"), Stored::added);
}

TEST(RetainedStore, PinnedMessagesOutliveTheirTopic) {
    RetainedStore retained;
    const MessagePtr first = message("a", "first", 1);
    retained.store({.message = first, .seq = Seq{1}});
    retained.pin(Seq{1}, first);
    retained.pin(Seq{1}, first);
    store(retained, "a", 2, "second");
    store(retained, "a", 3, "");
    ASSERT_NE(retained.find_pinned(Seq{1}), nullptr);
    EXPECT_EQ(as_text(retained.find_pinned(Seq{1})->payload()), "first");
    EXPECT_EQ(retained.find_pinned(Seq{2}), nullptr);
    retained.unpin(Seq{1});
    EXPECT_NE(retained.find_pinned(Seq{1}), nullptr);
    retained.unpin(Seq{1});
    EXPECT_EQ(retained.find_pinned(Seq{1}), nullptr);
    EXPECT_EQ(retained.pinned(), 0U);
    EXPECT_EQ(first->use_count(), 1U);
}

// Against a plain map and the naive matcher, with changes between the pages of a query: every
// topic that has a fitting value all the time is seen exactly once, and nothing that does not
// match.
TEST(RetainedStore, PagedQueriesAgreeWithTheMatcher) {
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        SCOPED_TRACE(seed);
        mqtt::RandomTopics random{seed};
        RetainedStore retained;
        std::map<std::string, std::uint64_t> model;
        std::uint64_t seq = 0;
        const auto change = [&] {
            const std::string topic = random.name();
            const bool clear = random.below(4) == 0;
            store(retained, topic, ++seq, clear ? "" : "x");
            if (clear) {
                model.erase(topic);
            } else {
                model[topic] = seq;
            }
        };
        for (std::size_t i = random.below(100); i != 0; --i) change();
        const std::string filter = random.filter();
        const bool with_changes = random.below(2) == 0;
        const Seq through{seq};
        std::map<std::string, std::uint64_t> always = model;
        std::map<std::string, std::uint64_t> sometime = model;

        RetainedCursor cursor;
        std::vector<RetainedValue> values;
        while (!cursor.done) {
            const RetainedPageLimits limits{.values_max = 1 + random.below(5),
                                            .steps_max = 1 + random.below(5)};
            retained.match(filter, through, kStart, limits, cursor, values);
            if (!with_changes || random.below(3) != 0) continue;
            change();
            std::erase_if(always, [&](const auto& entry) {
                const auto now = model.find(entry.first);
                return now == model.end() || now->second != entry.second;
            });
        }
        std::map<std::string, std::uint64_t> found;
        for (const RetainedValue& value : values) {
            const std::string topic{value.message->topic()};
            ASSERT_TRUE(mqtt::matches(filter, topic)) << filter << " and " << topic;
            ASSERT_TRUE(found.emplace(topic, value.seq.value()).second) << topic << " twice";
            ASSERT_EQ(sometime.at(topic), value.seq.value());
        }
        for (const auto& [topic, topic_seq] : always) {
            ASSERT_EQ(found.contains(topic), mqtt::matches(filter, topic))
                << filter << " and " << topic;
        }
        ASSERT_EQ(retained.size(), model.size());
    }
}

}  // namespace
}  // namespace stentor::server
