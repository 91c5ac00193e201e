// Thousands of seeds on the real log code, and whichever you choose: see nightly_test.cpp.

#include "tests/sim/disk_store.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <tuple>

namespace stentor::sim {
namespace {

constexpr std::uint64_t kSeedsPerTest = 1000;

void expect_content(const Seeds& seeds) {
    const Outcome outcome = run_seeds(on_disk(seeds));
    for (const Failure& failure : outcome.failures) ADD_FAILURE() << failure.report;
    std::printf("%zu deliveries, %zu of them owed\n", outcome.deliveries, outcome.obligations);
}

class SimDiskNightly : public testing::TestWithParam<std::tuple<std::uint16_t, std::uint64_t>> {};

TEST_P(SimDiskNightly, TheOracleIsContent) {
    const auto [shards, part] = GetParam();
    expect_content({.first = 1 + part * kSeedsPerTest,
                    .count = kSeedsPerTest,
                    .shards = shards,
                    .trace_lines = 150});
}

INSTANTIATE_TEST_SUITE_P(Thousands,
                         SimDiskNightly,
                         testing::Combine(testing::Values<std::uint16_t>(1, 2, 5),
                                          testing::Range<std::uint64_t>(0, 2)));

TEST(SimDisk, Chosen) { expect_content(chosen_seeds()); }

}  // namespace
}  // namespace stentor::sim
