#pragma once
// What stands behind the fixed header, packet by packet. Internal to the codec: Decoder has judged
// the fixed header and cut the body. Each function fills `out`, whose views borrow from the body,
// and fails as Decoder::next() says. They fill instead of returning because the views are large and
// the hot path would copy them.
// Pure. Any thread.

#include "protocol/codec/decoder.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/reader.hpp"
#include "protocol/codec/reason_code.hpp"

#include <cstdint>
#include <optional>

namespace stentor::mqtt {

/// What the meaning of a body depends on.
struct BodyContext {
    ProtocolVersion version = ProtocolVersion::v5;
    Role role = Role::server;
    std::uint16_t topic_levels_max = 0;

    [[nodiscard]] bool v5() const noexcept { return version == ProtocolVersion::v5; }
};

[[nodiscard]] constexpr ProtocolError malformed(const char* detail) noexcept {
    return {ReasonCode::malformed_packet, detail};
}
[[nodiscard]] constexpr ProtocolError protocol_error(const char* detail) noexcept {
    return {ReasonCode::protocol_error, detail};
}

/// Reads the property length and the block behind it; in 3.1.1, nothing.
[[nodiscard]] ProtocolResult<void> read_properties(Reader& body,
                                                   ProtocolVersion version,
                                                   PropertyContext context,
                                                   PropertiesView& out) noexcept;

/// The smallest Maximum Packet Size in a block that need not be in order, UINT32_MAX without one;
/// nothing if its properties cannot be told apart.
[[nodiscard]] std::optional<std::uint32_t> smallest_packet_size(ByteView block) noexcept;

/// Reads a UTF-8 Encoded String and judges its characters.
[[nodiscard]] ProtocolResult<void> read_text(Reader& body, std::string_view& out) noexcept;

/// Reads a packet identifier, which must not be 0 [MQTT-2.2.1-3].
[[nodiscard]] ProtocolResult<void> read_packet_id(Reader& body, PacketId& out) noexcept;

/// The answer to a topic name that is not one; `empty` is judged by the caller.
[[nodiscard]] ProtocolResult<void> check_topic(std::string_view topic,
                                               std::uint16_t levels_max) noexcept;

/// `level` tells what the peer speaks, or how to answer it, as soon as it is known, also when the
/// packet is then refused: Decoder::version().
[[nodiscard]] ProtocolResult<void> decode_connect(ByteView body,
                                                  std::uint16_t topic_levels_max,
                                                  std::uint8_t& level,
                                                  ConnectView& out) noexcept;
[[nodiscard]] ProtocolResult<void> decode_connack(ByteView body,
                                                  const BodyContext& context,
                                                  ConnackView& out) noexcept;
[[nodiscard]] ProtocolResult<void> decode_publish(std::uint8_t flags,
                                                  ByteView body,
                                                  const BodyContext& context,
                                                  PublishView& out) noexcept;
/// PUBACK, PUBREC, PUBREL, PUBCOMP.
[[nodiscard]] ProtocolResult<void> decode_ack(PacketType type,
                                              ByteView body,
                                              const BodyContext& context,
                                              AckView& out) noexcept;
[[nodiscard]] ProtocolResult<void> decode_subscribe(ByteView body,
                                                    const BodyContext& context,
                                                    SubscribeView& out) noexcept;
[[nodiscard]] ProtocolResult<void> decode_unsubscribe(ByteView body,
                                                      const BodyContext& context,
                                                      UnsubscribeView& out) noexcept;
[[nodiscard]] ProtocolResult<void> decode_suback(ByteView body,
                                                 const BodyContext& context,
                                                 SubackView& out) noexcept;
[[nodiscard]] ProtocolResult<void> decode_unsuback(ByteView body,
                                                   const BodyContext& context,
                                                   UnsubackView& out) noexcept;
[[nodiscard]] ProtocolResult<void> decode_disconnect(ByteView body,
                                                     const BodyContext& context,
                                                     DisconnectView& out) noexcept;
[[nodiscard]] ProtocolResult<void> decode_auth(ByteView body,
                                               const BodyContext& context,
                                               AuthView& out) noexcept;

}  // namespace stentor::mqtt
