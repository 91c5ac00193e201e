// From a message to its receivers: the log or the mailboxes, the commit stream, matching, merging
// of subscriptions, and the acknowledgements that wait for commits.
#include "base/log.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

using mqtt::QoS;
using mqtt::ReasonCode;

namespace {

// Behind a failed commit, until what must be in the log is tried again.
constexpr Duration kRetryPause = std::chrono::milliseconds{100};

}  // namespace

Shard::Routed Shard::route(MessagePtr message, Routing how, Action action, Instant now) {
    (void)now;
    const Interest interest = shared_.interest->look_up(message->topic(), message->topic_hash());
    const bool is_for_durable = message->qos() != QoS::at_most_once && interest.durable;
    const bool kept_for_sessions =
        message->qos() != QoS::at_most_once && (interest.durable || message->retain());
    const ReasonCode success =
        interest.shards.empty() ? ReasonCode::no_matching_subscribers : ReasonCode::success;
    if (!kept_for_sessions && !message->retain() && !how.inbound && how.fires_will_of.empty()) {
        if (interest.shards.empty()) {
            ++counters_.messages_without_reader[static_cast<std::size_t>(message->qos())];
            return {.outcome = mqtt::Ingress::no_subscribers, .reason = success};
        }
        if (!how.behind_logged) {
            return {.outcome = mqtt::Ingress::released,
                    .reason = success,
                    .message = std::move(message),
                    .destinations = interest.shards,
                    .live = true};
        }
    }
    const store::Room room = shared_.engine->room();
    const bool clears_value = message->retain() && message->payload().empty();
    const bool has_no_room =
        !clears_value && (room == store::Room::none_for_messages ||
                          (room == store::Room::none_for_retained && message->retain()));
    if (has_no_room && !how.is_will) {
        return {.reason = ReasonCode::quota_exceeded};
    }
    store::MessageRecord record;
    record.for_durable_sessions = kept_for_sessions;
    record.sets_retained = message->retain();
    record.wanted_by = interest.shards.bits();
    record.inbound = std::move(how.inbound);
    record.fires_will_of = std::move(how.fires_will_of);
    record.message = std::move(message);
    ++counters_.messages_logged;
    if (how.is_will) {
        record.has_no_sender = true;
        action = TryAgain{std::make_unique<store::Record>(record)};
    }
    commits_.add(std::move(record), std::move(action));
    return {.outcome = mqtt::Ingress::pending,
            .reason = success,
            .live = !interest.shards.empty(),
            .durable = is_for_durable};
}

/// An unlogged message whose turn has come.
void Shard::release(const MessagePtr& message, ShardMask destinations, Instant now) {
    destinations.for_each([&](ShardId shard) {
        if (shard == id_) {
            deliver_to_matching(message, {}, now);
        } else {
            ++work_;
            outgoing_[shard.value()].push_back(message);
        }
    });
}

void Shard::deliver_to_matching(const MessagePtr& message, Place place, Instant now) {
    index_.match(message->topic(), message->topic_hash(), matches_);
    if (matches_.empty()) return;
    matching_ = true;
    if (matches_.is_single_source()) {
        for (const Subscriber& subscriber : matches_.sources()[0]) {
            deliver_to(subscriber.id, std::span{&subscriber, 1}, message, place, now);
        }
    } else {
        match_groups_.assign(matches_);
        for (std::size_t i = 0; i < match_groups_.size(); ++i) {
            deliver_to(match_groups_[i].id(), match_groups_[i], message, place, now);
        }
    }
    matching_ = false;
}

