// Shared subscriptions: the group's home picks a member with room for each message, the member's
// shard delivers it and tells when it is done with (MQTT 5.0 4.8.2). At a time a member has at most
// its window of QoS 1 and 2 messages; the others wait at home.
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

using mqtt::QoS;

namespace {

/// QoS 0 shares for one shard whose mailbox is full: beyond this they are dropped.
constexpr std::size_t kUnsentSharesMax = 10'000;
/// QoS 0 shares that wait for a member's CONNACK to leave: likewise.
constexpr std::size_t kEarlySharesMax = 1000;

}  // namespace

std::uint64_t Shard::shared_key(std::string_view text) const {
    const auto parsed = mqtt::parse_subscription_filter(text);
    return parsed.is_shared() ? shared_.placement->shared_key(parsed.share_name, parsed.filter) : 0;
}

/// To another shard, or to ourselves at once.
void Shard::send_to(ShardId shard, ShardMessage message) {
    if (shard == id_) {
        local_.push_back(std::move(message));
    } else {
        mailbox_of(shard).push_reserved(std::move(message));
    }
}

/// Of an attached session.
ShareTerms Shard::share_terms(const SessionEntry& entry, const Subscription& subscription) const {
    const mqtt::ConnectRequest& request = entry.attached->session.request();
    return {.window = std::min(request.receive_maximum, options_.limits.inflight_maximum),
            .packet_bytes_max = request.packet_bytes_max,
            .version = request.version,
            .qos = subscription.options.qos,
            .subscription_identifier = subscription.identifier};
}

void Shard::send_join(const SessionEntry& entry,
                      const Subscription& subscription,
                      std::uint64_t cookie) {
    const auto parsed = mqtt::parse_subscription_filter(subscription.text);
    SharedJoin join;
    join.key = subscription.share_key;
    join.share_name = parsed.share_name;
    join.filter = parsed.filter;
    join.member = {id_, entry.slot, entry.generation};
    join.cookie = cookie;
    join.away = entry.attached == nullptr;
    if (entry.attached != nullptr) join.terms = share_terms(entry, subscription);
    const ShardId home = shared_.placement->of_shared(join.key);
    send_to(home, std::move(join));
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
    assign_waiting(group, now);
}

void Shard::shared_leave(const SharedLeave& leave, Instant now) {
    SharedGroups::Group* emptied = groups_.leave(leave);
    if (emptied == nullptr) {
        if (SharedGroups::Group* group = groups_.find(leave.key)) assign_waiting(*group, now);
        return;
    }
    drop(mqtt::DropReason::session_ended, {}, emptied->waiting_messages());
    (void)index_.remove(emptied->filter, SubscriberId::shared_group(emptied->slot));
    groups_.erase(*emptied);
}

/// A message for a group of ours.
void Shard::assign_shared(std::uint32_t slot, const MessagePtr& message, Seq seq, Instant now) {
    SharedGroups::Group* group = groups_.at(slot);
    if (group == nullptr) return;
    if (message->qos() == QoS::at_most_once) {
        // Waits for nobody.
        (void)give_connected(*group, message, seq);
        return;
    }
    const std::size_t bytes = message->bytes();
    if (group->waiting_messages() >= options_.shared_waiting.messages_max ||
        group->waiting_bytes + bytes > options_.shared_waiting.bytes_max ||
        groups_.waiting_bytes() + bytes > options_.shared_waiting_bytes_of_all_max) {
        drop(mqtt::DropReason::queue_full, {});
        return;
    }
    groups_.append(*group, {message, seq});
    assign_waiting(*group, now);
}

/// To a connected member, if there is one. False: nobody is connected.
bool Shard::give_connected(SharedGroups::Group& group, const MessagePtr& message, Seq seq) {
    const SharedGroups::Choice choice = SharedGroups::pick_connected(group, *message);
    if (choice.member != nullptr) {
        give(group, *choice.member, message, seq);
    } else if (choice.why == SharedGroups::Choice::Why::too_large) {
        drop(mqtt::DropReason::packet_too_large, {});
    } else {
        return false;
    }
    return true;
}

/// Gives away what waits, as far as members have room.
void Shard::assign_waiting(SharedGroups::Group& group, Instant now) {
    using Line = SharedGroups::Line;
    while (group.has_first(Line::set_aside) && assign_first(group, Line::set_aside, now)) {
    }
    while (group.has_first(Line::usual) && assign_first(group, Line::usual, now)) {
    }
}

