#pragma once
// The small vocabulary of MQTT that packets, sessions and records share.
// Pure values. Any thread.

#include "protocol/codec/reason_code.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stentor::mqtt {

/// The numbers are the protocol levels of CONNECT [MQTT-3.1.2-2].
enum class ProtocolVersion : std::uint8_t { v3_1_1 = 4, v5 = 5 };

enum class QoS : std::uint8_t { at_most_once = 0, at_least_once = 1, exactly_once = 2 };

/// The numbers are the upper half of a packet's first byte (section 2.1.2).
enum class PacketType : std::uint8_t {
    connect = 1,
    connack,
    publish,
    puback,
    pubrec,
    pubrel,
    pubcomp,
    subscribe,
    suback,
    unsubscribe,
    unsuback,
    pingreq,
    pingresp,
    disconnect,
    auth,
};

/// The spec's spelling ("PUBLISH"), a literal; "RESERVED" for any other number.
[[nodiscard]] std::string_view name(PacketType type) noexcept;

/// Which retained messages a SUBSCRIBE asks for (section 3.8.3.1).
enum class RetainHandling : std::uint8_t { send = 0, send_if_new = 1, do_not_send = 2 };

/// The options byte behind a topic filter (section 3.8.3.1). The byte of 3.1.1 is the same with
/// all but the QoS zero.
struct SubscriptionOptions {
    QoS qos = QoS::at_most_once;
    bool no_local = false;
    bool retain_as_published = false;
    RetainHandling retain_handling = RetainHandling::send;

    [[nodiscard]] std::byte to_byte() const noexcept;

    /// Fails with malformed_packet (reserved bits [MQTT-3.8.3-5]) or protocol_error (QoS 3,
    /// Retain Handling 3).
    [[nodiscard]] static ProtocolResult<SubscriptionOptions> from_byte(std::byte byte) noexcept;

    friend bool operator==(const SubscriptionOptions&,
                           const SubscriptionOptions&) noexcept = default;
};

/// The largest number a Variable Byte Integer holds (section 1.5.5).
inline constexpr std::uint32_t kVarintMax = 268'435'455;
/// The longest UTF-8 Encoded String or Binary Data (sections 1.5.4, 1.5.6).
inline constexpr std::size_t kStringBytesMax = 65'535;

/// How many bytes `value` takes as a Variable Byte Integer; it must be at most kVarintMax.
[[nodiscard]] constexpr std::size_t varint_size(std::size_t value) noexcept {
    if (value < 128U) return 1;
    if (value < 16'384U) return 2;
    if (value < 2'097'152U) return 3;
    return 4;
}

}  // namespace stentor::mqtt
