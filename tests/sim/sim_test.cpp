// Runs from seeds. STENTOR_SIM_FIRST, STENTOR_SIM_SEEDS, STENTOR_SIM_SHARDS choose others;
// STENTOR_SIM_TRACE=n prints the last n events of a seed that fails.

#include "base/log.hpp"
#include "tests/sim/simulation.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace stentor::sim {
namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

class Sim : public testing::Test {
  protected:
    void SetUp() override { log_start({.level = LogLevel::error, .descriptor = -1}); }

    /// Whether the oracle was content.
    bool run(RunOptions options) {
        const Verdict verdict = simulate(options);
        deliveries_ += verdict.deliveries;
        obligations_ += verdict.obligations;
        if (!verdict.complaint) return true;
        options.trace_lines = setting("STENTOR_SIM_TRACE", 150);
        const Verdict again = simulate(options);
        ADD_FAILURE() << "seed " << options.seed << ": " << *verdict.complaint << '\n'
                      << again.trace << "seed " << options.seed << ": " << *verdict.complaint
                      << (again.complaint == verdict.complaint ? "" : " (not the same again!)");
        return false;
    }

    std::size_t deliveries_ = 0;
    std::size_t obligations_ = 0;
};

TEST_F(Sim, ManySeeds) {
    const std::uint64_t first = setting("STENTOR_SIM_FIRST", 1);
    const std::uint64_t count = setting("STENTOR_SIM_SEEDS", 100);
    const std::uint64_t failures_max = setting("STENTOR_SIM_FAILURES", 3);
    std::uint64_t failures = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE(seed);
        failures += run({.seed = seed,
                         .shards = static_cast<std::uint16_t>(setting("STENTOR_SIM_SHARDS", 0))})
                        ? 0
                        : 1;
        if (failures >= failures_max) break;
    }
    RecordProperty("deliveries", std::to_string(deliveries_));
    RecordProperty("obligations", std::to_string(obligations_));
    std::printf("deliveries %zu obligations %zu\n", deliveries_, obligations_);
}

}  // namespace
}  // namespace stentor::sim
