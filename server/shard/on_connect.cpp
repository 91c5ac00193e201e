// From CONNECT to an attached session, and back: judging, admitting, moving home, take-over,
// attaching by commit (rule 10), detaching.
#include "base/log.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/refused_connect.hpp"
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace stentor::server {

using mqtt::ProtocolVersion;
using mqtt::ReasonCode;

namespace {

/// What is not in the log cannot be read back from it: it is forgotten with the process, except for
/// an identifier of QoS 2, which must not be used again before its exchange has ended.
bool is_listed(Seq seq, mqtt::QoS qos) { return seq != kNoSeq || qos == mqtt::QoS::exactly_once; }

/// The whole unfinished list as the log keeps it.
std::vector<store::Unfinished> unfinished_of(const mqtt::SessionParts& parts) {
    std::vector<store::Unfinished> out;
    out.reserve(parts.inflight.size());
    for (const mqtt::InflightMessage& item : parts.inflight) {
        if (!is_listed(item.seq, item.qos)) continue;
        out.push_back({.seq = item.seq,
                       .packet_id = item.packet_id,
                       .qos = item.qos,
                       .phase = static_cast<store::DeliveryPhase>(item.phase),
                       .retain = item.retain});
    }
    return out;
}

/// Says no more than the reason code does: not whether the user exists.
const char* why_not_admitted(ReasonCode reason) {
    switch (reason) {
        case ReasonCode::bad_user_name_or_password:
            return "user name or password is wrong";
        case ReasonCode::not_authorized:
            return "not admitted: this listener wants other credentials";
        case ReasonCode::banned:
            return "banned";
        case ReasonCode::connection_rate_exceeded:
            return "too many failed attempts: try again later";
        default:
            return "not admitted";
    }
}

}  // namespace

void Shard::on_connect(Connection& connection, const mqtt::ConnectView& packet, Instant now) {
    auto judged = mqtt::judge_connect(packet, options_.limits, now);
    if (!judged) {
        refuse_connect(connection, judged.error().reason, judged.error().detail);
        return;
    }
    connection.request = std::make_unique<mqtt::ConnectRequest>(std::move(*judged));
    mqtt::ConnectRequest& request = *connection.request;
    if (request.client_id.empty()) {
        mqtt::assign_client_id(request, new_client_id());
    }
    if (!request.authentication_method.empty()) {
        begin_exchange(connection, now);
        return;
    }
    set_pause(connection, kPauseOpening, true);
    connection.phase = Phase::authenticating;
    if (auto admission = shared_.access->admit(request, *connection.peer, id_, connection.id)) {
        admitted(connection, std::move(*admission), now);
    }
}

/// CONNACK with a reason, where the version has a way to say it, and the end of the connection.
void Shard::refuse_connect(Connection& connection,
                           ReasonCode reason,
                           const char* detail,
                           ByteView packet) {
    ++counters_.connects_refused[mqtt::to_number(reason)];
    STENTOR_LOG(debug,
                LogEvent("connect_refused",
                         {{"peer", connection.peer->address}, {"reason", mqtt::name(reason)}}),
                "{}",
                detail);
    const auto version = connection.decoder.version();
    if (version && connection.phase != Phase::open && connection.phase != Phase::attaching) {
        const bool sayable =
            *version == ProtocolVersion::v5 || mqtt::connect_return_code(reason).has_value();
        if (sayable) {
            const std::optional<std::size_t> bytes_max = connection.request
                                                             ? connection.request->packet_bytes_max
                                                             : mqtt::connack_bytes_max(packet);
            // A Reason String that does not fit is left out [MQTT-3.2.2-19], and so is one of which
            // that is not known.
            mqtt::PropertyWriter properties;
            if (*version == ProtocolVersion::v5 && bytes_max) {
                properties.text(mqtt::Property::reason_string, detail);
            }
            (void)mqtt::encode_connack(
                connection.out,
                *version,
                {.session_present = false, .reason = reason, .properties = properties.bytes()},
                bytes_max.value_or(mqtt::kPacketBytesMax));
        }
    }
    drop_connection(connection, true, reason);
}

void Shard::log_not_admitted(const Connection& connection,
                             const Admission& admission,
                             Instant now) {
    static LogEvery every{20, std::chrono::seconds{10}};  // whoever guesses passwords fills no disk
    const auto pass = every.admit(now);
    if (!pass) return;
    STENTOR_LOG(info,
                LogEvent("not_admitted",
                         {{"peer", connection.peer->address},
                          {"port", connection.peer->port},
                          {"client", connection.request->client_id},
                          {"user", connection.request->user_name.value_or(std::string{})},
                          {"reason", mqtt::name(admission.reason)},
                          {"suppressed", pass.suppressed}}),
                "a client was not admitted: {}",
                admission.why);
}

void Shard::admitted(Connection& connection, Admission admission, Instant now) {
    STENTOR_ASSERT(connection.phase == Phase::authenticating && connection.request);
    connection.request->password.reset();
    if (admission.goes_on) {
        challenged(connection, admission, now);
        return;
    }
    connection.exchange.reset();
    if (!admission.accepted) {
        log_not_admitted(connection, admission, now);
        if (admission.silent) {
            // Many do not come again after a CONNACK that refuses them, but all after an end.
            ++counters_.authentications_shed;
            forget_connection(connection, false);
            return;
        }
        refuse_connect(connection, admission.reason, why_not_admitted(admission.reason));
        return;
    }
    connection.identity = std::move(admission.identity);
    if (admission.valid_for) connection.valid_until = saturating_add(now, *admission.valid_for);
    if (!may_leave_will(connection)) {
        admission.reason = ReasonCode::not_authorized;
        admission.why = "its credentials do not allow the topic of its will";
        log_not_admitted(connection, admission, now);
        refuse_connect(connection, admission.reason, "the topic of the will is not allowed");
        return;
    }
    connection.request->authentication_data = std::move(admission.data);
    if (shared_.placement->of_client(connection.request->client_id) != id_) {
        connection.phase = Phase::leaving;
        leaving_.push_back(connection.id);
        return;
    }
    attach(connection, now);
}

/// Rules are asked when a will is published. Grants and roles of credentials are known while the
/// client is connected, or its will waits, but not to a broker that has been killed and publishes
/// the will after that.
bool Shard::may_leave_will(const Connection& connection) const {
    const mqtt::ConnectRequest& request = *connection.request;
    return !connection.identity.has_terms() || !request.will ||
           shared_.access->allows(TopicAction::publish,
                                  connection.identity,
                                  request.client_id,
                                  request.will->message->topic());
}

/// Hands connections to their sessions' homes: after the driver has returned from received(), so
/// that the unread bytes are where detach() finds them.
void Shard::move_out() {
    for (const ConnectionId id : leaving_) {
        Connection* connection = find(id);
        if (connection == nullptr) continue;
        auto moved = std::make_unique<MovedConnection>(connection->decoder);
        moved->socket = transport_.detach(id);
        moved->out = std::move(connection->out);
        moved->request = std::move(*connection->request);
        moved->identity = std::move(connection->identity);
        moved->valid_until = connection->valid_until;
        moved->peer = std::move(*connection->peer);
        const ShardId home = shared_.placement->of_client(moved->request.client_id);
        free_connection(*connection);
        mailbox_of(home).push_reserved(MoveIn{std::move(moved)});
    }
    leaving_.clear();
}

void Shard::move_in(std::unique_ptr<MovedConnection> moved, Instant now) {
    if (draining_) return;  // its destructor closes the socket
    Connection& connection = create_connection(std::move(moved->peer), now);
    connection.request = std::make_unique<mqtt::ConnectRequest>(std::move(moved->request));
    connection.identity = std::move(moved->identity);
    connection.valid_until = moved->valid_until;
    connection.decoder = moved->decoder;
    connection.out = std::move(moved->out);
    transport_.attach(connection.id, std::move(moved->socket));
    mark_dirty(connection);
    set_pause(connection, kPauseOpening, true);
    connection.phase = Phase::authenticating;
    attach(connection, now);
}

/// Two clients with one identifier throw each other out for ever: each connects again when it has
/// been. That is said, because neither of them can know.
void Shard::watch_takeovers(std::string_view client,
                            const PeerInfo& old_peer,
                            const PeerInfo& peer,
                            Instant now) {
    constexpr std::size_t kWatchedClients = 1024;
    constexpr Duration kForgetsOneAfter = std::chrono::seconds{10};
    constexpr int kFight = 5;  // take-overs that have not been forgotten
    if (takeovers_ == nullptr) takeovers_ = std::make_unique<LeakyTable>(kWatchedClients);
    const std::uint64_t key = std::hash<std::string_view>{}(client);
    Duration level = takeovers_->level(key, now);
    // No more is remembered than is soon forgotten.
    if (level < 2 * kFight * kForgetsOneAfter) level = takeovers_->add(key, kForgetsOneAfter, now);
    if (level <= (kFight - 1) * kForgetsOneAfter) return;
    ++counters_.client_id_fights;
    static LogEvery every{5, std::chrono::seconds{10}};
    const auto pass = every.admit(now);
    if (!pass) return;
    STENTOR_LOG(warn,
                LogEvent("client_id_fight",
                         {{"client", client},
                          {"peer", peer.address},
                          {"port", peer.port},
                          {"old_peer", old_peer.address},
                          {"old_port", old_peer.port},
                          {"suppressed", pass.suppressed}}),
                "connections with one client identifier take over from each other again and "
                "again: give each client its own");
}

/// Finds or makes the session of an admitted CONNECT, after ending whatever was attached to it.
SessionEntry& Shard::prepare_entry(const mqtt::ConnectRequest& request,
                                   const PeerInfo& peer,
                                   bool& session_present,
                                   bool& discards,
                                   Instant now) {
    SessionEntry* entry = sessions_.find(request.client_id);
    if (entry != nullptr && entry->attached != nullptr) {
        ++counters_.takeovers;
        Connection& old = connection_of(*entry);
        watch_takeovers(request.client_id, *old.peer, peer, now);
        STENTOR_LOG(
            debug,
            LogEvent("takeover", {{"client", request.client_id}, {"old_peer", old.peer->address}}),
            "a second connection with the same client identifier takes over");
        // [MQTT-3.1.4-3]: the earlier connection is closed, 5.0 with Session taken over. Its will
        // is published unless a delay lets this CONNECT cancel it.
        close(old,
              {.reason = ReasonCode::session_taken_over,
               .detail = "session taken over",
               .send_disconnect = true},
              now);
        entry = sessions_.find(request.client_id);
    }
    if (entry != nullptr && (request.clean_start || entry->expires_at() <= now)) {
        discard_session(*entry, now);  // publishes a waiting will: its session ends here
        entry = nullptr;
    }
    // A will whose time has come is published, though its timer has not been looked at yet.
    if (entry != nullptr && entry->will && entry->will->due <= now) publish_will(*entry, now);
    session_present = entry != nullptr;
    discards = entry == nullptr;
    if (entry != nullptr) return *entry;
    session_room_.session_begins(request.client_id.size());
    return sessions_.create(request.client_id);
}

/// Wills stay in memory, for as long as their sessions want. Once they take too much, one that
/// takes more than an equal part of the bound, and more than the one that it replaces, is refused;
/// at twice the bound any that takes more than the one that it replaces.
bool Shard::has_room_for_will(const mqtt::ConnectRequest& request) {
    if (!request.will) return true;
    const SessionEntry* entry = sessions_.find(request.client_id);
    const std::size_t replaced = entry != nullptr && entry->will ? entry->will->bytes() : 0;
    const std::size_t bytes = request.will->message->bytes();
    const std::uint64_t after = wills_.bytes - replaced + bytes;
    const std::uint64_t bound = options_.will_bytes_max;
    return bytes <= replaced || after <= bound ||
           (after <= 2 * bound && bytes <= bound / (wills_.wills + 1));
}

/// A session that ends with its connection needs no more room than that.
bool Shard::has_room_for_session(const mqtt::ConnectRequest& request) {
    return !request.durable() || session_room_.has_room_for_session(request.client_id.size()) ||
           sessions_.find(request.client_id) != nullptr;
}

void Shard::log_no_room(std::string_view client, const char* for_what, Instant now) {
    static LogEvery every{5, std::chrono::seconds{10}};
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(warn,
                    LogEvent("session_refused",
                             {{"client", client},
                              {"sessions", session_room_.sessions()},
                              {"bytes", session_room_.bytes()},
                              {"suppressed", pass.suppressed}}),
                    "no room for {}: the sessions of this shard have reached their part of "
                    "limits.sessions_max or limits.sessions_bytes_max",
                    for_what);
    }
}