/// False: it stays the first.
bool Shard::assign_first(SharedGroups::Group& group, SharedGroups::Line line, Instant now) {
    if (group.first(line).expired(now)) {
        drop(mqtt::DropReason::expired, {});
        (void)groups_.take_first(group, line);
        return true;
    }
    using Why = SharedGroups::Choice::Why;
    const SharedGroups::Choice choice = SharedGroups::pick(group, group.first(line));
    switch (choice.why) {
        case Why::nobody_there:
            return false;
        case Why::others_only:
            if (line == SharedGroups::Line::set_aside) return false;
            groups_.set_first_aside(group);
            return true;
        case Why::too_large:
            drop(mqtt::DropReason::packet_too_large, {});
            (void)groups_.take_first(group, line);
            return true;
        case Why::found:
            break;
    }
    ++choice.member->given;
    const SharedGroups::Waiting next = groups_.take_first(group, line);
    give(group, *choice.member, next.message, next.seq);
    return true;
}

void Shard::give(const SharedGroups::Group& group,
                 const SharedGroups::Member& member,
                 const MessagePtr& message,
                 Seq seq) {
    std::vector<SharedDeliver>& unsent = outgoing_shares_[member.who.shard.value()];
    if (message->qos() == QoS::at_most_once && unsent.size() >= kUnsentSharesMax) {
        drop(mqtt::DropReason::queue_full, {});
        return;
    }
    unsent.push_back({.key = group.key, .member = member.who, .message = message, .seq = seq});
}

/// At the member's shard. It may have lost its connection or its subscription meanwhile.
void Shard::shared_deliver(SharedDeliver delivery, Instant now) {
    SessionEntry* entry = sessions_.attached(delivery.member.slot, delivery.member.generation);
    Subscription* wanted = entry == nullptr ? nullptr : entry->find_share(delivery.key);
    if (wanted != nullptr && entry->attached->judged != edition_) {
        judge_share(*entry, *wanted);
        if (wanted->withheld) wanted = nullptr;
    }
    const bool at_most_once = delivery.message->qos() == QoS::at_most_once;
    if (wanted == nullptr) {
        return_share(std::move(delivery));
        return;
    }
    const bool waits =
        !at_most_once && wanted->options.qos != QoS::at_most_once &&
        (!entry->attached->shared_waiting.empty() || !entry->attached->session.request_room());
    const bool ready = entry->attached->open && !entry->attached->restoring;
    if (ready && !waits && send_share(*entry, *wanted, delivery, now)) return;
    entry = sessions_.attached(delivery.member.slot, delivery.member.generation);
    if (entry == nullptr) return;
    if (at_most_once && entry->attached->shared_waiting.size() >= kEarlySharesMax) {
        drop(mqtt::DropReason::queue_full, entry->client_id);
        return;
    }
    entry->attached->shared_waiting.push_back(std::move(delivery));
}

/// False if there is no room now.
bool Shard::send_share(SessionEntry& entry,
                       const Subscription& subscription,
                       const SharedDeliver& delivery,
                       Instant now) {
    if (!may_read(entry, delivery.message->topic())) {  // acl_subscribe = "filter"
        drop(mqtt::DropReason::not_authorized, entry.client_id);
        if (delivery.message->qos() != QoS::at_most_once) {
            share_done(delivery.member, delivery.key);
        }
        return true;
    }
    if (!SharedGroups::fits(share_terms(entry, subscription), *delivery.message)) {
        // [MQTT-3.1.2-24]. It was chosen by terms from before another SUBSCRIBE.
        return_share(delivery);
        return true;
    }
    identifiers_.clear();
    if (subscription.identifier != 0) identifiers_.push_back(subscription.identifier);
    const QoS qos = std::min(subscription.options.qos, delivery.message->qos());
    const mqtt::Grant grant{
        .qos = qos,
        .retain = subscription.options.retain_as_published && delivery.message->retain(),
        .subscription_identifiers = identifiers_,
        .share_tag = qos == QoS::at_most_once ? 0 : delivery.key};
    // Nobody acknowledges it.
    if (qos != delivery.message->qos() && grant.share_tag == 0) {
        share_done(delivery.member, delivery.key);
    }
    bool taken = true;
    with_session(entry, now, [&](auto& session, auto& fx) {
        if (qos != QoS::at_most_once && entry.durable) {
            taken = session.deliver_pinned(delivery.seq, delivery.message, grant, now, fx) ==
                    mqtt::Session::Logged::taken;
        } else {
            session.deliver(delivery.message, grant, now, fx);
        }
    });
    if (taken) ++counters_.messages_matched;
    return taken;
}

