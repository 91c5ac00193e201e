// DISCONNECT in both directions (section 3.14).

#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/session.hpp"

#include <algorithm>

namespace stentor::mqtt {

void Session::on(const DisconnectView& packet, Effects& fx) {
    if (closed_) return;
    if (const auto expiry = packet.properties.session_expiry_interval()) {
        // What CONNECT set to 0 stays so (3.14.2.2.2); where it was our limit that made it 0, the
        // client has done nothing wrong.
        if (*expiry != 0 && request_.session_expiry_seconds == 0) {
            if (!request_.session_expiry_overridden) {
                close(ReasonCode::protocol_error,
                      "Session Expiry Interval was 0 in CONNECT 3.14.2.2.2",
                      fx);
                return;
            }
        } else {
            session_expiry_seconds_ = std::min(*expiry, limits_->session_expiry_seconds_max);
        }
    }
    closed_ = true;
    // Only reason 0x00 discards the will [MQTT-3.14.4-3]; 3.1.1 always means 0x00.
    const bool normal = packet.reason == ReasonCode::normal_disconnection;
    fx.close = Close{.reason = packet.reason,
                     .detail = "DISCONNECT from the client",
                     .send_disconnect = false,
                     .will = normal ? CloseWill::forget : CloseWill::publish};
}

void Session::send_disconnect(ReasonCode reason,
                              std::string_view reason_string,
                              std::string_view server_reference,
                              Effects& fx) {
    closed_ = true;
    if (!is_v5() || !connack_sent_) return;  // [MQTT-3.14.0-1]
    PropertyWriter properties;
    if (!server_reference.empty()) properties.text(Property::server_reference, server_reference);
    if (!reason_string.empty()) properties.text(Property::reason_string, reason_string);
    fx.sent(PacketType::disconnect);
    if (encode_disconnect(*fx.out,
                          request_.version,
                          {.reason = reason, .properties = properties.bytes()},
                          request_.packet_bytes_max) == Encoded::written) {
        return;
    }
    // The reference is what is too long: the reason alone is worth having, if that much fits.
    if (encode_disconnect(
            *fx.out, request_.version, {.reason = reason}, request_.packet_bytes_max) ==
        Encoded::too_large) {
        return;  // [MQTT-3.14.2-3]: then the closed connection has to do
    }
}

}  // namespace stentor::mqtt