void Shard::attach(Connection& connection, Instant now) {
    if (!has_room_for_session(*connection.request)) {
        log_no_room(connection.request->client_id, "a session", now);
        refuse_connect(connection, ReasonCode::quota_exceeded, "no room for another session");
        return;
    }
    if (!has_room_for_will(*connection.request)) {
        static LogEvery every{5, std::chrono::seconds{10}};
        if (const auto pass = every.admit(now)) {
            STENTOR_LOG(warn,
                        LogEvent("will_refused",
                                 {{"client", connection.request->client_id},
                                  {"peer", connection.peer->address},
                                  {"suppressed", pass.suppressed}}),
                        "{} wills take {} MiB: there is no room for one of {} bytes",
                        wills_.wills,
                        wills_.bytes / 1024 / 1024,
                        connection.request->will->message->bytes());
        }
        refuse_connect(connection, ReasonCode::quota_exceeded, "no room for so large a will");
        return;
    }
    mqtt::ConnectRequest request = std::move(*connection.request);
    connection.request.reset();
    bool session_present = false;
    bool discards = false;
    SessionEntry& entry = prepare_entry(request, *connection.peer, session_present, discards, now);
    request.resumes_stored = session_present;
    const bool durable = request.durable();
    // The end of the last connection may not be in the log yet. Should its commit fail, what this
    // connection relies on is one commit with its beginning.
    if (entry.state_unsure || entry.detaches_on_their_way != 0) rewrite_state(entry);
    std::unique_ptr<BeforeAttach> before;
    if (session_present) {
        before = std::make_unique<BeforeAttach>(BeforeAttach{.version = entry.version,
                                                             .expiry_seconds = entry.expiry_seconds,
                                                             .identity = std::move(entry.identity),
                                                             .detached_at = entry.detached_at,
                                                             .will = std::move(entry.will),
                                                             .will_stored = entry.will_stored});
    }
    entry.durable = durable;
    entry.version = request.version;
    entry.expiry_seconds = request.session_expiry_seconds;
    entry.identity = connection.identity;
    ++entry.generation;
    std::unique_ptr<PendingWill> will;
    if (request.will) will = std::make_unique<PendingWill>(*std::move(request.will), wills_);
    request.will.reset();

    mqtt::SessionParts parts = entry.parts ? std::move(*entry.parts) : mqtt::SessionParts{};
    entry.parts.reset();
    parts.sent_through = session_present ? entry.sent_through : applied_;
    ++sessions_attached_;
    entry.attached = std::make_unique<Attachment>(
        mqtt::Session{std::move(request), options_.limits, std::move(parts)}, connection.id);
    entry.attached->since = now;
    entry.attached->session_present = session_present;
    entry.attached->narrowed = shared_.access->checks_deliveries(entry.identity);
    // Subscriptions that it brings along may be older than the rules, or somebody else's.
    const bool is_judged = !session_present && entry.identity.edition == edition_;
    entry.attached->judged = is_judged ? edition_ : Attachment::kUnjudged;
    entry.attached->before = std::move(before);
    connection.slot = entry.slot;
    connection.phase = Phase::attaching;
    forget_connect_bytes(connection);

    for (Subscription& subscription : entry.subscriptions) {
        subscription.withheld = false;
        index_subscription(entry, subscription);
    }
    // A will that waited for its delay is cancelled: the Attached record replaces it.
    entry.will = std::move(will);
    entry.will_stored = false;

    const FinishAttach finish{{entry.slot, entry.generation}};
    if (!durable && !entry.will) {
        // CONNACK says that there is no session any more: not before the log says so (rule 1).
        if (ending_.contains(entry.client_id)) {
            commits_.add(store::SessionEnded{entry.client_id}, finish);
        } else {
            finish_attach(entry, now);
        }
        return;
    }
    store::Attached record;
    record.client = entry.client_id;
    record.version = entry.version;
    record.discards_earlier_state = discards;
    record.expiry_seconds = entry.expiry_seconds;
    if (entry.will) {
        record.will = store::WillRecord{entry.will->will.message, entry.will->will.delay_seconds};
        entry.will_stored = true;
    }
    record.user = entry.identity.user;
    record.at = now;
    commits_.add(std::move(record), finish);
}

