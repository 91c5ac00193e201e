#pragma once
// Replaces a small file so that readers, and a crash, see the old or the new one and nothing else.
// Blocks on the disk; commands only. Any thread, one writer per file.

#include "base/result.hpp"

#include <string>
#include <string_view>

namespace stentor::app {

/// Writes beside the file, syncs, renames. A new file is for its owner only (0600); an existing one
/// keeps its owner and its group's rights, others lose theirs. A symbolic link stays one.
/// Fails with what went wrong, for people; the file is then as it was.
[[nodiscard]] Result<void, std::string> replace_file(const std::string& path,
                                                     std::string_view content);

}  // namespace stentor::app
