#pragma once
// The JSON of tokens and key sets, read strictly: one object, UTF-8, nothing behind it, no name
// twice in an object (two readers might take different ones), nesting bounded.
// Pure. Any thread.

#include "base/result.hpp"

#include <boost/json/object.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::auth {

inline constexpr std::size_t kJsonDepthMax = 16;

struct JsonMistake {
    std::size_t at = 0;  // byte of the text
    std::string what;
};

[[nodiscard]] Result<boost::json::object, JsonMistake> parse_json_object(std::string_view text);

/// Where the elements of the array `name` of an object begin in its text, which
/// parse_json_object() has understood. For messages about them.
[[nodiscard]] std::vector<std::size_t> element_places(std::string_view object_text,
                                                      std::string_view name);

}  // namespace stentor::auth
