// SUBSCRIBE (section 3.8), SUBACK (3.9), UNSUBSCRIBE (3.10), UNSUBACK (3.11).

#include "protocol/codec/packet_body.hpp"

namespace stentor::mqtt {

namespace {

ProtocolResult<void> read_filter(Reader& body) noexcept {
    std::string_view filter;
    STENTOR_TRY_VOID(read_text(body, filter));
    if (filter.empty()) return malformed("empty topic filter [MQTT-4.7.3-1]");
    return {};
}

ProtocolResult<void> read_options(Reader& body, ProtocolVersion version) noexcept {
    std::uint8_t options = 0;
    if (!body.u8(options)) return malformed("topic filter without options [MQTT-3.8.3-1]");
    if (version == ProtocolVersion::v3_1_1 && options > 2) {
        return malformed("reserved bits or QoS 3 in SUBSCRIBE [MQTT-3.8.3-4 of 3.1.1]");
    }
    STENTOR_TRY_VOID(SubscriptionOptions::from_byte(std::byte{options}));
    return {};
}

bool is_suback_reason(ReasonCode reason, ProtocolVersion version) noexcept {
    switch (reason) {
        case ReasonCode::granted_qos_0:
        case ReasonCode::granted_qos_1:
        case ReasonCode::granted_qos_2:
        case ReasonCode::unspecified_error:
            return true;
        case ReasonCode::implementation_specific_error:
        case ReasonCode::not_authorized:
        case ReasonCode::topic_filter_invalid:
        case ReasonCode::packet_identifier_in_use:
        case ReasonCode::quota_exceeded:
        case ReasonCode::shared_subscriptions_not_supported:
        case ReasonCode::subscription_identifiers_not_supported:
        case ReasonCode::wildcard_subscriptions_not_supported:
            return version == ProtocolVersion::v5;
        default:
            return false;
    }
}

bool is_unsuback_reason(ReasonCode reason) noexcept {
    switch (reason) {
        case ReasonCode::success:
        case ReasonCode::no_subscription_existed:
        case ReasonCode::unspecified_error:
        case ReasonCode::implementation_specific_error:
        case ReasonCode::not_authorized:
        case ReasonCode::topic_filter_invalid:
        case ReasonCode::packet_identifier_in_use:
            return true;
        default:
            return false;
    }
}

}  // namespace

ProtocolResult<void> decode_subscribe(ByteView bytes,
                                      const BodyContext& context,
                                      SubscribeView& out) noexcept {
    Reader body{bytes};
    STENTOR_TRY_VOID(read_packet_id(body, out.packet_id));
    STENTOR_TRY_VOID(
        read_properties(body, context.version, PropertyContext::subscribe, out.properties));
    const ByteView payload = body.rest();
    std::size_t count = 0;
    for (; !body.at_end(); ++count) {
        STENTOR_TRY_VOID(read_filter(body));
        STENTOR_TRY_VOID(read_options(body, context.version));
    }
    if (count == 0) return protocol_error("SUBSCRIBE without a topic filter [MQTT-3.8.3-2]");
    out.subscriptions = Subscriptions{payload, count};
    return {};
}

ProtocolResult<void> decode_unsubscribe(ByteView bytes,
                                        const BodyContext& context,
                                        UnsubscribeView& out) noexcept {
    Reader body{bytes};
    STENTOR_TRY_VOID(read_packet_id(body, out.packet_id));
    STENTOR_TRY_VOID(
        read_properties(body, context.version, PropertyContext::unsubscribe, out.properties));
    const ByteView payload = body.rest();
    std::size_t count = 0;
    for (; !body.at_end(); ++count) {
        STENTOR_TRY_VOID(read_filter(body));
    }
    if (count == 0) return protocol_error("UNSUBSCRIBE without a topic filter [MQTT-3.10.3-2]");
    out.filters = Filters{payload, count};
    return {};
}

ProtocolResult<void> decode_suback(ByteView bytes,
                                   const BodyContext& context,
                                   SubackView& out) noexcept {
    Reader body{bytes};
    STENTOR_TRY_VOID(read_packet_id(body, out.packet_id));
    STENTOR_TRY_VOID(
        read_properties(body, context.version, PropertyContext::suback, out.properties));
    out.reasons = ReasonCodes{body.rest()};
    if (out.reasons.size() == 0) {
        return protocol_error("SUBACK without a reason code [MQTT-3.8.4-6]");
    }
    for (std::size_t i = 0; i < out.reasons.size(); ++i) {
        if (!is_suback_reason(out.reasons[i], context.version)) {
            return protocol_error("reason code SUBACK does not have [MQTT-3.9.3-2]");
        }
    }
    return {};
}

ProtocolResult<void> decode_unsuback(ByteView bytes,
                                     const BodyContext& context,
                                     UnsubackView& out) noexcept {
    Reader body{bytes};
    STENTOR_TRY_VOID(read_packet_id(body, out.packet_id));
    if (!context.v5()) {
        if (!body.at_end()) return malformed("UNSUBACK with a payload (3.11.3 of 3.1.1)");
        return {};
    }
    STENTOR_TRY_VOID(
        read_properties(body, context.version, PropertyContext::unsuback, out.properties));
    out.reasons = ReasonCodes{body.rest()};
    if (out.reasons.size() == 0) {
        return protocol_error("UNSUBACK without a reason code [MQTT-3.11.3-1]");
    }
    for (std::size_t i = 0; i < out.reasons.size(); ++i) {
        if (!is_unsuback_reason(out.reasons[i])) {
            return protocol_error("reason code UNSUBACK does not have [MQTT-3.11.3-2]");
        }
    }
    return {};
}

}  // namespace stentor::mqtt