/// The attach is committed (or needs no commit): CONNACK, what was in flight, then the rest.
void Shard::finish_attach(SessionEntry& entry, Instant now) {
    Attachment& attached = *entry.attached;
    Connection& connection = connection_of(entry);
    connection.phase = Phase::open;
    attached.open = true;
    attached.before.reset();
    if (attached.judged != edition_) review_later(entry);
    retry_all(std::move(attached.retry_when_attached));
    fx_.clear();
    fx_.out = &connection.out;
    send_connack(entry);
    mark_dirty(connection);
    STENTOR_LOG(debug,
                LogEvent("connected",
                         {{"client", entry.client_id},
                          {"peer", connection.peer->address},
                          {"session_present", attached.session_present},
                          {"durable", entry.durable}}),
                "client connected");
    const Instant deadline = keep_alive_deadline(connection, entry);
    if (deadline != kNever) {
        timers_.set(deadline, TimerKind::keep_alive, connection.id.slot, connection.id.generation);
    }
    watch_credentials(connection);
    if (fx_.close) {  // the CONNACK does not fit the client's Maximum Packet Size
        const mqtt::Close reason = *fx_.close;
        close(connection, reason, now);
        return;
    }
    attached.session.missing_messages(attached.restoring_seqs);
    if (!attached.restoring_seqs.empty()) {
        attached.restoring = true;
        read_missing(entry);
    } else {
        resume(entry, now);
    }
    // Reading begins here; the driver offers what was pipelined behind CONNECT.
    if (Connection* still = find(connection.id)) set_pause(*still, kPauseOpening, false);
}

