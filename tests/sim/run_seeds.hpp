#pragma once
// Many runs of the simulation, as tests want them.
// One thread.

#include "tests/sim/simulation.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace stentor::sim {

struct Seeds {
    std::uint64_t first = 1;
    std::uint64_t count = 0;
    std::uint16_t shards = 0;  // 0: each seed chooses 1, 2 or 5
    Mutation mutation = Mutation::none;
    bool has_bounds = false;
    std::size_t failures_max = 3;  // then it stops
    std::size_t trace_lines = 0;   // of each failure
    std::size_t rounds = 0;        // 0: the default length
    StoreMaker store = make_simulated_store;
    bool repeatable = true;  // false: a run has its trace at once, as it may not come again
    const char* chosen_by = "sim_nightly --gtest_filter=Sim.Chosen";  // runs a single one again
};

struct Failure {
    std::uint64_t seed = 0;
    std::string complaint;
    std::string report;  // for people: the last events, the complaint, how to see more
};

struct Outcome {
    std::vector<Failure> failures;
    std::size_t deliveries = 0;
    std::size_t obligations = 0;
    std::uint64_t lost = 0;
    std::uint64_t told = 0;
};

/// Failures are run a second time with a trace where that gives the same run.
[[nodiscard]] Outcome run_seeds(const Seeds& seeds);

/// What the environment asks for: STENTOR_SIM_FIRST, _SEEDS, _SHARDS, _BOUNDS, _ROUNDS,
/// _FAILURES, _TRACE.
[[nodiscard]] Seeds chosen_seeds();

/// A line of the file of seeds that once failed: "seed shards why".
struct OldSeed {
    std::uint64_t seed = 0;
    std::uint16_t shards = 0;
    std::string why;
};
/// Comments (#) and empty lines are skipped. Empty if the file cannot be read.
[[nodiscard]] std::vector<OldSeed> read_old_seeds(const std::string& path);

}  // namespace stentor::sim