/// One receiver's matching subscriptions, merged: it gets the message once, with the highest QoS
/// and all subscription identifiers [MQTT-3.3.4-2..5].
template <class Subscribers>
void Shard::deliver_to(SubscriberId who,
                       const Subscribers& subscribers,
                       const MessagePtr& message,
                       Place place,
                       Instant now) {
    const Seq seq = place.seq;
    work_ += 1 + message->bytes() / kBytesPerWork;
    if (who.is_shared_group()) {
        assign_shared(who.slot(), message, place.stays ? seq : kNoSeq, now);
        return;
    }
    SessionEntry* entry = sessions_.at(who.slot());
    if (entry == nullptr || entry->attached == nullptr || !entry->attached->open) return;
    bool matches = false;
    bool keeps_retain = false;
    QoS qos = QoS::at_most_once;
    identifiers_.clear();
    for (const Subscriber& subscriber : subscribers) {
        if (seq != kNoSeq && seq <= subscriber.since) continue;
        if (subscriber.options.no_local && message->publisher() == entry->client_id) {
            continue;  // [MQTT-3.8.3-3]
        }
        matches = true;
        qos = std::max(qos, subscriber.options.qos);
        keeps_retain = keeps_retain || subscriber.options.retain_as_published;
        if (subscriber.subscription_identifier != 0) {
            identifiers_.push_back(subscriber.subscription_identifier);
        }
    }
    if (!matches) return;
    if (!may_read(*entry, message->topic())) return;
    ++counters_.messages_matched;
    const mqtt::Grant grant{.qos = std::min(qos, message->qos()),
                            .retain = keeps_retain && message->retain(),
                            .subscription_identifiers = identifiers_};
    if (!entry->attached->replays.empty() && message->retain()) {
        superseded_by_live(*entry, message->topic());
    }
    if (grant.qos == QoS::at_most_once || !entry->durable) {
        with_session(*entry, now, [&](auto& session, auto& fx) {
            session.deliver(message, grant, now, fx);
        });
        return;
    }
    // A QoS 1/2 message that does not stay in the log, for a durable session: its subscription is
    // younger than the publish, whose SUBACK had not been sent. A session that is behind finds it
    // in the log.
    if (!place.stays || !entry->attached->session.live()) return;
    with_session(*entry, now, [&](auto& session, auto& fx) {
        if (session.deliver_logged(seq, message, grant, now, fx) ==
            mqtt::Session::Logged::window_full) {
            session.set_live(false);
        }
    });
}

/// A commit of all shards, in order (rule 2), from `place` on until it or the turn is at an end.
/// True: all of it.
bool Shard::commit_group(const store::CommitGroup& group, InboxPlace& place, Instant now) {
    for (; place.slice < group.slices.size(); ++place.slice, place.item = 0) {
        const store::CommitSlice& slice = group.slices[place.slice];
        std::vector<Action>* actions =
            slice.shard == id_ ? &commits_.actions_of(slice.ticket) : nullptr;
        for (; place.item < slice.count; ++place.item) {
            if (turn_is_used_up()) {
                retained_.applied_through(applied_);
                return false;
            }
            const std::size_t at = slice.begin + place.item;
            const Seq seq{group.first.value() + at};
            ++work_;
            apply_record(group.records[at], seq, now);
            if (actions != nullptr) activate_action((*actions)[place.item], seq, now);
            applied_ = seq;
        }
    }
    applied_ = group.last();
    retained_.applied_through(applied_);
    answer_waiting_queries(now);
    return true;
}

void Shard::apply_record(const store::Record& record, Seq seq, Instant now) {
    const auto* message = std::get_if<store::MessageRecord>(&record);
    if (message == nullptr) return;
    if (message->for_durable_sessions) {
        last_durable_ = seq;
        last_durable_at_ = now;
        backlog_load_ += options_.backlog.load_of(1, message->message->bytes());
    }
    if (message->sets_retained) apply_retained(seq, *message, now);
    // A retained value goes to every shard: a subscription that came after the publish looked for
    // interest neither finds it stored (Seq > s0) nor is in the mask.
    if (message->sets_retained || ShardMask{message->wanted_by}.contains(id_)) {
        deliver_to_matching(
            message->message, {.seq = seq, .stays = message->for_durable_sessions}, now);
    }
}

void Shard::activate_action(Action& action, Seq seq, Instant now) {
    if (auto* subscribe = std::get_if<std::unique_ptr<FinishSubscribe>>(&action)) {
        activate(**subscribe, seq, now);
    } else if (auto* unsubscribe = std::get_if<std::unique_ptr<FinishUnsubscribe>>(&action)) {
        activate(**unsubscribe, now);
    } else if (const auto* publish = std::get_if<AnswerPublish>(&action)) {
        publish->job->outcome(publish->at).seq = seq;
    }
}

