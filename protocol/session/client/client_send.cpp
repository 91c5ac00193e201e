// What the client sends of its own accord: PUBLISH, SUBSCRIBE, UNSUBSCRIBE, AUTH.

#include "base/assert.hpp"
#include "protocol/session/client/client_session.hpp"

#include <algorithm>

namespace stentor::mqtt {
namespace {

std::optional<std::uint16_t> given_alias(ByteView properties) noexcept {
    for (const auto& entry : PropertyEntries{properties}) {
        if (entry.id == Property::topic_alias) return static_cast<std::uint16_t>(entry.number());
    }
    return std::nullopt;
}

}  // namespace

std::size_t ClientSession::window_left() const noexcept {
    if (state_ != State::connected || !waiting_.empty()) return 0;
    const std::size_t identifiers = 65'535U - outbound_.in_use();
    if (!obey()) return identifiers;
    const std::size_t limit = server_.receive_maximum;
    return std::min(identifiers, limit - std::min(limit, on_wire_));
}

std::optional<SendRefusal> ClientSession::refusal(const Publish& packet) const noexcept {
    if (state_ != State::connected) return SendRefusal::not_connected;
    if (obey()) {
        if (packet.qos > server_.maximum_qos) {
            return SendRefusal::qos_not_supported;  // [MQTT-3.2.2-11]
        }
        if (packet.retain && !server_.retain_available) {
            return SendRefusal::retain_not_supported;  // [MQTT-3.2.2-14]
        }
    }
    if (packet.qos != QoS::at_most_once && window_left() == 0) {
        return SendRefusal::window_full;  // [MQTT-3.3.4-7]
    }
    return std::nullopt;
}

SendResult<PacketId> ClientSession::publish(const Publish& packet,
                                            std::uint64_t token,
                                            Instant now,
                                            WireBuffer& out) {
    if (const auto refused = refusal(packet)) return *refused;
    STENTOR_TRY(const auto aliased, with_alias(packet));
    auto wire = packet;
    wire.dup = false;
    wire.topic = aliased.topic;
    wire.properties = aliased.properties;
    wire.packet_id = kNoPacketId;
    if (packet.qos != QoS::at_most_once) {
        auto kept = packet;
        kept.topic = aliased.kept_topic;
        kept.properties = aliased.kept_properties;
        wire.packet_id = outbound_.keep(kept, token);
    }
    if (encode_publish(out, options_.version, wire, packet_bytes_max()) == Encoded::too_large) {
        if (wire.packet_id != kNoPacketId) outbound_.release(wire.packet_id);
        return SendRefusal::packet_too_large;  // [MQTT-3.2.2-15]
    }
    if (wire.packet_id != kNoPacketId) {
        auto& slot = *outbound_.find(wire.packet_id);
        slot.phase = Phase::published;
        slot.sent_before = true;
        ++messages_;
        ++on_wire_;
    }
    if (aliased.learnt != 0) learn_alias(aliased.learnt, packet.topic);
    last_sent_ = now;
    return wire.packet_id;
}

SendResult<ClientSession::Aliased> ClientSession::with_alias(const Publish& packet) {
    Aliased plain{.topic = packet.topic,
                  .properties = packet.properties,
                  .kept_topic = packet.topic,
                  .kept_properties = packet.properties};
    if (options_.version != ProtocolVersion::v5) return plain;
    if (!packet.properties.empty()) {
        if (const auto alias = given_alias(packet.properties)) {
            return with_given_alias(packet, *alias);
        }
    }
    const auto limit = std::min(options_.topic_aliases_max, server_.topic_alias_maximum);
    if (limit == 0) return plain;
    std::uint16_t alias = 0;
    if (const auto known = alias_of_.find(packet.topic); known != alias_of_.end()) {
        alias = known->second;
        plain.topic = {};
    } else if (aliases_out_.size() < limit) {
        alias = static_cast<std::uint16_t>(aliases_out_.size() + 1);
        plain.learnt = alias;
    } else {
        return plain;
    }
    with_alias_.clear();
    with_alias_.number(Property::topic_alias, alias);
    for (const auto& entry : PropertyEntries{packet.properties}) with_alias_.entry(entry);
    plain.properties = with_alias_.bytes();
    return plain;
}

SendResult<ClientSession::Aliased> ClientSession::with_given_alias(const Publish& packet,
                                                                   std::uint16_t alias) {
    if (obey() && (alias == 0 || alias > server_.topic_alias_maximum)) {
        return SendRefusal::topic_alias_invalid;  // [MQTT-3.2.2-17]
    }
    Aliased aliased{.topic = packet.topic,
                    .properties = packet.properties,
                    .kept_topic = packet.topic,
                    .learnt = alias};
    if (packet.topic.empty()) {
        aliased.learnt = 0;
        const bool known =
            alias != 0 && alias <= aliases_out_.size() && !aliases_out_[alias - 1U].empty();
        if (known) {
            aliased.kept_topic = aliases_out_[alias - 1U];
        } else if (obey()) {
            return SendRefusal::topic_alias_invalid;
        }
    }
    // Aliases end with the connection, so what may be repeated on the next one has none
    // [MQTT-3.3.2-7].
    without_alias_.clear();
    for (const auto& entry : PropertyEntries{packet.properties}) {
        if (entry.id != Property::topic_alias) without_alias_.entry(entry);
    }
    aliased.kept_properties = without_alias_.bytes();
    return aliased;
}

void ClientSession::learn_alias(std::uint16_t alias, std::string_view topic) {
    if (aliases_out_.size() < alias) aliases_out_.resize(alias);
    auto& known = aliases_out_[alias - 1U];
    if (const auto before = alias_of_.find(known);
        before != alias_of_.end() && before->second == alias) {
        if (known == topic) return;  // said again
        alias_of_.erase(before);
    }
    known = topic;
    alias_of_.insert_or_assign(known, alias);
}

void ClientSession::send_waiting(Instant now, WireBuffer& out) {
    const std::size_t limit = obey() ? server_.receive_maximum : 65'535U;
    while (!waiting_.empty() && on_wire_ < limit) {
        const auto id = waiting_.front();
        waiting_.pop_front();
        auto& slot = *outbound_.find(id);
        if (encode_publish(out, options_.version, slot.publish(id), packet_bytes_max()) ==
            Encoded::too_large) {
            // This server, unlike the one it was first sent to, does not take packets of this size.
            pending_.emplace_back(PublishDone{
                .packet_id = id, .token = slot.token, .reason = ReasonCode::packet_too_large});
            outbound_.release(id);
            --messages_;
            continue;
        }
        slot.phase = Phase::published;
        slot.sent_before = true;
        ++on_wire_;
        last_sent_ = now;
    }
}

SendResult<PacketId> ClientSession::subscribe(std::span<const SubscriptionView> subscriptions,
                                              ByteView properties,
                                              Instant now,
                                              WireBuffer& out) {
    if (state_ != State::connected) return SendRefusal::not_connected;
    if (outbound_.full()) return SendRefusal::window_full;
    if (obey()) {
        for (const auto& subscription : subscriptions) {
            const auto filter = subscription.filter;
            if (!server_.wildcard_subscription_available &&
                filter.find_first_of("+#") != std::string_view::npos) {
                return SendRefusal::wildcard_subscriptions_not_supported;
            }
            if (!server_.shared_subscription_available && filter.starts_with("$share/")) {
                return SendRefusal::shared_subscriptions_not_supported;
            }
        }
        for (const auto& entry : PropertyEntries{properties}) {
            if (entry.id == Property::subscription_identifier &&
                !server_.subscription_identifier_available) {
                return SendRefusal::subscription_identifiers_not_supported;
            }
        }
    }
    const auto id = outbound_.take(Phase::subscribe);
    const Subscribe packet{
        .packet_id = id, .subscriptions = subscriptions, .properties = properties};
    if (encode_subscribe(out, options_.version, packet, packet_bytes_max()) == Encoded::too_large) {
        outbound_.release(id);
        return SendRefusal::packet_too_large;
    }
    outbound_.find(id)->token = subscriptions.size();  // how many reason codes are due
    last_sent_ = now;
    return id;
}

SendResult<PacketId> ClientSession::unsubscribe(std::span<const std::string_view> filters,
                                                ByteView properties,
                                                Instant now,
                                                WireBuffer& out) {
    if (state_ != State::connected) return SendRefusal::not_connected;
    if (outbound_.full()) return SendRefusal::window_full;
    const auto id = outbound_.take(Phase::unsubscribe);
    const Unsubscribe packet{.packet_id = id, .filters = filters, .properties = properties};
    if (encode_unsubscribe(out, options_.version, packet, packet_bytes_max()) ==
        Encoded::too_large) {
        outbound_.release(id);
        return SendRefusal::packet_too_large;
    }
    outbound_.find(id)->token = filters.size();
    last_sent_ = now;
    return id;
}

void ClientSession::authenticate(ReasonCode reason,
                                 ByteView properties,
                                 Instant now,
                                 WireBuffer& out) {
    STENTOR_ASSERT(options_.version == ProtocolVersion::v5, "AUTH is a packet of 5.0");
    if (state_ != State::connecting && state_ != State::connected) return;
    static_cast<void>(
        encode_auth(out, {.reason = reason, .properties = properties}, packet_bytes_max()));
    last_sent_ = now;
}

}  // namespace stentor::mqtt
