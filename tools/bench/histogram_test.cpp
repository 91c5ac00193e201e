#include "tools/bench/histogram.hpp"

#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace stentor::bench {
namespace {

using std::chrono::microseconds;

TEST(Histogram, OfNothingIsZero) {
    const Histogram empty;
    EXPECT_EQ(empty.count(), 0U);
    EXPECT_EQ(empty.min(), Duration::zero());
    EXPECT_EQ(empty.max(), Duration::zero());
    EXPECT_EQ(empty.mean(), Duration::zero());
    EXPECT_EQ(empty.percentile(50), Duration::zero());
}

TEST(Histogram, IsExactForShortLatencies) {
    Histogram histogram;
    for (int i = 1; i <= 100; ++i) histogram.record(microseconds{i});
    EXPECT_EQ(histogram.percentile(0), microseconds{1});
    EXPECT_EQ(histogram.percentile(50), microseconds{50});
    EXPECT_EQ(histogram.percentile(99), microseconds{99});
    EXPECT_EQ(histogram.percentile(99.9), microseconds{100});
    EXPECT_EQ(histogram.percentile(100), microseconds{100});
    EXPECT_EQ(histogram.min(), microseconds{1});
    EXPECT_EQ(histogram.max(), microseconds{100});
    EXPECT_EQ(histogram.mean(), microseconds{51});
}

TEST(Histogram, PercentilesAreWithinTwoPercentOfTheSortedValues) {
    Random random{20'260'101};
    Histogram histogram;
    std::vector<std::int64_t> values;
    for (int i = 0; i < 20'000; ++i) {
        const auto value = static_cast<std::int64_t>(random.next() >> (24U + random.next() % 36U));
        values.push_back(value);
        histogram.record(microseconds{value});
    }
    std::sort(values.begin(), values.end());
    for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9}) {
        const auto rank = static_cast<std::size_t>(std::ceil(percent / 100.0 * 20'000.0)) - 1;
        const auto exact = static_cast<double>(values[rank]);
        const auto told = static_cast<double>(histogram.percentile(percent).count());
        EXPECT_NEAR(told, exact, exact * 0.02 + 1) << percent;
    }
}

TEST(Histogram, KeepsWhatNobodyExpects) {
    Histogram histogram;
    histogram.record(microseconds{-5});
    EXPECT_EQ(histogram.max(), Duration::zero());
    histogram.record(Duration::max());
    EXPECT_EQ(histogram.count(), 2U);
    EXPECT_EQ(histogram.percentile(100), histogram.max());
    histogram.clear();
    EXPECT_EQ(histogram.count(), 0U);
    EXPECT_EQ(histogram.max(), Duration::zero());
}

}  // namespace
}  // namespace stentor::bench
