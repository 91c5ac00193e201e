#pragma once
// Files in a store's directory that an earlier process had no time to remove.
// Used by the thread that opens the store, before the engine's threads run.

#include "base/ids.hpp"
#include "persistence/sqlite/sqlite_options.hpp"
#include "persistence/sqlite/state_store.hpp"

#include <vector>

namespace stentor::store {

/// Removes what a crash has left: files beside segments, when it came between the removal of those
/// and of these, and probes (sqlite_error.hpp). Of segments only where all had been applied and
/// nothing is `missing`: what is beside a file that may be put back may hold a part of it.
void remove_leftovers(const SqliteEngineOptions& options,
                      Seq applied_through,
                      const std::vector<KnownSegment>& missing);

}  // namespace stentor::store
