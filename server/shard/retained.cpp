// Retained values: applied from the commit stream at their topic's home, read by new subscriptions
// as of the position they were made at (rule 9).
#include "base/log.hpp"
#include "protocol/topic/level_order.hpp"
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

using mqtt::QoS;

namespace {

// Topics looked at in one piece, and pieces in one round.
constexpr std::size_t kSweepSteps = 1000;
constexpr std::size_t kSweepSlices = 8;
constexpr std::size_t kForgottenOnTheirWayMax = 8192;

/// No wildcard reaches from elsewhere below $SYS [MQTT-4.7.2-1].
bool is_brokers(std::string_view filter) { return filter.starts_with("$SYS/"); }

}  // namespace

void Shard::apply_retained(Seq seq, const store::MessageRecord& record, Instant now) {
    if (shared_.placement->of_topic(record.message->topic()) != id_) return;
    if (retained_.store({.message = record.message, .seq = seq}) ==
        RetainedStore::Stored::refused) {
        counters_.dropped(mqtt::DropReason::retained_limit);
        static LogEvery every{5, std::chrono::seconds{10}};
        if (const auto pass = every.admit(now)) {
            STENTOR_LOG(
                warn,
                LogEvent("retained_refused",
                         {{"topic", record.message->topic()}, {"suppressed", pass.suppressed}}),
                "limits.retained_messages_max or retained_bytes_max is reached: the message was "
                "delivered but not retained");
        }
        // The log has it as the topic's value.
        forget_retained(*record.message, seq);
    }
}

/// The value is not here (any more): it must not be in the store either, where it takes room and
/// would come back with the next start.
void Shard::forget_retained(const mqtt::Message& message, Seq seq) {
    const store::RetainedForgotten record{.topic = std::string{message.topic()}, .seq = seq};
    commits_.add(record, TryAgain{std::make_unique<store::Record>(record)});
    ++retained_forgotten_on_their_way_;
}

/// Drops a slice of what has expired, more where much has. Waits while the store is behind: what is
/// dropped here is to be dropped there as well.
void Shard::sweep_retained(Instant now) {
    for (std::size_t slice = 0; slice < kSweepSlices; ++slice) {
        if (retained_forgotten_on_their_way_ >= kForgottenOnTheirWayMax) return;
        const std::vector<RetainedValue> expired = retained_.sweep(now, kSweepSteps);
        for (const RetainedValue& value : expired) forget_retained(*value.message, value.seq);
        if (expired.size() < kSweepSteps / 2) return;
    }
}

void Shard::start_replay(SessionEntry& entry,
                         const Subscription& subscription,
                         std::string_view filter,
                         Seq until,
                         std::string next_topic,
                         Seq resumed_at) {
    RetainedReplay replay;
    replay.text = subscription.text;
    replay.filter = filter;
    replay.until = until;
    replay.resumed_at = resumed_at;
    replay.next_topic = next_topic;
    replay.cookie = next_cookie_++;
    const auto add_source = [&](ShardId shard) {
        replay.sources.push_back({.shard = shard, .cursor = {.next_topic = next_topic}});
    };
    if (mqtt::has_wildcard(filter)) {
        for (std::uint16_t i = 0; i < shared_.placement->shards(); ++i) add_source(ShardId{i});
    } else {
        add_source(shared_.placement->of_topic(filter));
    }
    // A second SUBSCRIBE to the same filter starts its replay over [MQTT-3.8.4-4].
    entry.attached->replays.add(std::move(replay));
    request_feed(entry);
}

/// A change of a durable session's subscriptions goes to the log: what replays have sent is listed
/// before it, and none goes on until release_replays().
void Shard::hold_replays(SessionEntry& entry, Instant now) {
    if (!entry.attached->replays.empty()) commit_delivery(entry, now);
    ++entry.attached->replays_held;
}