/// Everything in flight has its message: repeat it, go on with replays and the log.
void Shard::resume(SessionEntry& entry, Instant now) {
    entry.attached->restoring = false;
    const AttachmentRef who{entry.slot, entry.generation};
    with_session(
        entry, now, [&](auto& session, auto& fx) { session.send_inflight_again(now, fx); });
    SessionEntry* still = sessions_.attached(who.slot, who.generation);
    if (still == nullptr) return;
    for (const Subscription& subscription : still->subscriptions) {
        if (!subscription.replay_next) continue;
        start_replay(*still,
                     subscription,
                     mqtt::parse_subscription_filter(subscription.text).filter,
                     subscription.replay_until,
                     *subscription.replay_next,
                     applied_);
    }
    request_feed(*still);
}

void Shard::forget_attachment(SessionEntry& entry) {
    inflight_ -= entry.attached->inflight_counted;
    entry.attached.reset();
    --sessions_attached_;
}

/// The connection of an attached session ends, for whatever reason. The entry is gone afterwards if
/// the session was transient or its expiry interval is 0.
void Shard::end_attachment(SessionEntry& entry, mqtt::CloseWill will, LastEnd end, Instant now) {
    Attachment& attached = *entry.attached;
    entry.last_end = end;
    entry.expiry_seconds = attached.session.session_expiry_seconds();
    const bool session_ends = !entry.durable || entry.expiry_seconds == 0;
    if (const std::size_t queued = attached.session.queued_count(); queued != 0 && session_ends) {
        drop(mqtt::DropReason::session_ended, entry.client_id, queued);
    }
    for (const Subscription& subscription : entry.subscriptions) {
        unindex_subscription(entry, subscription, Leaving::away);
    }
    if (attached.session.live()) {
        attached.session.advance(applied_);
        entry.backlog_count_at = backlog_load_ + kFullBacklog;  // nothing waits yet
    }
    mqtt::SessionParts parts = std::move(attached.session).take_parts();
    return_shared(entry);
    // A replay under way goes on from what was sent.
    if (!attached.replays.empty()) {
        const RetainedReplay& replay = attached.replays.front();
        if (Subscription* subscription = entry.find(replay.text)) {
            subscription->replay_next = std::make_unique<std::string>(replay.next_topic);
        }
    }
    if (!attached.replays.empty() && entry.durable && !session_ends &&
        attached.replays.front().progressed) {
        const RetainedReplay& replay = attached.replays.front();
        store::RetainedReplay progress;
        progress.client = entry.client_id;
        progress.filter = replay.text;
        progress.until = replay.until;
        progress.next_topic = replay.next_topic;
        progress.delivery.sent_through = parts.sent_through;
        progress.delivery.whole = true;
        progress.delivery.changed = unfinished_of(parts);
        tells_of_replay(entry, replay.text);
        commits_.add(std::move(progress), NothingToDo{});
    }
    auto records = std::move(attached.retry_when_attached);
    auto before = std::move(attached.before);  // null once the log has its attach
    forget_attachment(entry);
    if (before != nullptr && !session_ends) set_wills_aside(entry, std::move(before), will, now);
    retry_all(std::move(records));
    entry.detached_at = now;
    entry.sent_through = parts.sent_through;
    will_after_close(entry, will, session_ends, now);
    if (session_ends) {
        return_unfinished(parts.inflight);
        return_unfinished(parts.queued_shares);
        remove_entry(entry, now);
        return;
    }
    keep_parts(entry, std::move(parts));
    commit_detached(entry);
    if (const Instant at = entry.expires_at(); at != kNever) {
        timers_.set(at, TimerKind::session_expiry, entry.slot, entry.generation);
    }
}

