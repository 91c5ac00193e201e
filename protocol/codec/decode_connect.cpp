// CONNECT (section 3.1) and CONNACK (3.2).

#include "protocol/codec/packet_body.hpp"

namespace stentor::mqtt {

namespace {

constexpr std::uint8_t kCleanStart = 0x02;
constexpr std::uint8_t kWill = 0x04;
constexpr std::uint8_t kWillRetain = 0x20;
constexpr std::uint8_t kPassword = 0x40;
constexpr std::uint8_t kUserName = 0x80;

constexpr ProtocolError unsupported(const char* detail) noexcept {
    return {ReasonCode::unsupported_protocol_version, detail};
}

/// Protocol name and level. Peers of another level are answered in the form they are most likely to
/// read: 5.0's from level 5 on, before that 3.1.1's. Bit 7 is set by bridges (Mosquitto's and
/// RSMB's) that fall back to the plain level when they are refused.
ProtocolResult<void> read_version(Reader& body, std::uint8_t& level) noexcept {
    constexpr std::uint8_t kBridgeBit = 0x80;
    std::string_view protocol;
    std::uint8_t number = 0;
    if (!body.string(protocol)) return malformed("CONNECT without a protocol name (3.1.2.1)");
    if (protocol != "MQTT" && protocol != "MQIsdp") {
        return unsupported("the protocol name is not MQTT [MQTT-3.1.2-1]");
    }
    if (!body.u8(number)) return malformed("CONNECT without a protocol level (3.1.2.2)");
    const bool reads_v5 = (number & ~kBridgeBit) >= 5;
    level = static_cast<std::uint8_t>(reads_v5 ? ProtocolVersion::v5 : ProtocolVersion::v3_1_1);
    if (protocol != "MQTT" || level != number) {
        return unsupported("protocol level other than 4 and 5 [MQTT-3.1.2-2]");
    }
    return {};
}

ProtocolResult<void> check_flags(std::uint8_t flags, ProtocolVersion version) noexcept {
    if ((flags & 0x01U) != 0) return malformed("reserved CONNECT flag is set [MQTT-3.1.2-3]");
    const unsigned will_qos = flags >> 3U & 0x03U;
    if ((flags & kWill) == 0) {
        if (will_qos != 0) return malformed("Will QoS without a will [MQTT-3.1.2-11]");
        if ((flags & kWillRetain) != 0) {
            return malformed("Will Retain without a will [MQTT-3.1.2-13]");
        }
    }
    if (will_qos == 3) return malformed("Will QoS 3 [MQTT-3.1.2-12]");
    if (version == ProtocolVersion::v3_1_1 && (flags & kPassword) != 0 &&
        (flags & kUserName) == 0) {
        return malformed("password without a user name [MQTT-3.1.2-22 of 3.1.1]");
    }
    return {};
}

ProtocolResult<void> read_will(Reader& body,
                               std::uint8_t flags,
                               std::uint16_t topic_levels_max,
                               ConnectView& out) noexcept {
    if ((flags & kWill) == 0) return {};
    WillView& will = out.will.emplace();
    will.qos = static_cast<QoS>(flags >> 3U & 0x03U);
    will.retain = (flags & kWillRetain) != 0;
    STENTOR_TRY_VOID(read_properties(body, out.version, PropertyContext::will, will.properties));
    if (!body.string(will.topic)) return malformed("CONNECT without its will topic [MQTT-3.1.2-9]");
    STENTOR_TRY_VOID(check_topic(will.topic, topic_levels_max));
    if (will.topic.empty()) {
        return ProtocolError{ReasonCode::topic_name_invalid, "empty will topic [MQTT-4.7.3-1]"};
    }
    if (!body.binary(will.payload)) {
        return malformed("CONNECT without its will payload [MQTT-3.1.2-9]");
    }
    return {};
}

ProtocolResult<void> read_credentials(Reader& body, std::uint8_t flags, ConnectView& out) noexcept {
    if ((flags & kUserName) != 0) {
        STENTOR_TRY_VOID(read_text(body, out.user_name.emplace()));
    }
    if ((flags & kPassword) != 0 && !body.binary(out.password.emplace())) {
        return malformed("CONNECT without its password [MQTT-3.1.2-19]");
    }
    return {};
}

bool is_connack_reason(ReasonCode reason) noexcept {
    // Table 3-1 of section 3.2.2.2.
    switch (reason) {
        case ReasonCode::success:
        case ReasonCode::unspecified_error:
        case ReasonCode::malformed_packet:
        case ReasonCode::protocol_error:
        case ReasonCode::implementation_specific_error:
        case ReasonCode::unsupported_protocol_version:
        case ReasonCode::client_identifier_not_valid:
        case ReasonCode::bad_user_name_or_password:
        case ReasonCode::not_authorized:
        case ReasonCode::server_unavailable:
        case ReasonCode::server_busy:
        case ReasonCode::banned:
        case ReasonCode::bad_authentication_method:
        case ReasonCode::topic_name_invalid:
        case ReasonCode::packet_too_large:
        case ReasonCode::quota_exceeded:
        case ReasonCode::payload_format_invalid:
        case ReasonCode::retain_not_supported:
        case ReasonCode::qos_not_supported:
        case ReasonCode::use_another_server:
        case ReasonCode::server_moved:
        case ReasonCode::connection_rate_exceeded:
            return true;
        default:
            return false;
    }
}

}  // namespace

ProtocolResult<void> decode_connect(ByteView bytes,
                                    std::uint16_t topic_levels_max,
                                    std::uint8_t& level,
                                    ConnectView& out) noexcept {
    Reader body{bytes};
    STENTOR_TRY_VOID(read_version(body, level));
    out.version = static_cast<ProtocolVersion>(level);
    std::uint8_t flags = 0;
    if (!body.u8(flags)) return malformed("CONNECT without flags (3.1.2.3)");
    STENTOR_TRY_VOID(check_flags(flags, out.version));
    out.clean_start = (flags & kCleanStart) != 0;
    if (!body.u16(out.keep_alive_seconds)) {
        return malformed("CONNECT without Keep Alive (3.1.2.10)");
    }
    STENTOR_TRY_VOID(read_properties(body, out.version, PropertyContext::connect, out.properties));
    STENTOR_TRY_VOID(read_text(body, out.client_id));
    STENTOR_TRY_VOID(read_will(body, flags, topic_levels_max, out));
    STENTOR_TRY_VOID(read_credentials(body, flags, out));
    if (!body.at_end()) return malformed("bytes behind the payload of CONNECT (3.1.3)");
    return {};
}

ProtocolResult<void> decode_connack(ByteView bytes,
                                    const BodyContext& context,
                                    ConnackView& out) noexcept {
    Reader body{bytes};
    std::uint8_t flags = 0;
    std::uint8_t code = 0;
    if (!body.u8(flags) || !body.u8(code)) return malformed("CONNACK is too short (3.2.2)");
    if ((flags & 0xFEU) != 0) return malformed("reserved CONNACK flags are set [MQTT-3.2.2-1]");
    if (context.v5()) {
        out.reason = static_cast<ReasonCode>(code);
        if (!is_connack_reason(out.reason)) {
            return protocol_error("reason code CONNACK does not have [MQTT-3.2.2-8]");
        }
    } else {
        if (code > static_cast<unsigned>(ConnectReturnCode::not_authorized)) {
            return protocol_error("reserved CONNACK return code (3.2.2.3 of 3.1.1)");
        }
        out.reason = reason_code(static_cast<ConnectReturnCode>(code));
    }
    out.session_present = flags != 0;
    if (out.session_present && is_failure(out.reason)) {
        return protocol_error("Session Present in a refusal [MQTT-3.2.2-6]");
    }
    STENTOR_TRY_VOID(
        read_properties(body, context.version, PropertyContext::connack, out.properties));
    if (!body.at_end()) return malformed("bytes behind CONNACK (3.2.3)");
    return {};
}

}  // namespace stentor::mqtt
