#pragma once
// How many descriptors this process may have: every connection is one.
// Start-up only, main thread.

#include <cstdint>

namespace stentor {

/// Raises the soft limit to the hard one and returns what holds then; 0: nobody knows.
[[nodiscard]] std::uint64_t raise_file_limit() noexcept;

/// How many of them can be connections, with room for files, listeners and the log.
[[nodiscard]] std::uint64_t connections_possible(std::uint64_t file_limit) noexcept;

}  // namespace stentor
