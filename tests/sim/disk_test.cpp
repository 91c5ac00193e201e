// The seeds of every change on the real log code, whose disk is full, fails a sync and loses power.
// disk_nightly_test.cpp has the others.

#include "tests/sim/disk_store.hpp"

#include <gtest/gtest.h>

namespace stentor::sim {
namespace {

constexpr std::uint64_t kSeedsPerTest = 50;
constexpr std::size_t kTraceLines = 150;

class SimDisk : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SimDisk, TheOracleIsContent) {
    const Outcome outcome = run_seeds(on_disk({.first = 1 + GetParam() * kSeedsPerTest,
                                               .count = kSeedsPerTest,
                                               .trace_lines = kTraceLines}));
    for (const Failure& failure : outcome.failures) ADD_FAILURE() << failure.report;
    // A simulation in which nothing happens finds nothing.
    EXPECT_GT(outcome.deliveries, kSeedsPerTest * 5);
}

INSTANTIATE_TEST_SUITE_P(Gate, SimDisk, testing::Range<std::uint64_t>(0, 6));

}  // namespace
}  // namespace stentor::sim
