#pragma once
// Whether a store is what it should be: every checksum, every record, the order of positions, the
// topic indexes against the rows, and state.db against what the log amounts to as far as the log
// goes back. Reads everything once.
// One thread.

#include "persistence/sqlite/inspect/fields.hpp"
#include "persistence/sqlite/inspect/store_view.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace stentor::store {

struct Finding {
    std::string file;
    Seq row;       // the row's first position; kNoSeq: not about a row
    Seq position;  // kNoSeq: not about one record
    std::string what;
    std::string hint;  // what to do

    [[nodiscard]] Fields fields() const;
};

struct CheckReport {
    std::vector<Finding> findings;  // at most kFindingsMax, then `more`
    std::uint64_t more = 0;
    std::uint64_t segments = 0;
    std::uint64_t segments_missing = 0;
    std::uint64_t rows = 0;
    std::uint64_t records = 0;
    std::uint64_t sessions = 0;
    std::uint64_t sessions_replayed = 0;  // whose whole life the log still has
    std::uint64_t retained = 0;
    std::uint64_t retained_replayed = 0;
    Seq applied_through;
    Seq last;  // of the log

    static constexpr std::size_t kFindingsMax = 1000;
};

/// Fails if nothing can be said: the store is in use, or state.db is not one.
[[nodiscard]] Result<CheckReport, Trouble> check_store(const std::string& directory);

}  // namespace stentor::store
