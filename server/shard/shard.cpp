// The step: mailbox, timers, feeds, the batch, writes; recovery and the end.
#include "server/shard/shard.hpp"

#include "base/log.hpp"
#include "protocol/topic/validate.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>

namespace stentor::server {

namespace {

// Sessions served per step, and messages from the log sent to them: then all others get their turn.
constexpr std::size_t kFeedsPerStep = 512;
constexpr std::size_t kTimersPerStep = 4096;

// Nobody tells that another shard has caught up.
constexpr Duration kLooksAtOthers = std::chrono::milliseconds{1};

}  // namespace

Shard::Shard(ShardId id,
             const ShardOptions& options,
             const ShardShared& shared,
             TransportPort& transport)
    : id_{id},
      options_{options},
      shared_{shared},
      transport_{transport},
      session_room_{options.sessions},
      retained_{options.retained},
      commits_{id, *shared.engine},
      outgoing_{shared.mailboxes.size()},
      outgoing_shares_{shared.mailboxes.size()},
      outgoing_done_{shared.mailboxes.size()},
      random_{options.seed} {
    listing_ = static_cast<std::uint32_t>(options.seed ^ (options.seed >> 32U));
    edition_ = shared.access->edition();
    review_.edition = edition_;
}

/// The mailbox may be the next shard's.
Shard::~Shard() { mailbox_of(id_).handled(inbox_bytes_); }

void Shard::recover(const store::Recovered& recovered, Instant now) {
    applied_ = recovered.last;
    last_durable_at_ = now;
    next_lazy_commit_ = now;
    timers_.set(saturating_add(now, std::chrono::seconds{1}), TimerKind::housekeeping, 0, 0);
    for (const auto& [topic, value] : recovered.state.retained()) {
        if (shared_.placement->of_topic(topic) != id_) continue;
        retained_.restore({.message = value.message, .seq = value.seq});
    }
    retained_.applied_through(applied_);
    const std::size_t sessions = recovered.state.sessions().size();
    std::size_t place = 0;
    for (const auto& [client, stored] : recovered.state.sessions()) {
        if (shared_.placement->of_client(client) != id_) continue;
        recover_session(stored, first_count_at(place++, sessions), now);
    }
    first_counts_at_ = now;
    first_counts_left_ = place == 0 ? 0 : kBacklogSlack;
    retry_later(now);
}

/// A session as the log has it, detached. One that was attached when the broker died begins its
/// expiry interval now, and its will is due, with its delay (rule 10). The log is told so, lest
/// they begin anew with each start.
void Shard::recover_session(const store::StoredSession& stored, BacklogLoad count_at, Instant now) {
    SessionEntry& entry = sessions_.create(stored.client);
    session_room_.session_begins(stored.client.size());
    entry.durable = !stored.transient;
    entry.version = stored.version;
    entry.expiry_seconds = stored.expiry_seconds;
    entry.identity.user = stored.user;
    entry.sent_through = stored.sent_through;
    entry.committed_through = stored.sent_through;
    entry.detached_at = stored.attached ? now : stored.detached_at;
    entry.backlog_count_at = count_at;
    recover_loss(entry, stored.loss);
    for (const store::StoredSubscription& from : stored.subscriptions) {
        Subscription& to = entry.subscriptions.emplace_back();
        to.text = from.filter;
        to.share_key = shared_key(to.text);
        to.options = from.options;
        to.identifier = from.subscription_identifier;
        to.since = from.since;
        if (from.replay_next) {
            to.replay_next = std::make_unique<std::string>(*from.replay_next);
        }
        to.replay_until = from.replay_until;
        to.kept = from.kept;
        to.kept.forget_through(stored.sent_through);
    }
    std::sort(entry.subscriptions.begin(),
              entry.subscriptions.end(),
              [](const Subscription& a, const Subscription& b) { return a.text < b.text; });
    for (const Subscription& subscription : entry.subscriptions) {
        raise_interest(subscription.text, entry.durability(subscription.options));
        if (subscription.share_key != 0) send_join(entry, subscription, 0);
    }
    if (!stored.unfinished.empty() || !stored.inbound.empty()) {
        entry.parts = std::make_unique<mqtt::SessionParts>();
        for (const store::Unfinished& item : stored.unfinished) {
            mqtt::InflightMessage& inflight = entry.parts->inflight.emplace_back();
            inflight.seq = item.seq;
            inflight.packet_id = item.packet_id;
            inflight.qos = item.qos;
            inflight.phase = static_cast<mqtt::DeliveryPhase>(item.phase);
            inflight.retain = item.retain;
            inflight.identifiers_lost = true;
            entry.parts->last_packet_id =
                std::max(entry.parts->last_packet_id, item.packet_id.value());
        }
        for (const PacketId id : stored.inbound) entry.parts->inbound_qos2.push_back(id.value());
    }
    if (stored.will) {
        entry.will_stored = true;
        entry.will = std::make_unique<PendingWill>(
            mqtt::WillMessage{stored.will->message, stored.will->delay_seconds}, wills_);
        const Duration delay = std::chrono::seconds{stored.will->delay_seconds};
        entry.will->due = std::min(saturating_add(entry.detached_at, delay), entry.expires_at());
        timers_.set(entry.will->due, TimerKind::will_delay, entry.slot, entry.generation);
    }
    const Instant expires = entry.durable ? entry.expires_at() : now;
    if (expires != kNever) {
        timers_.set(expires, TimerKind::session_expiry, entry.slot, entry.generation);
    }
    const bool time_counts = entry.durable && (entry.will != nullptr || expires != kNever);
    if (stored.attached && time_counts) put_off_.detached.push_back({entry.slot, entry.generation});
    if (RestingSession::can_rest(entry)) sessions_.rest(entry);
}

/// What is handled as a whole or not at all, and all that we send to ourselves; see handle_some().
void Shard::handle(ShardMessage& message, Instant now) {
    if (auto* ticket = std::get_if<TicketDone>(&message)) {
        ticket_done(ticket->ticket, ticket->result, now);
    } else if (auto* page = std::get_if<PageRead>(&message)) {
        page_read(std::move(page->page), now);
    } else if (auto* moved = std::get_if<MoveIn>(&message)) {
        move_in(std::move(moved->connection), now);
    } else if (auto* answer = std::get_if<Admitted>(&message)) {
        Connection* connection = find(answer->connection);
        if (connection != nullptr && connection->phase == Phase::authenticating) {
            admitted(*connection, std::move(answer->admission), now);
        } else if (connection != nullptr && connection->phase == Phase::open) {
            reauthenticated(*connection, std::move(answer->admission), now);
        }
    } else if (auto* query = std::get_if<RetainedQuery>(&message)) {
        retained_query(std::move(*query), now);
    } else if (auto* retained = std::get_if<RetainedPage>(&message)) {
        retained_page(std::move(*retained), now);
    } else if (auto* join = std::get_if<SharedJoin>(&message)) {
        shared_join(std::move(*join), now);
    } else if (auto* joined = std::get_if<SharedJoined>(&message)) {
        shared_joined(joined->cookie, now);
    } else if (auto* leave = std::get_if<SharedLeave>(&message)) {
        shared_leave(*leave, now);
    } else if (auto* done = std::get_if<SharedDone>(&message)) {
        shared_done(*done, now);
    } else if (auto* returned = std::get_if<SharedReturn>(&message)) {
        shared_return(std::move(*returned), now);
    } else if (const auto* question = std::get_if<TakeSnapshot>(&message)) {
        if (shared_.snapshots != nullptr) {
            shared_.snapshots->snapshot(id_, question->cookie, snapshot());
        }
    } else if (auto* inquiry = std::get_if<Inquiry>(&message)) {
        inquire(std::move(*inquiry), now);
    } else if (const auto* values = std::get_if<BrokerValues>(&message)) {
        broker_values(*values, now);
    } else if (auto* kick = std::get_if<Kick>(&message)) {
        this->kick(std::move(*kick), now);
    } else if (auto* end = std::get_if<Drain>(&message)) {
        drain(*end, now);
    }
}

/// As much of it, from `place` on, as this turn has room for, what can only be handled as a whole
/// then too. True: all of it.
bool Shard::handle_some(ShardMessage& message, InboxPlace& place, Instant now) {
    const auto each = [&](auto& items, const auto& take) {
        for (; place.item < items.size(); ++place.item) {
            if (turn_is_used_up()) return false;
            ++work_;
            take(items[place.item]);
        }
        return true;
    };
    if (auto* group = std::get_if<GroupCommitted>(&message)) {
        return commit_group(*group->group, place, now);
    }
    if (auto* deliver = std::get_if<Deliver>(&message)) {
        return each(deliver->messages,
                    [&](const MessagePtr& one) { deliver_to_matching(one, {}, now); });
    }
    if (auto* shares = std::get_if<SharedDeliveries>(&message)) {
        return each(shares->deliveries,
                    [&](SharedDeliver& one) { shared_deliver(std::move(one), now); });
    }
    if (auto* asked = std::get_if<PublishAsked>(&message)) {
        for (; place.item < asked->job->messages().size(); ++place.item) {
            if (turn_is_used_up()) return false;
            ++work_;
            publish_asked(asked->job, place.item, now);
        }
        return true;
    }
    ++work_;
    handle(message, now);
    return true;
}

/// What we sent to ourselves; each may send more.
void Shard::handle_local(Instant now) {
    while (!local_.empty()) {
        ShardMessage message = std::move(local_.front());
        local_.pop_front();
        handle(message, now);
        close_deferred(now);
    }
}

/// What has been drained, as far as this turn has room.
void Shard::handle_drained(Instant now) {
    for (; inbox_at_ < inbox_.size(); ++inbox_at_) {
        if (turn_is_used_up()) return;
        const bool whole = handle_some(inbox_[inbox_at_], inbox_place_, now);
        close_deferred(now);
        handle_local(now);
        if (commits_.is_large()) submit_batch(now);
        if (!whole) return;
        inbox_[inbox_at_] = GroupCommitted{};  // its memory is not needed any more
        inbox_place_ = {};
    }
    inbox_.clear();
    inbox_at_ = 0;
    mailbox_of(id_).handled(std::exchange(inbox_bytes_, 0));
}

/// What overtakes, however far behind the inbox is.
void Shard::handle_ahead(Instant now) {
    if (!mailbox_of(id_).anything_ahead()) return;
    mailbox_of(id_).drain_ahead(ahead_);
    for (ShardMessage& message : ahead_) {
        ++work_;
        handle(message, now);
        close_deferred(now);
        handle_local(now);
    }
    ahead_.clear();
}

/// All that is in the mailbox, once what an earlier turn has left of it is done.
void Shard::handle_inbox(Instant now) {
    handle_local(now);
    handle_ahead(now);
    handle_drained(now);
    if (!inbox_.empty()) return;
    inbox_bytes_ = mailbox_of(id_).drain(inbox_);
    ++inbox_rounds_;
    handle_drained(now);
}

void Shard::step(Instant now) {
    stepped_at_ = now;
    work_ = 0;  // whatever the connections have used of it: the inbox has its own
    look_at_edition();
    close_deferred(now);
    handle_inbox(now);
    Timer due;
    for (std::size_t fired = 0; fired < kTimersPerStep && timers_.pop_due(now, due); ++fired) {
        fire(due, now);
        handle_local(now);
    }
    review_some(now);
    move_out();
    fed_messages_ = 0;
    for (std::size_t fed = std::min(feed_queue_.size(), kFeedsPerStep);
         fed != 0 && fed_messages_ < kMessagesFedPerStep;
         --fed) {
        const AttachmentRef who = feed_queue_.front();
        feed_queue_.pop_front();
        SessionEntry* entry = sessions_.attached(who.slot, who.generation);
        if (entry != nullptr) feed(*entry, now);
        handle_local(now);
    }
    close_deferred(now);
    handle_local(now);
    commit_deliveries(now);
    submit_batch(now);
    submit_reads();
    flush_dirty();
    begin_turn();
}

/// A client that comes and goes leaves a deadline each time, of the age of its session: without
/// this they would add up until the first of them is due, after months.
void Shard::sweep_timers() {
    constexpr std::size_t kPerConnection = 4;  // connect or keep alive, one passed, rate, token
    constexpr std::size_t kPerSession = 2;     // expiry, will
    constexpr std::size_t kAlways = 1024;
    const std::size_t wanted =
        kPerConnection * connections_open_ + kPerSession * sessions_.size() + kAlways;
    if (timers_.size() <= 2 * wanted) return;
    timers_.sweep([this](const Timer& timer) { return is_stale(timer); });
}

/// Nothing would happen if it fired.
bool Shard::is_stale(const Timer& timer) {
    switch (timer.kind()) {
        case TimerKind::connect_timeout:
        case TimerKind::keep_alive:
        case TimerKind::rate:
        case TimerKind::credentials: {
            const auto* connection =
                timer.id < connections_.size() ? connections_[timer.id].get() : nullptr;
            return connection == nullptr ||
                   !Timers::same_tag(timer.tag(), connection->id.generation) ||
                   (timer.kind() == TimerKind::credentials &&
                    timer.at != connection->credentials_due);
        }
        case TimerKind::session_expiry: {
            if (const RestingSession* resting = sessions_.resting(timer.id)) {
                return !Timers::same_tag(timer.tag(), resting->generation()) ||
                       resting->expires_at() > timer.at;
            }
            const SessionEntry* entry = sessions_.at(timer.id);
            return entry == nullptr || !Timers::same_tag(timer.tag(), entry->generation) ||
                   entry->attached != nullptr || entry->expires_at() > timer.at;
        }
        case TimerKind::will_delay: {
            const SessionEntry* entry = sessions_.at(timer.id);
            return entry == nullptr || !Timers::same_tag(timer.tag(), entry->generation) ||
                   entry->attached != nullptr || !entry->will || entry->will->due > timer.at;
        }
        case TimerKind::housekeeping:
            break;
    }
    return false;
}

void Shard::fire(const Timer& due, Instant now) {
    switch (due.kind()) {
        case TimerKind::connect_timeout:
            connect_timer(due.id, due.tag(), now);
            break;
        case TimerKind::keep_alive:
            keep_alive_timer(due.id, due.tag(), now);
            break;
        case TimerKind::session_expiry:
            expiry_timer(due.id, due.tag(), now);
            break;
        case TimerKind::will_delay:
            will_timer(due.id, due.tag(), now);
            break;
        case TimerKind::housekeeping:
            housekeeping(due.id, now);
            break;
        case TimerKind::credentials:
            credentials_timer(due.id, due.tag(), now);
            break;
        case TimerKind::rate:
            rate_timer(due.id, due.tag());
            break;
    }
}

Instant Shard::next_deadline() const noexcept {
    Instant at = timers_.next();
    if (!lazy_commits_.empty()) at = std::min(at, next_lazy_commit_);
    if (others_behind_) at = std::min(at, saturating_add(stepped_at_, kLooksAtOthers));
    return at;
}

bool Shard::has_work() const noexcept {
    return !feed_queue_.empty() || !local_.empty() || !leaving_.empty() || !dirty_.empty() ||
           !commits_.empty() || !commit_queue_.empty() || !deferred_closes_.empty() ||
           !inbox_.empty() || may_submit_read() || may_submit_count() || outgoing_blocked_ ||
           review_.scanning || !review_.waiting.empty();
}

/// Unlogged messages leave first: a logged one that its publisher sent later is in the batch, and
/// may be in every mailbox as soon as that is submitted (rule 8).
void Shard::submit_batch(Instant now) {
    flush_outgoing();
    answer_published();
    const bool full = outgoing_blocked_ || commits_.submit(now) == store::Push::full;
    set_congested(full);
}

template <class Message, class Item>
void Shard::flush_outgoing(ShardId shard, std::vector<Item>& items) {
    if (items.empty()) return;
    const std::size_t bytes = std::accumulate(
        items.begin(), items.end(), std::size_t{0}, [](std::size_t sum, const Item& each) {
            return sum + counted_bytes(each);
        });
    ShardMessage message = Message{std::move(items), bytes};
    if (mailbox_of(shard).push(message) == Push::full) {
        [[maybe_unused]] auto& [kept, counted] = std::get<Message>(message);
        items = std::move(kept);
        outgoing_blocked_ = true;
    } else {
        items.clear();
    }
}

/// One mailbox message of each kind per destination and step. A full one keeps its messages here
/// and stops us from reading more.
void Shard::flush_outgoing() {
    outgoing_blocked_ = false;
    for (std::size_t i = 0; i < outgoing_.size(); ++i) {
        const ShardId shard{static_cast<std::uint16_t>(i)};
        flush_outgoing<Deliver>(shard, outgoing_[i]);
        flush_outgoing<SharedDeliveries>(shard, outgoing_shares_[i]);
        if (outgoing_done_[i].empty()) continue;  // as many as there were shares
        send_to(shard, SharedDone{std::move(outgoing_done_[i])});
        outgoing_done_[i].clear();
    }
}

/// Back-pressure: received() stops at the next packet while this is on.
void Shard::set_congested(bool congested) {
    if (congested_ == congested) return;
    congested_ = congested;
    if (!congested) resume_congested();
}

/// Closes that were asked for while a match was being read; see apply_effects().
void Shard::close_deferred(Instant now) {
    while (!deferred_closes_.empty()) {
        const DeferredClose next = deferred_closes_.back();
        deferred_closes_.pop_back();
        SessionEntry* entry = sessions_.attached(next.who.slot, next.who.generation);
        if (entry != nullptr) close(connection_of(*entry), next.close, now);
    }
}

void Shard::drain(const Drain& how, Instant now) {
    draining_ = true;
    log_abandoned_ = log_abandoned_ || how.abandons_log;
    retry_put_off(SIZE_MAX, now);
    for (std::size_t slot = 0; slot < connections_.size(); ++slot) {
        Connection* connection = connections_[slot].get();
        if (connection == nullptr) continue;
        if (connection->phase == Phase::leaving) continue;  // its new home closes it
        close(*connection,
              {.reason = how.reason, .detail = how.detail, .send_disconnect = true},
              now);
    }
}

bool Shard::drained() const noexcept {
    if (!draining_ || connections_open_ != 0 || !inbox_.empty()) return false;
    return log_abandoned_ ||
           (commits_.empty() && commits_.batches_on_their_way() == 0 && local_.empty());
}

ShardSnapshot Shard::snapshot() const {
    ShardSnapshot taken;
    taken.counters = counters_;
    taken.counters.messages_sent = fx_.messages_sent;
    taken.counters.packets_sent = fx_.packets_sent;
    // Its sessions count PUBLISH once only, by QoS.
    taken.counters.packets_sent[static_cast<std::size_t>(mqtt::PacketType::publish)] =
        std::accumulate(fx_.messages_sent.begin(), fx_.messages_sent.end(), std::uint64_t{0});
    taken.traffic = transport_.traffic();
    taken.connections = connections_of_;
    taken.inflight_messages = inflight_;
    taken.sessions_connected = sessions_attached_;
    taken.sessions_away = sessions_.size() - sessions_attached_;
    taken.subscriptions = index_.subscriptions();
    taken.shared_groups = groups_.size();
    taken.retained_messages = retained_.size();
    taken.log_messages = shared_.engine->log_messages();
    return taken;
}

std::string Shard::new_client_id() {
    // 128 bits, and at home here, so that the connection does not have to move.
    static constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    for (;;) {
        std::string id = "auto-";
        for (int i = 0; i < 20; ++i) id += kDigits[random_.below(36)];
        if (shared_.placement->of_client(id) == id_ && sessions_.find(id) == nullptr) return id;
    }
}

}  // namespace stentor::server
