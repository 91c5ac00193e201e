#pragma once
// Reads a small text file whole, and says in plain words why it cannot.
// Blocks on the disk: start-up, reload and commands only. Any thread.

#include "base/result.hpp"
#include "server/config/units.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace stentor::config {

inline constexpr std::size_t kConfigFileBytesMax = std::size_t{1} << 20U;

/// The whole file. Fails (missing, a directory, not readable for this user, larger than
/// `bytes_max`) with what is wrong and what to do: `how_to_make` is said of a file that is missing.
[[nodiscard]] Result<std::string, ValueError> read_text_file(const std::string& path,
                                                             std::size_t bytes_max,
                                                             std::string_view how_to_make = {});

}  // namespace stentor::config
