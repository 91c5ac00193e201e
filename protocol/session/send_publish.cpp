// PUBLISH to the client (section 3.3): identifiers, aliases, size, and when it may leave.

#include "base/assert.hpp"
#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/outbound_aliases.hpp"
#include "protocol/session/session.hpp"

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <utility>

namespace stentor::mqtt {

// Never 0, never one in use [MQTT-2.2.1-4]. Identifiers rise and wrap around. `free_ids_ahead` says
// how many of the next ones are known to be free, so that those in flight are looked at about once
// in 65,000 messages; each once then, in whatever order they were acknowledged.
PacketId Session::allocate_packet_id() {
    Outbound& out = *outbound_;
    STENTOR_ASSERT(out.inflight.size() < 65'535);
    if (out.free_ids_ahead == 0) {
        std::bitset<65'536> used;
        used.set(0);
        for (std::size_t i = 0; i < out.inflight.size(); ++i) {
            used.set(out.inflight[i].packet_id.value());
        }
        const auto next = [](std::uint16_t id) { return static_cast<std::uint16_t>(id + 1); };
        while (used[next(last_packet_id_)]) ++last_packet_id_;
        for (std::uint16_t id = next(last_packet_id_); !used[id]; ++id) ++out.free_ids_ahead;
    }
    --out.free_ids_ahead;
    return PacketId{++last_packet_id_};
}

bool Session::fits(const Message& message, const PublishDelivery& delivery) const noexcept {
    return publish_fits(request_.version, message, delivery, request_.packet_bytes_max);
}

/// The packet without an alias must fit.
void Session::append_publish(const Message& message,
                             PublishDelivery delivery,
                             Instant now,
                             Effects& fx) {
    ++fx.messages_sent[static_cast<std::size_t>(delivery.qos)];
    if (!delivery.dup && !delivery.retain) fx.delivered(message, now);
    const std::uint16_t aliases_max =
        std::min(request_.topic_alias_maximum, limits_->topic_aliases_max);
    if (aliases_max == 0 || !is_v5()) {
        encode_publish(*fx.out, request_.version, message, delivery);
        return;
    }
    if (!aliases_) aliases_ = std::make_unique<Aliases>(aliases_max);
    const Aliases::Choice choice = aliases_->choose(message);
    PublishDelivery with_alias = delivery;
    with_alias.topic_alias = choice.alias;
    with_alias.topic_omitted = choice.known;
    if (choice.alias == 0 || !fits(message, with_alias)) {
        encode_publish(*fx.out, request_.version, message, delivery);
        return;
    }
    encode_publish(*fx.out, request_.version, message, with_alias);
    if (!choice.known) aliases_->establish(message, choice.alias);
}

/// Sends the unsent entry at `index`, or ends it if it cannot be sent at all; then it may be gone.
void Session::send_outgoing(std::size_t index, Instant now, Effects& fx) {
    Outbound& out = *outbound_;
    Outgoing& entry = out.inflight[index];
    const Message& message = *entry.message;
    const PublishDelivery delivery{
        .qos = entry.qos,
        .dup = entry.repeated,  // [MQTT-3.3.1-1]
        .retain = entry.retain,
        .packet_id = entry.packet_id,
        .message_expiry_left_seconds = message.expiry_left_seconds(now),
        .subscription_identifiers = entry.subscription_identifiers.view()};
    if (!fits(message, delivery)) {
        // Only after a reconnect with a smaller Maximum Packet Size: as if it were done
        // [MQTT-3.1.2-25].
        fx.drops.push_back({.reason = DropReason::packet_too_large});
        finish(index, fx);
        return;
    }
    append_publish(message, delivery, now, fx);
    entry.on_wire = true;
    --out.unsent;
    ++out.slots_used;
}

/// Whether nothing but its place in the order keeps the PUBLISH of an unsent entry back.
bool Session::may_leave(const Outgoing& entry, Effects& fx) {
    Outbound& out = *outbound_;
    if (entry.qos == QoS::exactly_once && entry.commit != Outgoing::Commit::settled) {
        return false;  // rule 4
    }
    if (!entry.message || out.slots_used >= window()) return false;  // [MQTT-3.3.4-9]
    if (outbox_has_room(fx)) return true;
    out.outbox_full = true;
    return false;
}

void Session::send_unsent(Instant now, Effects& fx) {
    Outbound& out = *outbound_;
    for (std::size_t i = 0; i < out.inflight.size() && out.unsent > 0;) {
        Outgoing& entry = out.inflight[i];
        if (entry.phase == Outgoing::Phase::sent && !entry.on_wire) {
            if (!may_leave(entry, fx)) return;
            const std::size_t before = out.inflight.size();
            send_outgoing(i, now, fx);
            if (out.inflight.size() < before) continue;
        }
        ++i;
    }
}

void Session::send_inflight_again(Instant now, Effects& fx) {
    if (!outbound_ || closed_) return;
    Outbound& out = *outbound_;
    bool held_up = false;
    for (std::size_t i = 0; i < out.inflight.size();) {
        Outgoing& entry = out.inflight[i];
        const std::size_t before = out.inflight.size();
        if (entry.phase == Outgoing::Phase::received && !entry.on_wire &&
            entry.commit == Outgoing::Commit::settled) {
            // Not held up by PUBLISH packets beyond the window: it is what makes room there.
            send_ack(PacketType::pubrel, entry.packet_id, ReasonCode::success, fx);
            entry.on_wire = true;
        } else if (entry.phase == Outgoing::Phase::sent && !entry.on_wire && !held_up) {
            held_up = !may_leave(entry, fx);
            if (!held_up) send_outgoing(i, now, fx);
        }
        if (out.inflight.size() == before) ++i;
    }
}

void Session::missing_messages(std::vector<Seq>& out) const {
    if (!outbound_) return;
    const Ring<Outgoing>& inflight = outbound_->inflight;
    for (std::size_t i = 0; i < inflight.size(); ++i) {
        if (inflight[i].phase == Outgoing::Phase::sent && !inflight[i].message) {
            out.push_back(inflight[i].seq);
        }
    }
}

void Session::restore_message(
    Seq seq,
    MessagePtr message,
    const std::function<std::span<const std::uint32_t>()>& identifiers_anew,
    Effects& fx,
    DropReason why_not) {
    if (!outbound_) return;
    Ring<Outgoing>& inflight = outbound_->inflight;
    for (std::size_t i = 0; i < inflight.size(); ++i) {
        Outgoing& entry = inflight[i];
        if (entry.seq != seq || entry.phase != Outgoing::Phase::sent || entry.message) continue;
        if (!message) {
            fx.drops.push_back({.reason = why_not});
            if (entry.qos == QoS::exactly_once) {
                mark_received(i);
            } else {
                finish(i, fx);
            }
            return;
        }
        outbound_->hold(entry, std::move(message));
        if (std::exchange(entry.identifiers_lost, false)) {
            entry.subscription_identifiers = SubscriptionIds{identifiers_anew()};
        }
        return;
    }
}

}  // namespace stentor::mqtt
