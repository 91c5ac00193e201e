#include "server/metrics/histogram.hpp"

#include <gtest/gtest.h>

namespace stentor::metrics {
namespace {

TEST(Histogram, PutsAValueUnderTheLowestBoundThatHoldsIt) {
    EXPECT_EQ(Histogram::place_of(0), 0U);
    EXPECT_EQ(Histogram::place_of(1), 0U);
    for (std::size_t place = 1; place < Histogram::kBounds; ++place) {
        EXPECT_EQ(Histogram::place_of(Histogram::bound(place)), place);
        EXPECT_EQ(Histogram::place_of(Histogram::bound(place - 1) + 1), place);
    }
    EXPECT_EQ(Histogram::place_of(Histogram::bound(Histogram::kBounds - 1) + 1),
              Histogram::kBounds);
    EXPECT_EQ(Histogram::place_of(UINT64_MAX), Histogram::kBounds);
}

TEST(Histogram, SharedOneHoldsTheSame) {
    Histogram alone;
    SharedHistogram shared;
    for (const std::uint64_t value : {0U, 1U, 3U, 1000U}) {
        alone.add(value);
        shared.add(value);
    }
    EXPECT_EQ(shared.copy().counts, alone.counts);
    EXPECT_EQ(shared.copy().sum, 1004U);
    alone += alone;
    EXPECT_EQ(alone.sum, 2008U);
}

}  // namespace
}  // namespace stentor::metrics
