#pragma once
// A real broker that is killed again and again under clients that keep a ledger: one run, from a
// seed to the verdict.
//
// The clients and the judge are those of the simulation (tests/sim), on TCP connections and in real
// time, so a seed repeats what the clients want to do but not when it happens.
// One thread (the broker's output is read by another one, tests/kit/process.hpp).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stentor::crash {

struct KillOptions {
    std::uint64_t seed = 0;
    std::size_t rounds = 0;  // kills, and some orderly stops between them
    int shards = 0;          // 0: 1 to 3, each time anew
    std::string directory;   // the broker's data
    std::vector<std::string> settings{};
};

struct KillVerdict {
    std::optional<std::string> complaint;
    std::string history;          // with a complaint: what the ledger has about it
    std::size_t published = 0;    // with QoS 1 or 2, acknowledged
    std::size_t deliveries = 0;   // PUBLISH packets received
    std::size_t obligations = 0;  // deliveries the judge insisted on
    std::size_t segments = 0;     // files of the log that were seen between two brokers
    std::size_t removed = 0;      // ... and gone later
    std::size_t backups = 0;      // taken while the broker worked or was killed, and checked
    std::size_t restores = 0;     // times the run went on from one
};

[[nodiscard]] KillVerdict kill_again_and_again(const KillOptions& options);

}  // namespace stentor::crash
