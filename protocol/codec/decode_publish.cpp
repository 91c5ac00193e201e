// PUBLISH (section 3.3) and its acknowledgements (3.4 to 3.7).

#include "protocol/codec/packet_body.hpp"

namespace stentor::mqtt {

namespace {

bool is_ack_reason(PacketType type, ReasonCode reason) noexcept {
    switch (reason) {
        case ReasonCode::success:
            return true;
        case ReasonCode::packet_identifier_not_found:
            return type == PacketType::pubrel || type == PacketType::pubcomp;
        case ReasonCode::no_matching_subscribers:
        case ReasonCode::unspecified_error:
        case ReasonCode::implementation_specific_error:
        case ReasonCode::not_authorized:
        case ReasonCode::topic_name_invalid:
        case ReasonCode::packet_identifier_in_use:
        case ReasonCode::quota_exceeded:
        case ReasonCode::payload_format_invalid:
            return type == PacketType::puback || type == PacketType::pubrec;
        default:
            return false;
    }
}

PropertyContext properties_of(PacketType type) noexcept {
    switch (type) {
        case PacketType::puback:
            return PropertyContext::puback;
        case PacketType::pubrec:
            return PropertyContext::pubrec;
        case PacketType::pubrel:
            return PropertyContext::pubrel;
        default:
            return PropertyContext::pubcomp;
    }
}

}  // namespace

ProtocolResult<void> decode_publish(std::uint8_t flags,
                                    ByteView bytes,
                                    const BodyContext& context,
                                    PublishView& out) noexcept {
    // Decoder has refused QoS 3 and DUP with QoS 0.
    out.dup = (flags & 0x08U) != 0;
    out.qos = static_cast<QoS>(flags >> 1U & 0x03U);
    out.retain = (flags & 0x01U) != 0;

    Reader body{bytes};
    if (!body.string(out.topic)) return malformed("PUBLISH without a topic name [MQTT-3.3.2-1]");
    STENTOR_TRY_VOID(check_topic(out.topic, context.topic_levels_max));
    if (out.qos != QoS::at_most_once) {
        STENTOR_TRY_VOID(read_packet_id(body, out.packet_id));
    }
    STENTOR_TRY_VOID(read_properties(body,
                                     context.version,
                                     context.role == Role::server
                                         ? PropertyContext::publish_to_server
                                         : PropertyContext::publish_to_client,
                                     out.properties));
    if (out.topic.empty() && !out.properties.has(Property::topic_alias)) {
        if (context.v5()) return protocol_error("neither topic name nor topic alias (3.3.2.1)");
        return ProtocolError{ReasonCode::topic_name_invalid, "empty topic name [MQTT-4.7.3-1]"};
    }
    out.payload = body.rest();
    return {};
}

ProtocolResult<void> decode_ack(PacketType type,
                                ByteView bytes,
                                const BodyContext& context,
                                AckView& out) noexcept {
    Reader body{bytes};
    STENTOR_TRY_VOID(read_packet_id(body, out.packet_id));
    if (body.at_end()) return {};  // means success without properties (3.4.2.1)
    if (!context.v5()) return malformed("bytes behind the packet identifier (3.4.3 of 3.1.1)");
    std::uint8_t reason = 0;
    if (!body.u8(reason)) return malformed("no reason code (3.4.2.1)");
    out.reason = static_cast<ReasonCode>(reason);
    if (!is_ack_reason(type, out.reason)) {
        return protocol_error(
            "reason code this packet does not have "
            "[MQTT-3.4.2-1, -3.5.2-1, -3.6.2-1, -3.7.2-1]");
    }
    if (body.at_end()) return {};  // no properties (3.4.2.2.1)
    STENTOR_TRY_VOID(read_properties(body, context.version, properties_of(type), out.properties));
    if (!body.at_end()) return malformed("bytes behind the properties (3.4.3)");
    return {};
}

}  // namespace stentor::mqtt
