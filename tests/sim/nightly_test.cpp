// Thousands of seeds at each number of shards, and whichever you choose:
//   STENTOR_SIM_FIRST=1 STENTOR_SIM_SEEDS=10000 STENTOR_SIM_SHARDS=5 STENTOR_SIM_TRACE=100000
//   STENTOR_SIM_BOUNDS=1 STENTOR_SIM_FAILURES=3 STENTOR_SIM_ROUNDS=2500 sim_nightly
//   --gtest_filter=Sim.Chosen

#include "tests/sim/run_seeds.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <tuple>

namespace stentor::sim {
namespace {

constexpr std::uint64_t kSeedsPerTest = 1000;

void expect_content(const Seeds& seeds) {
    const Outcome outcome = run_seeds(seeds);
    for (const Failure& failure : outcome.failures) ADD_FAILURE() << failure.report;
    std::printf("%zu deliveries, %zu of them owed; %llu lost to bounds, %llu told of\n",
                outcome.deliveries,
                outcome.obligations,
                static_cast<unsigned long long>(outcome.lost),
                static_cast<unsigned long long>(outcome.told));
}

class SimNightly : public testing::TestWithParam<std::tuple<std::uint16_t, std::uint64_t>> {};

TEST_P(SimNightly, TheOracleIsContent) {
    const auto [shards, part] = GetParam();
    expect_content({.first = 1 + part * kSeedsPerTest,
                    .count = kSeedsPerTest,
                    .shards = shards,
                    .trace_lines = 150});
}

INSTANTIATE_TEST_SUITE_P(Thousands,
                         SimNightly,
                         testing::Combine(testing::Values<std::uint16_t>(1, 2, 5),
                                          testing::Range<std::uint64_t>(0, 5)));

TEST(Sim, Chosen) { expect_content(chosen_seeds()); }

}  // namespace
}  // namespace stentor::sim
