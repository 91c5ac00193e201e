#include "protocol/codec/types.hpp"

#include <array>

namespace stentor::mqtt {

std::string_view name(PacketType type) noexcept {
    static constexpr std::array<std::string_view, 16> kNames{"RESERVED",
                                                             "CONNECT",
                                                             "CONNACK",
                                                             "PUBLISH",
                                                             "PUBACK",
                                                             "PUBREC",
                                                             "PUBREL",
                                                             "PUBCOMP",
                                                             "SUBSCRIBE",
                                                             "SUBACK",
                                                             "UNSUBSCRIBE",
                                                             "UNSUBACK",
                                                             "PINGREQ",
                                                             "PINGRESP",
                                                             "DISCONNECT",
                                                             "AUTH"};
    const auto number = static_cast<std::size_t>(type);
    return number < kNames.size() ? kNames[number] : kNames[0];
}

std::byte SubscriptionOptions::to_byte() const noexcept {
    return static_cast<std::byte>(static_cast<unsigned>(qos) | (no_local ? 0x04U : 0U) |
                                  (retain_as_published ? 0x08U : 0U) |
                                  static_cast<unsigned>(retain_handling) << 4U);
}

ProtocolResult<SubscriptionOptions> SubscriptionOptions::from_byte(std::byte byte) noexcept {
    const auto bits = std::to_integer<unsigned>(byte);
    if ((bits & 0xC0U) != 0) {
        return ProtocolError{ReasonCode::malformed_packet,
                             "reserved bits in subscription options [MQTT-3.8.3-5]"};
    }
    if ((bits & 0x03U) == 3) {
        return ProtocolError{ReasonCode::protocol_error, "subscription with QoS 3 (3.8.3.1)"};
    }
    if ((bits >> 4U) == 3) {
        return ProtocolError{ReasonCode::protocol_error, "Retain Handling 3 (3.8.3.1)"};
    }
    return SubscriptionOptions{.qos = static_cast<QoS>(bits & 0x03U),
                               .no_local = (bits & 0x04U) != 0,
                               .retain_as_published = (bits & 0x08U) != 0,
                               .retain_handling = static_cast<RetainHandling>(bits >> 4U)};
}

}  // namespace stentor::mqtt
