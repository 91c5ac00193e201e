// Connections: opening, cutting into packets, dispatch, writing, closing, time-outs.
#include "base/log.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace stentor::server {

using mqtt::ReasonCode;

namespace {

/// Of somebody who may be anybody: five fields of 64 KiB (identifier, topic and payload of the
/// will, name, password) and properties.
constexpr std::uint32_t kConnectBytesMax = 384 * 1024;

/// Of all of them whose clients are not in yet, on a shard; see may_bring().
constexpr std::size_t kConnectBytesOfAllMax = 32 * 1024 * 1024;
constexpr std::size_t kConnectBytesAtWorst = 4 * kConnectBytesOfAllMax;

std::size_t reading_pause(std::uint8_t only_bit) noexcept {
    // In the order of Shard's bits; the first of them is the opening's.
    return static_cast<std::size_t>(std::countr_zero(only_bit)) - 1;
}

/// A timer that cannot judge yet looks again.
constexpr Duration kHearsAgain = std::chrono::milliseconds{10};

/// An outbox of more is offered to the kernel at once, not when the step ends: one fan-out would
/// fill those of all its receivers at the same time.
constexpr std::size_t kWrittenAtOnce = std::size_t{256} * 1024;

/// What somebody speaks who does not begin as CONNECT does; null: nothing we know.
const char* other_protocol(ByteView bytes) {
    const std::byte first = bytes.front();
    if (first == std::byte{0x16}) {
        return "a TLS hello on a plain port: use an mqtts:// or auto:// listener";
    }
    if (as_text(bytes).starts_with("PROXY ") || as_text(bytes).starts_with("\r\n\r\n")) {
        return "a PROXY header on a listener without proxy_protocol";
    }
    if (first >= std::byte{'A'} && first <= std::byte{'Z'}) {
        return "an HTTP request on an MQTT port: use http:// (WebSocket: ws://) or auto://";
    }
    return nullptr;
}

}  // namespace

Shard::Connection* Shard::find(ConnectionId id) noexcept {
    if (id.slot >= connections_.size()) return nullptr;
    Connection* connection = connections_[id.slot].get();
    return connection != nullptr && connection->id == id ? connection : nullptr;
}

Shard::Connection& Shard::connection_of(SessionEntry& entry) noexcept {
    Connection* connection = find(entry.attached->connection);
    STENTOR_ASSERT(connection != nullptr, "an attached session has a connection");
    return *connection;
}

Shard::Connection& Shard::create_connection(PeerInfo peer, Instant now) {
    std::uint32_t slot = 0;
    if (free_connections_.empty()) {
        slot = static_cast<std::uint32_t>(connections_.size());
        connections_.emplace_back();
        connection_generations_.push_back(0);
    } else {
        slot = free_connections_.back();
        free_connections_.pop_back();
    }
    const mqtt::DecodeLimits limits{
        .packet_bytes_max = options_.limits.packet_bytes_max,
        .connect_bytes_max = std::min(options_.limits.packet_bytes_max, kConnectBytesMax),
        .topic_levels_max = options_.limits.topic_levels_max};
    connections_[slot] = std::make_unique<Connection>(limits);
    Connection& connection = *connections_[slot];
    connection.id = {.slot = slot, .generation = ++connection_generations_[slot]};
    connection.last_packet = now;
    if (peer.listener >= connections_of_.size()) connections_of_.resize(peer.listener + 1U);
    ++connections_of_[peer.listener];
    connection.peer = std::make_unique<PeerInfo>(std::move(peer));
    ++connections_open_;
    return connection;
}

void Shard::free_connection(Connection& connection) {
    const std::uint32_t slot = connection.id.slot;
    const bool is_judged = connection.phase == Phase::authenticating || connection.verdict_due;
    if (is_judged) shared_.access->abandon(id_, connection.id);
    forget_connect_bytes(connection);
    --connections_of_[connection.peer->listener];
    connections_[slot].reset();
    free_connections_.push_back(slot);
    --connections_open_;
}

