// Connecting, closing and time: what a connection's life consists of.

#include "protocol/session/client/client_session.hpp"

#include "base/assert.hpp"

#include <algorithm>

namespace stentor::mqtt {

ClientSession::ClientSession(ClientOptions options)
    : options_{std::move(options)}, outbound_{options_.first_packet_id} {
    const auto announced = parse_properties(options_.connect_properties, PropertyContext::connect);
    STENTOR_ASSERT(announced, "connect_properties are no valid block for CONNECT");
    own_receive_maximum_ = announced->receive_maximum();
    own_topic_alias_maximum_ = announced->topic_alias_maximum();
    own_packet_bytes_max_ = announced->maximum_packet_size().value_or(options_.packet_bytes_max);
    authenticates_ = announced->has(Property::authentication_method);
}

void ClientSession::connect(CleanStart clean_start, Instant now, WireBuffer& out) {
    connection_lost();
    state_ = State::connecting;
    clean_start_ = clean_start;
    server_ = {};
    decoder_.emplace(
        options_.version,
        DecodeLimits{.packet_bytes_max = own_packet_bytes_max_, .topic_levels_max = 65'535});
    aliases_in_.assign(own_topic_alias_maximum_, {});
    connack_due_ = saturating_add(now, options_.connect_timeout);
    last_sent_ = now;

    Connect packet{.version = options_.version,
                   .clean_start = clean_start == CleanStart::yes,
                   .keep_alive_seconds = options_.keep_alive_seconds,
                   .client_id = options_.client_id,
                   .properties = options_.connect_properties};
    if (options_.will) {
        packet.will = Will{.topic = options_.will->topic,
                           .payload = options_.will->payload,
                           .qos = options_.will->qos,
                           .retain = options_.will->retain,
                           .properties = options_.will->properties};
    }
    if (options_.user_name) packet.user_name = *options_.user_name;
    if (options_.password) packet.password = *options_.password;
    const auto encoded = encode_connect(out, packet);
    STENTOR_ASSERT(encoded == Encoded::written, "a will too large for any packet");
}

void ClientSession::connection_lost() noexcept {
    state_ = State::closed;
    connack_due_ = kNever;
    sign_of_life_due_ = kNever;
    pings_unanswered_ = 0;
    pings_until_done_ = 0;
    on_wire_ = 0;
    waiting_.clear();
    // The server repeats QoS 1 under the same identifier; whether it does so is not ours to know.
    std::erase_if(inbound_, [](const auto& entry) { return entry.second == Inbound::qos1; });
    // Requests are not repeated: whoever made them learns from Connected that it starts afresh.
    std::vector<PacketId> ids;
    outbound_.collect(Phase::subscribe, ids);
    outbound_.collect(Phase::unsubscribe, ids);
    for (const auto id : ids) outbound_.release(id);
    ids.clear();
    outbound_.collect(Phase::published, ids);
    for (const auto id : ids) outbound_.find(id)->phase = Phase::waiting;
    aliases_out_.clear();
    alias_of_.clear();
}

ClientEvent ClientSession::next(ByteView& input, Instant now, WireBuffer& out) {
    for (;;) {
        if (!pending_.empty()) {
            auto event = pending_.front();
            pending_.pop_front();
            return event;
        }
        if (state_ != State::connecting && state_ != State::connected) return NeedInput{};
        auto step = decoder_->next(input);
        if (!step) return server_error(step.error().reason, step.error().detail, out);
        if (const auto* more = std::get_if<NeedMore>(&*step)) {
            return NeedInput{.bytes_min = more->bytes_min};
        }
        auto& decoded = std::get<Decoded>(*step);
        input = input.subspan(decoded.bytes_used);
        sign_of_life_due_ = kNever;
        auto event = dispatch(decoded.packet, now, out);
        if (!std::holds_alternative<NeedInput>(event)) return event;
    }
}

ClientEvent ClientSession::dispatch(PacketView& packet, Instant now, WireBuffer& out) {
    if (auto* connack = std::get_if<ConnackView>(&packet)) return on(*connack, now, out);
    if (auto* disconnect = std::get_if<DisconnectView>(&packet)) return on(*disconnect);
    if (auto* auth = std::get_if<AuthView>(&packet)) {
        if (!authenticates_) {
            return server_error(
                ReasonCode::protocol_error, "AUTH without a method [MQTT-4.12.0-6]", out);
        }
        return AuthReceived{*auth};
    }
    if (state_ != State::connected) {
        return server_error(ReasonCode::protocol_error, "CONNACK comes first [MQTT-3.2.0-1]", out);
    }
    if (auto* publish = std::get_if<PublishView>(&packet)) return on(*publish, now, out);
    if (auto* puback = std::get_if<PubackView>(&packet)) return on(*puback, now, out);
    if (auto* pubrec = std::get_if<PubrecView>(&packet)) return on(*pubrec, now, out);
    if (auto* pubrel = std::get_if<PubrelView>(&packet)) return on(*pubrel, now, out);
    if (auto* pubcomp = std::get_if<PubcompView>(&packet)) return on(*pubcomp, now, out);
    if (auto* suback = std::get_if<SubackView>(&packet)) return on(*suback, out);
    if (auto* unsuback = std::get_if<UnsubackView>(&packet)) return on(*unsuback, out);
    STENTOR_ASSERT(std::holds_alternative<PingrespView>(packet),
                   "the decoder lets no client's packet through to a client");
    return on_pingresp();
}

ClientEvent ClientSession::on(const ConnackView& packet, Instant now, WireBuffer& out) {
    if (state_ != State::connecting) {
        return server_error(ReasonCode::protocol_error, "second CONNACK [MQTT-3.2.0-2]", out);
    }
    connack_due_ = kNever;
    if (is_failure(packet.reason)) {
        connection_lost();
        return Closed{
            .cause = CloseCause::refused, .reason = packet.reason, .properties = packet.properties};
    }
    if (packet.session_present && clean_start_ == CleanStart::yes) {
        return server_error(
            ReasonCode::protocol_error, "a session after a clean start [MQTT-3.2.2-2]", out);
    }
    state_ = State::connected;
    take_limits(packet);
    if (!packet.session_present) lose_session();
    resume(now, out);
    return Connected{.session_present = packet.session_present, .properties = packet.properties};
}

void ClientSession::take_limits(const ConnackView& packet) {
    const auto& said = packet.properties;
    server_ = {.receive_maximum = said.receive_maximum(),
               .packet_bytes_max = said.maximum_packet_size().value_or(kVarintMax),
               .topic_alias_maximum = said.topic_alias_maximum(),
               // [MQTT-3.2.2-21]
               .keep_alive_seconds = said.server_keep_alive().value_or(options_.keep_alive_seconds),
               .session_expiry_interval = said.session_expiry_interval(),
               .maximum_qos = said.maximum_qos(),
               .retain_available = said.retain_available(),
               .wildcard_subscription_available = said.wildcard_subscription_available(),
               .subscription_identifier_available = said.subscription_identifier_available(),
               .shared_subscription_available = said.shared_subscription_available()};
    // A later connect() resumes what the server knows under this name.
    if (const auto assigned = said.assigned_client_identifier()) options_.client_id = *assigned;
}

void ClientSession::lose_session() {
    inbound_.clear();
    std::vector<PacketId> taken;  // the server had them: PUBREC said so
    outbound_.collect(Phase::received, taken);
    outbound_.collect(Phase::released, taken);
    for (const auto id : taken) {
        pending_.emplace_back(PublishDone{.packet_id = id, .token = outbound_.find(id)->token});
        outbound_.release(id);
        --messages_;
    }
    std::vector<PacketId> unanswered;
    outbound_.collect(Phase::waiting, unanswered);
    for (const auto id : unanswered) {
        auto& slot = *outbound_.find(id);
        slot.sent_before = false;  // the new session has not seen it: DUP would be wrong
        if (options_.session_loss == SessionLoss::publish_again) continue;
        pending_.emplace_back(PublishLost{.packet_id = id, .token = slot.token});
        outbound_.release(id);
        --messages_;
    }
}

void ClientSession::resume(Instant now, WireBuffer& out) {
    // PUBREL in the order of the PUBRECs, PUBLISH in the order they were first sent
    // [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT-4.6.0-4].
    std::vector<PacketId> ids;
    outbound_.collect(Phase::received, ids);
    on_wire_ = ids.size();
    ids.clear();
    outbound_.collect(Phase::released, ids);
    on_wire_ += ids.size();
    for (const auto id : ids) send_ack(PacketType::pubrel, id, ReasonCode::success, now, out);
    ids.clear();
    outbound_.collect(Phase::waiting, ids);
    waiting_.assign(ids.begin(), ids.end());
    send_waiting(now, out);
}

ClientEvent ClientSession::on(const DisconnectView& packet) {
    connection_lost();
    return Closed{.cause = CloseCause::disconnected,
                  .reason = packet.reason,
                  .properties = packet.properties};
}

ClientEvent ClientSession::server_error(ReasonCode reason, const char* detail, WireBuffer& out) {
    // In 3.1.1 a DISCONNECT would make the server forget the will: just close.
    if (state_ == State::connected && options_.version == ProtocolVersion::v5) {
        static_cast<void>(encode_disconnect(out, options_.version, {.reason = reason}));
    }
    connection_lost();
    return Closed{.cause = CloseCause::server_error, .reason = reason, .detail = detail};
}

Instant ClientSession::deadline() const noexcept {
    if (state_ == State::connecting) return connack_due_;
    if (state_ != State::connected) return kNever;
    if (server_.keep_alive_seconds == 0) return sign_of_life_due_;
    const auto ping_due =
        saturating_add(last_sent_, std::chrono::seconds{server_.keep_alive_seconds});
    return std::min(ping_due, sign_of_life_due_);
}

std::optional<Closed> ClientSession::on_time(Instant now, WireBuffer& out) {
    if (now < deadline()) return std::nullopt;
    if (state_ == State::connecting) {
        connection_lost();
        return Closed{.cause = CloseCause::connect_timeout,
                      .reason = ReasonCode::unspecified_error};
    }
    if (now >= sign_of_life_due_) {
        connection_lost();
        return Closed{.cause = CloseCause::ping_timeout, .reason = ReasonCode::keep_alive_timeout};
    }
    send_pingreq(now, out);
    return std::nullopt;
}

void ClientSession::send_pingreq(Instant now, WireBuffer& out) {
    encode_pingreq(out);
    ++pings_unanswered_;
    last_sent_ = now;
    if (sign_of_life_due_ == kNever) {
        sign_of_life_due_ = saturating_add(now, options_.ping_timeout);
    }
}

void ClientSession::ping(Instant now, WireBuffer& out) {
    STENTOR_ASSERT(state_ == State::connected && pings_until_done_ == 0, "one ping at a time");
    send_pingreq(now, out);
    pings_until_done_ = pings_unanswered_;
}

ClientEvent ClientSession::on_pingresp() {
    if (pings_unanswered_ > 0) --pings_unanswered_;
    if (pings_until_done_ == 0 || --pings_until_done_ > 0) return NeedInput{};
    return PingDone{};
}

void ClientSession::disconnect(ReasonCode reason, ByteView properties, WireBuffer& out) {
    if (state_ != State::connected && state_ != State::connecting) return;
    const auto encoded = encode_disconnect(
        out, options_.version, {.reason = reason, .properties = properties}, packet_bytes_max());
    if (encoded == Encoded::too_large) {
        static_cast<void>(encode_disconnect(out, options_.version, {.reason = reason}));
    }
    connection_lost();
    state_ = State::leaving;
}

std::optional<Closed> ClientSession::last_word(ByteView& input) {
    while (state_ == State::leaving) {
        auto step = decoder_->next(input);
        if (step && std::holds_alternative<NeedMore>(*step)) return std::nullopt;
        if (!step) {  // too late to be worth a complaint
            state_ = State::closed;
            break;
        }
        auto& decoded = std::get<Decoded>(*step);
        input = input.subspan(decoded.bytes_used);
        const auto* connack = std::get_if<ConnackView>(&decoded.packet);
        const auto* disconnect = std::get_if<DisconnectView>(&decoded.packet);
        if (connack != nullptr && is_failure(connack->reason)) {
            state_ = State::closed;
            return Closed{.cause = CloseCause::refused,
                          .reason = connack->reason,
                          .properties = connack->properties};
        }
        if (disconnect != nullptr) {
            state_ = State::closed;
            return Closed{.cause = CloseCause::disconnected,
                          .reason = disconnect->reason,
                          .properties = disconnect->properties};
        }
    }
    input = {};
    return std::nullopt;
}

std::size_t ClientSession::packet_bytes_max() const noexcept {
    // Maximum Packet Size counts the whole packet and may exceed what a packet can be.
    return obey() ? std::min<std::size_t>(server_.packet_bytes_max, kPacketBytesMax)
                  : kPacketBytesMax;
}

}  // namespace stentor::mqtt
