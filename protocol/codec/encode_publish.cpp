#include "base/assert.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/writer.hpp"

#include <algorithm>

namespace stentor::mqtt {

namespace {

std::uint8_t first_byte(QoS qos, bool dup, bool retain) noexcept {
    STENTOR_ASSERT(!dup || qos != QoS::at_most_once, "[MQTT-3.3.1-2]");
    return static_cast<std::uint8_t>(static_cast<unsigned>(PacketType::publish) << 4U |
                                     (dup ? 0x08U : 0U) | static_cast<unsigned>(qos) << 1U |
                                     (retain ? 0x01U : 0U));
}

struct Sizes {
    std::size_t topic = 0;
    std::size_t properties = 0;  // without their length
    std::size_t remaining = 0;   // Remaining Length

    [[nodiscard]] std::size_t packet() const noexcept {
        return 1 + varint_size(remaining) + remaining;
    }
};

Sizes sizes_of(ProtocolVersion version,
               const Message& message,
               const PublishDelivery& delivery) noexcept {
    Sizes sizes;
    const bool v5 = version == ProtocolVersion::v5;
    STENTOR_ASSERT(!delivery.topic_omitted || (v5 && delivery.topic_alias != 0));
    sizes.topic = delivery.topic_omitted ? 0 : message.topic().size();
    sizes.remaining = 2 + sizes.topic + message.payload().size();
    if (delivery.qos != QoS::at_most_once) sizes.remaining += 2;
    if (!v5) return sizes;
    sizes.properties = message.property_bytes().size();
    if (delivery.message_expiry_left_seconds) sizes.properties += 5;
    if (delivery.topic_alias != 0) sizes.properties += 3;
    for (const std::uint32_t id : delivery.subscription_identifiers) {
        sizes.properties += 1 + varint_size(id);
    }
    sizes.remaining += varint_size(sizes.properties) + sizes.properties;
    return sizes;
}

}  // namespace

std::size_t publish_wire_size(ProtocolVersion version,
                              const Message& message,
                              const PublishDelivery& delivery) noexcept {
    return sizes_of(version, message, delivery).packet();
}

bool publish_fits(ProtocolVersion version,
                  const Message& message,
                  const PublishDelivery& delivery,
                  std::size_t packet_bytes_max) noexcept {
    // Everything that is not in the message: fixed header, identifier, lengths, expiry, alias.
    constexpr std::size_t kFrameBytesMax = 32;
    constexpr std::size_t kSubscriptionIdentifierBytesMax = 5;
    const std::size_t limit = std::min(packet_bytes_max, kPacketBytesMax);
    const std::size_t upper_bound =
        message.bytes() + kFrameBytesMax +
        delivery.subscription_identifiers.size() * kSubscriptionIdentifierBytesMax;
    if (upper_bound <= limit) return true;
    return publish_wire_size(version, message, delivery) <= limit;
}

void encode_publish(WireBuffer& out,
                    ProtocolVersion version,
                    const Message& message,
                    const PublishDelivery& delivery) {
    STENTOR_ASSERT((delivery.qos == QoS::at_most_once) == (delivery.packet_id == kNoPacketId));
    const Sizes sizes = sizes_of(version, message, delivery);
    const ByteView payload = message.payload();
    const bool by_reference = payload.size() >= kSharedPartBytesMin;
    const std::size_t own = sizes.packet() - (by_reference ? payload.size() : 0);

    std::byte* const begin = out.reserve(own);
    Writer writer{begin};
    writer.u8(first_byte(delivery.qos, delivery.dup, delivery.retain));
    writer.varint(sizes.remaining);
    writer.string(message.topic().substr(0, sizes.topic));
    if (delivery.qos != QoS::at_most_once) writer.u16(delivery.packet_id.value());
    if (version == ProtocolVersion::v5) {
        writer.varint(sizes.properties);
        if (delivery.message_expiry_left_seconds) {
            writer.u8(static_cast<std::uint8_t>(Property::message_expiry_interval));
            writer.u32(*delivery.message_expiry_left_seconds);
        }
        if (delivery.topic_alias != 0) {
            writer.u8(static_cast<std::uint8_t>(Property::topic_alias));
            writer.u16(delivery.topic_alias);
        }
        for (const std::uint32_t id : delivery.subscription_identifiers) {
            writer.u8(static_cast<std::uint8_t>(Property::subscription_identifier));
            writer.varint(id);
        }
        writer.bytes(message.property_bytes());
    }
    if (!by_reference) writer.bytes(payload);
    STENTOR_ASSERT(writer.at() == begin + own);
    out.commit(own);
    if (by_reference) out.append_shared(IntrusivePtr<const Message>::share(&message), payload);
}

Encoded encode_publish(WireBuffer& out,
                       ProtocolVersion version,
                       const Publish& packet,
                       std::size_t packet_bytes_max) {
    const bool v5 = version == ProtocolVersion::v5;
    const bool has_id = packet.qos != QoS::at_most_once;
    STENTOR_ASSERT(has_id == (packet.packet_id != kNoPacketId));
    const std::size_t properties = packet.properties.size();
    if (packet.payload.size() > kVarintMax || properties > kVarintMax) return Encoded::too_large;
    const std::size_t remaining = 2 + packet.topic.size() + (has_id ? 2 : 0) +
                                  (v5 ? varint_size(properties) + properties : 0) +
                                  packet.payload.size();
    const std::size_t size = 1 + varint_size(remaining) + remaining;
    if (remaining > kVarintMax || size > packet_bytes_max) return Encoded::too_large;

    std::byte* const begin = out.reserve(size);
    Writer writer{begin};
    writer.u8(first_byte(packet.qos, packet.dup, packet.retain));
    writer.varint(remaining);
    writer.string(packet.topic);
    if (has_id) writer.u16(packet.packet_id.value());
    if (v5) {
        writer.varint(properties);
        writer.bytes(packet.properties);
    }
    writer.bytes(packet.payload);
    STENTOR_ASSERT(writer.at() == begin + size);
    out.commit(size);
    return Encoded::written;
}

}  // namespace stentor::mqtt
