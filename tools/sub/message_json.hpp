#pragma once
// A received message as one JSON object, members named and ordered as mosquitto_sub does.
// Pure but for the time zone. Any thread.

#include "tools/sub/output_format.hpp"

#include <cstdint>
#include <string>

namespace stentor::tools {

enum class PayloadJson : std::uint8_t {
    text,   // a string; null if empty; what is no UTF-8 becomes U+FFFD (%j)
    value,  // it is JSON itself (%J)
    /// A string, or base64 and "payload_encoding"; the same with the correlation data, and user
    /// properties as pairs, so that nothing is lost (--json).
    text_or_base64,
};

/// False, and nothing is appended, if the payload is to be JSON and is not.
[[nodiscard]] bool append_message_json(const mqtt::PublishView& message,
                                       WallTime at,
                                       PayloadJson payload,
                                       JsonStyle style,
                                       std::string& out);

/// "2026-01-31T12:00:00+0100"; with `microseconds`, they follow the seconds.
[[nodiscard]] std::string iso_8601(WallTime at, bool microseconds);

}  // namespace stentor::tools
