#include "tests/sim/client.hpp"

#include "protocol/codec/property_writer.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace stentor::sim {

using mqtt::CleanStart;
using mqtt::ProtocolVersion;
using mqtt::QoS;
using mqtt::ReasonCode;

namespace {

constexpr std::size_t kDownBytesPerTurn = 65'536;

Duration milliseconds(std::uint64_t count) { return std::chrono::milliseconds{count}; }

}  // namespace

Client::Client(Persona persona,
               Random random,
               const Instant& now,
               Oracle& oracle,
               Trace& trace,
               Connect connect)
    : persona_{std::move(persona)},
      random_{random},
      now_{&now},
      oracle_{&oracle},
      trace_{&trace},
      connect_{std::move(connect)} {
    trace_->add("{}: MQTT {}, durable {}, expiry {}, receive maximum {}, keep alive {}, shares {}",
                persona_.name,
                persona_.version == ProtocolVersion::v5 ? "5.0" : "3.1.1",
                persona_.durable,
                persona_.expiry_seconds,
                persona_.receive_maximum,
                persona_.keep_alive_seconds,
                persona_.shares);
    new_session();
}

Bytes Client::connect_properties(std::uint32_t expiry) const {
    if (persona_.version != ProtocolVersion::v5) return {};
    mqtt::PropertyWriter writer;
    if (expiry != 0) writer.number(mqtt::Property::session_expiry_interval, expiry);
    if (persona_.receive_maximum != 0) {
        writer.number(mqtt::Property::receive_maximum, persona_.receive_maximum);
    }
    if (persona_.topic_aliases != 0) {
        writer.number(mqtt::Property::topic_alias_maximum, persona_.topic_aliases);
    }
    return to_owned(writer.bytes());
}

/// A client that knows nothing of earlier connections.
void Client::new_session() {
    expiry_now_ = persona_.durable && !ended_ ? persona_.expiry_seconds : 0;
    mqtt::ClientOptions options;
    options.version = persona_.version;
    options.client_id = persona_.name;
    options.keep_alive_seconds = persona_.keep_alive_seconds;
    options.connect_properties = connect_properties(expiry_now_);
    options.topic_aliases_max = persona_.topic_aliases;
    options.connect_timeout = std::chrono::seconds{40};
    options.session_loss = mqtt::SessionLoss::give_up;
    options.first_packet_id = PacketId{static_cast<std::uint16_t>(random_.between(1, 200))};
    options.on_publish = mqtt::Answer::manual;
    options.on_pubrec = mqtt::Answer::manual;
    options.on_pubrel = mqtt::Answer::manual;
    session_.emplace(std::move(options));
    outstanding_.clear();
    owed_.clear();
    unanswered_.clear();
    last_unexpected_ = 0;
}

void Client::set_will() {
    will_.reset();
    if (polite_ || !random_.chance(persona_.will_per_mille, 1000)) {
        session_->set_will(std::nullopt);
        return;
    }
    WillInstance will;
    will.wire = wire_;
    will.durable = durable_now_;
    will.expiry_seconds = expiry_now_;
    mqtt::ClientWill what;
    what.qos = static_cast<QoS>(random_.below(3));
    what.retain = random_.chance(1, 4);
    mqtt::PropertyWriter writer;
    if (persona_.version == ProtocolVersion::v5 && random_.chance(1, 2)) {
        will.delay_seconds = static_cast<std::uint32_t>(random_.between(1, 8));
        writer.number(mqtt::Property::will_delay_interval, will.delay_seconds);
    }
    what.topic = "will/" + persona_.name;
    const Published& entry = oracle_->publishing({.publisher = persona_.name,
                                                  .topic = what.topic,
                                                  .qos = what.qos,
                                                  .retain = what.retain,
                                                  .is_will = true});
    will.id = entry.id;
    what.payload = to_owned(as_bytes(entry.payload));
    what.properties = to_owned(writer.bytes());
    trace_->add("{} has will {} qos {} retain {} delay {}",
                persona_.name,
                will.id,
                static_cast<int>(what.qos),
                what.retain,
                will.delay_seconds);
    session_->set_will(std::move(what));
    will_ = wills_.size();
    wills_.push_back(std::move(will));
}