void Shard::ticket_done(store::CommitTicket ticket, const Result<void>& result, Instant now) {
    std::vector<Action> actions = commits_.finish(ticket);
    if (!result) {
        ++counters_.batches_failed;
        static LogEvery every{5, std::chrono::seconds{10}};
        if (const auto pass = every.admit(now)) {
            STENTOR_LOG(error,
                        LogEvent("commit_failed", {{"suppressed", pass.suppressed}}),
                        "the store could not commit: {}",
                        result.error().message());
        }
    }
    if (result) {
        for (Action& action : actions) acknowledge_action(action, now);
        return;
    }
    // What the disk holds is unknown. Whoever waits is told neither yes nor no: all connections are
    // about to be closed, and what counts is what a recovery finds (docs/adr/0006).
    if (result.error() == store::make_error_code(store::StoreErrc::io_error)) return;
    // First what waits, then what is tried again: it looks at what has become of the others.
    for (Action& action : actions) fail_action(action, result.error(), now);
    for (Action& action : actions) {
        if (auto* again = std::get_if<TryAgain>(&action)) {
            put_off_.records.push_back(std::move(again->record));
        }
    }
    retry_later(now);
}

void Shard::retry_later(Instant now) {
    if (put_off_.empty()) return;
    if (draining_) {
        give_up_retries();
    } else if (!std::exchange(put_off_.timer_set, true)) {
        timers_.set(saturating_add(now, kRetryPause), TimerKind::housekeeping, kRetryRound, 0);
    }
}

/// What failed to get into the log, or was not in it when the broker died, some time later. Wills
/// before the ends of connections: those say that there is no will any more.
void Shard::retry_put_off(std::size_t detached_max, Instant now) {
    PutOff again = std::exchange(put_off_, {});
    retry_all(std::move(again.records));
    std::size_t left = again.detached.size();
    for (std::size_t room = detached_max; left != 0 && room != 0; --room) {
        const AttachmentRef who = again.detached[--left];
        SessionEntry* entry = sessions_.same(who.slot, who.generation);
        if (entry != nullptr && entry->attached == nullptr) commit_detached(*entry);
    }
    again.detached.resize(left);
    put_off_.detached = std::move(again.detached);
    retry_later(now);
}

/// The broker stops, and the store does not take what must be in the log sooner or later. To a
/// recovery these clients were connected when the broker died: it publishes their wills and counts
/// their expiry from then.
void Shard::give_up_retries() {
    STENTOR_LOG(
        warn,
        LogEvent("left_to_recovery",
                 {{"sessions", put_off_.detached.size()}, {"records", put_off_.records.size()}}),
        "the store could not commit what is left to say (how connections ended, wills, retained "
        "values that are over): the next start takes the clients for connected until now");
    put_off_ = {};
}