/// What the log has does not wait in memory: it is read from there when the client is back. But a
/// share stays, because another member may get it, and so does a retained message, because the log
/// has one that was replaced only if a commit has listed this delivery before.
void Shard::keep_parts(SessionEntry& entry, mqtt::SessionParts parts) {
    entry.sent_through = parts.sent_through;
    for (mqtt::InflightMessage& item : parts.inflight) {
        if (item.seq != kNoSeq && item.share_tag == 0 && !item.retain) item.message.reset();
    }
    if (parts.inflight.empty() && parts.inbound_qos2.empty() && parts.last_packet_id == 0) return;
    entry.parts = std::make_unique<mqtt::SessionParts>(std::move(parts));
}

store::DeliveryState Shard::whole_state(SessionEntry& entry) {
    store::DeliveryState state;
    state.client = entry.client_id;
    state.sent_through = entry.sent_through;
    state.whole = true;
    if (entry.parts) state.changed = unfinished_of(*entry.parts);
    state.loss = loss_to_store(entry);
    return state;
}

/// With all there is of its deliveries, should an earlier commit about them have failed.
void Shard::commit_detached(SessionEntry& entry) {
    const bool was_unsure = std::exchange(entry.state_unsure, false);
    store::Detached record;
    record.client = entry.client_id;
    record.expiry_seconds = entry.expiry_seconds;
    record.keeps_will = entry.will != nullptr || !entry.unanswered.empty();
    record.at = entry.detached_at;
    record.delivery = whole_state(entry);
    record.delivery.client.clear();
    ++entry.detaches_on_their_way;
    commits_.add(std::move(record),
                 ConfirmDetach{entry.slot, entry.generation, entry.sent_through});
    if (was_unsure) rewrite_replays(entry);
}