ConnectionId Shard::opened(PeerInfo peer, Instant now) {
    if (draining_) return kNoConnection;
    if (shared_.connects != nullptr && !shared_.connects->admit(now)) {
        static LogEvery every{5, std::chrono::seconds{10}};
        if (const auto pass = every.admit(now)) {
            STENTOR_LOG(warn,
                        LogEvent("connection_shed",
                                 {{"peer", peer.address}, {"suppressed", pass.suppressed}}),
                        "limits.connects_per_second_max is reached: the client may come again");
        }
        turned_away(RefusedAtDoor::connects_per_second_max);
        return kNoConnection;
    }
    Connection& connection = create_connection(std::move(peer), now);
    ++counters_.connections_opened;
    timers_.set(saturating_add(now, options_.connect_timeout),
                TimerKind::connect_timeout,
                connection.id.slot,
                connection.id.generation);
    return connection.id;
}

void Shard::peer_is(ConnectionId id, PeerInfo peer) {
    if (Connection* connection = find(id)) *connection->peer = std::move(peer);
}

std::size_t Shard::received(ConnectionId id, ByteView bytes, Instant now) {
    look_at_edition();
    std::size_t used = 0;
    for (;;) {
        Connection* connection = find(id);
        if (connection == nullptr) return bytes.size();
        if (connection->paused != 0 || used == bytes.size()) return used;
        if (turn_is_used_up()) {
            wait_for_turn(*connection);
            return used;
        }
        if (congested_) {  // a CONNECT asks for commits as well
            wait_for_room(*connection);
            return used;
        }
        auto step = connection->decoder.next(bytes.subspan(used));
        if (!step) {
            mqtt::ProtocolError error = step.error();
            if (connection->phase == Phase::handshake && used == 0) {
                if (const char* hint = other_protocol(bytes)) error.detail = hint;
            }
            refuse_packet(*connection, error, now, bytes.subspan(used));
            return bytes.size();
        }
        const auto* decoded = std::get_if<mqtt::Decoded>(&*step);
        if (decoded == nullptr) {
            if (connection->phase != Phase::handshake) return used;
            if (may_bring(*connection, bytes.size(), now)) return used;
            drop_connection(*connection, false, ReasonCode::server_busy);
            return bytes.size();
        }
        if (connection->phase == Phase::handshake &&
            !may_bring(*connection, decoded->bytes_used, now)) {
            drop_connection(*connection, false, ReasonCode::server_busy);
            return bytes.size();
        }
        if (std::holds_alternative<mqtt::SubscribeView>(decoded->packet) &&
            !has_caught_up(*connection, now)) {
            if (find(id) != nullptr) wait_for_turn(*connection);
            continue;  // it is paused or gone
        }
        const bool publishes = std::holds_alternative<mqtt::PublishView>(decoded->packet);
        if (publishes && others_behind_) {
            wait_for_room(*connection);
            return used;
        }
        used += decoded->bytes_used;
        work_ += 1 + decoded->bytes_used / kBytesPerWork;
        connection->last_packet = now;
        dispatch(*connection, decoded->packet, now);
        if (publishes && options_.messages_per_second_max != 0) {
            if (Connection* still = find(id)) keep_to_rate(*still, now);
        }
    }
}

/// So many bytes of a CONNECT are kept, in part or, until it is known who the client is, as a
/// whole. Many may do that: once it is too much, whoever brings more and has more than an equal
/// part of the bound is closed. So who needs little comes in. Equal parts of ever more connections
/// add up, too: at four times the bound nobody may bring more.
bool Shard::may_bring(Connection& connection, std::size_t bytes, Instant now) {
    if (connection.connect_bytes == 0) ++connecting_;
    connecting_bytes_ += bytes - connection.connect_bytes;
    connection.connect_bytes = static_cast<std::uint32_t>(bytes);
    if (connecting_bytes_ <= kConnectBytesOfAllMax) return true;
    const bool needs_little = bytes <= kConnectBytesOfAllMax / connecting_;
    if (needs_little && connecting_bytes_ <= kConnectBytesAtWorst) return true;
    turned_away(RefusedAtDoor::connect_bytes);
    static LogEvery every{5, std::chrono::seconds{10}};
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(
            warn,
            LogEvent("connection_shed",
                     {{"peer", connection.peer->address}, {"suppressed", pass.suppressed}}),
            "CONNECTs of clients that are not in yet take {} MiB: one with {} bytes is closed",
            connecting_bytes_ / 1024 / 1024,
            bytes);
    }
    return false;
}