void Shard::acknowledge_action(Action& action, Instant now) {
    if (const auto* publish = std::get_if<AcknowledgePublish>(&action)) {
        SessionEntry* entry = sessions_.attached(publish->who.slot, publish->who.generation);
        if (entry == nullptr) {
            keep_inbound(*publish);
            return;
        }
        if (!logged(*entry, *publish)) return;
        with_session(*entry, now, [&](auto& session, auto& fx) {
            session.ingress_committed(publish->ingress_ticket, fx);
        });
    } else if (const auto* asked = std::get_if<AnswerPublish>(&action)) {
        asked->job->ended_logging();
        asked->job->settle();
    } else if (const auto* attach = std::get_if<FinishAttach>(&action)) {
        SessionEntry* entry = sessions_.attached(attach->who.slot, attach->who.generation);
        if (entry == nullptr) return settle_unanswered(attach->who, Attach::committed, now);
        finish_attach(*entry, now);
    } else if (auto* subscribe = std::get_if<std::unique_ptr<FinishSubscribe>>(&action)) {
        acknowledge(std::move(*subscribe), now);
    } else if (auto* unsubscribe = std::get_if<std::unique_ptr<FinishUnsubscribe>>(&action)) {
        acknowledge(**unsubscribe, now);
    } else if (const auto* delivery = std::get_if<ConfirmDelivery>(&action)) {
        if (SessionEntry* same = sessions_.same(delivery->who.slot, delivery->who.generation)) {
            same->committed_through = std::max(same->committed_through, delivery->sent_through);
        }
        SessionEntry* entry = sessions_.attached(delivery->who.slot, delivery->who.generation);
        if (entry == nullptr) return;
        if (--entry->attached->deliveries_on_their_way == 0 &&
            std::exchange(entry->attached->advancing, false)) {
            request_feed(*entry);
        }
        settle_replays(*entry);
        with_session(
            *entry, now, [&](auto& session, auto& fx) { session.delivery_committed(now, fx); });
    } else if (const auto* detach = std::get_if<ConfirmDetach>(&action)) {
        if (SessionEntry* same = sessions_.same(detach->slot, detach->generation)) {
            --same->detaches_on_their_way;
            same->committed_through = std::max(same->committed_through, detach->sent_through);
            settle_replays(*same);
            lay_to_rest(*same);
        }
    } else if (const auto* pubrel = std::get_if<AnswerPubrel>(&action)) {
        SessionEntry* entry = sessions_.attached(pubrel->who.slot, pubrel->who.generation);
        if (entry == nullptr) {
            forget_inbound(*pubrel);
            return;
        }
        with_session(*entry, now, [&](auto& session, auto& fx) {
            session.forget_committed(pubrel->packet_id, fx);
        });
    } else if (const auto* again = std::get_if<TryAgain>(&action)) {
        if (const auto* ended = std::get_if<store::SessionEnded>(again->record.get())) {
            session_ended(ended->client);
        } else if (std::holds_alternative<store::RetainedForgotten>(*again->record)) {
            --retained_forgotten_on_their_way_;
        }
    }
}

/// A SessionEnded record is in the log, or not needed any more.
void Shard::session_ended(const std::string& client) {
    const auto at = ending_.find(client);
    STENTOR_ASSERT(at != ending_.end());
    if (--at->second != 0) return;
    ending_.erase(at);
    if (!kicks_.empty()) answer_kicks(client);
}

/// A message from an attached client has come back from the log, or failed to get there; whether
/// there is something to acknowledge.
bool Shard::logged(SessionEntry& entry, const AcknowledgePublish& publish) {
    Attachment& attached = *entry.attached;
    std::uint32_t& count = publish.at_most_once ? attached.logging_qos0 : attached.logging_others;
    STENTOR_ASSERT(count != 0);
    --count;
    return !publish.at_most_once;
}

/// A QoS 2 PUBLISH that is committed after its connection has ended: its identifier is the
/// session's, which may be attached again by now, but has not had its CONNACK.
void Shard::keep_inbound(const AcknowledgePublish& publish) {
    SessionEntry* same = sessions_.same(publish.who.slot, publish.who.generation);
    if (publish.kept == kNoPacketId || same == nullptr) return;
    if (same->attached != nullptr) {
        same->attached->session.restore_inbound(publish.kept);
        return;
    }
    if (same->parts == nullptr) same->parts = std::make_unique<mqtt::SessionParts>();
    same->parts->inbound_qos2.push_back(publish.kept.value());
}

/// A PUBREL that is committed after its connection has ended, likewise: kept, its identifier would
/// make a duplicate of the next message that has it.
void Shard::forget_inbound(const AnswerPubrel& pubrel) {
    SessionEntry* same = sessions_.same(pubrel.who.slot, pubrel.who.generation);
    if (same == nullptr) return;
    if (same->attached != nullptr) {
        same->attached->session.forget_inbound(pubrel.packet_id);
    } else if (same->parts != nullptr) {
        std::erase(same->parts->inbound_qos2, pubrel.packet_id.value());
    }
}