/// What the log knows of a detached session's deliveries is behind, or may be, because a commit
/// failed or is on its way: writes all of it again.
void Shard::rewrite_state(SessionEntry& entry) {
    entry.state_unsure = false;
    ++entry.detaches_on_their_way;
    commits_.add(whole_state(entry),
                 ConfirmDetach{entry.slot, entry.generation, entry.sent_through});
    rewrite_replays(entry);
}

/// How far retained replays are, behind the whole state: that lists what they have sent, and the
/// end of one lets go of what nobody lists.
void Shard::rewrite_replays(SessionEntry& entry) {
    if (entry.replays_told == nullptr) return;
    const ConfirmDetach confirm{entry.slot, entry.generation, entry.sent_through};
    for (const std::string& text : *entry.replays_told) {
        const Subscription* subscription = entry.find(text);
        if (subscription == nullptr) continue;
        if (subscription->replay_next && subscription->replay_next->empty()) continue;
        store::RetainedReplay record;
        record.client = entry.client_id;
        record.filter = text;
        record.until = subscription->replay_until;
        if (subscription->replay_next) record.next_topic = *subscription->replay_next;
        record.delivery.sent_through = entry.sent_through;
        ++entry.detaches_on_their_way;
        commits_.add(std::move(record), confirm);
    }
}