void Shard::forget_connect_bytes(Connection& connection) noexcept {
    if (connection.connect_bytes == 0) return;
    connecting_bytes_ -= std::exchange(connection.connect_bytes, 0);
    --connecting_;
}

/// A client that sends more than limits.messages_per_second_max is not read for a while.
void Shard::keep_to_rate(Connection& connection, Instant now) {
    const Duration pause = connection.rate.take(options_.messages_per_second_max, now);
    if (pause == Duration::zero()) return;
    set_pause(connection, kPauseRate, true);
    timers_.set(
        saturating_add(now, pause), TimerKind::rate, connection.id.slot, connection.id.generation);
}

void Shard::rate_timer(std::uint32_t slot, std::uint32_t tag) {
    Connection* connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
    if (connection == nullptr || !Timers::same_tag(tag, connection->id.generation)) return;
    set_pause(*connection, kPauseRate, false);
}

void Shard::dispatch(Connection& connection, const mqtt::PacketView& packet, Instant now) {
    ++counters_.packets_received[static_cast<std::size_t>(mqtt::type_of(packet))];
    if (const auto* connect = std::get_if<mqtt::ConnectView>(&packet)) {
        on_connect(connection, *connect, now);
        return;
    }
    if (connection.phase == Phase::answering) {
        answer_while_connecting(connection, packet, now);
        return;
    }
    if (connection.phase != Phase::open) {  // the decoder lets nothing through before CONNECT
        refuse_packet(connection, {ReasonCode::protocol_error, "a packet before CONNACK"}, now);
        return;
    }
    SessionEntry& entry = *sessions_.at(connection.slot);
    if (!may_still_say(entry, packet, now)) return;
    if (const auto* publish = std::get_if<mqtt::PublishView>(&packet)) {
        on_publish(entry, *publish, now);
    } else if (const auto* puback = std::get_if<mqtt::PubackView>(&packet)) {
        with_session(entry, now, [&](auto& session, auto& fx) { session.on(*puback, now, fx); });
    } else if (const auto* pubrec = std::get_if<mqtt::PubrecView>(&packet)) {
        with_session(entry, now, [&](auto& session, auto& fx) { session.on(*pubrec, now, fx); });
    } else if (const auto* pubrel = std::get_if<mqtt::PubrelView>(&packet)) {
        on_pubrel(entry, *pubrel, now);
    } else if (const auto* pubcomp = std::get_if<mqtt::PubcompView>(&packet)) {
        with_session(entry, now, [&](auto& session, auto& fx) { session.on(*pubcomp, now, fx); });
    } else if (const auto* subscribe = std::get_if<mqtt::SubscribeView>(&packet)) {
        on_subscribe(entry, *subscribe, now);
    } else if (const auto* unsubscribe = std::get_if<mqtt::UnsubscribeView>(&packet)) {
        on_unsubscribe(entry, *unsubscribe, now);
    } else if (const auto* pingreq = std::get_if<mqtt::PingreqView>(&packet)) {
        with_session(entry, now, [&](auto& session, auto& fx) { session.on(*pingreq, fx); });
    } else if (const auto* disconnect = std::get_if<mqtt::DisconnectView>(&packet)) {
        on_disconnect(entry, *disconnect, now);
    } else if (const auto* auth = std::get_if<mqtt::AuthView>(&packet)) {
        on_auth(entry, *auth, now);
    }
}

/// Empty before CONNECT.
std::string_view Shard::client_of(const Connection& connection) noexcept {
    if (connection.request) return connection.request->client_id;
    const bool attached = connection.phase == Phase::open || connection.phase == Phase::attaching;
    return attached ? std::string_view{sessions_.at(connection.slot)->client_id} : "";
}

