#pragma once
// How many descriptors this process may have: every connection is one.
// Start-up, main thread.

#include <cstdint>

namespace stentor::app {

/// Raises the soft limit to the hard one and returns what holds then.
[[nodiscard]] std::uint64_t raise_file_limit() noexcept;

/// How many clients fit under the limit, with room for files, listeners and the log.
[[nodiscard]] std::uint64_t connections_possible(std::uint64_t file_limit) noexcept;

}  // namespace stentor::app
