#pragma once
// A store's directory: the lock that makes it ours, and its recovery (docs/formats/segment.md):
// state.db, then the log after what state.db has applied, then the index of the unsealed segments.
// Used by the thread that opens the store, before the engine's threads run.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/sqlite/log_catalog.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/sqlite_options.hpp"
#include "persistence/sqlite/state_store.hpp"

#include <optional>
#include <string>
#include <utility>

namespace stentor::store {

/// An exclusive lock on a directory, held until destruction or the end of the process. The file
/// `lock` in it names the process, for whoever comes second.
class StoreLock {
  public:
    /// Fails with in_use, or io_error if the directory cannot be written; logs why.
    [[nodiscard]] static Result<StoreLock> take(const std::string& directory);
    /// For tools: nothing if there is no lock file to take (a copy), or if another process has it,
    /// which `holder` names then. Changes nothing in the directory but who that is.
    [[nodiscard]] static std::optional<StoreLock> take_if_free(const std::string& directory,
                                                               std::string& holder);
    StoreLock(StoreLock&& other) noexcept : descriptor_{std::exchange(other.descriptor_, -1)} {}
    StoreLock& operator=(StoreLock&&) = delete;
    ~StoreLock();

  private:
    explicit StoreLock(int descriptor) noexcept : descriptor_{descriptor} {}
    [[nodiscard]] std::string process() const;
    [[nodiscard]] bool sign() const;
    int descriptor_;
};

[[nodiscard]] std::string log_directory(const SqliteEngineOptions& options);
[[nodiscard]] std::string state_path(const SqliteEngineOptions& options);

struct OpenedStore {
    StoreLock lock;
    StateStore state;
    SegmentWriter newest;
    Recovered recovered;
};

/// Opens the store, fills the (empty) catalog and marks the store as in use.
[[nodiscard]] Result<OpenedStore> open_store(const SqliteEngineOptions& options,
                                             LogCatalog& catalog);

}  // namespace stentor::store
