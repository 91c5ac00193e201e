#pragma once
// Whether this version can open a store, by the heads of its files: quick, whatever they hold.
// Their contents are check_store()'s.
// One thread.

#include "base/result.hpp"
#include "persistence/sqlite/inspect/store_view.hpp"

#include <cstddef>
#include <string>

namespace stentor::store {

struct Glance {
    bool is_there = false;    // false: the next start makes a store; the rest means nothing
    bool is_running = false;  // a broker has it open
    bool is_older = false;    // the next start migrates it
    std::size_t segments = 0;
};

/// Fails with the file that cannot be opened and what to do. Changes nothing.
[[nodiscard]] Result<Glance, Trouble> glance_at(const std::string& directory);

}  // namespace stentor::store
