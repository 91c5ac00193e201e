// What the client does with the server's PUBLISH, acknowledgements, SUBACK and UNSUBACK.

#include "base/assert.hpp"
#include "protocol/session/client/client_session.hpp"

#include <algorithm>

namespace stentor::mqtt {
namespace {

bool before(const auto& entry, PacketId packet_id) noexcept { return entry.first < packet_id; }

}  // namespace

ClientSession::Inbound* ClientSession::find_inbound(PacketId packet_id) noexcept {
    const auto at = std::lower_bound(
        inbound_.begin(), inbound_.end(), packet_id, [](const auto& entry, PacketId id) {
            return before(entry, id);
        });
    return at != inbound_.end() && at->first == packet_id ? &at->second : nullptr;
}

void ClientSession::add_inbound(PacketId packet_id, Inbound phase) {
    const auto at = std::lower_bound(
        inbound_.begin(), inbound_.end(), packet_id, [](const auto& entry, PacketId id) {
            return before(entry, id);
        });
    inbound_.insert(at, {packet_id, phase});
}

void ClientSession::forget_inbound(PacketId packet_id) noexcept {
    std::erase_if(inbound_, [&](const auto& entry) { return entry.first == packet_id; });
}

void ClientSession::send_ack(
    PacketType type, PacketId packet_id, ReasonCode reason, Instant now, WireBuffer& out) {
    // A few bytes: smaller than any Maximum Packet Size worth the name.
    static_cast<void>(encode_ack(
        out, options_.version, {.type = type, .packet_id = packet_id, .reason = reason}));
    last_sent_ = now;
}

bool ClientSession::resolve_alias(PublishView& packet) {
    const auto alias = packet.properties.topic_alias();
    if (!alias) return true;
    if (*alias > aliases_in_.size()) return false;  // [MQTT-3.1.2-26]
    auto& known = aliases_in_[*alias - 1U];
    if (packet.topic.empty()) {
        packet.topic = known;
        return !known.empty();
    }
    known = packet.topic;
    return true;
}

ClientEvent ClientSession::on(PublishView& packet, Instant now, WireBuffer& out) {
    if (!resolve_alias(packet)) {
        return server_error(ReasonCode::topic_alias_invalid, "alias not known", out);
    }
    if (packet.qos == QoS::at_most_once) return Received{packet};
    if (packet.qos == QoS::exactly_once) return on_qos2(packet, now, out);

    const auto* phase = find_inbound(packet.packet_id);
    if (phase != nullptr && *phase != Inbound::qos1) {
        return server_error(ReasonCode::protocol_error, "identifier in use by QoS 2", out);
    }
    if (phase == nullptr && inbound_.size() >= own_receive_maximum_) {
        return server_error(
            ReasonCode::receive_maximum_exceeded, "too many in flight [MQTT-3.3.4-9]", out);
    }
    if (options_.on_publish == Answer::automatic) {
        send_ack(PacketType::puback, packet.packet_id, ReasonCode::success, now, out);
    } else if (phase == nullptr) {
        add_inbound(packet.packet_id, Inbound::qos1);
    }
    return Received{packet};
}

ClientEvent ClientSession::on_qos2(const PublishView& packet, Instant now, WireBuffer& out) {
    if (const auto* phase = find_inbound(packet.packet_id)) {
        switch (*phase) {
            case Inbound::qos2:
                return NeedInput{};       // told already, PUBREC still to come
            case Inbound::qos2_received:  // our PUBREC got lost [MQTT-4.3.3-10]
                send_ack(PacketType::pubrec, packet.packet_id, ReasonCode::success, now, out);
                return NeedInput{};
            case Inbound::qos1:
            case Inbound::qos2_released:
                break;
        }
        return server_error(ReasonCode::protocol_error, "identifier in use", out);
    }
    if (inbound_.size() >= own_receive_maximum_) {
        return server_error(
            ReasonCode::receive_maximum_exceeded, "too many in flight [MQTT-3.3.4-9]", out);
    }
    if (options_.on_publish == Answer::automatic) {
        add_inbound(packet.packet_id, Inbound::qos2_received);
        send_ack(PacketType::pubrec, packet.packet_id, ReasonCode::success, now, out);
    } else {
        add_inbound(packet.packet_id, Inbound::qos2);
    }
    return Received{packet};
}

bool ClientSession::acknowledge(PacketId packet_id,
                                ReasonCode reason,
                                Instant now,
                                WireBuffer& out) {
    auto* phase = find_inbound(packet_id);
    if (state_ != State::connected || phase == nullptr) return false;
    if (*phase == Inbound::qos1) {
        send_ack(PacketType::puback, packet_id, reason, now, out);
        forget_inbound(packet_id);
        return true;
    }
    if (*phase != Inbound::qos2) return false;
    send_ack(PacketType::pubrec, packet_id, reason, now, out);
    if (is_failure(reason) && options_.version == ProtocolVersion::v5) {
        forget_inbound(packet_id);  // [MQTT-4.3.3-9]
    } else {
        *phase = Inbound::qos2_received;
    }
    return true;
}

ClientEvent ClientSession::on(const PubrelView& packet, Instant now, WireBuffer& out) {
    auto* phase = find_inbound(packet.packet_id);
    if (phase == nullptr || *phase == Inbound::qos1) {
        // Known to us no more: done before, our PUBCOMP got lost.
        send_ack(PacketType::pubcomp,
                 packet.packet_id,
                 ReasonCode::packet_identifier_not_found,
                 now,
                 out);
        return NeedInput{};
    }
    if (options_.on_pubrel == Answer::manual) {
        *phase = Inbound::qos2_released;
        return ReleaseReceived{packet.packet_id};
    }
    send_ack(PacketType::pubcomp, packet.packet_id, ReasonCode::success, now, out);
    forget_inbound(packet.packet_id);  // [MQTT-4.3.3-11]
    return NeedInput{};
}

bool ClientSession::complete(PacketId packet_id, Instant now, WireBuffer& out) {
    const auto* phase = find_inbound(packet_id);
    if (state_ != State::connected || phase == nullptr) return false;
    if (*phase != Inbound::qos2_released) return false;
    send_ack(PacketType::pubcomp, packet_id, ReasonCode::success, now, out);
    forget_inbound(packet_id);
    return true;
}

PublishDone ClientSession::finish(PacketId packet_id,
                                  const AckView& packet,
                                  Instant now,
                                  WireBuffer& out) {
    const PublishDone done{.packet_id = packet_id,
                           .token = outbound_.find(packet_id)->token,
                           .reason = packet.reason,
                           .properties = packet.properties};
    outbound_.release(packet_id);
    --messages_;
    --on_wire_;
    if (!waiting_.empty()) send_waiting(now, out);
    return done;
}

ClientEvent ClientSession::on(const PubackView& packet, Instant now, WireBuffer& out) {
    const auto* slot = outbound_.find(packet.packet_id);
    if (slot == nullptr || slot->phase == Phase::waiting) {
        ++unexpected_;
        return NeedInput{};
    }
    if (slot->phase != Phase::published || slot->qos != QoS::at_least_once) {
        return server_error(ReasonCode::protocol_error, "PUBACK for no QoS 1 message", out);
    }
    return finish(packet.packet_id, packet, now, out);
}

ClientEvent ClientSession::on(const PubrecView& packet, Instant now, WireBuffer& out) {
    auto* slot = outbound_.find(packet.packet_id);
    if (slot == nullptr) {
        ++unexpected_;
        if (!is_failure(packet.reason)) {
            send_ack(PacketType::pubrel,
                     packet.packet_id,
                     ReasonCode::packet_identifier_not_found,
                     now,
                     out);
        }
        return NeedInput{};
    }
    switch (slot->phase) {
        case Phase::published:
            if (slot->qos != QoS::exactly_once) break;
            if (is_failure(packet.reason)) return finish(packet.packet_id, packet, now, out);
            outbound_.touch(*slot);
            slot->stored.clear();  // from here on only the identifier matters
            slot->topic_bytes = slot->property_bytes = 0;
            if (options_.on_pubrec == Answer::manual) {
                slot->phase = Phase::received;
                return PublishReceived{.packet_id = packet.packet_id, .token = slot->token};
            }
            slot->phase = Phase::released;
            send_ack(PacketType::pubrel, packet.packet_id, ReasonCode::success, now, out);
            return NeedInput{};
        case Phase::released:
            send_ack(PacketType::pubrel, packet.packet_id, ReasonCode::success, now, out);
            return NeedInput{};
        case Phase::received:
            return NeedInput{};
        case Phase::waiting:
            ++unexpected_;
            return NeedInput{};
        case Phase::free:
        case Phase::subscribe:
        case Phase::unsubscribe:
            break;
    }
    return server_error(ReasonCode::protocol_error, "PUBREC for no QoS 2 message", out);
}

bool ClientSession::release(PacketId packet_id, Instant now, WireBuffer& out) {
    auto* slot = outbound_.find(packet_id);
    if (state_ != State::connected || slot == nullptr) return false;
    if (slot->phase != Phase::received) return false;
    slot->phase = Phase::released;
    send_ack(PacketType::pubrel, packet_id, ReasonCode::success, now, out);
    return true;
}

ClientEvent ClientSession::on(const PubcompView& packet, Instant now, WireBuffer& out) {
    const auto* slot = outbound_.find(packet.packet_id);
    if (slot == nullptr) {
        ++unexpected_;
        return NeedInput{};
    }
    if (slot->phase != Phase::released) {
        return server_error(ReasonCode::protocol_error, "PUBCOMP without PUBREL", out);
    }
    auto done = finish(packet.packet_id, packet, now, out);
    // The answer to a repeated PUBREL whose first PUBCOMP got lost: the message is there.
    if (done.reason == ReasonCode::packet_identifier_not_found) done.reason = ReasonCode::success;
    return done;
}

ClientEvent ClientSession::on(const SubackView& packet, WireBuffer& out) {
    const auto* slot = outbound_.find(packet.packet_id);
    if (slot == nullptr || slot->phase != Phase::subscribe) {
        return server_error(ReasonCode::protocol_error, "SUBACK without SUBSCRIBE", out);
    }
    if (slot->token != packet.reasons.size()) {
        return server_error(ReasonCode::protocol_error, "reason codes missing [MQTT-3.8.4-6]", out);
    }
    outbound_.release(packet.packet_id);
    return SubscribeDone{
        .packet_id = packet.packet_id, .reasons = packet.reasons, .properties = packet.properties};
}

ClientEvent ClientSession::on(const UnsubackView& packet, WireBuffer& out) {
    const auto* slot = outbound_.find(packet.packet_id);
    if (slot == nullptr || slot->phase != Phase::unsubscribe) {
        return server_error(ReasonCode::protocol_error, "UNSUBACK without UNSUBSCRIBE", out);
    }
    if (options_.version == ProtocolVersion::v5 && slot->token != packet.reasons.size()) {
        return server_error(
            ReasonCode::protocol_error, "reason codes missing [MQTT-3.11.3-1]", out);
    }
    outbound_.release(packet.packet_id);
    return UnsubscribeDone{
        .packet_id = packet.packet_id, .reasons = packet.reasons, .properties = packet.properties};
}

}  // namespace stentor::mqtt