void Client::connect(CleanStart clean) {
    if (session_->connected() || wire_) lost();
    clean_ = clean == CleanStart::yes || must_clean_;
    // What belonged to a connection with Clean Session is not used again [MQTT-3.1.2-6 of 3.1.1].
    if (!clean_ && transient_before_) new_session();
    transient_before_ = false;
    if (clean_) {
        new_session();
        must_clean_ = true;  // until CONNACK says that the broker has forgotten, too
    }
    durable_now_ = persona_.version == ProtocolVersion::v5 ? expiry_now_ != 0 : !clean_;
    wire_ = std::make_shared<Wire>();
    wire_->kernel_bytes = !polite_ && random_.chance(1, 4) ? random_.between(64, 1024) : 16'384;
    puback_order_.clear();
    input_.clear();
    retained_.clear();
    was_connected_ = false;
    oracle_->connecting(persona_.name);
    connect_sent_at_ = *now_;
    for (WillInstance& will : wills_) {
        if (will.next_connect == kNever) will.next_connect = *now_;
    }
    set_will();
    known_at_connect_ = known_;
    heard_before_ = last_heard_;
    if (clean_ ? known_ == Known::yes : durable_now_ && known_ == Known::none) {
        known_ = Known::maybe;
    }
    trace_->add("{} CONNECT clean {}", persona_.name, clean_);
    session_->connect(clean_ ? CleanStart::yes : CleanStart::no, *now_, out_);
    flush();
    connect_(wire_);
}