/// The change is in the log, and has ended what it ends, or it has failed.
void Shard::release_replays(const AttachmentRef& who) {
    SessionEntry* entry = sessions_.attached(who.slot, who.generation);
    if (entry == nullptr) return;
    STENTOR_ASSERT(entry->attached->replays_held != 0);
    --entry->attached->replays_held;
    request_feed(*entry);
}

/// Sends what the window and the outbox allow of the first replay, in topic order over all shards.
void Shard::feed_replay(SessionEntry& entry, Instant now) {
    const AttachmentRef who{entry.slot, entry.generation};
    for (;;) {
        RetainedReplay& replay = entry.attached->replays.front();
        RetainedReplay::Source* first = nullptr;
        bool incomplete = false;
        for (RetainedReplay::Source& source : replay.sources) {
            if (source.values.empty() && !source.cursor.done) {
                if (!source.asked) ask_retained(entry, replay, source);
                // Our own shard may have answered at once.
                if (source.values.empty() && !source.cursor.done) {
                    incomplete = true;
                    continue;
                }
            }
            if (source.values.empty()) continue;
            if (first == nullptr || mqtt::level_order(source.values.front().message->topic(),
                                                      first->values.front().message->topic()) < 0) {
                first = &source;
            }
        }
        if (incomplete) return;  // a page is on its way, and may hold what comes next
        if (first == nullptr) {
            finish_replay(entry, now);
            if (entry.attached->replays.empty()) return;
            if (++fed_messages_ < kMessagesFedPerStep) continue;
            request_feed(entry);  // others first
            return;
        }
        const RetainedValue value = first->values.front();
        const bool sent = send_retained(entry, replay, value, now);
        if (sessions_.attached(who.slot, who.generation) == nullptr) return;
        if (!sent) return;
        ++fed_messages_;
        first->values.pop_front();
        // In the order of levels nothing lies between a topic and this.
        replay.next_topic = std::string{value.message->topic()} + '/';
        replay.progressed = true;
    }
}

/// False if there is no room now.
bool Shard::send_retained(SessionEntry& entry,
                          RetainedReplay& replay,
                          const RetainedValue& value,
                          Instant now) {
    const Subscription* subscription = entry.find(replay.text);
    if (subscription == nullptr || value.message->expired(now)) return true;
    if (subscription->options.no_local && value.message->publisher() == entry.client_id) {
        return true;
    }
    if (!may_read(entry, value.message->topic())) return true;
    const Connection& connection = connection_of(entry);
    if (connection.out.size() > options_.limits.outbox_bytes_max / 2) return false;
    const QoS qos = std::min(subscription->options.qos, value.message->qos());
    if (qos != QoS::at_most_once && !entry.attached->session.request_room()) return false;
    identifiers_.clear();
    if (subscription->identifier != 0) identifiers_.push_back(subscription->identifier);
    const mqtt::Grant grant{
        .qos = qos, .retain = true, .subscription_identifiers = identifiers_};  // [MQTT-3.3.1-8]
    bool taken = true;
    with_session(entry, now, [&](auto& session, auto& fx) {
        if (qos == QoS::at_most_once || !entry.durable) {
            session.deliver(value.message, grant, now, fx);
        } else {
            taken = session.deliver_pinned(value.seq, value.message, grant, now, fx) ==
                    mqtt::Session::Logged::taken;
        }
        fx.wants_more = false;
    });
    return taken;
}

void Shard::finish_replay(SessionEntry& entry, Instant now) {
    RetainedReplay& replay = entry.attached->replays.front();
    Subscription* subscription = entry.find(replay.text);
    if (subscription != nullptr && subscription->replay_next) {
        subscription->replay_next.reset();
        if (entry.durable) {
            // "Done" is one commit with what the replay has in flight.
            replay.next_topic.clear();
            replay.progressed = true;
            commit_delivery(entry, now);
        }
    }
    entry.attached->replays.pop_front();
}

