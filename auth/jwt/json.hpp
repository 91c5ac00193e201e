#pragma once
// The JSON of tokens and key sets, read strictly: one object, UTF-8, nothing behind it, no name
// twice in an object (two readers might take different ones), nesting bounded.
// Pure. Any thread.

#include "base/result.hpp"

#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
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

/// A NumericDate (RFC 7519, section 2: seconds since 1970) in milliseconds, up to the year 9999:
/// leeways can be added. Nothing if it is none.
[[nodiscard]] std::optional<std::int64_t> unix_ms_of(const boost::json::value& date) noexcept;

/// Where the elements of the array `name` of an object begin in its text, which
/// parse_json_object() has understood. For messages about them.
[[nodiscard]] std::vector<std::size_t> element_places(std::string_view object_text,
                                                      std::string_view name);

}  // namespace stentor::auth
