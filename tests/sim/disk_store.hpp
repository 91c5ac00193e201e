#pragma once
// The engine on disk as the store of a simulation: the real log code on files whose disk can be
// full, fail a sync and lose power (persistence/sqlite/faulty_vfs.hpp), with its real threads.
//
// step() gives the engine work and waits until it has answered; what its threads report is kept and
// handed on by the simulation's thread, in order, a little at a time. So the shards see the same
// for the same seed as long as the engine answers the same: which batches become one group, and
// when the housekeeper works, is up to its threads, and so is what exactly a power cut hits.
//
// It checks the engine as well: what a recovery finds is what was committed.

#include "tests/sim/run_seeds.hpp"
#include "tests/sim/store.hpp"

#include <memory>

namespace stentor::sim {

/// Full and failing disks come by the seed if `options.faults.fail_commit_per_mille` is not 0.
[[nodiscard]] std::unique_ptr<Store> make_disk_store(const StoreOptions& options);

/// These seeds on that store; shorter than those in memory if they do not say how long.
[[nodiscard]] Seeds on_disk(Seeds seeds);

}  // namespace stentor::sim
