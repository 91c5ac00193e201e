#pragma once
// The texts MQTT admits (sections 1.5.4 and 4.7): UTF-8 Encoded Strings and topic names.
// Pure. Any thread. ASCII, eight bytes at a time, is the fast path.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stentor::mqtt {

/// Well-formed UTF-8 as Unicode defines it (no overlong forms, nothing above U+10FFFF), without
/// surrogates [MQTT-1.5.4-1] and U+0000 [MQTT-1.5.4-2]. Control characters and noncharacters are
/// the receiver's choice to refuse (1.5.4), and we do not; U+FEFF is a character like any other
/// [MQTT-1.5.4-3].
[[nodiscard]] bool is_mqtt_text(std::string_view text) noexcept;

enum class TopicNameScan : std::uint8_t {
    ok,
    not_text,        // is_mqtt_text() says no
    has_wildcard,    // '+' or '#' [MQTT-3.3.2-2]
    too_many_levels  // more than the limit given
};

/// Judges a topic name's characters in one pass; the empty name is `ok` here.
[[nodiscard]] TopicNameScan scan_topic_name(std::string_view topic,
                                            std::size_t levels_max) noexcept;

}  // namespace stentor::mqtt
