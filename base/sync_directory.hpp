#pragma once
// Makes what was created, renamed or removed in a directory survive a power cut.
// Blocks on the disk: never on a shard's thread. No state; any other thread.

#include "base/result.hpp"

#include <filesystem>

namespace stentor {

/// fsync of the directory itself, not of the files in it. Fails with the system's error.
[[nodiscard]] Result<void> sync_directory(const std::filesystem::path& directory);

}  // namespace stentor