/// Nothing of the batch is in the log: whoever waits is told, and nothing that was promised is
/// lost.
void Shard::fail_action(Action& action, const boost::system::error_code& error, Instant now) {
    const ReasonCode reason = error == store::make_error_code(store::StoreErrc::store_full)
                                  ? ReasonCode::quota_exceeded
                                  : ReasonCode::implementation_specific_error;
    const mqtt::Close unavailable{.reason = ReasonCode::server_busy,
                                  .detail = "the store could not commit",
                                  .send_disconnect = true};
    if (const auto* publish = std::get_if<AcknowledgePublish>(&action)) {
        SessionEntry* entry = sessions_.attached(publish->who.slot, publish->who.generation);
        const std::string_view client = entry == nullptr ? std::string_view{} : entry->client_id;
        // Nobody else would hear of QoS 0.
        publish->at_most_once ? drop(mqtt::DropReason::log_full, client)
                              : refuse_message(reason, client);
        if (entry == nullptr || !logged(*entry, *publish)) return;
        with_session(*entry, now, [&](auto& session, auto& fx) {
            session.ingress_failed(publish->ingress_ticket, reason, fx);
        });
    } else if (const auto* asked = std::get_if<AnswerPublish>(&action)) {
        refuse_message(reason, asked->job->messages()[asked->at]->publisher());
        asked->job->outcome(asked->at).reason = reason;
        asked->job->ended_logging();
        asked->job->settle();
    } else if (const auto* attach = std::get_if<FinishAttach>(&action)) {
        SessionEntry* entry = sessions_.attached(attach->who.slot, attach->who.generation);
        if (entry == nullptr) return settle_unanswered(attach->who, Attach::failed, now);
        fail_attach(*entry, now);
    } else if (auto* subscribe = std::get_if<std::unique_ptr<FinishSubscribe>>(&action)) {
        fail_subscribe(std::move(*subscribe), now);
    } else if (auto* unsubscribe = std::get_if<std::unique_ptr<FinishUnsubscribe>>(&action)) {
        SessionEntry* entry =
            sessions_.attached((*unsubscribe)->who.slot, (*unsubscribe)->who.generation);
        if (entry == nullptr) return;
        if ((*unsubscribe)->holds_replays) release_replays((*unsubscribe)->who);
        for (const std::string& each : (*unsubscribe)->filters) {
            has_happened((*unsubscribe)->who, each);
        }
        if (entry->version != mqtt::ProtocolVersion::v5) {  // 3.1.1 has no way to say no
            close(connection_of(*entry), unavailable, now);
            return;
        }
        // UNSUBACK has no word for a full store [MQTT-3.11.3-2].
        (*unsubscribe)
            ->codes.assign((*unsubscribe)->filters.size(),
                           ReasonCode::implementation_specific_error);
        acknowledge(**unsubscribe, now);
    } else if (const auto* delivery = std::get_if<ConfirmDelivery>(&action)) {
        if (SessionEntry* same = sessions_.same(delivery->who.slot, delivery->who.generation)) {
            settle_later(*same);
        }
        SessionEntry* entry = sessions_.attached(delivery->who.slot, delivery->who.generation);
        if (entry != nullptr) close(connection_of(*entry), unavailable, now);
    } else if (const auto* detach = std::get_if<ConfirmDetach>(&action)) {
        if (SessionEntry* same = sessions_.same(detach->slot, detach->generation)) {
            --same->detaches_on_their_way;
            settle_later(*same);
        }
    } else if (const auto* pubrel = std::get_if<AnswerPubrel>(&action)) {
        SessionEntry* entry = sessions_.attached(pubrel->who.slot, pubrel->who.generation);
        if (entry != nullptr) close(connection_of(*entry), unavailable, now);
    }
}

/// A commit about the session's deliveries has failed, or about the end of its connection, which is
/// news as well: the will, when the interval began. Who is attached commits all of it when it is
/// detached.
void Shard::settle_later(SessionEntry& entry) {
    const bool is_put_off = std::exchange(entry.state_unsure, true) && entry.attached == nullptr;
    if (entry.attached != nullptr || is_put_off) return;
    put_off_.detached.push_back({entry.slot, entry.generation});
}

