// The seeds of every change: see docs/testing.md. nightly_test.cpp has the others.

#include "tests/sim/run_seeds.hpp"

#include <gtest/gtest.h>

namespace stentor::sim {
namespace {

constexpr std::uint64_t kSeedsPerTest = 40;
constexpr std::size_t kTraceLines = 150;

void expect_content(const Seeds& seeds) {
    const Outcome outcome = run_seeds(seeds);
    for (const Failure& failure : outcome.failures) ADD_FAILURE() << failure.report;
    // A simulation in which nothing happens finds nothing.
    EXPECT_GT(outcome.deliveries, seeds.count * 10);
    EXPECT_GT(outcome.obligations, seeds.count);
}

class SimSeeds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SimSeeds, TheOracleIsContent) {
    expect_content({.first = 1 + GetParam() * kSeedsPerTest,
                    .count = kSeedsPerTest,
                    .trace_lines = kTraceLines});
}

INSTANTIATE_TEST_SUITE_P(Gate, SimSeeds, testing::Range<std::uint64_t>(0, 8));

/// Sessions lose the oldest of what waits for them: no more than is counted, nothing twice, nothing
/// out of order, and what is in flight in QoS 2 goes on.
class SimBounds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(SimBounds, NothingIsMissingThatIsNotCounted) {
    const Outcome outcome = run_seeds({.first = 1 + GetParam() * kSeedsPerTest,
                                       .count = kSeedsPerTest,
                                       .has_bounds = true,
                                       .trace_lines = kTraceLines});
    for (const Failure& failure : outcome.failures) ADD_FAILURE() << failure.report;
    EXPECT_GT(outcome.lost, kSeedsPerTest);
    EXPECT_GT(outcome.told, 0U);
}

INSTANTIATE_TEST_SUITE_P(Gate, SimBounds, testing::Range<std::uint64_t>(0, 4));

TEST(Sim, SeedsThatOnceFailed) {
    const auto seeds = read_old_seeds(STENTOR_SOURCE_DIR "/tests/sim/seeds");
    ASSERT_FALSE(seeds.empty());
    for (const OldSeed& old : seeds) {
        const Outcome outcome = run_seeds(
            {.first = old.seed, .count = 1, .shards = old.shards, .trace_lines = kTraceLines});
        for (const Failure& failure : outcome.failures) {
            ADD_FAILURE() << "once: " << old.why << '\n' << failure.report;
        }
    }
}

}  // namespace
}  // namespace stentor::sim
