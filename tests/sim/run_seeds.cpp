#include "tests/sim/run_seeds.hpp"

#include "base/log.hpp"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

namespace stentor::sim {

Outcome run_seeds(const Seeds& seeds) {
    log_start({.level = LogLevel::error, .descriptor = -1});
    Outcome outcome;
    for (std::uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
        RunOptions options{.seed = seed, .shards = seeds.shards, .mutation = seeds.mutation};
        const Verdict verdict = simulate(options);
        outcome.deliveries += verdict.deliveries;
        outcome.obligations += verdict.obligations;
        if (!verdict.complaint) continue;
        Failure failure{.seed = seed, .complaint = *verdict.complaint, .report = {}};
        if (seeds.trace_lines != 0) {
            options.trace_lines = seeds.trace_lines;
            const Verdict again = simulate(options);
            failure.report = again.trace;
            if (again.complaint != verdict.complaint) failure.report += "not the same again!\n";
        }
        failure.report += fmt::format(
            "seed {}: {}\n(STENTOR_SIM_FIRST={} STENTOR_SIM_SEEDS=1 STENTOR_SIM_SHARDS={} "
            "STENTOR_SIM_TRACE=100000 sim_nightly --gtest_filter=Sim.Chosen)\n",
            seed,
            failure.complaint,
            seed,
            seeds.shards);
        outcome.failures.push_back(std::move(failure));
        if (outcome.failures.size() >= seeds.failures_max) break;
    }
    return outcome;
}

std::vector<OldSeed> read_old_seeds(const std::string& path) {
    std::vector<OldSeed> seeds;
    std::ifstream file{path};
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line.front() == '#') continue;
        OldSeed& seed = seeds.emplace_back();
        std::istringstream words{line};
        words >> seed.seed >> seed.shards >> std::ws;
        std::getline(words, seed.why);
    }
    return seeds;
}

}  // namespace stentor::sim
