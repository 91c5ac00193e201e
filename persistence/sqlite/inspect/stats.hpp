#pragma once
// What a store holds and what keeps it from being smaller.
// One thread.

#include "persistence/sqlite/inspect/fields.hpp"
#include "persistence/sqlite/inspect/store_view.hpp"

#include <string>

namespace stentor::store {

/// Of a running broker's store: as of what state.db has applied.
[[nodiscard]] Result<Fields, Trouble> store_stats(const std::string& directory);

}  // namespace stentor::store