/// A client has sent what none may send, or not then: its connection ends.
void Shard::note_violation(const Connection& connection,
                           const mqtt::ProtocolError& error,
                           Instant now) {
    ++counters_.protocol_errors;
    static LogEvery every{20, std::chrono::seconds{10}};
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(info,
                    LogEvent("packet_refused",
                             {{"peer", connection.peer->address},
                              {"port", connection.peer->port},
                              {"client", client_of(connection)},
                              {"reason", mqtt::name(error.reason)},
                              {"suppressed", pass.suppressed}}),
                    "closing a connection: {}",
                    error.detail);
    }
}

void Shard::refuse_packet(Connection& connection,
                          const mqtt::ProtocolError& error,
                          Instant now,
                          ByteView packet) {
    note_violation(connection, error, now);
    if (connection.phase == Phase::open) {
        close(connection,
              {.reason = error.reason, .detail = error.detail, .send_disconnect = true},
              now);
        return;
    }
    refuse_connect(connection, error.reason, error.detail, packet);
}

/// Ends an open connection from our side: DISCONNECT if the effects ask for it, the session's end,
/// the socket's.
void Shard::close(Connection& connection, const mqtt::Close& close, Instant now) {
    if (connection.phase != Phase::open && connection.phase != Phase::attaching) {
        drop_connection(connection, true, close.reason);
        return;
    }
    SessionEntry& entry = *sessions_.at(connection.slot);
    if (close.send_disconnect && entry.attached->open) {
        fx_.out = &connection.out;
        entry.attached->session.send_disconnect(close.reason, close.detail, {}, fx_);
    }
    end_attachment(entry, close.will, {mqtt::to_number(close.reason)}, now);
    drop_connection(connection, true, close.reason);
}

void Shard::drop_connection(Connection& connection, bool send_rest, ReasonCode reason) {
    ++counters_.connections_closed[mqtt::to_number(reason)];
    forget_connection(connection, send_rest);
}

void Shard::forget_connection(Connection& connection, bool send_rest) {
    if (!send_rest) connection.out.clear();
    transport_.close(connection.id, std::move(connection.out));
    free_connection(connection);
}

void Shard::disconnected(ConnectionId id, Instant now) {
    Connection* connection = find(id);
    if (connection == nullptr) return;
    if (connection->phase == Phase::open || connection->phase == Phase::attaching) {
        // Not by DISCONNECT: the will is published [MQTT-3.1.2-8].
        end_attachment(
            *sessions_.at(connection->slot), mqtt::CloseWill::publish, {LastEnd::kLost}, now);
    }
    ++counters_.connections_lost;
    forget_connection(*connection, false);
}

void Shard::handed_over(ConnectionId id) {
    Connection* connection = find(id);
    STENTOR_ASSERT(connection != nullptr && connection->phase == Phase::handshake);
    ++counters_.connections_to_http;
    free_connection(*connection);
}

void Shard::writable(ConnectionId id, Instant now) {
    Connection* connection = find(id);
    if (connection == nullptr) return;
    connection->write_blocked = false;
    mark_dirty(*connection);
    if (connection->phase == Phase::open) {
        if (connection->paused != 0) {
            connection->last_packet = now;  // it reads, and cannot be heard
        }
        request_feed(*sessions_.at(connection->slot));
    }
}

void Shard::set_pause(Connection& connection, Pause why, bool on) {
    const bool was_reading = connection.paused == 0;
    connection.paused =
        static_cast<std::uint8_t>(on ? connection.paused | why : connection.paused & ~why);
    const bool reads = connection.paused == 0;
    if (reads == was_reading) return;
    // Not heard meanwhile: its time begins anew.
    if (reads && why != kPauseOpening) {
        connection.last_packet = std::max(connection.last_packet, stepped_at_);
    }
    const bool is_told_of = why != kPauseOpening && why != kPauseTurn;
    if (!reads && is_told_of) ++counters_.reading_pauses[reading_pause(why)];
    transport_.set_reading(connection.id, reads);
}

/// Until the log, or all shards, have room for what it sends.
void Shard::wait_for_room(Connection& connection) {
    set_pause(connection, kPauseCongested, true);
    waiting_for_room_.push_back(connection.id);
}

