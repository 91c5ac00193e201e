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
    if (persona_.packet_bytes_max != 0) {
        writer.number(mqtt::Property::maximum_packet_size, persona_.packet_bytes_max);
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
        *now_,
        std::chrono::milliseconds{random_.chance(1, 3) ? 0 : random_.below(persona_.away_ms_max)});
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

void Client::turn() {
    if (!wire_) {
        if (has_ended() || *now_ < reconnect_at_) return;
        const bool clean = ended_ || (!polite_ && random_.chance(persona_.clean_per_mille, 1000));
        connect(clean || !persona_.durable ? CleanStart::yes : CleanStart::no);
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
    known_ = Known::maybe;
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
    if (!wire_) return has_ended() || reconnect_at_ == kNever;
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

}  // namespace stentor::sim
