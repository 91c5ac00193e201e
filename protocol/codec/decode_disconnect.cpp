// DISCONNECT (section 3.14) and AUTH (3.15).

#include "protocol/codec/packet_body.hpp"

namespace stentor::mqtt {

namespace {

/// Table 3-10, column "Sent by".
bool client_disconnects_with(ReasonCode reason) noexcept {
    switch (reason) {
        case ReasonCode::normal_disconnection:
        case ReasonCode::disconnect_with_will_message:
        case ReasonCode::unspecified_error:
        case ReasonCode::malformed_packet:
        case ReasonCode::protocol_error:
        case ReasonCode::implementation_specific_error:
        case ReasonCode::bad_authentication_method:
        case ReasonCode::topic_name_invalid:
        case ReasonCode::receive_maximum_exceeded:
        case ReasonCode::topic_alias_invalid:
        case ReasonCode::packet_too_large:
        case ReasonCode::message_rate_too_high:
        case ReasonCode::quota_exceeded:
        case ReasonCode::administrative_action:
        case ReasonCode::payload_format_invalid:
            return true;
        default:
            return false;
    }
}

bool server_disconnects_with(ReasonCode reason) noexcept {
    switch (reason) {
        case ReasonCode::disconnect_with_will_message:
            return false;
        case ReasonCode::not_authorized:
        case ReasonCode::server_busy:
        case ReasonCode::server_shutting_down:
        case ReasonCode::keep_alive_timeout:
        case ReasonCode::session_taken_over:
        case ReasonCode::topic_filter_invalid:
        case ReasonCode::retain_not_supported:
        case ReasonCode::qos_not_supported:
        case ReasonCode::use_another_server:
        case ReasonCode::server_moved:
        case ReasonCode::shared_subscriptions_not_supported:
        case ReasonCode::connection_rate_exceeded:
        case ReasonCode::maximum_connect_time:
        case ReasonCode::subscription_identifiers_not_supported:
        case ReasonCode::wildcard_subscriptions_not_supported:
            return true;
        default:
            return client_disconnects_with(reason);
    }
}

/// Table 3-11, column "Sent by".
bool authenticates_with(ReasonCode reason, Role receiver) noexcept {
    switch (reason) {
        case ReasonCode::continue_authentication:
            return true;
        case ReasonCode::success:
            return receiver == Role::client;
        case ReasonCode::re_authenticate:
            return receiver == Role::server;
        default:
            return false;
    }
}

}  // namespace

ProtocolResult<void> decode_disconnect(ByteView bytes,
                                       const BodyContext& context,
                                       DisconnectView& out) noexcept {
    const bool to_server = context.role == Role::server;
    Reader body{bytes};
    if (body.at_end()) return {};  // means normal_disconnection (3.14.2.1)
    if (!context.v5()) return malformed("DISCONNECT with a body (3.14 of 3.1.1)");
    std::uint8_t reason = 0;
    if (!body.u8(reason)) return malformed("no reason code (3.14.2.1)");
    out.reason = static_cast<ReasonCode>(reason);
    if (!(to_server ? client_disconnects_with(out.reason) : server_disconnects_with(out.reason))) {
        return protocol_error("reason code this DISCONNECT does not have [MQTT-3.14.2-1]");
    }
    if (body.at_end()) return {};  // no properties (3.14.2.2.1)
    STENTOR_TRY_VOID(read_properties(
        body,
        context.version,
        to_server ? PropertyContext::disconnect_to_server : PropertyContext::disconnect_to_client,
        out.properties));
    if (!body.at_end()) return malformed("bytes behind the properties (3.14.3)");
    return {};
}

ProtocolResult<void> decode_auth(ByteView bytes,
                                 const BodyContext& context,
                                 AuthView& out) noexcept {
    Reader body{bytes};
    std::uint8_t reason = 0;
    const bool short_form = body.at_end();  // means success without properties (3.15.2.1)
    if (!short_form && !body.u8(reason)) return malformed("no reason code (3.15.2.1)");
    out.reason = static_cast<ReasonCode>(reason);
    if (!authenticates_with(out.reason, context.role)) {
        return protocol_error("reason code this AUTH does not have [MQTT-3.15.2-1]");
    }
    if (short_form) return {};
    if (!body.at_end()) {
        STENTOR_TRY_VOID(
            read_properties(body, context.version, PropertyContext::auth, out.properties));
    }
    if (!body.at_end()) return malformed("bytes behind the properties (3.15.3)");
    if (!out.properties.has(Property::authentication_method)) {
        return protocol_error("AUTH without an Authentication Method (3.15.2.2.2)");
    }
    return {};
}

}  // namespace stentor::mqtt
