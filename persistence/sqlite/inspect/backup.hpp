#pragma once
// A copy of a store that a broker can be started on, taken while a broker may be running on it.
//
// state.db is copied first, then the log, whose end may only be newer: what lies between is applied
// when the copy is opened. The log's files are opened before, so that what the broker removes or
// rewrites meanwhile is still copied. The copy is marked: positions jump when it is opened (design
// rule 12), and the files in it are synced.
// One thread.

#include "persistence/sqlite/inspect/store_view.hpp"

#include <cstdint>
#include <string>

namespace stentor::store {

struct BackupReport {
    Seq applied_through;  // of the copied state.db
    std::uint64_t segments = 0;
    std::uint64_t bytes = 0;
};

/// `destination` must not exist or be an empty directory; until the backup is complete its files
/// are in `destination`.partial. On failure nothing is left.
[[nodiscard]] Result<BackupReport, Trouble> back_up(const std::string& directory,
                                                    const std::string& destination);

}  // namespace stentor::store
