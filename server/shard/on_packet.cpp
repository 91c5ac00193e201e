// What the packets of an open connection ask of the shard, and what their effects ask of it.
#include "base/log.hpp"
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace stentor::server {

using mqtt::ReasonCode;

namespace {

/// For people who ask why a message did not arrive.
const char* explanation_of(mqtt::DropReason reason) noexcept {
    switch (reason) {
        case mqtt::DropReason::outbox_full:
            return "QoS 0 for a client that reads too slowly (limits.outbox_bytes_max)";
        case mqtt::DropReason::queue_full:
            return "the queue of the session or share is full (limits.transient_queue_*, "
                   "limits.session_backlog_messages_max)";
        case mqtt::DropReason::packet_too_large:
            return "larger than the client's Maximum Packet Size (of a share: than that of all "
                   "members that are connected)";
        case mqtt::DropReason::expired:
            return "its message expiry interval is over";
        case mqtt::DropReason::not_authorized:
            return "the rules do not allow it";
        case mqtt::DropReason::no_longer_stored:
            return "an unfinished message could not be read back from the store";
        case mqtt::DropReason::session_ended:
            return "it waited in memory for a session or share that has ended";
        case mqtt::DropReason::retained_limit:
            return "limits.retained_messages_max or retained_bytes_max is reached";
        case mqtt::DropReason::backlog_full:
        case mqtt::DropReason::too_old:
            return "the oldest of what waited for a session (see session_advanced)";
        case mqtt::DropReason::log_full:
            return "the store has no room for it, or had to let it go (see session_advanced)";
        case mqtt::DropReason::segment_missing:
            return "a file of the log is gone (see segment_missing)";
        case mqtt::DropReason::count_:
            break;
    }
    return "for an unknown reason";
}

}  // namespace

void Shard::on_publish(SessionEntry& entry, const mqtt::PublishView& packet, Instant now) {
    Connection& connection = connection_of(entry);
    mqtt::Session& session = entry.attached->session;
    fx_.clear();
    fx_.out = &connection.out;
    const auto wanted = session.accept_publish(packet, now, fx_);
    if (!wanted) {
        mark_dirty(connection);
        apply_effects(entry, now);
        return;
    }
    ++counters_.messages_received[static_cast<std::size_t>(packet.qos)];
    counters_.publish_bytes_received += wanted->topic.size() + packet.payload.size();
    Routed routed;
    const std::uint64_t ticket = next_ingress_ticket_++;
    // $SYS belongs to the broker (MQTT 4.7.2).
    if (wanted->topic.starts_with("$SYS/") ||
        !shared_.access->allows(
            TopicAction::publish, entry.identity, entry.client_id, wanted->topic)) {
        routed.reason = ReasonCode::not_authorized;
    } else {
        auto message = mqtt::Message::create(
            {.topic = wanted->topic,
             .properties = packet.properties,
             .payload = packet.payload,
             .publisher = entry.client_id,
             .qos = packet.qos,
             .retain = packet.retain,
             .arrival = now,
             .message_expiry_seconds = packet.properties.message_expiry_interval()});
        std::optional<store::InboundQos2> inbound;
        if (wanted->keep_identifier) inbound = {entry.client_id, packet.packet_id};
        const bool at_most_once = packet.qos == mqtt::QoS::at_most_once;
        std::uint32_t& logging =
            at_most_once ? entry.attached->logging_qos0 : entry.attached->logging_others;
        const AcknowledgePublish action{{entry.slot, entry.generation},
                                        ticket,
                                        at_most_once,
                                        inbound ? packet.packet_id : kNoPacketId};
        routed = route(std::move(message),
                       {.inbound = std::move(inbound), .behind_logged = logging != 0},
                       action,
                       now);
        if (routed.outcome == mqtt::Ingress::pending) ++logging;
        if (routed.outcome == mqtt::Ingress::refused) {
            // Nobody is told of QoS 0, which has no acknowledgement.
            at_most_once ? drop(mqtt::DropReason::log_full, entry.client_id)
                         : refuse_message(routed.reason, entry.client_id);
        }
    }
    session.ingress(packet.packet_id,
                    packet.qos,
                    routed.outcome,
                    routed.reason,
                    std::move(routed.message),
                    routed.destinations.bits(),
                    ticket,
                    fx_);
    mark_dirty(connection);
    apply_effects(entry, now);
}

void Shard::on_pubrel(SessionEntry& entry, const mqtt::PubrelView& packet, Instant now) {
    Connection& connection = connection_of(entry);
    fx_.clear();
    fx_.out = &connection.out;
    if (entry.attached->session.on(packet, fx_) == mqtt::Session::Pubrel::commit_forget) {
        commits_.add(store::InboundForgotten{entry.client_id, packet.packet_id},
                     AnswerPubrel{{entry.slot, entry.generation}, packet.packet_id});
    }
    mark_dirty(connection);
    apply_effects(entry, now);
}

void Shard::on_disconnect(SessionEntry& entry, const mqtt::DisconnectView& packet, Instant now) {
    with_session(entry, now, [&](auto& session, auto& fx) { session.on(packet, fx); });
}

/// Everything a call on the session asked for, in an order that is safe: what delivers to other
/// sessions (and uses fx_ again) comes after fx_ has been read.
void Shard::apply_effects(SessionEntry& entry, Instant now) {
    for (const mqtt::Dropped& each : fx_.drops) drop(each.reason, entry.client_id, each.messages);
    for (const std::uint64_t share : fx_.shares_done) {
        share_done({id_, entry.slot, entry.generation}, share);
    }
    count_deliveries(*entry.attached);
    Connection& connection = connection_of(entry);
    if (entry.durable && entry.attached->session.commit_need() != mqtt::CommitNeed::none) {
        request_commit(entry);
    }
    if (fx_.pause_reading) set_pause(connection, kPauseIngress, true);
    if (fx_.resume_reading) set_pause(connection, kPauseIngress, false);
    if (fx_.wants_more) request_feed(entry);
    const std::optional<mqtt::Close> closing = fx_.close;
    if (closing && closing->is_violation) {
        note_violation(connection, {closing->reason, closing->detail}, now);
    }
    if (!fx_.releases.empty()) {
        const AttachmentRef who{entry.slot, entry.generation};
        std::vector<mqtt::Release> releases;
        releases.swap(fx_.releases);
        for (const mqtt::Release& each : releases) {
            release(each.message, ShardMask{each.destinations}, now);
        }
        if (!closing) {  // give the capacity back
            releases.clear();
            if (fx_.releases.capacity() == 0) fx_.releases.swap(releases);
        }
        if (closing && sessions_.attached(who.slot, who.generation) == nullptr) return;
    }
    if (!closing) return;
    if (matching_) {
        deferred_closes_.push_back({{entry.slot, entry.generation}, *closing});
    } else {
        close(connection, *closing, now);
    }
}

void Shard::count_deliveries(Attachment& attached) {
    const auto inflight = static_cast<std::uint32_t>(attached.session.inflight_count());
    inflight_ += inflight;
    inflight_ -= std::exchange(attached.inflight_counted, inflight);
    for (const mqtt::Effects::Delivery& each : fx_.sampled_deliveries) {
        // How long a message has waited for its receiver to come back says nothing about us.
        if (each.arrival < attached.since) continue;
        // Another shard's step may have begun later than ours.
        const Duration took = std::max(each.sent - each.arrival, Duration::zero());
        counters_.delivery_microseconds.add(static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
    }
}

/// One that its publisher is told of; 3.1.1 by the end of the connection.
void Shard::refuse_message(ReasonCode reason, std::string_view client) {
    const bool lacks_room = reason == ReasonCode::quota_exceeded;
    const RefusedMessage why =
        lacks_room ? RefusedMessage::quota_exceeded : RefusedMessage::not_committed;
    ++counters_.messages_refused[static_cast<std::size_t>(why)];
    static std::array<LogEvery, Counters::kRefusedMessages> every{
        {{5, std::chrono::seconds{10}}, {5, std::chrono::seconds{10}}}};
    const auto pass = every[static_cast<std::size_t>(why)].admit(stepped_at_);
    if (!pass) return;
    STENTOR_LOG(
        warn,
        LogEvent("message_refused",
                 {{"client", client}, {"reason", name(why)}, {"suppressed", pass.suppressed}}),
        "refused: {}",
        lacks_room ? "the store has no room for it (store.max_bytes, store.min_free_bytes, or the "
                     "disk is full)"
                   : "the store could not commit it");
}

/// Nothing is dropped silently: counted, and said so as often as can be read. `client` is who does
/// not get the message, or who sent it; empty: nobody in particular.
void Shard::drop(mqtt::DropReason reason, std::string_view client, std::uint64_t messages) {
    if (messages == 0) return;
    counters_.dropped(reason, messages);
    if (reason == mqtt::DropReason::expired) return;  // as its publisher wished
    using std::chrono_literals::operator""s;
    static std::array<LogEvery, Counters::kDropReasons> every{{{5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s},
                                                               {5, 10s}}};
    const auto pass = every[static_cast<std::size_t>(reason)].admit(stepped_at_);
    if (!pass) return;
    STENTOR_LOG(warn,
                LogEvent("message_dropped",
                         {{"client", client},
                          {"reason", name(reason)},
                          {"messages", messages},
                          {"suppressed", pass.suppressed}}),
                "dropped: {}",
                explanation_of(reason));
}

}  // namespace stentor::server
