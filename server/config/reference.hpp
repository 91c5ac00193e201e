#pragma once
// The documentation that the table of keys writes by itself.
// Pure. Any thread.

#include <string>

namespace stentor::config {

/// docs/configuration.md.
[[nodiscard]] std::string reference_markdown();

/// A configuration file with every key of this version, commented out, at its default.
[[nodiscard]] std::string example_toml();

}  // namespace stentor::config
