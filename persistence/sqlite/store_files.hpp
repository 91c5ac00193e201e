#pragma once
// A store's directory: the lock that makes it ours, and its recovery (docs/formats/segment.md):
// state.db, then the log after what state.db has applied, then the index of the unsealed segments.
// Used by the thread that opens the store, before the engine's threads run.

#include "base/descriptor.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/sqlite/log_catalog.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/sqlite_options.hpp"
#include "persistence/sqlite/state_store.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stentor::store {

/// An exclusive lock on a directory, held until destruction or the end of the process: on the file
/// `lock` in it, which names the process for whoever comes second, and on the directory itself
/// where its file system can do that, as the file may be removed.
class StoreLock {
  public:
    /// Fails with in_use, or io_error if the directory cannot be written; logs why.
    [[nodiscard]] static Result<StoreLock> take(const std::string& directory);
    /// For tools: nothing if there is nothing to lock (a copy that can only be read), or if another
    /// process has it, which `holder` names then. Changes nothing in the directory but who that is.
    [[nodiscard]] static std::optional<StoreLock> take_if_free(const std::string& directory,
                                                               std::string& holder);

  private:
    StoreLock() = default;
    [[nodiscard]] bool lock_directory(const std::string& directory);
    [[nodiscard]] bool lock_file() const;
    [[nodiscard]] std::string process() const;
    [[nodiscard]] bool sign() const;
    Descriptor directory_;
    Descriptor file_;
};

[[nodiscard]] std::string log_directory(const SqliteEngineOptions& options);
[[nodiscard]] std::string state_path(const SqliteEngineOptions& options);

struct OpenedStore {
    StoreLock lock;
    StateStore state;
    SegmentWriter newest;
    Recovered recovered;
};

/// What state.db names and is not in the directory, nor has a successor there.
[[nodiscard]] Result<std::vector<KnownSegment>> missing_segments(
    const SqliteEngineOptions& options,
    const std::vector<KnownSegment>& known,
    const std::vector<SegmentId>& there);

/// Opens the store, fills the (empty) catalog and marks the store as in use.
[[nodiscard]] Result<OpenedStore> open_store(const SqliteEngineOptions& options,
                                             LogCatalog& catalog);

}  // namespace stentor::store
