#pragma once
// One run: a broker, its clients and the oracle, from one seed to the verdict.
// One thread, deterministic: the same options give the same run.

#include "tests/sim/broker.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace stentor::sim {

struct RunOptions {
    std::uint64_t seed = 0;
    std::uint16_t shards = 0;  // 0: the seed chooses 1, 2 or 5
    Mutation mutation = Mutation::none;
    bool has_bounds = false;      // sessions that are away or slow lose their oldest messages
    std::size_t rounds = 0;       // 0: the default length
    std::size_t trace_lines = 0;  // 0: no trace
    StoreMaker store = make_simulated_store;
};

struct Verdict {
    std::optional<std::string> complaint;
    std::string trace;
    std::size_t deliveries = 0;   // PUBLISH packets the clients received
    std::size_t obligations = 0;  // deliveries the oracle insisted on
    std::uint64_t lost = 0;       // deliveries that the broker counted as lost to a bound
    std::uint64_t told = 0;       // those that sessions were told of
};

[[nodiscard]] Verdict simulate(const RunOptions& options);

}  // namespace stentor::sim