/// Our end of the connection is over, for whatever reason.
void Client::lost() {
    session_->connection_lost();
    if (wire_) {
        old_wires_.push_back(wire_);
        wire_.reset();
        // A session that ends with its connection: nothing of it is owed any more.
        oracle_->disconnected(persona_.name, was_connected_ && !durable_now_);
        transient_before_ = was_connected_ && !durable_now_;
        // The session may be a new one, if the old one had expired before this CONNECT came: nobody
        // can tell later, and what either side has in flight means something else in each.
        if (!was_connected_ && persona_.expiry_seconds != 0xFFFF'FFFF) must_clean_ = true;
    }
    out_.clear();
    subscribing_.clear();
    unsubscribing_.clear();
    // QoS 1 comes again; in QoS 2 the client still owes what it owed.
    for (const Owed& owed : owed_) {
        if (owed.qos == QoS::at_least_once) unanswered_.erase(owed.packet_id);
    }
    std::erase_if(owed_, [](const Owed& owed) { return owed.qos == QoS::at_least_once; });
    will_.reset();
    reconnect_at_ = saturating_add(
        *now_, milliseconds(random_.chance(1, 3) ? 0 : random_.below(persona_.away_ms_max)));
}

void Client::flush() {
    if (!wire_) {
        out_.clear();
        return;
    }
    while (!out_.empty()) {
        std::array<ByteView, 8> parts;
        const std::size_t count = out_.gather(parts);
        std::size_t bytes = 0;
        for (std::size_t i = 0; i < count; ++i) {
            wire_->up.insert(wire_->up.end(), parts[i].begin(), parts[i].end());
            bytes += parts[i].size();
        }
        out_.consume(bytes);
    }
}

void Client::read() {
    if (!wire_ || deaf_until_ > *now_) return;
    const std::size_t most = std::min(wire_->down.size(), kDownBytesPerTurn);
    const std::size_t bytes =
        most == 0 || polite_ || random_.chance(1, 2) ? most : random_.between(1, most);
    const auto end = wire_->down.begin() + static_cast<std::ptrdiff_t>(bytes);
    input_.insert(input_.end(), wire_->down.begin(), end);
    wire_->down.erase(wire_->down.begin(), end);
    if (bytes != 0 && was_connected_) last_heard_ = std::min(*now_, wire_->server_closed_at);
    const WirePtr wire = wire_;
    std::size_t used = 0;
    while (wire_ == wire) {
        ByteView rest = ByteView{input_}.subspan(used);
        const std::size_t before = rest.size();
        const mqtt::ClientEvent event = session_->next(rest, *now_, out_);
        used += before - rest.size();
        if (std::holds_alternative<mqtt::NeedInput>(event)) break;
        handle(event);
    }
    if (wire_ != wire) return;
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
    if (wire_->down.empty() && wire_->server_closed) {
        trace_->add("{} sees the end of its connection", persona_.name);
        lost();
    }
}

void Client::handle(const mqtt::ClientEvent& event) {
    if (const auto* connected = std::get_if<mqtt::Connected>(&event)) {
        on_connected(*connected);
    } else if (const auto* received = std::get_if<mqtt::Received>(&event)) {
        on_received(*received);
    } else if (const auto* done = std::get_if<mqtt::PublishDone>(&event)) {
        on_done(done->token, done->reason);
    } else if (const auto* given_up = std::get_if<mqtt::PublishLost>(&event)) {
        outstanding_.erase(given_up->token);
        std::erase(puback_order_, given_up->token);
    } else if (const auto* pubrec = std::get_if<mqtt::PublishReceived>(&event)) {
        oracle_->taken(pubrec->token);
        trace_->add("{} message {} received", persona_.name, pubrec->token);
        owed_.push_back({Owed::Kind::release, pubrec->packet_id});
    } else if (const auto* release = std::get_if<mqtt::ReleaseReceived>(&event)) {
        trace_->add("{} PUBREL {}", persona_.name, release->packet_id.value());
        owed_.push_back({Owed::Kind::complete, release->packet_id});
    } else if (const auto* suback = std::get_if<mqtt::SubscribeDone>(&event)) {
        const auto at = std::find_if(subscribing_.begin(), subscribing_.end(), [&](const auto& r) {
            return r.packet_id == suback->packet_id;
        });
        if (at == subscribing_.end()) {
            oracle_->complain(persona_.name + ": SUBACK that nobody waits for");
            return;
        }
        for (std::size_t i = 0; i < at->filters.size(); ++i) {
            const bool success = !mqtt::is_failure(suback->reasons[i]);
            trace_->add("{} SUBACK {} success {}", persona_.name, at->filters[i], success);
            oracle_->subscribed(persona_.name, at->filters[i], at->requested, success);
        }
        subscribing_.erase(at);
    } else if (const auto* unsuback = std::get_if<mqtt::UnsubscribeDone>(&event)) {
        const auto at =
            std::find_if(unsubscribing_.begin(), unsubscribing_.end(), [&](const auto& r) {
                return r.packet_id == unsuback->packet_id;
            });
        if (at == unsubscribing_.end()) {
            oracle_->complain(persona_.name + ": UNSUBACK that nobody waits for");
            return;
        }
        for (std::size_t i = 0; i < at->filters.size(); ++i) {
            const bool success =
                unsuback->reasons.size() == 0 || !mqtt::is_failure(unsuback->reasons[i]);
            trace_->add("{} UNSUBACK {} success {}", persona_.name, at->filters[i], success);
            oracle_->unsubscribed(persona_.name, at->filters[i], at->requested, success);
        }
        unsubscribing_.erase(at);
    } else if (const auto* closed = std::get_if<mqtt::Closed>(&event)) {
        trace_->add("{} closed: cause {} reason {:#x} {}",
                    persona_.name,
                    static_cast<int>(closed->cause),
                    static_cast<int>(closed->reason),
                    closed->detail);
        if (closed->cause == mqtt::CloseCause::server_error) {
            oracle_->complain(persona_.name + ": the broker broke the protocol: " + closed->detail);
        }
        const bool ours = closed->reason == ReasonCode::protocol_error ||
                          closed->reason == ReasonCode::malformed_packet ||
                          closed->reason == ReasonCode::receive_maximum_exceeded ||
                          closed->reason == ReasonCode::topic_alias_invalid;
        if (closed->cause == mqtt::CloseCause::disconnected && ours) {
            oracle_->complain(fmt::format("{}: the broker says we broke the protocol: {:#x}",
                                          persona_.name,
                                          static_cast<int>(closed->reason)));
        }
        if (closed->cause == mqtt::CloseCause::refused) {
            for (WillInstance& will : wills_) {
                const bool next = will.next_connect == connect_sent_at_;
                if (next && will.next_connack == kNever) will.next_connect = kNever;
            }
            if (will_) wills_[*will_].connack_seen = false;
        }
        flush();
        lost();
    }
    if (session_->unexpected_acknowledgements() != last_unexpected_) {
        last_unexpected_ = session_->unexpected_acknowledgements();
        oracle_->complain(persona_.name + ": an acknowledgement of nothing");
    }
}

void Client::check_session_present(bool present) {
    const Instant sure_until =
        saturating_add(heard_before_, std::chrono::seconds{known_expiry_} - persona_.clock_slack);
    if (clean_) {
        if (present) oracle_->complain(persona_.name + ": a session after Clean Start");
        return;
    }
    if (known_at_connect_ == Known::yes && !present &&
        (known_expiry_ == 0xFFFF'FFFF || *now_ < sure_until)) {
        oracle_->complain(persona_.name + ": the broker has lost the session");
    }
    if (known_at_connect_ == Known::none && present) {
        oracle_->complain(persona_.name + ": a session that cannot be");
    }
    if (!present || known_at_connect_ != Known::yes || known_expiry_ == 0xFFFF'FFFF) return;
    Instant closed = last_crash_;  // the broker cannot have noticed later
    for (const WirePtr& wire : old_wires_) {
        if (!wire->server_closed) return;
        closed = std::max(closed, wire->server_closed_at);
    }
    const Duration lived = std::chrono::seconds{known_expiry_} + persona_.clock_slack;
    if (saturating_add(closed, lived) < connect_sent_at_) {
        oracle_->complain(persona_.name + ": a session that had expired");
    }
}

void Client::on_connected(const mqtt::Connected& event) {
    trace_->add("{} CONNACK session present {}", persona_.name, event.session_present);
    check_session_present(event.session_present);
    oracle_->connected(persona_.name, event.session_present);
    must_clean_ = false;
    was_connected_ = true;
    last_heard_ = std::min(*now_, wire_->server_closed_at);
    known_ = durable_now_ ? Known::yes : Known::none;
    known_expiry_ = persona_.version == ProtocolVersion::v5 ? expiry_now_ : 0xFFFF'FFFF;
    old_wires_.clear();
    for (WillInstance& will : wills_) {
        if (will.wire == wire_) {
            will.connack_seen = true;
        } else if (will.next_connack == kNever && will.next_connect == connect_sent_at_) {
            will.next_connack = *now_;
            will.next_clean = clean_;
            will.next_present = event.session_present;
        }
    }
    if (!event.session_present) {
        first_filters_done_ = false;
        owed_.clear();
        unanswered_.clear();
    }
    puback_order_.clear();
    for (const auto& [id, qos] : outstanding_) {
        if (event.session_present) oracle_->sent_again(id);
        if (qos == QoS::at_least_once) puback_order_.push_back(id);
    }
}

void Client::on_received(const mqtt::Received& event) {
    const mqtt::PublishView& packet = event.publish;
    trace_->add("{} received {:.12} topic {} qos {} id {} retain {} dup {}",
                persona_.name,
                as_text(packet.payload),
                packet.topic,
                static_cast<int>(packet.qos),
                packet.packet_id.value(),
                packet.retain,
                packet.dup);
    if (keeps_transcript_) {
        transcript_.push_back(fmt::format("{} {:.12} qos {} retain {} dup {}",
                                          packet.topic,
                                          as_text(packet.payload),
                                          static_cast<int>(packet.qos),
                                          packet.retain,
                                          packet.dup));
    }
    if (packet.retain) retained_[std::string{packet.topic}] = as_text(packet.payload);
    oracle_->received(persona_.name, packet);
    if (packet.qos == QoS::at_most_once) return;
    if (const auto [at, is_new] = unanswered_.emplace(packet.packet_id, 0); !is_new) {
        oracle_->complain(persona_.name + ": an identifier that is in flight was used again");
        return;
    }
    owed_.push_back({Owed::Kind::acknowledge, packet.packet_id, packet.qos});
}

void Client::on_done(MessageId id, ReasonCode reason) {
    const auto at = outstanding_.find(id);
    if (at == outstanding_.end()) return;
    const QoS qos = at->second;
    outstanding_.erase(at);
    trace_->add("{} message {} done {:#x}", persona_.name, id, static_cast<int>(reason));
    if (mqtt::is_failure(reason)) {
        oracle_->refused(id);
    } else {
        oracle_->taken(id);
    }
    if (qos != QoS::at_least_once) return;
    const auto in_order = std::find(puback_order_.begin(), puback_order_.end(), id);
    if (in_order == puback_order_.end()) return;
    if (in_order != puback_order_.begin()) {
        oracle_->complain(fmt::format(
            "{}: PUBACK of {} before that of {}", persona_.name, id, puback_order_.front()));
    }
    puback_order_.erase(in_order);
}

void Client::answer() {
    if (withhold_until_ > *now_ && !polite_) return;
    for (std::size_t most = polite_ ? 1000 : random_.below(4); most != 0 && !owed_.empty();
         --most) {
        std::size_t which = 0;
        if (persona_.answers_out_of_order && !polite_) which = random_.below(owed_.size());
        const Owed owed = owed_[which];
        owed_.erase(owed_.begin() + static_cast<std::ptrdiff_t>(which));
        trace_->add("{} answers id {} ({})",
                    persona_.name,
                    owed.packet_id.value(),
                    owed.kind == Owed::Kind::acknowledge ? "PUBLISH"
                    : owed.kind == Owed::Kind::release   ? "PUBREC"
                                                         : "PUBREL");
        switch (owed.kind) {
            case Owed::Kind::acknowledge:
                unanswered_.erase(owed.packet_id);
                (void)session_->acknowledge(owed.packet_id, ReasonCode::success, *now_, out_);
                break;
            case Owed::Kind::release:
                (void)session_->release(owed.packet_id, *now_, out_);
                break;
            case Owed::Kind::complete:
                (void)session_->complete(owed.packet_id, *now_, out_);
                break;
        }
    }
}

void Client::publish(const std::string& topic, QoS qos, bool retain, bool empty) {
    if (qos != QoS::at_most_once && session_->window_left() == 0) return;
    Oracle::Publishing what{
        .publisher = persona_.name, .topic = topic, .qos = qos, .retain = retain, .empty = empty};
    if (!polite_ && random_.chance(1, 30)) what.padding = random_.below(20'000);
    mqtt::PropertyWriter writer;
    if (persona_.version == ProtocolVersion::v5 && !polite_ && random_.chance(1, 12)) {
        what.expiry_seconds = static_cast<std::uint32_t>(random_.between(1, 6));
        writer.number(mqtt::Property::message_expiry_interval, *what.expiry_seconds);
    }
    const Published& entry = oracle_->publishing(what);
    const MessageId id = entry.id;
    const auto sent = session_->publish({.topic = topic,
                                         .payload = as_bytes(entry.payload),
                                         .qos = qos,
                                         .retain = retain,
                                         .properties = writer.bytes()},
                                        id,
                                        *now_,
                                        out_);
    if (!sent) {
        oracle_->withdrawn(id);
        return;
    }
    trace_->add("{} PUBLISH {} topic {} qos {} retain {}{}",
                persona_.name,
                id,
                topic,
                static_cast<int>(qos),
                retain,
                empty ? " (clears)" : "");
    if (qos == QoS::at_most_once) return;
    outstanding_[id] = qos;
    if (qos == QoS::at_least_once) puback_order_.push_back(id);
}

void Client::subscribe(const std::string& filter, mqtt::SubscriptionOptions options) {
    mqtt::PropertyWriter writer;
    std::uint32_t identifier = 0;
    if (persona_.version == ProtocolVersion::v5) {
        if (random_.chance(1, 2)) {
            identifier = static_cast<std::uint32_t>(random_.between(1, 1000));
            writer.number(mqtt::Property::subscription_identifier, identifier);
        }
    } else {
        options = {.qos = options.qos};
    }
    const mqtt::SubscriptionView view{.filter = filter, .options = options};
    const auto id = session_->subscribe(std::span{&view, 1}, writer.bytes(), *now_, out_);
    if (!id) return;
    trace_->add("{} SUBSCRIBE {} qos {} no local {} rap {} rh {} id {}",
                persona_.name,
                filter,
                static_cast<int>(options.qos),
                options.no_local,
                options.retain_as_published,
                static_cast<int>(options.retain_handling),
                identifier);
    const Tick requested = oracle_->subscribing(persona_.name, filter, options, identifier);
    subscribing_.push_back({*id, {filter}, requested});
}

void Client::unsubscribe(const std::string& filter) {
    const std::string_view view = filter;
    const auto id = session_->unsubscribe(std::span{&view, 1}, {}, *now_, out_);
    if (!id) return;
    trace_->add("{} UNSUBSCRIBE {}", persona_.name, filter);
    const Tick requested = oracle_->unsubscribing(persona_.name, filter);
    unsubscribing_.push_back({*id, {filter}, requested});
}

void Client::drop() {
    if (!wire_) return;
    trace_->add("{} drops its connection", persona_.name);
    flush();
    wire_->client_closed = true;
    wire_->reset = true;
    lost();
}

void Client::publish_something() {
    const std::string& topic = persona_.topics[random_.below(persona_.topics.size())];
    const bool retain = random_.chance(1, 5);
    publish(topic, static_cast<QoS>(random_.below(3)), retain, retain && random_.chance(1, 5));
}

void Client::subscribe_something() {
    const std::string& filter = persona_.filters[random_.below(persona_.filters.size())];
    if (random_.chance(1, 3)) {
        unsubscribe(filter);
        return;
    }
    mqtt::SubscriptionOptions options;
    const bool at_most_once = random_.chance(1, persona_.shares ? 100 : 5);
    options.qos = static_cast<QoS>(at_most_once ? 0 : random_.between(1, 2));
    options.retain_as_published = random_.chance(1, 4);
    options.retain_handling = static_cast<mqtt::RetainHandling>(random_.below(3));
    options.no_local = !persona_.shares && random_.chance(1, 5);
    subscribe(filter, options);
}

/// Ends the connection in one of the ways the world knows.
void Client::misbehave() {
    const WirePtr wire = wire_;
    switch (random_.below(6)) {
        case 0: {  // politely
            trace_->add("{} DISCONNECT", persona_.name);
            session_->disconnect(ReasonCode::normal_disconnection, {}, out_);
            flush();
            if (will_) wills_[*will_].disconnected = true;
            wire->client_closed = true;
            break;
        }
        case 1:
            if (persona_.version == ProtocolVersion::v5) {
                trace_->add("{} DISCONNECT with will", persona_.name);
                session_->disconnect(ReasonCode::disconnect_with_will_message, {}, out_);
            }
            flush();
            wire->client_closed = true;
            break;
        case 2:  // end of stream after everything has been sent
            trace_->add("{} closes", persona_.name);
            flush();
            wire->client_closed = true;
            break;
        case 3:
        case 4: {  // reset: the last bytes may be lost
            trace_->add("{} resets", persona_.name);
            flush();
            if (!wire->up.empty()) {
                const std::size_t kept = random_.between(0, wire->up.size());
                wire->up.resize(kept);
            }
            wire->client_closed = true;
            wire->reset = true;
            break;
        }
        default:  // the wire stays as it is: taken over, or a keep alive ends it
            trace_->add("{} abandons its connection", persona_.name);
            flush();
            break;
    }
    lost();
}

void Client::act() {
    if (polite_ || !session_->connected()) return;
    if (random_.chance(persona_.publish_per_mille, 1000) && !persona_.topics.empty()) {
        for (auto count = random_.between(1, 4); count != 0; --count) publish_something();
    }
    if (random_.chance(persona_.subscribe_per_mille, 1000) && !persona_.filters.empty()) {
        subscribe_something();
    }
    if (random_.chance(persona_.withhold_per_mille, 1000)) {
        withhold_until_ = saturating_add(*now_, milliseconds(random_.below(2000)));
        if (random_.chance(1, 3)) deaf_until_ = withhold_until_;
        if (random_.chance(1, 3)) wire_->up_stalled_until = withhold_until_;
    }
    if (random_.chance(persona_.drop_per_mille, 1000)) misbehave();
}

void Client::turn() {
    if (!wire_) {
        if (ended_ || *now_ < reconnect_at_) return;
        const bool clean = !polite_ && random_.chance(persona_.clean_per_mille, 1000);
        connect(clean || (!persona_.durable) ? CleanStart::yes : CleanStart::no);
        return;
    }
    read();
    if (!wire_) return;
    if (const auto closed = session_->on_time(*now_, out_)) {
        trace_->add("{} gives up on the broker", persona_.name);
        if (polite_) oracle_->complain(persona_.name + ": the broker has gone silent");
        wire_->client_closed = true;
        lost();
        return;
    }
    if (session_->connected()) {
        answer();
        if (!first_filters_done_) {
            first_filters_done_ = true;
            for (const std::string& filter : persona_.first_filters) {
                subscribe(filter, {.qos = persona_.first_qos});
            }
        }
        act();
    }
    flush();
}

void Client::be_polite() {
    if (wire_) wire_->kernel_bytes = 65'536;
    polite_ = true;
    persona_.keep_alive_seconds = 0;
    withhold_until_ = deaf_until_ = Instant{};
    if (wire_) wire_->up_stalled_until = Instant{};
    for (const WirePtr& wire : old_wires_) wire->up_stalled_until = Instant{};
    reconnect_at_ = *now_;
}

void Client::forget() {
    if (wire_) lost();
    old_wires_.clear();
    known_ = Known::none;
    must_clean_ = true;
    new_session();
}

void Client::leave() {
    if (wire_) {
        session_->disconnect(ReasonCode::normal_disconnection, {}, out_);
        flush();
        if (will_) wills_[*will_].disconnected = true;
        wire_->client_closed = true;
        lost();
    }
    reconnect_at_ = kNever;
}

void Client::end_session() {
    ended_ = true;
    persona_.first_filters.clear();
    connect(CleanStart::yes);
}

bool Client::quiet() const {
    if (!wire_) return ended_ || reconnect_at_ == kNever;
    return session_->connected() && wire_->up.empty() && wire_->unconsumed.empty() &&
           wire_->down.empty() && !wire_->write_blocked && out_.empty() && owed_.empty() &&
           subscribing_.empty() && unsubscribing_.empty() && session_->unacknowledged() == 0;
}

std::string Client::describe() const {
    if (!wire_) return persona_.name + ": no connection";
    return fmt::format(
        "{}: connected {} up {} unconsumed {} reading {} down {} blocked {} owed {} "
        "subscribing {} unsubscribing {} unacknowledged {} closed {}",
        persona_.name,
        session_->connected(),
        wire_->up.size(),
        wire_->unconsumed.size(),
        wire_->reading,
        wire_->down.size(),
        wire_->write_blocked,
        owed_.size(),
        subscribing_.size(),
        unsubscribing_.size(),
        session_->unacknowledged(),
        wire_->server_closed);
}

WillFate Client::fate_of(const WillInstance& will, const Faults& faults) const {
    if (!will.connack_seen || !will.wire->server_closed) return WillFate::unknown;
    const Instant closed = will.wire->server_closed_at;
    const bool crashed_since = std::any_of(faults.crashes.begin(),
                                           faults.crashes.end(),
                                           [&](Instant crash) { return crash >= closed; });
    if (will.disconnected) {
        return will.wire->disconnect_heard && !crashed_since ? WillFate::must_not_come
                                                             : WillFate::unknown;
    }
    // Its commit fails, the next CONNECT's does not, and the crash comes before the second attempt.
    if (faults.commits_fail && crashed_since) return WillFate::unknown;
    if (will.delay_seconds == 0 || !will.durable) return WillFate::must_come;
    const std::uint32_t delay = std::min(will.delay_seconds, will.expiry_seconds);
    const Instant due = saturating_add(closed, std::chrono::seconds{delay} - persona_.clock_slack);
    if (will.next_connack == kNever) return WillFate::unknown;
    if (will.next_clean || !will.next_present) return WillFate::must_come;
    if (will.next_connack < due) return WillFate::must_not_come;
    // A broker that dies before it was due begins to wait anew.
    Instant waits_from = closed;
    for (const Instant crash : faults.crashes) {
        if (crash <= will.next_connack) waits_from = std::max(waits_from, crash);
    }
    const Duration patience = std::chrono::seconds{delay + 6} + persona_.clock_slack;
    return will.next_connect > saturating_add(waits_from, patience) ? WillFate::must_come
                                                                    : WillFate::unknown;
}

void Client::judge_wills(const Faults& faults) {
    for (const WillInstance& will : wills_) {
        const WillFate fate = fate_of(will, faults);
        oracle_->will_ended(will.id, fate);
        trace_->add("{} will {} fate {}", persona_.name, will.id, static_cast<int>(fate));
    }
}

}  // namespace stentor::sim
