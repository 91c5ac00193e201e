// Messages to the client: at once, into the window, into the transient queue, or not at all.

#include "base/assert.hpp"
#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/outbound_aliases.hpp"
#include "protocol/session/session.hpp"

#include <utility>

namespace stentor::mqtt {

namespace {

/// Identifiers run out before this; entries that wait for the commit of their end count too.
constexpr std::size_t kPacketIdsMax = 65'535;

[[nodiscard]] PublishDelivery delivery_of(const Grant& grant, const Message& message, Instant now) {
    return {.qos = grant.qos,
            .retain = grant.retain,
            .packet_id = kNoPacketId,
            .message_expiry_left_seconds = message.expiry_left_seconds(now),
            .subscription_identifiers = grant.subscription_identifiers};
}

}  // namespace

/// Whether one more message may be in flight.
bool Session::inflight_has_room() const noexcept {
    const Outbound& out = *outbound_;
    return out.open < window() && out.inflight.size() < kPacketIdsMax &&
           out.inflight_bytes < limits_->inflight_bytes_max;
}

bool Session::window_open() const noexcept {
    if (!outbound_) return window() > 0;
    return inflight_has_room() && outbound_->queue.empty() && !outbound_->outbox_full;
}

bool Session::request_room() {
    if (window_open()) return true;
    outbound().starved = true;
    return false;
}

void Session::drop(DropReason reason, const Grant& grant, Effects& fx) {
    fx.drops.push_back({.reason = reason});
    if (grant.share_tag != 0) fx.shares_done.push_back(grant.share_tag);
}

/// window_open(), as of now; remembers a full outbox for pump().
bool Session::has_room(const Effects& fx) {
    outbound().outbox_full = !outbox_has_room(fx);
    return window_open();
}

void Session::deliver(const MessagePtr& message, const Grant& grant, Instant now, Effects& fx) {
    if (closed_) return;
    if (message->expired(now)) {  // [MQTT-3.3.2-5]
        drop(DropReason::expired, grant, fx);
        return;
    }
    if (!fits(*message, delivery_of(grant, *message, now))) {
        drop(DropReason::packet_too_large, grant, fx);  // [MQTT-3.1.2-25]
        return;
    }
    if (grant.qos == QoS::at_most_once) {
        deliver_at_most_once(*message, grant, now, fx);
        return;
    }
    STENTOR_ASSERT(!durable(), "what a durable session gets with QoS 1/2 is in the log");
    if (has_room(fx)) {
        admit(kNoSeq, message, grant, now, fx);
    } else {
        enqueue(message, grant, fx);
    }
}

void Session::deliver_at_most_once(const Message& message,
                                   const Grant& grant,
                                   Instant now,
                                   Effects& fx) {
    if (!outbox_has_room(fx)) {
        fx.drops.push_back({.reason = DropReason::outbox_full});
        return;
    }
    append_publish(message, delivery_of(grant, message, now), now, fx);
}

Session::Logged Session::deliver_logged(
    Seq seq, const MessagePtr& message, const Grant& grant, Instant now, Effects& fx) {
    STENTOR_ASSERT(seq != kNoSeq);
    if (seq <= sent_through_) return Logged::taken;  // rule 3
    if (take_logged(seq, message, grant, now, fx) == Logged::window_full) {
        advance(Seq{seq.value() - 1});
        live_ = false;
        return Logged::window_full;
    }
    sent_through_ = seq;
    return Logged::taken;
}

Session::Logged Session::deliver_pinned(
    Seq seq, const MessagePtr& message, const Grant& grant, Instant now, Effects& fx) {
    return take_logged(seq, message, grant, now, fx);
}

Session::Logged Session::take_logged(
    Seq seq, const MessagePtr& message, const Grant& grant, Instant now, Effects& fx) {
    STENTOR_ASSERT(grant.qos != QoS::at_most_once);
    if (closed_) return Logged::window_full;
    if (message->expired(now)) {
        drop(DropReason::expired, grant, fx);
        return Logged::taken;
    }
    if (!fits(*message, delivery_of(grant, *message, now))) {
        drop(DropReason::packet_too_large, grant, fx);
        return Logged::taken;
    }
    if (!has_room(fx)) {
        outbound_->starved = true;
        return Logged::window_full;
    }
    admit(seq, message, grant, now, fx);
    return Logged::taken;
}

// Everything leaves in the order in which it came here, so that it can be repeated in that order
// [MQTT-4.6.0-1]: a QoS 1 message waits behind a QoS 2 one whose commit is under way.
void Session::admit(
    Seq seq, const MessagePtr& message, const Grant& grant, Instant now, Effects& fx) {
    Outbound& out = outbound();
    Outgoing entry;
    out.hold(entry, message);
    entry.seq = seq;
    entry.subscription_identifiers = SubscriptionIds{grant.subscription_identifiers};
    entry.packet_id = allocate_packet_id();
    entry.qos = grant.qos;
    entry.retain = grant.retain;
    entry.share_tag = grant.share_tag;
    if (durable()) {
        entry.commit = Outgoing::Commit::needed;
        out.changed = true;
        if (grant.qos == QoS::exactly_once) out.urgent = true;
    }
    const bool first = out.unsent == 0;
    ++out.open;
    ++out.unsent;
    const bool leaves = may_leave(out.inflight.push_back(std::move(entry)), fx);
    if (first && leaves) send_outgoing(out.inflight.size() - 1, now, fx);
}

void Session::enqueue(const MessagePtr& message, const Grant& grant, Effects& fx) {
    Outbound& out = outbound();
    Outbound::Queued queued{
        .message = message,
        .subscription_identifiers = SubscriptionIds{grant.subscription_identifiers},
        .share_tag = grant.share_tag,
        .qos = grant.qos,
        .retain = grant.retain};
    const std::size_t bytes = queued.bytes();
    if (out.queue.size() >= limits_->transient_queue_messages_max ||
        out.queue_bytes + bytes > limits_->transient_queue_bytes_max) {
        drop(DropReason::queue_full, grant, fx);
        return;
    }
    out.queue_bytes += bytes;
    out.queue.push_back(std::move(queued));
}

void Session::withdraw_queued(const std::function<bool(const Message&)>& may_stay,
                              std::vector<InflightMessage>& shares,
                              Effects& fx) {
    if (!outbound_) return;
    Outbound& out = *outbound_;
    for (std::size_t left = out.queue.size(); left != 0; --left) {
        Outbound::Queued queued = std::move(out.queue.front());
        out.queue.pop_front();
        if (may_stay(*queued.message)) {
            out.queue.push_back(std::move(queued));
            continue;
        }
        out.queue_bytes -= queued.bytes();
        if (queued.share_tag == 0) {
            fx.drops.push_back({.reason = DropReason::not_authorized});
            continue;
        }
        fx.shares_done.push_back(queued.share_tag);
        InflightMessage& share = shares.emplace_back();
        share.message = std::move(queued.message);
        share.qos = queued.qos;
        share.share_tag = queued.share_tag;
    }
}

void Session::send_queued(Instant now, Effects& fx) {
    Outbound& out = *outbound_;
    while (!out.queue.empty() && inflight_has_room()) {
        if (!outbox_has_room(fx)) {
            out.outbox_full = true;
            return;
        }
        out.queue_bytes -= out.queue.front().bytes();
        const Outbound::Queued queued = std::move(out.queue.front());
        out.queue.pop_front();
        const Grant grant{.qos = queued.qos,
                          .retain = queued.retain,
                          .subscription_identifiers = queued.subscription_identifiers.view(),
                          .share_tag = queued.share_tag};
        if (queued.message->expired(now)) {
            drop(DropReason::expired, grant, fx);
            continue;
        }
        admit(kNoSeq, queued.message, grant, now, fx);
    }
}

void Session::pump(Instant now, Effects& fx) {
    if (closed_) return;
    resume_if_relieved(fx);
    if (!outbound_) return;
    outbound_->outbox_full = !outbox_has_room(fx);
    send_unsent(now, fx);
    send_queued(now, fx);
    if (outbound_->starved && window_open()) {
        outbound_->starved = false;
        fx.wants_more = true;
    }
}

}  // namespace stentor::mqtt
