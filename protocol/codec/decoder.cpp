#include "protocol/codec/decoder.hpp"

#include "base/assert.hpp"
#include "protocol/codec/packet_body.hpp"

namespace stentor::mqtt {

namespace {

constexpr std::uint8_t kUnknownLevel = 0;

bool client_sends(PacketType type) noexcept {
    switch (type) {
        case PacketType::connack:
        case PacketType::suback:
        case PacketType::unsuback:
        case PacketType::pingresp:
            return false;
        default:
            return true;
    }
}

bool server_sends(PacketType type, ProtocolVersion version) noexcept {
    switch (type) {
        case PacketType::connect:
        case PacketType::subscribe:
        case PacketType::unsubscribe:
        case PacketType::pingreq:
            return false;
        case PacketType::disconnect:
            return version == ProtocolVersion::v5;
        default:
            return true;
    }
}

ProtocolResult<void> check_flags(PacketType type, std::uint8_t flags) noexcept {
    switch (type) {
        case PacketType::publish:
            if ((flags & 0x06U) == 0x06U) return malformed("PUBLISH with QoS 3 [MQTT-3.3.1-4]");
            if ((flags & 0x0EU) == 0x08U) {
                return malformed("PUBLISH with DUP and QoS 0 [MQTT-3.3.1-2]");
            }
            return {};
        case PacketType::pubrel:
        case PacketType::subscribe:
        case PacketType::unsubscribe:
            if (flags != 0x02U) {
                return malformed(
                    "fixed header flags are not 2 "
                    "[MQTT-2.1.3-1, -3.6.1-1, -3.8.1-1, -3.10.1-1]");
            }
            return {};
        default:
            if (flags != 0) return malformed("fixed header flags are not 0 [MQTT-2.1.3-1]");
            return {};
    }
}

/// What no body of the type can be shorter or longer than, so that such a length is refused before
/// the body is there. The bodies are judged in full later.
ProtocolResult<void> check_length(PacketType type, bool v5, std::uint32_t length) noexcept {
    switch (type) {
        case PacketType::pingreq:
        case PacketType::pingresp:
            if (length != 0) return malformed("ping with a body (3.12, 3.13)");
            return {};
        case PacketType::disconnect:
            if (!v5 && length != 0) return malformed("DISCONNECT with a body (3.14 of 3.1.1)");
            return {};
        case PacketType::auth:
            return {};
        case PacketType::puback:
        case PacketType::pubrec:
        case PacketType::pubrel:
        case PacketType::pubcomp:
            if (!v5 && length != 2) return malformed("Remaining Length is not 2 (3.4.1 of 3.1.1)");
            [[fallthrough]];
        default:
            if (length < 2) return malformed("the packet is too short for its type (2.1.4)");
            return {};
    }
}

struct FixedHeader {
    PacketType type = PacketType::connect;
    std::uint8_t flags = 0;
    std::uint8_t size = 0;  // of the header itself; 0: its length is not complete
    bool minimal = true;    // the length has no superfluous byte
    std::uint32_t length = 0;
};

ProtocolResult<FixedHeader> read_header(ByteView input) noexcept {
    FixedHeader header;
    const auto first = std::to_integer<std::uint8_t>(input[0]);
    header.type = static_cast<PacketType>(first >> 4U);
    header.flags = first & 0x0FU;
    if (first < 0x10U) return malformed("packet type 0 (2.1.2)");
    STENTOR_TRY_VOID(check_flags(header.type, header.flags));
    for (std::uint8_t i = 1; i < 5; ++i) {
        if (i == input.size()) return header;
        const auto digit = std::to_integer<std::uint8_t>(input[i]);
        header.length |= (digit & 0x7FU) << (7U * (i - 1U));
        if (digit < 0x80U) {
            header.size = static_cast<std::uint8_t>(i + 1U);
            header.minimal = digit != 0 || i == 1;
            return header;
        }
    }
    return malformed("Remaining Length has more than four bytes (2.1.4)");
}

ProtocolResult<void> decode_body(const FixedHeader& header,
                                 ByteView body,
                                 const BodyContext& context,
                                 PacketView& out) noexcept {
    switch (header.type) {
        case PacketType::publish:
            return decode_publish(header.flags, body, context, out.emplace<PublishView>());
        case PacketType::puback:
            return decode_ack(header.type, body, context, out.emplace<PubackView>());
        case PacketType::pubrec:
            return decode_ack(header.type, body, context, out.emplace<PubrecView>());
        case PacketType::pubrel:
            return decode_ack(header.type, body, context, out.emplace<PubrelView>());
        case PacketType::pubcomp:
            return decode_ack(header.type, body, context, out.emplace<PubcompView>());
        case PacketType::subscribe:
            return decode_subscribe(body, context, out.emplace<SubscribeView>());
        case PacketType::suback:
            return decode_suback(body, context, out.emplace<SubackView>());
        case PacketType::unsubscribe:
            return decode_unsubscribe(body, context, out.emplace<UnsubscribeView>());
        case PacketType::unsuback:
            return decode_unsuback(body, context, out.emplace<UnsubackView>());
        case PacketType::pingreq:
            out.emplace<PingreqView>();
            return {};
        case PacketType::pingresp:
            out.emplace<PingrespView>();
            return {};
        case PacketType::disconnect:
            return decode_disconnect(body, context, out.emplace<DisconnectView>());
        case PacketType::auth:
            return decode_auth(body, context, out.emplace<AuthView>());
        case PacketType::connack:
            return decode_connack(body, context, out.emplace<ConnackView>());
        case PacketType::connect:
            break;
    }
    assertion_failed(__FILE__, __LINE__, "header.type", "CONNECT is decoded on its own");
}

}  // namespace

Decoder::Decoder(DecodeLimits limits) noexcept : limits_{limits}, role_{Role::server} {}

Decoder::Decoder(ProtocolVersion version, DecodeLimits limits) noexcept
    : limits_{limits}, role_{Role::client}, level_{static_cast<std::uint8_t>(version)} {}

std::optional<ProtocolVersion> Decoder::version() const noexcept {
    if (level_ == kUnknownLevel) return std::nullopt;
    return static_cast<ProtocolVersion>(level_);
}

ProtocolResult<void> Decoder::check_turn(PacketType type) const noexcept {
    const auto version = static_cast<ProtocolVersion>(level_);
    if (level_ == kUnknownLevel) {
        if (type != PacketType::connect) {
            return protocol_error("the first packet is not CONNECT [MQTT-3.1.0-1]");
        }
        return {};
    }
    if (type == PacketType::auth && version != ProtocolVersion::v5) {
        return malformed("packet type 15 (2.2.1 of 3.1.1)");
    }
    if (role_ == Role::client) {
        if (!server_sends(type, version)) {
            return protocol_error("a packet only clients send (2.1.2)");
        }
        return {};
    }
    if (type == PacketType::connect) return protocol_error("a second CONNECT [MQTT-3.1.0-2]");
    if (!client_sends(type)) return protocol_error("a packet only servers send (2.1.2)");
    return {};
}

ProtocolResult<DecodeStep> Decoder::next(ByteView input) noexcept {
    // One result, filled in place: the views in it are too large to be moved about per packet.
    ProtocolResult<DecodeStep> step{boost::system::in_place_value, NeedMore{.bytes_min = 2}};
    if (input.empty()) return step;
    if (const auto failed = advance(input, *step); !failed) step = failed.error();
    return step;
}

ProtocolResult<void> Decoder::advance(ByteView input, DecodeStep& step) noexcept {
    STENTOR_TRY(const FixedHeader header, read_header(input));
    STENTOR_TRY_VOID(check_turn(header.type));
    if (header.size == 0) {
        step = NeedMore{.bytes_min = input.size() + 1};
        return {};
    }
    const bool is_connect = header.type == PacketType::connect;
    const bool v5 = level_ == static_cast<std::uint8_t>(ProtocolVersion::v5);
    const std::size_t size = std::size_t{header.size} + header.length;
    if (size > limits_.packet_bytes_max || (is_connect && size > limits_.connect_bytes_max)) {
        return ProtocolError{ReasonCode::packet_too_large,
                             role_ == Role::server
                                 ? "the packet is larger than the limit [MQTT-3.2.2-15]"
                                 : "the packet is larger than the limit [MQTT-3.1.2-24]"};
    }
    if (v5 && !header.minimal) return malformed("Remaining Length is padded [MQTT-1.5.5-1]");
    STENTOR_TRY_VOID(check_length(header.type, v5, header.length));
    if (input.size() < size) {
        step = NeedMore{.bytes_min = size};
        return {};
    }
    const ByteView body = input.subspan(header.size, header.length);
    Decoded& decoded = step.emplace<Decoded>();
    decoded.bytes_used = size;
    if (is_connect) {
        auto& connect = decoded.packet.emplace<ConnectView>();
        STENTOR_TRY_VOID(decode_connect(body, limits_.topic_levels_max, level_, connect));
        if (connect.version == ProtocolVersion::v5 && !header.minimal) {
            return malformed("Remaining Length is padded [MQTT-1.5.5-1]");
        }
        return {};
    }
    return decode_body(header,
                       body,
                       {.version = static_cast<ProtocolVersion>(level_),
                        .role = role_,
                        .topic_levels_max = limits_.topic_levels_max},
                       decoded.packet);
}

}  // namespace stentor::mqtt
