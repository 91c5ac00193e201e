#include "persistence/sqlite/row_cache.hpp"

#include "persistence/contract/samples.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace stentor::store {
namespace {

/// Messages "t/<seq>" from `first` on, one in three of them a session's record instead.
CachedRow row(std::uint64_t first, std::uint32_t count, Seq from) {
    LogRowWriter writer{{.first = Seq{first}, .at = {}, .wall_unix_ms = 0}};
    for (std::uint64_t seq = first; seq < first + count; ++seq) {
        if (seq % 3 == 0) {
            writer.add(samples::attached("c"));
        } else {
            writer.add(samples::logged("t/" + std::to_string(seq)));
        }
    }
    const Bytes bytes = writer.take();  // the row must not need them afterwards
    return CachedRow::make(LogRow::parse(bytes).value(), from).value();
}

TEST(RowCache, ARowKnowsItsMessagesAndSharesThem) {
    CachedRow cached = row(10, 10, Seq{10});
    EXPECT_EQ(cached.first(), Seq{10});
    EXPECT_EQ(cached.last(), Seq{19});
    ASSERT_EQ(cached.entries_from(Seq{12}).size(), 5U);
    EXPECT_EQ(cached.entries_from(Seq{12}).front().topic, "t/13");
    EXPECT_TRUE(cached.entries_from(Seq{12}).front().for_durable_sessions);
    const MessagePtr message = cached.message_at(Seq{14}).value();
    ASSERT_NE(message, nullptr);
    EXPECT_EQ(message->topic(), "t/14");
    EXPECT_EQ(cached.message_at(Seq{14}).value().get(), message.get());
    EXPECT_EQ(cached.message_at(Seq{12}).value(), nullptr) << "a session's record";
    EXPECT_EQ(cached.message_at(Seq{99}).value(), nullptr);
}

TEST(RowCache, ARetainedValueIsThereAndNotForSessions) {
    LogRowWriter writer{{.first = Seq{1}, .at = {}, .wall_unix_ms = 0}};
    writer.add(samples::retained("r", "value"));
    const Bytes bytes = writer.take();
    CachedRow cached = CachedRow::make(LogRow::parse(bytes).value(), Seq{1}).value();
    EXPECT_FALSE(cached.entries_from(Seq{1}).front().for_durable_sessions);
    EXPECT_EQ(as_text(cached.message_at(Seq{1}).value()->payload()), "value");
}

TEST(RowCache, FindsTheRowThatAnswersForAPosition) {
    const auto segment = std::make_shared<SegmentView::Handle>("a", Seq{1}, Instant{});
    const auto other = std::make_shared<SegmentView::Handle>("b", Seq{1}, Instant{});
    RowCache cache{1U << 20U};
    cache.add(segment, row(10, 5, Seq{10}));
    cache.add(segment, row(30, 5, Seq{20}));  // nothing between 20 and 30
    EXPECT_EQ(cache.find(segment, Seq{9}), nullptr);
    EXPECT_EQ(cache.find(segment, Seq{12})->last(), Seq{14});
    EXPECT_EQ(cache.find(segment, Seq{15}), nullptr);
    EXPECT_EQ(cache.find(segment, Seq{19}), nullptr);
    EXPECT_EQ(cache.find(segment, Seq{20})->last(), Seq{34});
    EXPECT_EQ(cache.find(segment, Seq{34})->last(), Seq{34});
    EXPECT_EQ(cache.find(segment, Seq{35}), nullptr);
    EXPECT_EQ(cache.find(other, Seq{12}), nullptr);
}

TEST(RowCache, KeepsWhatWasUsedLastWithinItsBound) {
    const auto segment = std::make_shared<SegmentView::Handle>("a", Seq{1}, Instant{});
    const std::size_t cost = row(10, 10, Seq{10}).cost_bytes();
    RowCache cache{4 * cost + cost / 2};
    for (std::uint64_t first = 10; first <= 40; first += 10) {
        cache.add(segment, row(first, 10, Seq{first}));
    }
    const bool all_fit = cache.find(segment, Seq{10}) != nullptr;
    cache.add(segment, row(50, 10, Seq{50}));
    cache.add(segment, row(60, 10, Seq{60}));
    EXPECT_NE(cache.find(segment, Seq{60}), nullptr);
    EXPECT_EQ(cache.find(segment, Seq{20}), nullptr);
    EXPECT_EQ(cache.find(segment, Seq{10}) != nullptr, all_fit) << "used after the others";
    RowCache none{0};
    none.add(segment, row(10, 10, Seq{10}));
    EXPECT_NE(none.find(segment, Seq{10}), nullptr) << "one is always there";
    none.add(segment, row(10, 10, Seq{10}));
    EXPECT_NE(none.find(segment, Seq{10}), nullptr);
}

}  // namespace
}  // namespace stentor::store
