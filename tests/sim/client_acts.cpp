// What a simulated client does of its own accord: publishing, subscribing, misbehaving.
#include "protocol/codec/property_writer.hpp"
#include "tests/sim/client.hpp"

#include <span>
#include <string_view>
#include <utility>

namespace stentor::sim {

using mqtt::ProtocolVersion;
using mqtt::QoS;
using mqtt::ReasonCode;

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
    const bool retain = random_.chance(persona_.retain_per_mille, 1000);
    const bool lasts = retain && persona_.retains_for_good;
    const auto qos = static_cast<QoS>(random_.between(lasts ? 1 : 0, 2));
    publish(topic, qos, retain, retain && !lasts && random_.chance(1, 5));
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
        withhold_until_ = saturating_add(*now_, std::chrono::milliseconds{random_.below(2000)});
        if (random_.chance(1, 3)) deaf_until_ = withhold_until_;
        if (random_.chance(1, 3)) wire_->up_stalled_until = withhold_until_;
    }
    if (random_.chance(persona_.drop_per_mille, 1000)) misbehave();
}

}  // namespace stentor::sim
