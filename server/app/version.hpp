#pragma once
// What this binary is.
// Pure. Any thread.

#include <string>
#include <string_view>

namespace stentor::app {

/// "0.1.0"
[[nodiscard]] std::string_view version() noexcept;

/// What `stentor version` prints: version, commit, build type, compiler, libraries.
[[nodiscard]] std::string version_text();

}  // namespace stentor::app
