#pragma once
// Packets to bytes, both versions, both directions.
// Pure; allocates only when the output grows. Any thread (the WireBuffer's).
//
// Property blocks are bytes without their length, as PropertyWriter and PropertiesView::bytes()
// give them; in 3.1.1 they and reason codes that have no place there are left out. Strings are at
// most kStringBytesMax bytes long: the caller's duty, asserted.

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/property_writer.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace stentor::mqtt {

/// The largest packet there can be; the receiver's Maximum Packet Size where it has given one.
inline constexpr std::size_t kPacketBytesMax = std::size_t{kVarintMax} + 5;

/// too_large: nothing was written, because the packet exceeds `packet_bytes_max` even without its
/// reason string and user properties, which give way first.
enum class [[nodiscard]] Encoded : std::uint8_t{written, too_large};

// ---- the server's packets

struct Connack {
    bool session_present = false;
    ReasonCode reason = ReasonCode::success;
    ByteView properties = {};
};
/// In 3.1.1, `reason` must be one that connect_return_code() translates.
Encoded encode_connack(WireBuffer& out,
                       ProtocolVersion version,
                       const Connack& packet,
                       std::size_t packet_bytes_max = kPacketBytesMax);

/// What a 5.0 CONNACK takes from which nothing is left out.
[[nodiscard]] std::size_t connack_wire_size(ByteView properties) noexcept;

struct Suback {
    PacketId packet_id = {};
    std::span<const ReasonCode> reasons = {};
    ByteView properties = {};
};
/// In 3.1.1 every failure becomes 0x80 [MQTT-3.9.3-2 of 3.1.1].
Encoded encode_suback(WireBuffer& out,
                      ProtocolVersion version,
                      const Suback& packet,
                      std::size_t packet_bytes_max = kPacketBytesMax);
Encoded encode_unsuback(WireBuffer& out,
                        ProtocolVersion version,
                        const Suback& packet,
                        std::size_t packet_bytes_max = kPacketBytesMax);
void encode_pingresp(WireBuffer& out);

/// What differs between the receivers of one message.
struct PublishDelivery {
    QoS qos = QoS::at_most_once;
    bool dup = false;
    bool retain = false;
    PacketId packet_id = {};  // kNoPacketId with QoS 0
    std::optional<std::uint32_t> message_expiry_left_seconds = {};
    std::span<const std::uint32_t> subscription_identifiers = {};
    std::uint16_t topic_alias = 0;  // 0: none
    bool topic_omitted = false;     // the receiver knows the alias already
};

/// The bytes encode_publish() will append: compare with the receiver's Maximum Packet Size first
/// [MQTT-3.1.2-24].
[[nodiscard]] std::size_t publish_wire_size(ProtocolVersion version,
                                            const Message& message,
                                            const PublishDelivery& delivery) noexcept;

/// Whether the packet stays within the receiver's Maximum Packet Size. Quick unless it is close.
[[nodiscard]] bool publish_fits(ProtocolVersion version,
                                const Message& message,
                                const PublishDelivery& delivery,
                                std::size_t packet_bytes_max) noexcept;

/// The broker's hot path. A large payload is appended by reference to `message`.
/// The packet must not be larger than kPacketBytesMax.
void encode_publish(WireBuffer& out,
                    ProtocolVersion version,
                    const Message& message,
                    const PublishDelivery& delivery);

// ---- both sides' packets

struct Ack {
    PacketType type = PacketType::puback;  // puback, pubrec, pubrel or pubcomp
    PacketId packet_id = {};
    ReasonCode reason = ReasonCode::success;
    ByteView properties = {};
};
/// In the shortest form: reason and properties are left out where that means the same.
Encoded encode_ack(WireBuffer& out,
                   ProtocolVersion version,
                   const Ack& packet,
                   std::size_t packet_bytes_max = kPacketBytesMax);

struct Disconnect {
    ReasonCode reason = ReasonCode::normal_disconnection;
    ByteView properties = {};
};
/// In 3.1.1 only a client sends it.
Encoded encode_disconnect(WireBuffer& out,
                          ProtocolVersion version,
                          const Disconnect& packet,
                          std::size_t packet_bytes_max = kPacketBytesMax);

struct Auth {
    ReasonCode reason = ReasonCode::success;
    ByteView properties = {};
};
/// 5.0 only.
Encoded encode_auth(WireBuffer& out,
                    const Auth& packet,
                    std::size_t packet_bytes_max = kPacketBytesMax);

// ---- the client's packets

struct Will {
    std::string_view topic = {};
    ByteView payload = {};
    QoS qos = QoS::at_most_once;
    bool retain = false;
    ByteView properties = {};
};

struct Connect {
    ProtocolVersion version = ProtocolVersion::v5;
    bool clean_start = true;
    std::uint16_t keep_alive_seconds = 0;
    std::string_view client_id = {};
    std::optional<Will> will = {};
    std::optional<std::string_view> user_name = {};
    std::optional<ByteView> password = {};  // 3.1.1: only with a user name [MQTT-3.1.2-22]
    ByteView properties = {};
};
Encoded encode_connect(WireBuffer& out, const Connect& packet);

/// A PUBLISH from its parts; `properties` are complete, topic alias and expiry included.
struct Publish {
    std::string_view topic = {};
    ByteView payload = {};
    QoS qos = QoS::at_most_once;
    bool dup = false;
    bool retain = false;
    PacketId packet_id = kNoPacketId;
    ByteView properties = {};
};
Encoded encode_publish(WireBuffer& out,
                       ProtocolVersion version,
                       const Publish& packet,
                       std::size_t packet_bytes_max = kPacketBytesMax);

struct Subscribe {
    PacketId packet_id = {};
    std::span<const SubscriptionView> subscriptions = {};
    ByteView properties = {};
};
Encoded encode_subscribe(WireBuffer& out,
                         ProtocolVersion version,
                         const Subscribe& packet,
                         std::size_t packet_bytes_max = kPacketBytesMax);

struct Unsubscribe {
    PacketId packet_id = {};
    std::span<const std::string_view> filters = {};
    ByteView properties = {};
};
Encoded encode_unsubscribe(WireBuffer& out,
                           ProtocolVersion version,
                           const Unsubscribe& packet,
                           std::size_t packet_bytes_max = kPacketBytesMax);

void encode_pingreq(WireBuffer& out);

}  // namespace stentor::mqtt