/// In the order in which they came to wait: who is served now is the last to be served again.
void Shard::resume_congested() {
    std::vector<ConnectionId> waiting;
    waiting.swap(waiting_for_room_);
    for (const ConnectionId id : waiting) {
        if (Connection* connection = find(id)) set_pause(*connection, kPauseCongested, false);
    }
}

/// The turn's work is done before all of its bytes have been looked at: they have their turn.
void Shard::wait_for_turn(Connection& connection) {
    set_pause(connection, kPauseTurn, true);
    waiting_for_turn_.push_back(connection.id);
}

void Shard::begin_turn() {
    work_ = 0;
    const bool were_behind = std::exchange(
        others_behind_, std::ranges::any_of(shared_.mailboxes, [](const Mailbox* mailbox) {
            return mailbox->is_behind();
        }));
    if (were_behind && !others_behind_ && !congested_) resume_congested();
    for (const ConnectionId id : waiting_for_turn_) {
        if (Connection* connection = find(id)) set_pause(*connection, kPauseTurn, false);
    }
    waiting_for_turn_.clear();
}

/// Before SUBSCRIBE. A transient subscription is active at once: what was published before must not
/// find it, so all that lies in the mailbox comes first. False: that is more than this turn has
/// room for, or has closed the connection.
bool Shard::has_caught_up(Connection& connection, Instant now) {
    if (connection.phase != Phase::open || sessions_.at(connection.slot)->durable) return true;
    const ConnectionId id = connection.id;
    ++work_;
    if (connection.awaited_round == 0) connection.awaited_round = inbox_rounds_ + 1;
    const std::uint32_t awaited = connection.awaited_round;
    // Behind an inbox that is begun already it is the steps' turn, not that of whoever subscribes.
    // Nor is it that of one that is just being taken from the mailbox.
    if (inbox_.empty() && ahead_.empty()) handle_inbox(now);
    if (find(id) == nullptr) return false;
    const std::uint32_t handled = inbox_rounds_ - (inbox_.empty() ? 0 : 1);
    if (static_cast<std::int32_t>(handled - awaited) < 0) return false;
    connection.awaited_round = 0;
    return true;
}

void Shard::mark_dirty(Connection& connection) {
    if (connection.out.empty()) return;
    if (connection.out.size() >= std::min(kWrittenAtOnce, options_.limits.outbox_bytes_max / 2)) {
        write_out(connection);
        if (connection.out.empty()) return;
    }
    if (connection.dirty) return;
    connection.dirty = true;
    dirty_.push_back(connection.id);
}

void Shard::write_out(Connection& connection) {
    if (connection.write_blocked || connection.out.empty()) return;
    const bool held_up = connection.out.size() >= options_.limits.outbox_bytes_max / 2;
    transport_.write(connection.id, connection.out);
    connection.write_blocked = !connection.out.empty();
    // Nothing else would tell whoever waits for room in the outbox.
    if (held_up && !connection.write_blocked && connection.phase == Phase::open) {
        request_feed(*sessions_.at(connection.slot));
    }
}

/// One write per connection that has something to say.
void Shard::flush_dirty() {
    for (const ConnectionId id : dirty_) {
        Connection* connection = find(id);
        if (connection == nullptr) continue;
        connection->dirty = false;
        write_out(*connection);
    }
    dirty_.clear();
}

Instant Shard::keep_alive_deadline(const Connection& connection,
                                   const SessionEntry& entry) const noexcept {
    const std::uint16_t seconds = entry.attached->session.request().keep_alive_seconds;
    if (seconds == 0) return kNever;
    // One and a half times the Keep Alive [MQTT-3.1.2-22].
    return saturating_add(connection.last_packet, std::chrono::milliseconds{1500} * seconds);
}

/// One timer per connection, however often its credentials are renewed: one that fires too early
/// is set again.
void Shard::watch_credentials(Connection& connection) {
    if (connection.valid_until >= connection.credentials_due) return;
    connection.credentials_due = connection.valid_until;
    timers_.set(connection.valid_until,
                TimerKind::credentials,
                connection.id.slot,
                connection.id.generation);
}

