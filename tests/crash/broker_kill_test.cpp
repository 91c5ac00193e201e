// The broker dies at any moment, again and again on the same data, and the ledger of its clients
// has nothing to complain about. STENTOR_KILL_SEED, STENTOR_KILL_ROUNDS and STENTOR_KILL_SHARDS
// choose another run.

#include "base/log.hpp"
#include "base/random.hpp"
#include "tests/crash/kill_run.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace stentor::crash {
namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

void run(std::uint64_t seed, std::size_t rounds, const std::string& acknowledge_after) {
    log_start({.level = LogLevel::error, .descriptor = -1});
    const kit::TempDir directory;
    KillOptions options;
    options.seed = setting("STENTOR_KILL_SEED", seed);
    options.rounds = setting("STENTOR_KILL_ROUNDS", rounds);
    options.shards = static_cast<int>(setting("STENTOR_KILL_SHARDS", 0));
    options.directory = directory.file("data");
    options.settings = {"store.acknowledge_after=" + acknowledge_after};
    const KillVerdict verdict = kill_again_and_again(options);
    std::printf(
        "seed %llu: %zu rounds, %zu messages acknowledged, %zu received, %zu owed; "
        "%zu segments, %zu of them removed; %zu backups checked, %zu gone on from\n",
        static_cast<unsigned long long>(options.seed),
        options.rounds,
        verdict.published,
        verdict.deliveries,
        verdict.obligations,
        verdict.segments,
        verdict.removed,
        verdict.backups,
        verdict.restores);
    EXPECT_FALSE(verdict.complaint)
        << verdict.history << "seed " << options.seed << ": " << *verdict.complaint;
}

TEST(BrokerKill, LosesAndDoublesNothing) { run(random_seed() % 1'000'000, 20, "disk"); }

TEST(BrokerKill, LosesAndDoublesNothingWithoutSyncs) { run(random_seed() % 1'000'000, 8, "os"); }

// It promises nothing; today it keeps what `os` keeps (docs/limits.md).
TEST(BrokerKill, LosesAndDoublesNothingInMemoryModeEither) {
    run(random_seed() % 1'000'000, 5, "memory");
}

}  // namespace
}  // namespace stentor::crash
