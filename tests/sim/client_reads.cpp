// What a simulated client makes of what it receives, and its answers.
#include "tests/sim/client.hpp"

#include <algorithm>
#include <charconv>

namespace stentor::sim {

using mqtt::ProtocolVersion;
using mqtt::QoS;
using mqtt::ReasonCode;

namespace {

constexpr std::size_t kDownBytesPerTurn = 65'536;

}  // namespace

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
        on_suback(*suback);
    } else if (const auto* unsuback = std::get_if<mqtt::UnsubscribeDone>(&event)) {
        on_unsuback(*unsuback);
    } else if (const auto* closed = std::get_if<mqtt::Closed>(&event)) {
        on_closed(*closed);
    }
    if (session_->unexpected_acknowledgements() != last_unexpected_) {
        last_unexpected_ = session_->unexpected_acknowledgements();
        oracle_->complain(persona_.name + ": an acknowledgement of nothing");
    }
}

void Client::on_suback(const mqtt::SubscribeDone& suback) {
    const auto at = std::find_if(subscribing_.begin(), subscribing_.end(), [&](const auto& r) {
        return r.packet_id == suback.packet_id;
    });
    if (at == subscribing_.end()) {
        oracle_->complain(persona_.name + ": SUBACK that nobody waits for");
        return;
    }
    for (std::size_t i = 0; i < at->filters.size(); ++i) {
        const bool success = !mqtt::is_failure(suback.reasons[i]);
        trace_->add("{} SUBACK {} success {}", persona_.name, at->filters[i], success);
        oracle_->subscribed(persona_.name, at->filters[i], at->requested, success);
    }
    subscribing_.erase(at);
}

void Client::on_unsuback(const mqtt::UnsubscribeDone& unsuback) {
    const auto at = std::find_if(unsubscribing_.begin(), unsubscribing_.end(), [&](const auto& r) {
        return r.packet_id == unsuback.packet_id;
    });
    if (at == unsubscribing_.end()) {
        oracle_->complain(persona_.name + ": UNSUBACK that nobody waits for");
        return;
    }
    for (std::size_t i = 0; i < at->filters.size(); ++i) {
        const bool success = unsuback.reasons.size() == 0 || !mqtt::is_failure(unsuback.reasons[i]);
        trace_->add("{} UNSUBACK {} success {}", persona_.name, at->filters[i], success);
        oracle_->unsubscribed(persona_.name, at->filters[i], at->requested, success);
    }
    unsubscribing_.erase(at);
}

void Client::on_closed(const mqtt::Closed& closed) {
    trace_->add("{} closed: cause {} reason {:#x} {}",
                persona_.name,
                static_cast<int>(closed.cause),
                static_cast<int>(closed.reason),
                closed.detail);
    if (closed.cause == mqtt::CloseCause::server_error) {
        oracle_->complain(persona_.name + ": the broker broke the protocol: " + closed.detail);
    }
    const bool ours = closed.reason == ReasonCode::protocol_error ||
                      closed.reason == ReasonCode::malformed_packet ||
                      closed.reason == ReasonCode::receive_maximum_exceeded ||
                      closed.reason == ReasonCode::topic_alias_invalid;
    if (closed.cause == mqtt::CloseCause::disconnected && ours) {
        oracle_->complain(fmt::format("{}: the broker says we broke the protocol: {:#x}",
                                      persona_.name,
                                      static_cast<int>(closed.reason)));
    }
    if (closed.cause == mqtt::CloseCause::refused) {
        for (WillInstance& will : wills_) {
            const bool next = will.next_connect == connect_sent_at_;
            if (next && will.next_connack == kNever) will.next_connect = kNever;
        }
        if (will_) wills_[*will_].connack_seen = false;
    }
    flush();
    lost();
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
    for (const mqtt::UserProperty& property : event.properties.user_properties()) {
        if (property.name != "stentor-lost-messages") continue;
        std::uint64_t lost = 0;
        (void)std::from_chars(
            property.value.data(), property.value.data() + property.value.size(), lost);
        trace_->add("{} is told that {} messages are lost", persona_.name, lost);
        oracle_->told_lost(lost);
    }
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

}  // namespace stentor::sim
