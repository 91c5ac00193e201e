#pragma once
// How often operator new is called, and what it has given. Whoever links this has its own operator
// new and delete, on top of malloc and free, those of sanitizers replaced as well: programs that
// count are their own. One thread.

#include <cstddef>

namespace stentor::kit {

/// Calls since the program began; a test may set it back.
extern std::size_t allocations;

/// Bytes of the blocks that are in use, with what malloc adds to each.
extern std::size_t bytes_in_use;

}  // namespace stentor::kit
