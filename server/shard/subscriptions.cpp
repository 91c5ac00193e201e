// SUBSCRIBE and UNSUBSCRIBE: interest is raised before anything else and lowered after everything
// else (rule 7); a durable subscription is active from the position of its record on (rule 6).
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <unordered_set>
#include <utility>

namespace stentor::server {

using mqtt::ReasonCode;

namespace {

// A change goes through all filters of its session; so many cost what a delivery does.
constexpr std::size_t kFiltersPerWork = 8;
constexpr std::size_t kWorkPerChange = 3;

}  // namespace

void Shard::raise_interest(std::string_view text, Durability durability) {
    const auto parsed = mqtt::parse_subscription_filter(text);
    const ShardId shard = parsed.is_shared() ? shared_.placement->of_shared(shared_key(text)) : id_;
    shared_.interest->raise(parsed.filter, shard, durability);
    session_room_.filter_begins(text.size());
}

void Shard::lower_interest(std::string_view text, Durability durability) {
    const auto parsed = mqtt::parse_subscription_filter(text);
    const ShardId shard = parsed.is_shared() ? shared_.placement->of_shared(shared_key(text)) : id_;
    shared_.interest->lower(parsed.filter, shard, durability);
    session_room_.filter_ends(text.size());
}

ReasonCode Shard::judge_filter(const SessionEntry& entry,
                               const mqtt::SubscriptionView& wanted) const {
    const auto parsed = mqtt::parse_subscription_filter(
        wanted.filter, {.levels_max = options_.limits.topic_levels_max});
    if (parsed.check == mqtt::TopicCheck::too_many_levels) return ReasonCode::quota_exceeded;
    if (parsed.check != mqtt::TopicCheck::ok) return ReasonCode::topic_filter_invalid;
    if (!shared_.access->allows(
            TopicAction::subscribe, entry.identity, entry.client_id, parsed.filter)) {
        return ReasonCode::not_authorized;
    }
    return static_cast<ReasonCode>(wanted.options.qos);  // granted as asked
}

/// What `filter` will be behind everything the client has sent so far.
SubscriptionForecast::Granted Shard::foreseen(SessionEntry& entry, const std::string& filter) {
    if (entry.attached->forecast != nullptr) {
        if (const auto* there = entry.attached->forecast->find(filter)) return *there;
    }
    const Subscription* subscription = entry.find(filter);
    if (subscription == nullptr) return std::nullopt;
    return subscription->options.qos;
}

/// By weight; `count` is what the session has now.
std::size_t Shard::foreseen_count(const SessionEntry& entry, std::size_t count) noexcept {
    const auto& forecast = entry.attached->forecast;
    return forecast == nullptr ? count : forecast->count(count);
}

/// SUBSCRIBE (the QoS granted) or UNSUBSCRIBE, from now until has_happened().
void Shard::foresee(SessionEntry& entry,
                    const std::string& filter,
                    SubscriptionForecast::Granted after) {
    auto& forecast = entry.attached->forecast;
    if (forecast == nullptr) forecast = std::make_unique<SubscriptionForecast>();
    const Subscription* subscription = entry.find(filter);
    forecast->begin(
        filter,
        subscription == nullptr ? std::nullopt : std::optional{subscription->options.qos},
        after);
}

/// Or has failed.
void Shard::has_happened(const AttachmentRef& who, const std::string& filter) {
    SessionEntry* entry = sessions_.attached(who.slot, who.generation);
    if (entry == nullptr || entry->attached->forecast == nullptr) return;
    auto& forecast = entry->attached->forecast;
    forecast->end(filter, entry->find(filter) != nullptr);
    if (forecast->empty()) forecast.reset();
}

void Shard::on_subscribe(SessionEntry& entry, const mqtt::SubscribeView& packet, Instant now) {
    work_ += entry.subscriptions.size() / kFiltersPerWork +
             kWorkPerChange * static_cast<std::size_t>(std::ranges::distance(packet.subscriptions));
    auto operation = std::make_unique<FinishSubscribe>(AttachmentRef{entry.slot, entry.generation},
                                                       packet.packet_id);
    operation->cookie = next_cookie_++;
    operation->edition = edition_;
    for (const auto& identifier : packet.properties.subscription_identifiers()) {
        operation->subscription_identifier = identifier.value;
    }
    store::Subscribed record;
    record.client = entry.client_id;
    for (const mqtt::SubscriptionView wanted : packet.subscriptions) {
        if (wanted.options.no_local && wanted.filter.starts_with("$share/")) {
            close(connection_of(entry),
                  {.reason = ReasonCode::protocol_error,
                   .detail = "No Local on a shared subscription [MQTT-3.8.3-4]",
                   .send_disconnect = true},
                  now);
            return;
        }
    }
    const std::size_t count =
        std::accumulate(entry.subscriptions.begin(),
                        entry.subscriptions.end(),
                        std::size_t{0},
                        [](std::size_t sum, const Subscription& each) {
                            return sum + SubscriptionForecast::weight(each.text);
                        });
    std::size_t own_bytes = 0;
    for (const Subscription& each : entry.subscriptions) {
        own_bytes += SessionRoom::kFilter + each.text.size();
    }
    for (const mqtt::SubscriptionView wanted : packet.subscriptions) {
        PendingSubscription pending;
        pending.text = wanted.filter;
        pending.options = wanted.options;
        pending.code = judge_filter(entry, wanted);
        const SubscriptionForecast::Granted existing = foreseen(entry, pending.text);
        if (!existing && static_cast<std::uint8_t>(pending.code) <= 2 &&
            foreseen_count(entry, count) + SubscriptionForecast::weight(pending.text) >
                options_.limits.subscriptions_per_session_max) {
            pending.code = ReasonCode::quota_exceeded;
        }
        if (!existing && static_cast<std::uint8_t>(pending.code) <= 2) {
            if (session_room_.has_room_for_filter(own_bytes, pending.text.size())) {
                own_bytes += SessionRoom::kFilter + pending.text.size();
            } else {
                pending.code = ReasonCode::quota_exceeded;
                log_no_room(entry.client_id, "a filter", now);
            }
        }
        if (pending.code == ReasonCode::quota_exceeded) ++counters_.subscriptions_over_quota;
        if (pending.code == ReasonCode::not_authorized) ++counters_.subscriptions_not_allowed;
        pending.accepted = static_cast<std::uint8_t>(pending.code) <= 2;
        if (pending.accepted) {
            // A subscription that kept nothing before (QoS 0) has no backlog to keep: it starts
            // anew when it begins to.
            pending.keeps_since = existing && (*existing != mqtt::QoS::at_most_once ||
                                               wanted.options.qos == mqtt::QoS::at_most_once);
            pending.replays_retained =
                !wanted.filter.starts_with("$share/") &&  // [MQTT-4.8.2, no retained for shared]
                (wanted.options.retain_handling == mqtt::RetainHandling::send ||
                 (wanted.options.retain_handling == mqtt::RetainHandling::send_if_new &&
                  !existing));  // [MQTT-3.3.1-10]
            pending.durability = entry.durability(wanted.options);
            raise_interest(wanted.filter, pending.durability);
            foresee(entry, pending.text, wanted.options.qos);
            record.subscriptions.push_back(
                {.filter = pending.text,
                 .options = pending.options,
                 .subscription_identifier = operation->subscription_identifier,
                 .keeps_since = pending.keeps_since,
                 .replays_retained = pending.replays_retained});
        }
        operation->subscriptions.push_back(std::move(pending));
    }
    if (entry.durable && !record.subscriptions.empty()) {
        hold_replays(entry, now);
        operation->holds_replays = true;
        commits_.add(std::move(record), std::move(operation));
        return;
    }
    activate(*operation, applied_, now);
    acknowledge(std::move(operation), now);
}

/// At the record's place in the commit stream (or at once, for a transient session).
void Shard::activate(FinishSubscribe& operation, Seq seq, Instant now) {
    SessionEntry* entry = sessions_.same(operation.who.slot, operation.who.generation);
    if (entry != nullptr) make_room(*entry, operation, seq);
    for (const PendingSubscription& wanted : operation.subscriptions) {
        if (!wanted.accepted) continue;
        if (entry == nullptr) {  // the session has ended
            lower_interest(wanted.text, wanted.durability);
            continue;
        }
        activate_one(*entry, operation, wanted, seq, now);
        has_happened(operation.who, wanted.text);
    }
    if (operation.holds_replays) release_replays(operation.who);
    // The rules have changed since the filters were judged.
    if (operation.edition != edition_ && entry != nullptr && entry->attached != nullptr) {
        review_later(*entry);
    }
}

/// Adds the filters that are new, in one go: one after the other each would move all behind it.
void Shard::make_room(SessionEntry& entry, FinishSubscribe& operation, Seq seq) {
    std::vector<Subscription> fresh;
    std::unordered_set<std::string_view> seen;
    for (PendingSubscription& wanted : operation.subscriptions) {
        wanted.is_new = wanted.accepted && entry.find(wanted.text) == nullptr &&
                        seen.insert(wanted.text).second;
        if (!wanted.is_new) continue;
        Subscription& subscription = fresh.emplace_back();
        subscription.text = wanted.text;
        subscription.share_key = shared_key(wanted.text);
        subscription.since = seq;
    }
    const auto by_text = [](const Subscription& a, const Subscription& b) {
        return a.text < b.text;
    };
    std::sort(fresh.begin(), fresh.end(), by_text);
    const auto known = static_cast<std::ptrdiff_t>(entry.subscriptions.size());
    entry.subscriptions.insert(entry.subscriptions.end(),
                               std::make_move_iterator(fresh.begin()),
                               std::make_move_iterator(fresh.end()));
    std::inplace_merge(entry.subscriptions.begin(),
                       entry.subscriptions.begin() + known,
                       entry.subscriptions.end(),
                       by_text);
}

/// From when on the subscription that `wanted` replaces counts, and what it owes until then.
void Shard::replace(const SessionEntry& entry,
                    Subscription& subscription,
                    const PendingSubscription& wanted,
                    Seq seq) {
    const mqtt::QoS before = subscription.options.qos;
    if (entry.durable && subscription.share_key == 0 &&
        store::leaves_span(before, wanted.options.qos, wanted.keeps_since)) {
        subscription.kept.keep({.since = subscription.since, .until = seq, .qos = before},
                               entry.committed_through);
    }
    if (!wanted.keeps_since) subscription.since = seq;
}

void Shard::activate_one(SessionEntry& entry,
                         FinishSubscribe& operation,
                         const PendingSubscription& wanted,
                         Seq seq,
                         Instant now) {
    Subscription* subscription = entry.find(wanted.text);
    STENTOR_ASSERT(subscription != nullptr, "make_room() has added it");
    if (!wanted.is_new) {
        // It was raised once more.
        lower_interest(subscription->text, entry.durability(subscription->options));
        replace(entry, *subscription, wanted, seq);
    }
    subscription->options = wanted.options;
    subscription->withheld = false;
    subscription->identifier = operation.subscription_identifier;
    if (wanted.replays_retained) {
        subscription->replay_next = std::make_unique<std::string>();
        subscription->replay_until = seq;
    }
    if (entry.attached == nullptr) return;
    if (subscription->share_key != 0) {
        // SUBACK waits until the group's home knows the member, were it ourselves.
        send_join(entry, *subscription, operation.cookie);
        ++operation.joins_asked;
    } else {
        index_subscription(entry, *subscription);
    }
    if (wanted.replays_retained) {
        // What was under way is started over when SUBACK has been sent [MQTT-3.8.4-4].
        (void)entry.attached->replays.drop(wanted.text);
    }
    // What was read from the log was read with the filters as they were.
    CatchUp& catch_up = entry.attached->catch_up;
    catch_up.drop_filters();
    catch_up.drop_page();
    catch_up.reading = false;
    (void)now;
    request_feed(entry);
}

void Shard::acknowledge(std::unique_ptr<FinishSubscribe> operation, Instant now) {
    if (operation->joins_asked != 0 && join_answers_[operation->cookie] < operation->joins_asked) {
        waiting_joins_.push_back(std::move(operation));
        return;
    }
    join_answers_.erase(operation->cookie);
    SessionEntry* entry = sessions_.attached(operation->who.slot, operation->who.generation);
    if (entry == nullptr) return;
    std::vector<ReasonCode> codes;
    codes.reserve(operation->subscriptions.size());
    for (const PendingSubscription& each : operation->subscriptions) codes.push_back(each.code);
    with_session(*entry, now, [&](auto& session, auto& fx) {
        session.send_suback(operation->packet_id, codes, fx);
    });
    entry = sessions_.attached(operation->who.slot, operation->who.generation);
    if (entry != nullptr) start_replays(*entry, *operation);
}

void Shard::shared_joined(std::uint64_t cookie, Instant now) {
    if (cookie == 0) return;  // nobody waits: see index_subscription()
    ++join_answers_[cookie];
    const auto at = std::find_if(waiting_joins_.begin(),
                                 waiting_joins_.end(),
                                 [&](const auto& waiting) { return waiting->cookie == cookie; });
    if (at == waiting_joins_.end()) return;
    auto operation = std::move(*at);
    waiting_joins_.erase(at);
    acknowledge(std::move(operation), now);
}

void Shard::start_replays(SessionEntry& entry, const FinishSubscribe& operation) {
    for (const PendingSubscription& each : operation.subscriptions) {
        if (!each.accepted || !each.replays_retained) continue;
        const Subscription* subscription = entry.find(each.text);
        if (subscription == nullptr || !subscription->replay_next) continue;
        start_replay(entry, *subscription, each.text, subscription->replay_until, {}, kNoSeq);
    }
}

void Shard::on_unsubscribe(SessionEntry& entry, const mqtt::UnsubscribeView& packet, Instant now) {
    work_ += entry.subscriptions.size() / kFiltersPerWork +
             kWorkPerChange * static_cast<std::size_t>(std::ranges::distance(packet.filters));
    auto operation = std::make_unique<FinishUnsubscribe>();
    operation->who = {entry.slot, entry.generation};
    operation->packet_id = packet.packet_id;
    store::Unsubscribed record;
    record.client = entry.client_id;
    for (const std::string_view filter : packet.filters) {
        operation->filters.emplace_back(filter);
        foresee(entry, operation->filters.back(), std::nullopt);
        record.filters.emplace_back(filter);
    }
    if (!entry.durable) {
        activate(*operation, now);
        acknowledge(*operation, now);
        return;
    }
    hold_replays(entry, now);
    operation->holds_replays = true;
    commits_.add(std::move(record), std::move(operation));
}

void Shard::activate(FinishUnsubscribe& operation, Instant now) {
    (void)now;
    SessionEntry* entry = sessions_.same(operation.who.slot, operation.who.generation);
    bool left_group = false;
    for (const std::string& filter : operation.filters) {
        Subscription* subscription = entry == nullptr ? nullptr : entry->find(filter);
        if (subscription == nullptr || subscription->ended) {
            operation.codes.push_back(mqtt::parse_subscription_filter(filter).check ==
                                              mqtt::TopicCheck::ok
                                          ? ReasonCode::no_subscription_existed
                                          : ReasonCode::topic_filter_invalid);
            continue;
        }
        operation.codes.push_back(ReasonCode::success);
        unindex_subscription(*entry, *subscription, Leaving::for_good);
        if (entry->attached != nullptr) {
            if (entry->attached->replays.drop(filter)) request_feed(*entry);
            entry->attached->catch_up.drop_filters();  // a page with too much in it does no harm
        }
        lower_interest(subscription->text, entry->durability(subscription->options));
        subscription->ended = true;
        left_group = left_group || subscription->share_key != 0;
    }
    if (entry != nullptr) {
        std::erase_if(entry->subscriptions, [](const Subscription& each) { return each.ended; });
        if (left_group && entry->attached != nullptr) return_shared(*entry);
    }
    for (const std::string& filter : operation.filters) has_happened(operation.who, filter);
    if (operation.holds_replays) release_replays(operation.who);
}

void Shard::acknowledge(FinishUnsubscribe& operation, Instant now) {
    SessionEntry* entry = sessions_.attached(operation.who.slot, operation.who.generation);
    if (entry == nullptr) return;
    with_session(*entry, now, [&](auto& session, auto& fx) {
        session.send_unsuback(operation.packet_id, operation.codes, fx);
    });
}

/// Makes an attached session's subscription match, here or at its group's home.
void Shard::index_subscription(SessionEntry& entry, const Subscription& subscription) {
    if (subscription.share_key != 0) {
        send_join(entry, subscription, 0);
        return;
    }
    index_.add(subscription.text,
               {.id = SubscriberId::session(entry.slot),
                .options = subscription.options,
                .subscription_identifier = subscription.identifier,
                .since = subscription.since});
}

void Shard::unindex_subscription(SessionEntry& entry,
                                 const Subscription& subscription,
                                 Leaving leaving) {
    if (subscription.share_key == 0) {
        (void)index_.remove(subscription.text, SubscriberId::session(entry.slot));
        return;
    }
    send_to(shared_.placement->of_shared(subscription.share_key),
            SharedLeave{.key = subscription.share_key,
                        .member = {id_, entry.slot, entry.generation},
                        .away = leaving == Leaving::away});
}

/// The session is ending. What it shared with others is theirs now.
void Shard::forget_subscriptions(SessionEntry& entry) {
    for (const Subscription& subscription : entry.subscriptions) {
        unindex_subscription(entry, subscription, Leaving::for_good);
        lower_interest(subscription.text, entry.durability(subscription.options));
    }
    entry.subscriptions.clear();
}

}  // namespace stentor::server
