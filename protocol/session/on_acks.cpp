// PUBACK, PUBREC and PUBCOMP from the client (sections 3.4, 3.5, 3.7 and 4.3).

#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/session.hpp"

namespace stentor::mqtt {

void Session::on(const PubackView& packet, Instant now, Effects& fx) {
    if (closed_ || !outbound_) return;
    const auto at = outbound_->find(packet.packet_id);
    // An unknown identifier may be an answer that crossed our restart: nothing to do.
    if (!at || !outbound_->inflight[*at].known_to_client()) return;
    if (outbound_->inflight[*at].qos != QoS::at_least_once) {
        close(ReasonCode::protocol_error, "PUBACK for a QoS 2 PUBLISH 3.4", fx);
        return;
    }
    finish(*at, fx);  // with an error code too: the client has had its say (4.3.2)
    pump(now, fx);
}

void Session::on(const PubrecView& packet, Instant now, Effects& fx) {
    if (closed_) return;
    const auto at = outbound_ ? outbound_->find(packet.packet_id) : std::nullopt;
    if (!at || !outbound_->inflight[*at].known_to_client()) {
        // The client holds an identifier that we do not: PUBREL lets it forget (3.6.2.1).
        if (is_failure(packet.reason)) return;
        send_ack(PacketType::pubrel, packet.packet_id, ReasonCode::packet_identifier_not_found, fx);
        return;
    }
    Outgoing& entry = outbound_->inflight[*at];
    if (entry.qos != QoS::exactly_once) {
        close(ReasonCode::protocol_error, "PUBREC for a QoS 1 PUBLISH 3.5", fx);
        return;
    }
    if (is_failure(packet.reason)) {  // ends the exchange without PUBREL [MQTT-4.3.3-4]
        finish(*at, fx);
        pump(now, fx);
        return;
    }
    if (entry.phase == Outgoing::Phase::received) {
        if (entry.on_wire) send_ack(PacketType::pubrel, entry.packet_id, ReasonCode::success, fx);
        return;
    }
    mark_received(*at);
    if (!durable()) {
        send_ack(PacketType::pubrel, entry.packet_id, ReasonCode::success, fx);
        entry.on_wire = true;
    }
}

/// The client has a QoS 2 message: PUBREL is next, after the commit of this phase (rule 4).
void Session::mark_received(std::size_t index) {
    Outbound& out = *outbound_;
    Outgoing& entry = out.inflight[index];
    if (!entry.on_wire) {
        --out.unsent;
        ++out.slots_used;
    }
    entry.phase = Outgoing::Phase::received;
    out.release(entry);  // must not be sent again [MQTT-4.3.3-6]
    entry.on_wire = false;
    if (!durable()) return;
    entry.commit = Outgoing::Commit::needed;
    out.changed = out.urgent = true;
    out.pubrels_due.push_back(entry.packet_id);
}

void Session::on(const PubcompView& packet, Instant now, Effects& fx) {
    if (closed_ || !outbound_) return;
    const auto at = outbound_->find(packet.packet_id);
    if (!at || !outbound_->inflight[*at].known_to_client()) return;
    const Outgoing& entry = outbound_->inflight[*at];
    if (entry.phase != Outgoing::Phase::received) {
        close(ReasonCode::protocol_error, "PUBCOMP before PUBREC 4.3.3", fx);
        return;
    }
    // PUBREL has not left yet: it will, and is answered again.
    if (!entry.on_wire) return;
    finish(*at, fx);
    pump(now, fx);
}

}  // namespace stentor::mqtt
