#pragma once
// The log's records as lines, in the order of their positions.
// One thread.

#include "persistence/sqlite/inspect/fields.hpp"
#include "persistence/sqlite/inspect/store_view.hpp"

#include <cstddef>
#include <functional>
#include <limits>
#include <string>

namespace stentor::store {

struct DumpFilter {
    Seq from{1};
    Seq to{std::numeric_limits<std::uint64_t>::max()};
    std::string topic = {};   // messages whose topic matches this filter; empty: everything
    std::string client = {};  // records about this session, and messages it published
    std::size_t payload_bytes_max = 0;  // of an excerpt; 0: sizes only
};

/// Calls `print` per record, until it returns false. A row that cannot be read is skipped after
/// `complain` has been told; the result is how many those were.
[[nodiscard]] Result<std::size_t, Trouble> dump_log(
    const std::string& directory,
    const DumpFilter& filter,
    const std::function<bool(const Fields&)>& print,
    const std::function<void(const std::string&)>& complain);

}  // namespace stentor::store
