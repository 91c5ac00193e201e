// Shared subscriptions: the group's home picks a connected member for each message, the member's
// shard delivers it (MQTT 5.0 4.8.2).
#include "server/shard/shard.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

using mqtt::QoS;

/// To another shard, or to ourselves at once.
void Shard::send_to(ShardId shard, ShardMessage message) {
    if (shard == id_) {
        local_.push_back(std::move(message));
    } else {
        mailbox_of(shard).push_reserved(std::move(message));
    }
}

void Shard::shared_join(SharedJoin join, Instant now) {
    const auto joined = groups_.join(join);
    SharedGroups::Group& group = *joined.group;
    if (joined.is_new) {
        mqtt::SubscriptionOptions options;
        options.qos = QoS::exactly_once;  // members have their own
        index_.add(
            group.filter,
            {.id = SubscriberId::shared_group(group.slot), .options = options, .since = kNoSeq});
    }
    if (join.cookie != 0) send_to(join.member.shard, SharedJoined{join.cookie});
    if (join.away) return;
    std::deque<SharedGroups::Waiting> waiting;
    waiting.swap(group.waiting);
    const std::uint32_t slot = group.slot;
    for (SharedGroups::Waiting& each : waiting) assign_shared(slot, each.message, each.seq, now);
}

void Shard::shared_leave(const SharedLeave& leave, Instant now) {
    (void)now;
    SharedGroups::Group* emptied = groups_.leave(leave);
    if (emptied == nullptr) return;
    if (!emptied->waiting.empty()) {
        counters_.dropped(mqtt::DropReason::session_ended, emptied->waiting.size());
    }
    (void)index_.remove(emptied->filter, SubscriberId::shared_group(emptied->slot));
    groups_.erase(*emptied);
}

void Shard::assign_shared(std::uint32_t slot, const MessagePtr& message, Seq seq, Instant now) {
    (void)now;
    SharedGroups::Group* group = groups_.at(slot);
    if (group == nullptr) return;
    const SharedGroups::Member* member = groups_.pick(*group);
    if (member == nullptr) {
        // Everybody is away. QoS 0 does not wait for anyone; the rest does, within a bound.
        if (message->qos() == QoS::at_most_once) return;
        if (group->waiting.size() >= options_.shared_waiting_messages_max) {
            counters_.dropped(mqtt::DropReason::queue_full);
            return;
        }
        group->waiting.push_back({message, seq});
        return;
    }
    send_to(member->who.shard,
            SharedDeliver{.group = slot,
                          .home = id_,
                          .member = member->who,
                          .message = message,
                          .seq = seq,
                          .options = member->options,
                          .subscription_identifier = member->subscription_identifier});
}

void Shard::shared_deliver(SharedDeliver delivery, Instant now) {
    SessionEntry* entry = sessions_.attached(delivery.member.slot, delivery.member.generation);
    const QoS qos = std::min(delivery.options.qos, delivery.message->qos());
    const bool pinned =
        entry != nullptr && entry->durable && delivery.seq != kNoSeq && qos != QoS::at_most_once;
    if (entry == nullptr || !entry->attached->open ||
        (pinned && (entry->attached->restoring || !entry->attached->session.window_open()))) {
        if (qos == QoS::at_most_once) return;
        // It went, or is full: somebody else's turn. With nobody better the home waits for us.
        if (entry != nullptr) {
            entry->attached->shared_waiting.push_back(std::move(delivery));
            return;
        }
        send_to(delivery.home, SharedReturn{delivery.group, delivery.message, delivery.seq});
        return;
    }
    identifiers_.clear();
    if (delivery.subscription_identifier != 0) {
        identifiers_.push_back(delivery.subscription_identifier);
    }
    const mqtt::Grant grant{
        .qos = qos,
        .retain = delivery.options.retain_as_published && delivery.message->retain(),
        .subscription_identifiers = identifiers_};
    ++counters_.messages_matched;
    with_session(*entry, now, [&](auto& session, auto& fx) {
        if (pinned) {
            (void)session.deliver_pinned(delivery.seq, delivery.message, grant, now, fx);
        } else {
            session.deliver(delivery.message, grant, now, fx);
        }
    });
}

/// What waited for this session's window while it was attached; in order.
void Shard::feed_shared(SessionEntry& entry, Instant now) {
    const AttachmentRef who{entry.slot, entry.generation};
    while (!entry.attached->shared_waiting.empty() && entry.attached->session.window_open()) {
        SharedDeliver next = std::move(entry.attached->shared_waiting.front());
        entry.attached->shared_waiting.pop_front();
        shared_deliver(std::move(next), now);
        if (sessions_.attached(who.slot, who.generation) == nullptr) return;
    }
}

void Shard::shared_return(SharedReturn returned, Instant now) {
    assign_shared(returned.group, returned.message, returned.seq, now);
}

}  // namespace stentor::server
