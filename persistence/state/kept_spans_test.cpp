#include "persistence/state/kept_spans.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace stentor::store {
namespace {

using mqtt::QoS;

KeptSpan span(std::uint64_t since, std::uint64_t until, QoS qos = QoS::at_least_once) {
    return {.since = Seq{since}, .until = Seq{until}, .qos = qos};
}

TEST(KeptSpans, SayWhatIsOwedAndFromWhere) {
    KeptSpans kept;
    EXPECT_EQ(sizeof kept, sizeof(void*));
    EXPECT_TRUE(kept.empty());
    EXPECT_EQ(kept.last(), kNoSeq);
    EXPECT_EQ(kept.needed_from(Seq{0}), std::nullopt);
    kept.keep(span(10, 20), Seq{5});
    kept.keep(span(30, 40, QoS::exactly_once), Seq{5});
    EXPECT_EQ(kept.at(Seq{10}), QoS::at_most_once);
    EXPECT_EQ(kept.at(Seq{11}), QoS::at_least_once);
    EXPECT_EQ(kept.at(Seq{20}), QoS::at_least_once);
    EXPECT_EQ(kept.at(Seq{21}), QoS::at_most_once);
    EXPECT_EQ(kept.at(Seq{31}), QoS::exactly_once);
    EXPECT_EQ(kept.at(Seq{41}), QoS::at_most_once);
    EXPECT_EQ(kept.last(), Seq{40});
    EXPECT_EQ(kept.needed_from(Seq{5}), Seq{11});
    EXPECT_EQ(kept.needed_from(Seq{15}), Seq{16});
    EXPECT_EQ(kept.needed_from(Seq{20}), Seq{31});
    EXPECT_EQ(kept.needed_from(Seq{40}), std::nullopt);
}

TEST(KeptSpans, GoWhenAllOfThemHasBeenSent) {
    KeptSpans kept;
    kept.keep(span(10, 20), Seq{20});
    kept.keep(span(20, 20), Seq{5});
    EXPECT_TRUE(kept.empty()) << "nothing can wait";
    kept.keep(span(10, 20), Seq{5});
    kept.keep(span(30, 40), Seq{5});
    kept.forget_through(Seq{20});
    EXPECT_EQ(kept.all().size(), 1U);
    kept.forget_through(Seq{39});
    EXPECT_EQ(kept.all().size(), 1U);
    kept.forget_through(Seq{40});
    EXPECT_TRUE(kept.empty());
}

TEST(KeptSpans, AreBoundedAndLoseNothingByIt) {
    KeptSpans kept;
    kept.keep(span(0, 5, QoS::exactly_once), Seq{0});
    for (std::uint64_t i = 1; i < 100; ++i) kept.keep(span(10 * i, 10 * i + 5), Seq{0});
    EXPECT_EQ(kept.all().size(), KeptSpans::kMost);
    EXPECT_EQ(kept.needed_from(Seq{0}), Seq{1});
    EXPECT_EQ(kept.at(Seq{5}), QoS::exactly_once);
    EXPECT_EQ(kept.at(Seq{995}), QoS::at_least_once);
    EXPECT_EQ(kept.at(Seq{988}), QoS::at_most_once);
}

TEST(KeptSpans, AreCopiedAsValues) {
    KeptSpans kept;
    kept.keep(span(10, 20), Seq{5});
    KeptSpans copy = kept;
    EXPECT_EQ(copy, kept);
    copy.forget_through(Seq{20});
    EXPECT_FALSE(copy == kept);
    EXPECT_EQ(kept.all().size(), 1U);
    copy = kept;
    EXPECT_EQ(copy, kept);
    const KeptSpans moved = std::move(copy);
    EXPECT_EQ(moved, kept);
}

TEST(KeptSpans, AreLeftWhereTheLogWouldNotBeReadAnyMore) {
    constexpr QoS kZero = QoS::at_most_once;
    constexpr QoS kOne = QoS::at_least_once;
    EXPECT_TRUE(leaves_span(kOne, kZero, true));
    EXPECT_FALSE(leaves_span(kOne, QoS::exactly_once, true));
    EXPECT_TRUE(leaves_span(kOne, kOne, false)) << "since moves";
    EXPECT_FALSE(leaves_span(kZero, kOne, false)) << "nothing waited";
    EXPECT_FALSE(leaves_span(kZero, kZero, true));
}

}  // namespace
}  // namespace stentor::store
