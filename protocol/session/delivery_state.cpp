// What is committed about deliveries, and what waits for it (rules 4 and 5).

#include "base/assert.hpp"
#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/outbound_aliases.hpp"
#include "protocol/session/session.hpp"

#include <algorithm>
#include <utility>

namespace stentor::mqtt {

/// Nothing more is awaited from the client for this entry. If no change has named its identifier,
/// none ever will; otherwise the identifier stays in use until the commit that says it is free.
void Session::finish(std::size_t index, Effects& fx) {
    Outbound& out = *outbound_;
    Outgoing& entry = out.inflight[index];
    STENTOR_ASSERT(entry.phase != Outgoing::Phase::done);
    if (entry.share_tag != 0) fx.shares_done.push_back(entry.share_tag);
    out.release(entry);
    --out.open;
    const bool was_sent = entry.phase == Outgoing::Phase::received || entry.on_wire;
    --(was_sent ? out.slots_used : out.unsent);
    if (!entry.listed) {
        out.inflight.erase(index);
        return;
    }
    entry.phase = Outgoing::Phase::done;
    entry.commit = Outgoing::Commit::needed;
    entry.subscription_identifiers = {};
    ++out.done_to_tell;
    out.changed = true;
}

CommitNeed Session::commit_need() const noexcept {
    if (!outbound_ || !outbound_->changed) return CommitNeed::none;
    // Nothing visible waits for the commit of "done", but identifiers do not grow on trees.
    if (outbound_->urgent || outbound_->done_to_tell >= window()) return CommitNeed::now;
    return CommitNeed::lazy;
}

DeliveryChange Session::take_delivery_change() { return take(Extent::change); }

DeliveryChange Session::take_whole_state() { return take(Extent::whole); }

DeliveryChange Session::take(Extent extent) {
    Outbound& out = outbound();
    ++out.changes_taken;
    DeliveryChange change{.sent_through = sent_through_, .whole = extent == Extent::whole};
    for (std::size_t i = 0; i < out.inflight.size(); ++i) {
        Outgoing& entry = out.inflight[i];
        if (entry.commit == Outgoing::Commit::needed) {
            entry.commit = Outgoing::Commit::under_way;
            entry.change = out.changes_taken;
            entry.listed = true;
        } else if (!change.whole) {
            continue;
        }
        if (entry.phase == Outgoing::Phase::done) {
            if (!change.whole) change.done.push_back(entry.packet_id);
            continue;
        }
        const bool received = entry.phase == Outgoing::Phase::received;
        change.changed.push_back({.seq = entry.seq,
                                  .packet_id = entry.packet_id,
                                  .qos = entry.qos,
                                  .phase = received ? DeliveryPhase::received : DeliveryPhase::sent,
                                  .retain = entry.retain});
    }
    out.changed = out.urgent = false;
    out.done_to_tell = 0;
    return change;
}

std::optional<Seq> Session::lowest_unlisted(bool earlier) const noexcept {
    std::optional<Seq> lowest;
    if (!outbound_) return lowest;
    for (std::size_t i = 0; i < outbound_->inflight.size(); ++i) {
        const Outgoing& entry = outbound_->inflight[i];
        const bool is_listed =
            entry.commit == Outgoing::Commit::settled && !(earlier && entry.repeated);
        if (entry.seq == kNoSeq || is_listed || entry.phase == Outgoing::Phase::done) continue;
        lowest = lowest ? std::min(*lowest, entry.seq) : entry.seq;
    }
    return lowest;
}

void Session::delivery_committed(Instant now, Effects& fx) {
    STENTOR_ASSERT(outbound_ && outbound_->changes_committed != outbound_->changes_taken);
    Outbound& out = *outbound_;
    const std::uint32_t change = ++out.changes_committed;
    out.inflight.erase_if([change](Outgoing& entry) {
        if (entry.commit != Outgoing::Commit::under_way || entry.change != change) return false;
        entry.commit = Outgoing::Commit::settled;
        return entry.phase == Outgoing::Phase::done;
    });
    if (closed_) return;
    send_due_pubrels(fx);
    pump(now, fx);
}

void Session::send_due_pubrels(Effects& fx) {
    Outbound& out = *outbound_;
    for (; !out.pubrels_due.empty(); out.pubrels_due.pop_front()) {
        const auto at = out.find(out.pubrels_due.front());
        if (!at) continue;  // ended meanwhile
        Outgoing& entry = out.inflight[*at];
        if (entry.phase != Outgoing::Phase::received || entry.on_wire) continue;
        if (entry.commit != Outgoing::Commit::settled) return;
        send_ack(PacketType::pubrel, entry.packet_id, ReasonCode::success, fx);
        entry.on_wire = true;
    }
}

SessionParts Session::take_parts() && {
    SessionParts parts{.sent_through = sent_through_, .last_packet_id = last_packet_id_};
    if (inbound_) parts.inbound_qos2 = inbound_->ids.accepted();
    if (outbound_) {
        Ring<Outgoing>& inflight = outbound_->inflight;
        for (std::size_t i = 0; i < inflight.size(); ++i) {
            Outgoing& entry = inflight[i];
            if (entry.phase == Outgoing::Phase::done) continue;
            const auto ids = entry.subscription_identifiers.view();
            const bool received = entry.phase == Outgoing::Phase::received;
            parts.inflight.push_back(
                {.seq = entry.seq,
                 .packet_id = entry.packet_id,
                 .qos = entry.qos,
                 .phase = received ? DeliveryPhase::received : DeliveryPhase::sent,
                 .message = std::move(entry.message),
                 .retain = entry.retain,
                 .subscription_identifiers = {ids.begin(), ids.end()},
                 .identifiers_lost = entry.identifiers_lost,
                 .was_sent = received || entry.on_wire || entry.repeated,
                 .share_tag = entry.share_tag});
        }
        for (std::size_t i = 0; i < outbound_->queue.size(); ++i) {
            Outbound::Queued& queued = outbound_->queue[i];
            if (queued.share_tag == 0) continue;
            parts.queued_shares.push_back({.seq = kNoSeq,
                                           .packet_id = kNoPacketId,
                                           .qos = queued.qos,
                                           .message = std::move(queued.message),
                                           .was_sent = false,
                                           .share_tag = queued.share_tag});
        }
    }
    closed_ = true;
    inbound_.reset();
    outbound_.reset();
    aliases_.reset();
    return parts;
}

}  // namespace stentor::mqtt
