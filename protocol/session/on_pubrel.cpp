// PUBREL from the client (section 3.6): the end of an inbound QoS 2 exchange.

#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/session.hpp"

namespace stentor::mqtt {

Session::Pubrel Session::on(const PubrelView& packet, Effects& fx) {
    if (closed_) return Pubrel::answered;
    InboundPhase* phase = inbound_ ? inbound_->ids.find(packet.packet_id) : nullptr;
    if (phase != nullptr && *phase == InboundPhase::pending) {
        // Answered as unknown, it would stay in use without the client knowing, and take its next
        // message for a duplicate.
        close(ReasonCode::protocol_error, "PUBREL before PUBREC 4.3.3", fx);
        return Pubrel::answered;
    }
    if (phase == nullptr) {
        // 3.1.1 answers any PUBREL with PUBCOMP [MQTT-4.3.3-2 of 3.1.1].
        send_ack(
            PacketType::pubcomp, packet.packet_id, ReasonCode::packet_identifier_not_found, fx);
        return Pubrel::answered;
    }
    if (*phase == InboundPhase::releasing) return Pubrel::answered;  // PUBCOMP is on its way
    if (!durable()) {
        inbound_->ids.erase(packet.packet_id);
        send_ack(PacketType::pubcomp, packet.packet_id, ReasonCode::success, fx);
        return Pubrel::answered;
    }
    *phase = InboundPhase::releasing;
    return Pubrel::commit_forget;
}

void Session::forget_committed(PacketId packet_id, Effects& fx) {
    if (!inbound_) return;
    const InboundPhase* phase = inbound_->ids.find(packet_id);
    if (phase == nullptr || *phase != InboundPhase::releasing) return;
    inbound_->ids.erase(packet_id);
    send_ack(PacketType::pubcomp, packet_id, ReasonCode::success, fx);
}

}  // namespace stentor::mqtt