/// A commit tells how far the replay of the subscription `text` is.
void Shard::tells_of_replay(SessionEntry& entry, std::string_view text) {
    if (entry.replays_told == nullptr) {
        entry.replays_told = std::make_unique<std::vector<std::string>>();
    }
    std::vector<std::string>& told = *entry.replays_told;
    if (!told.empty() && told.back() == text) return;
    // As long as the next commit is always on its way, names of filters that come and go would add
    // up.
    constexpr std::size_t kFew = 16;
    if (told.size() > 2 * entry.subscriptions.size() + kFew) {
        std::sort(told.begin(), told.end());
        told.erase(std::unique(told.begin(), told.end()), told.end());
        std::erase_if(told, [&](const std::string& name) { return entry.find(name) == nullptr; });
    }
    told.emplace_back(text);
}

/// After a commit about its deliveries: if the log has all of them, nothing need be told again.
void Shard::settle_replays(SessionEntry& entry) {
    const bool attached_settled =
        entry.attached == nullptr || entry.attached->deliveries_on_their_way == 0;
    if (attached_settled && entry.detaches_on_their_way == 0 && !entry.state_unsure) {
        entry.replays_told.reset();
    }
}

/// Ends a detached session: its waiting will is due now (MQTT 5.0 3.1.3.2.2).
void Shard::discard_session(SessionEntry& entry, Instant now) {
    if (!entry.unanswered.empty()) entry.will = std::move(entry.unanswered.back().will);
    if (entry.will) publish_will(entry, now);
    remove_entry(entry, now);
}

/// Takes a detached session out of the tables and, if the log knows it, out of the log.
void Shard::remove_entry(SessionEntry& entry, Instant now) {
    (void)now;
    forget_subscriptions(entry);
    if (entry.parts) return_unfinished(entry.parts->inflight);
    if (entry.durable || entry.will_stored) {
        store::SessionEnded record{entry.client_id};
        ++ending_[entry.client_id];
        commits_.add(record, TryAgain{std::make_unique<store::Record>(record)});
    }
    session_room_.session_ends(entry.client_id.size());
    sessions_.erase(entry);
}

}  // namespace stentor::server
