#include "tests/sim/run_seeds.hpp"

#include "base/log.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace stentor::sim {

namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

}  // namespace

Outcome run_seeds(const Seeds& seeds) {
    const int log = std::getenv("STENTOR_SIM_LOG") == nullptr ? -1 : 2;
    log_start({.level = LogLevel::error, .descriptor = log});
    Outcome outcome;
    for (std::uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
        RunOptions options{.seed = seed,
                           .shards = seeds.shards,
                           .mutation = seeds.mutation,
                           .has_bounds = seeds.has_bounds,
                           .rounds = seeds.rounds,
                           .store = seeds.store};
        const bool traces_at_once = seeds.count == 1 || !seeds.repeatable;
        if (traces_at_once) options.trace_lines = seeds.trace_lines;
        const Verdict verdict = simulate(options);
        outcome.deliveries += verdict.deliveries;
        outcome.obligations += verdict.obligations;
        outcome.lost += verdict.lost;
        outcome.told += verdict.told;
        if (!verdict.complaint) continue;
        Failure failure{.seed = seed, .complaint = *verdict.complaint, .report = {}};
        if (traces_at_once) {
            failure.report = verdict.trace;
        } else if (seeds.trace_lines != 0) {
            options.trace_lines = seeds.trace_lines;
            const Verdict again = simulate(options);
            failure.report = again.trace;
            if (again.complaint != verdict.complaint) failure.report += "not the same again!\n";
        }
        failure.report += fmt::format(
            "seed {}: {}\n(STENTOR_SIM_FIRST={} STENTOR_SIM_SEEDS=1 STENTOR_SIM_SHARDS={} "
            "{}STENTOR_SIM_TRACE=100000 {})\n",
            seed,
            failure.complaint,
            seed,
            seeds.shards,
            seeds.has_bounds ? "STENTOR_SIM_BOUNDS=1 " : "",
            seeds.chosen_by);
        outcome.failures.push_back(std::move(failure));
        if (outcome.failures.size() >= seeds.failures_max) break;
    }
    return outcome;
}

Seeds chosen_seeds() {
    return {.first = setting("STENTOR_SIM_FIRST", 1),
            .count = setting("STENTOR_SIM_SEEDS", 100),
            .shards = static_cast<std::uint16_t>(setting("STENTOR_SIM_SHARDS", 0)),
            .has_bounds = setting("STENTOR_SIM_BOUNDS", 0) != 0,
            .failures_max = setting("STENTOR_SIM_FAILURES", 3),
            .trace_lines = setting("STENTOR_SIM_TRACE", 150),
            .rounds = setting("STENTOR_SIM_ROUNDS", 0)};
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