/// What waited for this session's window, in order.
void Shard::feed_shared(SessionEntry& entry, Instant now) {
    const AttachmentRef who{entry.slot, entry.generation};
    while (!entry.attached->shared_waiting.empty() && entry.attached->session.request_room()) {
        const SharedDeliver next = entry.attached->shared_waiting.front();
        Subscription* wanted = entry.find_share(next.key);
        STENTOR_ASSERT(wanted != nullptr, "whoever unsubscribes returns what waits");
        if (entry.attached->judged != edition_) {
            judge_share(entry, *wanted);
            if (wanted->withheld) continue;  // nothing waits any more
        }
        const bool taken = send_share(entry, *wanted, next, now);
        if (sessions_.attached(who.slot, who.generation) == nullptr || !taken) return;
        entry.attached->shared_waiting.pop_front();
    }
}

void Shard::shared_return(SharedReturn returned, Instant now) {
    SharedGroups::Group* group = groups_.find(returned.key);
    if (group == nullptr) {  // its last member has gone
        drop(mqtt::DropReason::session_ended, {});
        return;
    }
    if (returned.message->qos() == QoS::at_most_once) {
        if (!give_connected(*group, returned.message, returned.seq)) {
            drop(mqtt::DropReason::session_ended, {});
        }
        return;
    }
    groups_.put_back(*group, {std::move(returned.message), returned.seq});
    assign_waiting(*group, now);
}

/// Tells the home, at the end of the step, that a member has room for one more.
void Shard::share_done(const SharedMember& member, std::uint64_t key) {
    std::vector<SharedDone::Item>& items =
        outgoing_done_[shared_.placement->of_shared(key).value()];
    if (!items.empty() && items.back().key == key && items.back().member == member) {
        ++items.back().messages;
    } else {
        items.push_back({.key = key, .member = member, .messages = 1});
    }
}

void Shard::shared_done(const SharedDone& done, Instant now) {
    for (const SharedDone::Item& item : done.items) {
        if (SharedGroups::Group* group = groups_.done(item)) assign_waiting(*group, now);
    }
}

/// Gives back what a session has of its groups, as its connection ends or it leaves one of them:
/// what has not been sent. Asked for again, it comes to whoever is there.
void Shard::return_shared(SessionEntry& entry) {
    for (SharedDeliver& waiting : entry.attached->shared_waiting) return_share(std::move(waiting));
    entry.attached->shared_waiting.clear();
}

/// The group's home knows already why, so it comes to somebody else: what has told it is before
/// this in its mailbox.
void Shard::return_share(SharedDeliver delivery) {
    if (delivery.message->qos() != QoS::at_most_once) share_done(delivery.member, delivery.key);
    send_to(shared_.placement->of_shared(delivery.key),
            SharedReturn{delivery.key, std::move(delivery.message), delivery.seq});
}

/// A session has ended: what it has not acknowledged is others' work now. QoS 2 messages it may
/// have seen die with it [MQTT-4.8.2-5].
void Shard::return_unfinished(std::vector<mqtt::InflightMessage>& messages) {
    for (mqtt::InflightMessage& item : messages) {
        if (item.share_tag == 0 || item.message == nullptr) continue;
        if (item.qos == QoS::exactly_once && item.was_sent) continue;
        send_to(shared_.placement->of_shared(item.share_tag),
                SharedReturn{item.share_tag, std::move(item.message), item.seq});
    }
}

/// The lowest position that a group of ours still has to give away.
std::optional<Seq> Shard::shared_needs() {
    std::optional<Seq> lowest;
    for (std::uint32_t slot = 0; slot < groups_.slots(); ++slot) {
        const SharedGroups::Group* group = groups_.at(slot);
        if (group == nullptr) continue;
        if (const auto here = group->lowest()) lowest = lowest ? std::min(*lowest, *here) : *here;
    }
    return lowest;
}

}  // namespace stentor::server