void Shard::fail_attach(SessionEntry& entry, Instant now) {
    Connection& connection = connection_of(entry);
    const auto& request = entry.attached->session.request();
    (void)mqtt::encode_connack(connection.out,
                               request.version,
                               {.session_present = false, .reason = ReasonCode::server_unavailable},
                               request.packet_bytes_max);
    drop_connection(connection, true, ReasonCode::server_unavailable);
    for (const Subscription& subscription : entry.subscriptions) {
        unindex_subscription(entry, subscription, Leaving::away);
    }
    return_shared(entry);
    keep_parts(entry, std::move(entry.attached->session).take_parts());
    const std::unique_ptr<BeforeAttach> before = std::move(entry.attached->before);
    auto records = std::move(entry.attached->retry_when_attached);
    forget_attachment(entry);
    if (before == nullptr) {
        entry.will.reset();
        entry.will_stored = false;
        retry_all(std::move(records));
        entry.durable = true;  // whatever the log has of that name, it is over
        remove_entry(entry, now);
        return;
    }
    restore_before(entry, std::move(*before));
    retry_all(std::move(records));
}

/// As the session was before a CONNECT, and as the log still has it. A will that waited goes on
/// waiting: nobody has come back.
void Shard::restore_before(SessionEntry& entry, BeforeAttach before) {
    entry.version = before.version;
    entry.expiry_seconds = before.expiry_seconds;
    entry.identity = std::move(before.identity);
    entry.detached_at = before.detached_at;
    entry.will = std::move(before.will);
    entry.will_stored = before.will_stored;
    entry.state_unsure = false;  // what was put off while it was attached is so from here on
    settle_later(entry);
    if (entry.will) {
        timers_.set(entry.will->due, TimerKind::will_delay, entry.slot, entry.generation);
    }
    if (const Instant at = entry.expires_at(); at != kNever) {
        timers_.set(at, TimerKind::session_expiry, entry.slot, entry.generation);
    }
}

void Shard::fail_subscribe(std::unique_ptr<FinishSubscribe> operation, Instant now) {
    for (PendingSubscription& each : operation->subscriptions) {
        if (!each.accepted) continue;
        each.accepted = false;
        each.code = ReasonCode::implementation_specific_error;
        lower_interest(each.text, each.durability);
        has_happened(operation->who, each.text);
    }
    if (operation->holds_replays) release_replays(operation->who);
    acknowledge(std::move(operation), now);
}

namespace {

/// The client whose will the record publishes or forgets; empty: none.
std::string_view will_owner(const store::Record& record) {
    if (const auto* message = std::get_if<store::MessageRecord>(&record)) {
        return message->fires_will_of;
    }
    const auto* forgotten = std::get_if<store::WillForgotten>(&record);
    return forgotten != nullptr ? std::string_view{forgotten->client} : std::string_view{};
}

}  // namespace

void Shard::retry_all(std::vector<std::unique_ptr<store::Record>> records) {
    for (auto& record : records) retry(std::move(record));
}

/// A record of our own that must be in the log sooner or later, unless what it speaks of has begun
/// anew meanwhile (then the new beginning discards the old).
void Shard::retry(std::unique_ptr<store::Record> record) {
    if (SessionEntry* entry = sessions_.find(will_owner(*record));
        entry != nullptr && entry->attached != nullptr && !entry->attached->open) {
        entry->attached->retry_when_attached.push_back(std::move(record));
        return;
    }
    const auto has_new_will = [&](const std::string& client) {
        const SessionEntry* entry = sessions_.find(client);
        // By an Attached record, which a transient session without a will does not have.
        return entry != nullptr &&
               ((entry->attached != nullptr && entry->durable) || entry->will_stored);
    };
    if (const auto* ended = std::get_if<store::SessionEnded>(record.get())) {
        if (sessions_.find(ended->client) != nullptr) {
            session_ended(ended->client);
            return;
        }
    } else if (const auto* forgotten = std::get_if<store::WillForgotten>(record.get())) {
        if (has_new_will(forgotten->client)) return;
    } else if (auto* will = std::get_if<store::MessageRecord>(record.get())) {
        if (has_new_will(will->fires_will_of)) will->fires_will_of.clear();
        const mqtt::Message& message = *will->message;
        will->wanted_by =
            shared_.interest->look_up(message.topic(), message.topic_hash()).shards.bits();
    }
    auto copy = std::make_unique<store::Record>(*record);
    commits_.add(std::move(*record), TryAgain{std::move(copy)});
}

}  // namespace stentor::server
