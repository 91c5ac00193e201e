#include "protocol/codec/encoder.hpp"

#include "base/assert.hpp"
#include "protocol/codec/writer.hpp"

#include <algorithm>

namespace stentor::mqtt {

namespace {

/// Bits 3 to 0 of the first byte are fixed for all types but PUBLISH (section 2.1.3).
std::uint8_t first_byte(PacketType type) noexcept {
    const bool flagged = type == PacketType::pubrel || type == PacketType::subscribe ||
                         type == PacketType::unsubscribe;
    return static_cast<std::uint8_t>(static_cast<unsigned>(type) << 4U | (flagged ? 2U : 0U));
}

constexpr std::size_t packet_size(std::size_t remaining) noexcept {
    return 1 + varint_size(remaining) + remaining;
}

/// How much of a packet with at most `packet_bytes_max` bytes the properties may take, when
/// `others` bytes of its body are something else. Nothing if that alone is too large.
std::optional<std::size_t> room_for_properties(std::size_t others,
                                               std::size_t packet_bytes_max) noexcept {
    if (packet_size(others) > packet_bytes_max) return std::nullopt;
    // The Remaining Length may grow with the properties: take what leaves room for that.
    std::size_t room = packet_bytes_max - 1 - others;
    for (std::size_t length_bytes = 1; length_bytes <= 4; ++length_bytes) {
        if (room < length_bytes) return std::nullopt;
        const std::size_t candidate = std::min(room - length_bytes, kVarintMax - others);
        if (varint_size(others + candidate) <= length_bytes) return candidate;
    }
    return std::nullopt;
}

/// Writes a packet of `others` body bytes and a property block that gives way if it must.
/// `write(writer, properties)` writes the body; in 3.1.1 `properties` is null.
template <class WriteBody>
Encoded write_packet(WireBuffer& out,
                     PacketType type,
                     ProtocolVersion version,
                     std::size_t others,
                     ByteView block,
                     std::size_t packet_bytes_max,
                     WriteBody write) {
    packet_bytes_max = std::min(packet_bytes_max, kPacketBytesMax);
    std::optional<FittedProperties> fitted;
    std::size_t remaining = others;
    if (version == ProtocolVersion::v5) {
        const auto room = room_for_properties(others, packet_bytes_max);
        if (!room) return Encoded::too_large;
        fitted = FittedProperties::fit(block, *room);
        if (!fitted) return Encoded::too_large;
        remaining += fitted->wire_size();
    }
    if (remaining > kVarintMax || packet_size(remaining) > packet_bytes_max) {
        return Encoded::too_large;
    }
    std::byte* const begin = out.reserve(packet_size(remaining));
    Writer writer{begin};
    writer.u8(first_byte(type));
    writer.varint(remaining);
    write(writer, fitted ? &*fitted : nullptr);
    STENTOR_ASSERT(writer.at() == begin + packet_size(remaining));
    out.commit(packet_size(remaining));
    return Encoded::written;
}

void write_properties(Writer& writer, const FittedProperties* properties) noexcept {
    if (properties != nullptr) writer.move_to(properties->write(writer.at()));
}

/// The body's shape that PUBACK and its kin, DISCONNECT and AUTH share: an identifier or not, a
/// reason, properties; the last two are left out where that means success and none.
Encoded write_reasoned(WireBuffer& out,
                       PacketType type,
                       PacketId packet_id,
                       ReasonCode reason,
                       ByteView block,
                       std::size_t packet_bytes_max) {
    const bool has_id = packet_id != kNoPacketId;
    const std::size_t id_size = has_id ? 2 : 0;
    packet_bytes_max = std::min(packet_bytes_max, kPacketBytesMax);
    // Whether the properties fit at all; if they vanish, so do their length and perhaps the reason.
    std::optional<FittedProperties> fitted;
    if (!block.empty()) {
        if (const auto room = room_for_properties(id_size + 1, packet_bytes_max)) {
            fitted = FittedProperties::fit(block, *room);
        }
        const bool must_stay = std::ranges::any_of(PropertyEntries{block}, [](const auto& entry) {
            return entry.id != Property::user_property && entry.id != Property::reason_string;
        });
        if (!fitted && must_stay) return Encoded::too_large;
    }
    const bool has_properties = fitted && fitted->block_size() != 0;
    const bool has_reason = has_properties || reason != ReasonCode::success;
    const std::size_t remaining =
        id_size + (has_reason ? 1 : 0) + (has_properties ? fitted->wire_size() : 0);
    if (packet_size(remaining) > packet_bytes_max) return Encoded::too_large;

    std::byte* const begin = out.reserve(packet_size(remaining));
    Writer writer{begin};
    writer.u8(first_byte(type));
    writer.varint(remaining);
    if (has_id) writer.u16(packet_id.value());
    if (has_reason) writer.u8(to_number(reason));
    if (has_properties) write_properties(writer, &*fitted);
    out.commit(static_cast<std::size_t>(writer.at() - begin));
    return Encoded::written;
}

void write_empty(WireBuffer& out, PacketType type) {
    std::byte* const begin = out.reserve(2);
    Writer writer{begin};
    writer.u8(first_byte(type));
    writer.u8(0);
    out.commit(2);
}

constexpr std::size_t string_size(std::string_view text) noexcept { return 2 + text.size(); }

}  // namespace

Encoded encode_connack(WireBuffer& out,
                       ProtocolVersion version,
                       const Connack& packet,
                       std::size_t packet_bytes_max) {
    std::uint8_t code = to_number(packet.reason);
    if (version == ProtocolVersion::v3_1_1) {
        const auto return_code = connect_return_code(packet.reason);
        STENTOR_ASSERT(return_code.has_value(), "close without a CONNACK instead");
        code = static_cast<std::uint8_t>(*return_code);
    }
    return write_packet(out,
                        PacketType::connack,
                        version,
                        2,
                        packet.properties,
                        packet_bytes_max,
                        [&](Writer& writer, const FittedProperties* properties) {
                            writer.u8(packet.session_present ? 1 : 0);
                            writer.u8(code);
                            write_properties(writer, properties);
                        });
}

std::size_t connack_wire_size(ByteView properties) noexcept {
    return packet_size(2 + varint_size(properties.size()) + properties.size());
}

Encoded encode_suback(WireBuffer& out,
                      ProtocolVersion version,
                      const Suback& packet,
                      std::size_t packet_bytes_max) {
    return write_packet(out,
                        PacketType::suback,
                        version,
                        2 + packet.reasons.size(),
                        packet.properties,
                        packet_bytes_max,
                        [&](Writer& writer, const FittedProperties* properties) {
                            writer.u16(packet.packet_id.value());
                            write_properties(writer, properties);
                            for (const ReasonCode reason : packet.reasons) {
                                const bool plain =
                                    version == ProtocolVersion::v3_1_1 && is_failure(reason);
                                writer.u8(plain ? 0x80 : to_number(reason));
                            }
                        });
}

Encoded encode_unsuback(WireBuffer& out,
                        ProtocolVersion version,
                        const Suback& packet,
                        std::size_t packet_bytes_max) {
    const std::span<const ReasonCode> reasons =
        version == ProtocolVersion::v5 ? packet.reasons : std::span<const ReasonCode>{};
    return write_packet(out,
                        PacketType::unsuback,
                        version,
                        2 + reasons.size(),
                        packet.properties,
                        packet_bytes_max,
                        [&](Writer& writer, const FittedProperties* properties) {
                            writer.u16(packet.packet_id.value());
                            write_properties(writer, properties);
                            for (const ReasonCode reason : reasons) writer.u8(to_number(reason));
                        });
}

void encode_pingresp(WireBuffer& out) { write_empty(out, PacketType::pingresp); }
void encode_pingreq(WireBuffer& out) { write_empty(out, PacketType::pingreq); }

Encoded encode_ack(WireBuffer& out,
                   ProtocolVersion version,
                   const Ack& packet,
                   std::size_t packet_bytes_max) {
    STENTOR_ASSERT(packet.type >= PacketType::puback && packet.type <= PacketType::pubcomp);
    STENTOR_ASSERT(packet.packet_id != kNoPacketId);
    if (version == ProtocolVersion::v3_1_1) {
        return write_reasoned(
            out, packet.type, packet.packet_id, ReasonCode::success, {}, packet_bytes_max);
    }
    return write_reasoned(
        out, packet.type, packet.packet_id, packet.reason, packet.properties, packet_bytes_max);
}

Encoded encode_disconnect(WireBuffer& out,
                          ProtocolVersion version,
                          const Disconnect& packet,
                          std::size_t packet_bytes_max) {
    if (version == ProtocolVersion::v3_1_1) {
        write_empty(out, PacketType::disconnect);
        return Encoded::written;
    }
    return write_reasoned(out,
                          PacketType::disconnect,
                          kNoPacketId,
                          packet.reason,
                          packet.properties,
                          packet_bytes_max);
}

Encoded encode_auth(WireBuffer& out, const Auth& packet, std::size_t packet_bytes_max) {
    return write_reasoned(
        out, PacketType::auth, kNoPacketId, packet.reason, packet.properties, packet_bytes_max);
}

namespace {

// A client's own packets are written whole or not at all: its user properties are its message.
// The two halves below, size and bytes, must tell the same story.

std::size_t block_wire_size(ProtocolVersion version, ByteView block) noexcept {
    return version == ProtocolVersion::v5 ? varint_size(block.size()) + block.size() : 0;
}

void write_block(Writer& writer, ProtocolVersion version, ByteView block) noexcept {
    if (version != ProtocolVersion::v5) return;
    writer.varint(block.size());
    writer.bytes(block);
}

template <class WriteBody>
Encoded write_whole(WireBuffer& out,
                    PacketType type,
                    std::size_t remaining,
                    std::size_t packet_bytes_max,
                    WriteBody write) {
    if (remaining > kVarintMax || packet_size(remaining) > packet_bytes_max) {
        return Encoded::too_large;
    }
    std::byte* const begin = out.reserve(packet_size(remaining));
    Writer writer{begin};
    writer.u8(first_byte(type));
    writer.varint(remaining);
    write(writer);
    STENTOR_ASSERT(writer.at() == begin + packet_size(remaining));
    out.commit(packet_size(remaining));
    return Encoded::written;
}

std::uint8_t connect_flags(const Connect& packet) noexcept {
    unsigned flags = packet.clean_start ? 0x02U : 0U;
    if (packet.will) {
        flags |= 0x04U | static_cast<unsigned>(packet.will->qos) << 3U;
        if (packet.will->retain) flags |= 0x20U;
    }
    if (packet.password) flags |= 0x40U;
    if (packet.user_name) flags |= 0x80U;
    return static_cast<std::uint8_t>(flags);
}

std::size_t connect_size(const Connect& packet) noexcept {
    constexpr std::size_t kNameToKeepAlive = 10;
    std::size_t size = kNameToKeepAlive + block_wire_size(packet.version, packet.properties) +
                       string_size(packet.client_id);
    if (packet.will) {
        size += block_wire_size(packet.version, packet.will->properties) +
                string_size(packet.will->topic) + 2 + packet.will->payload.size();
    }
    if (packet.user_name) size += string_size(*packet.user_name);
    if (packet.password) size += 2 + packet.password->size();
    return size;
}

}  // namespace

Encoded encode_connect(WireBuffer& out, const Connect& packet) {
    STENTOR_ASSERT(packet.version == ProtocolVersion::v5 || packet.user_name || !packet.password,
                   "[MQTT-3.1.2-22 of 3.1.1]");
    return write_whole(
        out, PacketType::connect, connect_size(packet), kPacketBytesMax, [&](Writer& writer) {
            writer.string("MQTT");
            writer.u8(static_cast<std::uint8_t>(packet.version));
            writer.u8(connect_flags(packet));
            writer.u16(packet.keep_alive_seconds);
            write_block(writer, packet.version, packet.properties);
            writer.string(packet.client_id);
            if (packet.will) {
                write_block(writer, packet.version, packet.will->properties);
                writer.string(packet.will->topic);
                writer.binary(packet.will->payload);
            }
            if (packet.user_name) writer.string(*packet.user_name);
            if (packet.password) writer.binary(*packet.password);
        });
}

Encoded encode_subscribe(WireBuffer& out,
                         ProtocolVersion version,
                         const Subscribe& packet,
                         std::size_t packet_bytes_max) {
    STENTOR_ASSERT(packet.packet_id != kNoPacketId && !packet.subscriptions.empty());
    std::size_t remaining = 2 + block_wire_size(version, packet.properties);
    for (const SubscriptionView& subscription : packet.subscriptions) {
        remaining += string_size(subscription.filter) + 1;
    }
    return write_whole(
        out, PacketType::subscribe, remaining, packet_bytes_max, [&](Writer& writer) {
            writer.u16(packet.packet_id.value());
            write_block(writer, version, packet.properties);
            for (const SubscriptionView& subscription : packet.subscriptions) {
                writer.string(subscription.filter);
                const SubscriptionOptions options =
                    version == ProtocolVersion::v5
                        ? subscription.options
                        : SubscriptionOptions{.qos = subscription.options.qos};
                writer.u8(std::to_integer<std::uint8_t>(options.to_byte()));
            }
        });
}

Encoded encode_unsubscribe(WireBuffer& out,
                           ProtocolVersion version,
                           const Unsubscribe& packet,
                           std::size_t packet_bytes_max) {
    STENTOR_ASSERT(packet.packet_id != kNoPacketId && !packet.filters.empty());
    std::size_t remaining = 2 + block_wire_size(version, packet.properties);
    for (const std::string_view filter : packet.filters) remaining += string_size(filter);
    return write_whole(
        out, PacketType::unsubscribe, remaining, packet_bytes_max, [&](Writer& writer) {
            writer.u16(packet.packet_id.value());
            write_block(writer, version, packet.properties);
            for (const std::string_view filter : packet.filters) writer.string(filter);
        });
}

}  // namespace stentor::mqtt
