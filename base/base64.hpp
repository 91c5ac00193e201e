#pragma once
// Base64 as RFC 4648 has it, for hashes, SCRAM messages and payloads in JSON. Pure; any thread.

#include "base/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stentor {

enum class Padding : std::uint8_t { required, absent };

/// Without line ends.
[[nodiscard]] std::string base64(ByteView bytes, Padding padding = Padding::required);

/// With '-' and '_' and without padding, as in URLs and tokens.
[[nodiscard]] std::string base64url(ByteView bytes);

/// Nothing if it is not exactly what base64url() makes: padding, line ends and unused bits that are
/// not zero are refused, so that no two texts mean the same. Any length.
[[nodiscard]] std::optional<Bytes> from_base64url(std::string_view text);

/// Nothing if it is not base64, or longer than `text_bytes_max`. Unused bits may be anything.
[[nodiscard]] std::optional<Bytes> from_base64(std::string_view text,
                                               Padding padding = Padding::required,
                                               std::size_t text_bytes_max = 1024);

}  // namespace stentor
