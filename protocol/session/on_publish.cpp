// PUBLISH from the client (sections 3.3, 4.3 and 4.9): aliases, Receive Maximum, duplicates; then
// acknowledgements and releases in arrival order.

#include "base/assert.hpp"
#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/session.hpp"

#include <algorithm>
#include <utility>

namespace stentor::mqtt {

std::optional<std::string_view> Session::resolve_topic(const PublishView& packet, Effects& fx) {
    const std::optional<std::uint16_t> alias = packet.properties.topic_alias();
    if (!alias) {
        if (!packet.topic.empty()) return packet.topic;
        close(ReasonCode::protocol_error, "no topic and no alias 3.3.2.1", fx);
        return std::nullopt;
    }
    if (*alias == 0 || *alias > limits_->topic_aliases_max) {  // [MQTT-3.3.2-8], [MQTT-3.3.2-9]
        close(ReasonCode::topic_alias_invalid, "above Topic Alias Maximum [MQTT-3.3.2-9]", fx);
        return std::nullopt;
    }
    std::vector<std::string>& topics = inbound().topic_of_alias;
    if (!packet.topic.empty()) {
        if (topics.size() < *alias) topics.resize(*alias);
        if (inbound_->set_alias(topics[*alias - 1U], packet.topic)) return packet.topic;
        close(ReasonCode::quota_exceeded, "topic aliases stand for more than 64 KiB", fx);
        return std::nullopt;
    }
    if (*alias > topics.size() || topics[*alias - 1U].empty()) {
        close(ReasonCode::protocol_error, "topic alias was never set 3.3.2.3.4", fx);
        return std::nullopt;
    }
    return topics[*alias - 1U];
}

std::optional<PublishToRoute> Session::accept_publish(const PublishView& packet,
                                                      Instant /*now*/,
                                                      Effects& fx) {
    if (closed_) return std::nullopt;
    const std::optional<std::string_view> topic = resolve_topic(packet, fx);
    if (!topic) return std::nullopt;
    PublishToRoute route{.topic = *topic, .packet = &packet};
    if (packet.qos == QoS::at_most_once) return route;

    if (packet.qos == QoS::exactly_once && inbound_) {
        if (const InboundPhase* phase = inbound_->ids.find(packet.packet_id)) {
            inbound_->ids.came_again(packet.packet_id);
            if (is_v5() && inbound_->unfinished() > limits_->receive_maximum) {
                close(ReasonCode::receive_maximum_exceeded, "beyond our Receive Maximum 3.3.4", fx);
                return std::nullopt;
            }
            // A duplicate [MQTT-4.3.3-10]; before its commit there is nothing to say yet.
            if (*phase != InboundPhase::pending) {
                send_ack(PacketType::pubrec, packet.packet_id, ReasonCode::success, fx);
            }
            return std::nullopt;
        }
    }
    const std::size_t kept_max = std::max(kInboundIdsMax, std::size_t{limits_->receive_maximum});
    if (packet.qos == QoS::exactly_once && inbound_ && inbound_->ids.size() >= kept_max) {
        close(ReasonCode::quota_exceeded, "too many QoS 2 messages without their PUBREL", fx);
        return std::nullopt;
    }
    if (is_v5() && inbound_ && inbound_->unfinished() >= limits_->receive_maximum) {
        close(ReasonCode::receive_maximum_exceeded, "beyond our Receive Maximum 3.3.4", fx);
        return std::nullopt;
    }
    route.keep_identifier = packet.qos == QoS::exactly_once && durable();
    return route;
}

void Session::ingress(PacketId packet_id,
                      QoS qos,
                      Ingress outcome,
                      ReasonCode reason,
                      MessagePtr message,
                      std::uint64_t destinations,
                      std::uint64_t ticket,
                      Effects& fx) {
    const bool denied = outcome == Ingress::refused && reason == ReasonCode::not_authorized;
    if (denied) fx.drops.push_back({.reason = DropReason::not_authorized});
    if (outcome != Ingress::released) message.reset();
    if (qos == QoS::at_most_once) {  // overtakes, and waits for nothing
        if (message) fx.releases.push_back({std::move(message), destinations});
        return;
    }
    if (outcome == Ingress::refused && !denied && !is_v5()) {
        close(reason, "PUBLISH refused, and 3.1.1 cannot say so", fx);
        return;
    }
    if (outcome == Ingress::no_subscribers) reason = ReasonCode::no_matching_subscribers;
    IngressEntry entry{.message = std::move(message),
                       .destinations = destinations,
                       .ticket = ticket,
                       .packet_id = packet_id,
                       .qos = qos,
                       .reason = reason,
                       .awaits_commit = outcome == Ingress::pending};
    if (!entry.awaits_commit && (!inbound_ || inbound_->waiting.empty())) {
        conclude(entry, fx);
        return;
    }
    Inbound& in = inbound();
    if (qos == QoS::exactly_once) {
        in.ids.put(packet_id, InboundPhase::pending);
    } else {
        ++in.qos1_waiting;
    }
    in.waiting.push_back(std::move(entry));
    pause_if_overloaded(fx);
}

void Session::ingress_committed(std::uint64_t ticket, Effects& fx) {
    if (!inbound_) return;
    Ring<IngressEntry>& waiting = inbound_->waiting;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
        if (!waiting[i].awaits_commit || waiting[i].ticket != ticket) continue;
        waiting[i].awaits_commit = false;
        break;
    }
    conclude_in_order(fx);
}

void Session::ingress_failed(std::uint64_t ticket, ReasonCode reason, Effects& fx) {
    STENTOR_ASSERT(is_failure(reason));
    if (!inbound_) return;
    Ring<IngressEntry>& waiting = inbound_->waiting;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
        if (!waiting[i].awaits_commit || waiting[i].ticket != ticket) continue;
        waiting[i].awaits_commit = false;
        waiting[i].reason = reason;
        if (!is_v5()) close(reason, "PUBLISH not stored, and 3.1.1 cannot say so", fx);
        break;
    }
    conclude_in_order(fx);
}

// Rule 8, [MQTT-4.6.0-2], [MQTT-4.6.0-3]: whatever is ready waits for what came before it.
void Session::conclude_in_order(Effects& fx) {
    Inbound& in = *inbound_;
    while (!in.waiting.empty() && !in.waiting.front().awaits_commit) {
        if (in.waiting.front().qos == QoS::at_least_once) --in.qos1_waiting;
        conclude(in.waiting.front(), fx);
        in.waiting.pop_front();
    }
    resume_if_relieved(fx);
}

// After a close nothing is released any more (the client repeats what was not acknowledged), but
// identifiers whose commit comes now still belong to the session.
void Session::conclude(IngressEntry& entry, Effects& fx) {
    if (entry.message && !closed_) {
        fx.releases.push_back({std::move(entry.message), entry.destinations});
    }
    if (entry.qos == QoS::at_least_once) {
        send_ack(PacketType::puback, entry.packet_id, entry.reason, fx);
        return;
    }
    if (is_failure(entry.reason)) {  // the exchange ends with this PUBREC (4.3.3)
        if (inbound_) inbound_->ids.erase(entry.packet_id);
    } else {
        inbound().ids.put(entry.packet_id, InboundPhase::received);
    }
    send_ack(PacketType::pubrec, entry.packet_id, entry.reason, fx);
}

}  // namespace stentor::mqtt
