#include "persistence/sqlite/segment_plan.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

FilterSetPtr set_of(std::vector<std::string> filters) {
    return make_intrusive<FilterSet>(std::move(filters));
}

SegmentView segment_at(std::uint64_t first) {
    SegmentView view;
    view.handle = std::make_shared<SegmentView::Handle>(
        "log/" + std::to_string(first), Seq{first}, Instant{});
    view.first = Seq{first};
    return view;
}

SegmentPlan plan_for(const SegmentView& segment, std::uint64_t after, std::uint64_t through) {
    SegmentPlan plan;
    plan.segment = segment.handle;
    plan.after = Seq{after};
    plan.through = Seq{through};
    return plan;
}

TEST(CheaperAccess, AFewTopicsOfALargeSegmentAreLookedUp) {
    const AccessFacts large{.records = 400'000, .bytes = 64'000'000};
    AccessFacts facts = large;
    facts.lookups = 1;
    EXPECT_EQ(cheaper_access(facts), Access::index);
    facts.lookups = 200;
    EXPECT_EQ(cheaper_access(facts), Access::index);
    facts.lookups = 0;
    EXPECT_EQ(cheaper_access(facts), Access::index) << "nothing is there: nothing is read";
}

TEST(CheaperAccess, WhatTakesTooLongBeforeTheFirstMessageIsScannedFor) {
    EXPECT_EQ(cheaper_access({.lookups = 10'000, .records = 400'000, .bytes = 64'000'000}),
              Access::scan);
    EXPECT_EQ(
        cheaper_access({.lookups = 1, .walked = 300'000, .records = 400'000, .bytes = 64'000'000}),
        Access::scan);
}

TEST(CheaperAccess, ALittleRestIsScanned) {
    EXPECT_EQ(cheaper_access({.lookups = 100, .records = 50, .bytes = 5000}), Access::scan);
    EXPECT_EQ(cheaper_access({.lookups = 1, .records = 5000, .bytes = 500'000}), Access::index);
}

TEST(CheaperAccess, WalkingOverFewTopicsBeatsManyRecords) {
    EXPECT_EQ(
        cheaper_access({.lookups = 1, .walked = 1000, .records = 400'000, .bytes = 64'000'000}),
        Access::index);
}

TEST(CheaperAccess, AnIndexInMemoryIsAskedMoreReadily) {
    const AccessFacts on_disk{.lookups = 500, .records = 4000, .bytes = 400'000};
    AccessFacts in_memory = on_disk;
    in_memory.in_memory = true;
    EXPECT_EQ(cheaper_access(on_disk), Access::scan);
    EXPECT_EQ(cheaper_access(in_memory), Access::index);
}

TEST(FilterPlan, TakesWildcardsForRangesOfTopics) {
    const FilterPlan plan{set_of({"x", "a/b/+", "a/b/+/c", "a/#", "b/+", "bb/+"})};
    ASSERT_EQ(plan.topics().size(), 2U);
    EXPECT_EQ(plan.topics()[0].text, "x");
    EXPECT_EQ(plan.topics()[1].text, "a") << "a/# matches a itself";
    EXPECT_EQ(plan.ranges(), (std::vector<std::string_view>{"a/", "b/", "bb/"}))
        << "a/b/ lies in a/";
    EXPECT_FALSE(plan.ranges_over_everything());
}

TEST(FilterPlan, ARangeOverEverythingNeedsNothingElse) {
    for (const char* filter : {"#", "+/a", "+"}) {
        const FilterPlan plan{set_of({"x", filter, "a/#"})};
        EXPECT_TRUE(plan.ranges_over_everything()) << filter;
        EXPECT_EQ(plan.ranges().size(), 1U);
        EXPECT_TRUE(plan.topics().empty());
    }
}

TEST(FilterPlan, AParentThatIsEmptyIsATopicToo) {
    const FilterPlan plan{set_of({"/#"})};
    ASSERT_EQ(plan.topics().size(), 1U);
    EXPECT_EQ(plan.topics()[0].text, "");
    EXPECT_EQ(plan.ranges(), (std::vector<std::string_view>{"/"}));
}

TEST(FilterPlan, RemembersSegmentsForTheStretchThatWasLookedAt) {
    FilterPlan plan{set_of({"x"})};
    const SegmentView one = segment_at(1);
    const SegmentView two = segment_at(100);
    plan.keep(plan_for(one, 10, 50));
    plan.keep(plan_for(two, 99, 200));
    EXPECT_EQ(plan.find(one, Seq{9}), nullptr);
    ASSERT_NE(plan.find(one, Seq{10}), nullptr);
    EXPECT_NE(plan.find(one, Seq{49}), nullptr);
    EXPECT_EQ(plan.find(one, Seq{50}), nullptr);
    EXPECT_NE(plan.find(two, Seq{120}), nullptr);
    EXPECT_EQ(plan.find(segment_at(100), Seq{120}), nullptr) << "another file";
    plan.keep(plan_for(one, 50, 60));
    EXPECT_EQ(plan.find(one, Seq{10}), nullptr) << "one for each segment";
    for (std::uint64_t first = 1000; first < 10'000; first += 100) {
        plan.keep(plan_for(segment_at(first), first, first + 100));
    }
    EXPECT_EQ(plan.find(two, Seq{120}), nullptr) << "and few segments";
}

TEST(FilterPlans, EqualSetsShareAPlanAndOldOnesGo) {
    FilterPlans plans{20'000};
    const SegmentView segment = segment_at(1);
    plans.of(set_of({"a", "b/+"})).keep(plan_for(segment, 0, 9));
    EXPECT_NE(plans.of(set_of({"b/+", "a"})).find(segment, Seq{5}), nullptr);
    EXPECT_EQ(plans.of(set_of({"a", "b/#"})).find(segment, Seq{5}), nullptr);
    EXPECT_NE(plans.of(set_of({"a", "b/+"})).find(segment, Seq{5}), nullptr);
    for (int i = 0; i < 100; ++i) (void)plans.of(set_of({"c" + std::to_string(i)}));
    EXPECT_EQ(plans.of(set_of({"a", "b/+"})).find(segment, Seq{5}), nullptr);
}

TEST(ScannedBytes, AreAPartOfTheSegment) {
    constexpr std::uint64_t kBytes = std::uint64_t{64} << 20U;
    constexpr std::uint64_t kJump = std::uint64_t{1} << 48U;
    EXPECT_EQ(scanned_bytes(kBytes, 500, 1000), kBytes / 2);
    EXPECT_EQ(scanned_bytes(kBytes, 0, 1000), 0U);
    EXPECT_EQ(scanned_bytes(kBytes, kJump, 2 * kJump), kBytes / 2);
    EXPECT_EQ(scanned_bytes(kBytes, UINT64_MAX, UINT64_MAX), kBytes);
    EXPECT_EQ(scanned_bytes(kBytes, 5, 0), kBytes) << "nothing to divide by";
}

}  // namespace
}  // namespace stentor::store