void Shard::credentials_timer(std::uint32_t slot, std::uint32_t tag, Instant now) {
    Connection* connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
    if (connection == nullptr || !Timers::same_tag(tag, connection->id.generation)) return;
    if (now < connection->credentials_due) return;  // of credentials that were valid for longer
    connection->credentials_due = kNever;
    if (now < connection->valid_until) {
        watch_credentials(*connection);
        return;
    }
    static LogEvery every{20, std::chrono::seconds{10}};  // fleets get their tokens at one time
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(info,
                    LogEvent("credentials_expired",
                             {{"client", client_of(*connection)},
                              {"peer", connection->peer->address},
                              {"suppressed", pass.suppressed}}),
                    "closing a connection: its credentials have expired");
    }
    // Not 0x87: nothing was refused, the time that was granted is over (3.14.2.1).
    close(*connection,
          {.reason = ReasonCode::maximum_connect_time,
           .detail = "the credentials have expired",
           .send_disconnect = true},
          now);
}

void Shard::connect_timer(std::uint32_t slot, std::uint32_t tag, Instant now) {
    Connection* connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
    if (connection == nullptr || !Timers::same_tag(tag, connection->id.generation)) return;
    // It is admitted: what it waits for is its home shard, then the log.
    if (connection->phase == Phase::leaving || connection->phase == Phase::attaching ||
        connection->phase == Phase::open) {
        return;
    }
    const bool waits_for_us = connection->phase == Phase::authenticating;
    // What we think about is not the client's time, and neither is what it waits for us to compute:
    // that runs from our question on.
    const bool is_ours = waits_for_us || transport_.is_put_off(connection->id);
    const Duration in_all = kThinksTimes * Duration{options_.connect_timeout};
    const Duration its = options_.connect_timeout + transport_.was_put_off_for(connection->id);
    const Duration given = is_ours ? in_all : std::min(its, in_all);
    const Instant deadline = saturating_add(connection->last_packet, given);
    if (now < deadline) {
        timers_.set(deadline, TimerKind::connect_timeout, slot, connection->id.generation);
        return;
    }
    const bool may_have_spoken = !waits_for_us && deadline > heard_through_;
    if (may_have_spoken || (connection->paused & (kPauseTurn | kPauseCongested)) != 0) {
        timers_.set(saturating_add(now, kHearsAgain),
                    TimerKind::connect_timeout,
                    slot,
                    connection->id.generation);
        return;
    }
    ++(waits_for_us ? counters_.authentications_timed_out : counters_.connect_timeouts);
    STENTOR_LOG(debug,
                LogEvent("connect_timeout", {{"peer", connection->peer->address}}),
                "{}",
                waits_for_us ? "no decision about a client within the time allowed"
                             : "no CONNECT within the time allowed");
    forget_connection(*connection, false);
}

void Shard::keep_alive_timer(std::uint32_t slot, std::uint32_t tag, Instant now) {
    Connection* connection = slot < connections_.size() ? connections_[slot].get() : nullptr;
    if (connection == nullptr || !Timers::same_tag(tag, connection->id.generation)) return;
    if (connection->phase != Phase::open) return;
    // While reading is paused by us the client cannot be heard: its time begins anew. Unless it is
    // paused for what the client does not read: that it takes any of it is its sign of life then,
    // see writable().
    const bool does_not_read = connection->paused == kPauseIngress && connection->write_blocked;
    if (connection->paused != 0 && !does_not_read) connection->last_packet = now;
    const Instant deadline = keep_alive_deadline(*connection, *sessions_.at(connection->slot));
    if (deadline == kNever) return;
    if (deadline > now) {
        timers_.set(deadline, TimerKind::keep_alive, slot, connection->id.generation);
        return;
    }
    if (deadline > heard_through_) {  // what it has sent in time may still lie in its socket
        timers_.set(saturating_add(now, kHearsAgain),
                    TimerKind::keep_alive,
                    slot,
                    connection->id.generation);
        return;
    }
    ++counters_.keep_alive_timeouts;
    close(*connection,
          {.reason = ReasonCode::keep_alive_timeout,
           .detail = "nothing heard for 1.5 times the keep alive",
           .send_disconnect = true},
          now);
}

}  // namespace stentor::server
