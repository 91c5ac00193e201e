// Acknowledgements and other short answers, and what happens when a client does not read them.

#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/session.hpp"

#include <algorithm>

namespace stentor::mqtt {

void Session::send_ack(PacketType type, PacketId packet_id, ReasonCode reason, Effects& fx) {
    if (closed_) return;
    const Encoded encoded = encode_ack(*fx.out,
                                       request_.version,
                                       {.type = type, .packet_id = packet_id, .reason = reason},
                                       request_.packet_bytes_max);
    if (encoded == Encoded::too_large) {
        // A Maximum Packet Size below an acknowledgement's [MQTT-3.1.2-24].
        close(ReasonCode::packet_too_large, "the client takes no acknowledgement that long", fx);
        return;
    }
    fx.sent(type);
    pause_if_overloaded(fx);
}

namespace {

/// For whoever reads the client's log.
std::string_view why_refused(ReasonCode code) {
    switch (code) {
        case ReasonCode::topic_filter_invalid:
            return "a filter is not well-formed [MQTT 4.7.1]";
        case ReasonCode::not_authorized:
            return "a filter is not allowed";
        case ReasonCode::quota_exceeded:
            return "a limit is reached: levels of a filter, or number or size of subscriptions";
        default:
            return name(code);
    }
}

}  // namespace

void Session::send_suback(PacketId packet_id, std::span<const ReasonCode> codes, Effects& fx) {
    if (closed_) return;
    PropertyWriter properties;
    const auto refused = std::find_if(codes.begin(), codes.end(), is_failure);
    // [MQTT-3.1.2-29]; what does not fit is left out [MQTT-3.9.2-1].
    if (is_v5() && request_.request_problem_information && refused != codes.end()) {
        properties.text(Property::reason_string, why_refused(*refused));
    }
    const Suback suback{.packet_id = packet_id, .reasons = codes, .properties = properties.bytes()};
    if (encode_suback(*fx.out, request_.version, suback, request_.packet_bytes_max) ==
        Encoded::too_large) {
        close(ReasonCode::packet_too_large, "SUBACK exceeds the client's Maximum Packet Size", fx);
        return;
    }
    fx.sent(PacketType::suback);
    pause_if_overloaded(fx);
}

void Session::send_unsuback(PacketId packet_id, std::span<const ReasonCode> codes, Effects& fx) {
    if (closed_) return;
    const Suback unsuback{.packet_id = packet_id, .reasons = codes};
    if (encode_unsuback(*fx.out, request_.version, unsuback, request_.packet_bytes_max) ==
        Encoded::too_large) {
        close(
            ReasonCode::packet_too_large, "UNSUBACK exceeds the client's Maximum Packet Size", fx);
        return;
    }
    fx.sent(PacketType::unsuback);
    pause_if_overloaded(fx);
}

void Session::on(const PingreqView& /*packet*/, Effects& fx) {
    if (closed_) return;
    encode_pingresp(*fx.out);  // [MQTT-3.12.4-1]
    fx.sent(PacketType::pingresp);
    pause_if_overloaded(fx);
    // A client that pings has had nothing else to say for a keep-alive interval.
    release_idle_memory();
}

// Two ways to owe a client too much: 3.1.1 knows no Receive Maximum, so more of its PUBLISH packets
// than that wait for commits; or it sends and does not read what it is answered. Its own socket
// buffers fill then, nobody else's memory.
void Session::pause_if_overloaded(Effects& fx) {
    if (reading_paused_) return;
    const bool ingress_full =
        inbound_ && !is_v5() && inbound_->waiting.size() >= limits_->receive_maximum;
    if (!ingress_full && outbox_has_room(fx)) return;
    reading_paused_ = true;
    fx.pause_reading = true;
    fx.resume_reading = false;
}

void Session::resume_if_relieved(Effects& fx) {
    if (!reading_paused_ || !outbox_has_room(fx)) return;
    if (inbound_ && !is_v5() && inbound_->waiting.size() > limits_->receive_maximum / 2U) return;
    reading_paused_ = false;
    fx.resume_reading = true;
    fx.pause_reading = false;
}

}  // namespace stentor::mqtt
