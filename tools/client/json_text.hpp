#pragma once
// Text as JSON, written straight into a string.
// Pure. Any thread.

#include <optional>
#include <string>
#include <string_view>

namespace stentor::tools {

/// Appends `text` as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view text);

/// The JSON value `text` holds, without white space between its tokens and otherwise unchanged.
/// Nothing if it is not exactly one value, or nested deeper than 256.
[[nodiscard]] std::optional<std::string> minified_json(std::string_view text);

}  // namespace stentor::tools