void Shard::ask_retained(SessionEntry& entry,
                         RetainedReplay& replay,
                         RetainedReplay::Source& source) {
    const Subscription* subscription = entry.find(replay.text);
    RetainedQuery query{.from = id_,
                        .cookie = replay.cookie,
                        .filter = replay.filter,
                        .through = replay.until,
                        .unlogged_through = replay.resumed_at,
                        .all_at_most_once = subscription == nullptr ||
                                            subscription->options.qos == QoS::at_most_once,
                        .applied = applied_,
                        .cursor = source.cursor};
    source.asked = true;
    replayers_[replay.cookie] = {entry.slot, entry.generation};
    send_to(source.shard, std::move(query));
}

void Shard::retained_query(RetainedQuery query, Instant now) {
    if (applied_ < std::max(query.through, query.applied)) {
        waiting_queries_.push_back(std::move(query));
        return;
    }
    RetainedPage page{.from = id_, .cookie = query.cookie, .cursor = std::move(query.cursor)};
    if (is_brokers(query.filter)) {
        broker_values_.match(query.filter, Seq{UINT64_MAX}, now, {}, page.cursor, page.values);
        send_to(query.from, std::move(page));
        return;
    }
    const Seq through = std::max(query.through, query.unlogged_through);
    retained_.match(query.filter, through, now, {}, page.cursor, page.values);
    std::erase_if(page.values, [&](const RetainedValue& value) {
        const bool is_logged = !query.all_at_most_once && value.message->qos() != QoS::at_most_once;
        return value.seq > query.through && is_logged;
    });
    send_to(query.from, std::move(page));
}

/// Not in the log: kept here as the newest there is, and delivered to whoever is connected.
void Shard::broker_values(const BrokerValues& values, Instant now) {
    for (const MessagePtr& message : values.messages) {
        if (shared_.placement->of_topic(message->topic()) == id_) {
            (void)broker_values_.store({.message = message, .seq = Seq{++broker_values_heard_}});
        }
        deliver_to_matching(message, {}, now);
        close_deferred(now);
    }
}

void Shard::answer_waiting_queries(Instant now) {
    for (std::size_t left = waiting_queries_.size(); left != 0; --left) {
        RetainedQuery query = std::move(waiting_queries_.front());
        waiting_queries_.pop_front();
        retained_query(std::move(query), now);
    }
}

void Shard::forget_value(RetainedReplay::Source& source, std::string_view topic) {
    std::erase_if(source.values,
                  [&](const RetainedValue& value) { return value.message->topic() == topic; });
}

void Shard::retained_page(RetainedPage page, Instant now) {
    (void)now;
    const auto replayer = replayers_.find(page.cookie);
    if (replayer == replayers_.end()) return;
    SessionEntry* entry = sessions_.attached(replayer->second.slot, replayer->second.generation);
    RetainedReplay* replay =
        entry == nullptr ? nullptr : entry->attached->replays.under_way(page.cookie);
    if (replay == nullptr) {
        replayers_.erase(replayer);
        return;
    }
    for (RetainedReplay::Source& source : replay->sources) {
        if (source.shard != page.from) continue;
        source.asked = false;
        source.cursor = std::move(page.cursor);
        source.values.assign(std::make_move_iterator(page.values.begin()),
                             std::make_move_iterator(page.values.end()));
        for (const std::string& topic : source.superseded) forget_value(source, topic);
        source.superseded.clear();
    }
    // Whoever is asked for more is entered again: nobody stays in here when the replay has ended.
    const bool expects_more = std::any_of(replay->sources.begin(),
                                          replay->sources.end(),
                                          [](const auto& source) { return source.asked; });
    if (!expects_more) replayers_.erase(replayer);
    request_feed(*entry);
}

/// A newer value of a topic is on its way live: the old one, in a page that waits or is still to
/// come, must not follow it.
void Shard::superseded_by_live(SessionEntry& entry, std::string_view topic) {
    const ShardId home = shared_.placement->of_topic(topic);
    // Replays that are not under way will read what is current then.
    for (RetainedReplay::Source& source : entry.attached->replays.front().sources) {
        if (source.shard != home) continue;
        forget_value(source, topic);
        if (source.asked) source.superseded.emplace_back(topic);
    }
}

}  // namespace stentor::server
