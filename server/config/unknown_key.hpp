#pragma once
// What to say about a key that does not exist.
// Pure. Any thread.

#include "server/config/units.hpp"

#include <string_view>

namespace stentor::config {

/// For a key in a file: `section` is "" at the top, "auth.jwt" below it.
[[nodiscard]] ValueError unknown_key(std::string_view section, std::string_view name);

/// For a whole path as --set and the environment give it: "limits.packet_byte_max".
[[nodiscard]] ValueError unknown_path(std::string_view path);

}  // namespace stentor::config
