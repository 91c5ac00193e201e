// Enhanced authentication (MQTT 5.0 section 4.12): AUTH before CONNACK and re-authentication after
// it. What the method thinks is behind AuthExchange; here is whose turn it is.
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/property_writer.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

using mqtt::ReasonCode;

namespace {

ByteView data_of(const mqtt::AuthView& packet) noexcept {
    return packet.properties.authentication_data().value_or(ByteView{});
}

/// What a failed re-authentication says in DISCONNECT, which has fewer reasons than CONNACK.
ReasonCode disconnect_reason(ReasonCode refused) noexcept {
    return refused == ReasonCode::server_unavailable ? ReasonCode::server_busy
                                                     : ReasonCode::not_authorized;
}

}  // namespace

/// A CONNECT that names a method: the method decides, not the chain of authenticators. The client
/// has connect_timeout for each of its answers.
void Shard::begin_exchange(Connection& connection, Instant now) {
    mqtt::ConnectRequest& request = *connection.request;
    connection.exchange = shared_.access->begin_exchange(request, *connection.peer);
    if (connection.exchange == nullptr) {  // [MQTT-4.12.0-1]
        refuse_connect(connection,
                       ReasonCode::bad_authentication_method,
                       "the authentication method is not supported");
        return;
    }
    const std::string data = std::exchange(request.authentication_data, {});
    answer_exchange(connection, as_bytes(data), now);
}

/// Hands what the client says to the method; nothing else is read until it has answered.
void Shard::answer_exchange(Connection& connection, ByteView data, Instant now) {
    set_pause(connection, kPauseOpening, true);
    connection.phase = Phase::authenticating;
    auto admission = connection.exchange->next(data, id_, connection.id);
    if (admission) admitted(connection, std::move(*admission), now);
}

/// The method has a question before it decides.
void Shard::challenged(Connection& connection, const Admission& admission, Instant now) {
    if (!send_auth(
            connection, *connection.request, ReasonCode::continue_authentication, admission.data)) {
        refuse_connect(connection,
                       ReasonCode::packet_too_large,
                       "AUTH exceeds the client's Maximum Packet Size");
        return;
    }
    connection.phase = Phase::answering;
    connection.last_packet = now;  // from here on the client keeps us waiting
    set_pause(connection, kPauseOpening, false);
}

/// Before CONNACK the client may send AUTH and DISCONNECT, nothing else [MQTT-3.1.2-30].
void Shard::answer_while_connecting(Connection& connection,
                                    const mqtt::PacketView& packet,
                                    Instant now) {
    if (std::holds_alternative<mqtt::DisconnectView>(packet)) {
        drop_connection(connection, true, ReasonCode::normal_disconnection);
        return;
    }
    const auto* auth = std::get_if<mqtt::AuthView>(&packet);
    if (auth == nullptr) {
        refuse_packet(connection,
                      {ReasonCode::protocol_error,
                       "another packet than AUTH or DISCONNECT before CONNACK [MQTT-3.1.2-30]"},
                      now);
        return;
    }
    if (auth->properties.authentication_method() != connection.request->authentication_method) {
        refuse_packet(
            connection,
            {ReasonCode::protocol_error, "AUTH with another method than CONNECT's [MQTT-4.12.0-5]"},
            now);
        return;
    }
    if (auth->reason != ReasonCode::continue_authentication) {  // [MQTT-4.12.0-3]
        refuse_packet(
            connection, {ReasonCode::protocol_error, "re-authentication before CONNACK"}, now);
        return;
    }
    answer_exchange(connection, data_of(*auth), now);
}

/// False: it does not fit the client's Maximum Packet Size.
bool Shard::send_auth(Connection& connection,
                      const mqtt::ConnectRequest& request,
                      ReasonCode reason,
                      std::string_view data) {
    mqtt::PropertyWriter properties;
    properties.text(mqtt::Property::authentication_method, request.authentication_method);
    if (!data.empty()) properties.binary(mqtt::Property::authentication_data, as_bytes(data));
    const std::size_t bytes_max =
        std::min<std::size_t>(request.packet_bytes_max, mqtt::kPacketBytesMax);
    const auto encoded = mqtt::encode_auth(
        connection.out, {.reason = reason, .properties = properties.bytes()}, bytes_max);
    if (encoded == mqtt::Encoded::too_large) return false;
    mark_dirty(connection);
    return true;
}

/// AUTH on an open connection: re-authentication, or an answer in one. Messages flow meanwhile;
/// what the client was it stays until the method has decided.
void Shard::on_auth(SessionEntry& entry, const mqtt::AuthView& packet, Instant now) {
    Connection& connection = connection_of(entry);
    const mqtt::ConnectRequest& request = entry.attached->session.request();
    const bool begins = packet.reason == ReasonCode::re_authenticate;
    const char* error = nullptr;
    if (request.authentication_method.empty()) {
        error = "AUTH without an authentication method in CONNECT [MQTT-4.12.0-7]";
    } else if (packet.properties.authentication_method() != request.authentication_method) {
        error = "AUTH with another method than CONNECT's [MQTT-4.12.1-1]";
    } else if (begins == (connection.exchange != nullptr)) {
        error = begins ? "re-authentication within a re-authentication (4.12.1)"
                       : "AUTH that continues nothing (4.12.1)";
    } else if (connection.verdict_due) {
        error = "AUTH out of turn (4.12.1)";
    } else if (connection.out.size() >= options_.limits.outbox_bytes_max) {
        error = "AUTH from a client that does not read the answers";
    }
    if (error != nullptr) {
        refuse_packet(connection, {ReasonCode::protocol_error, error}, now);
        return;
    }
    if (begins) {
        connection.exchange = shared_.access->begin_exchange(request, *connection.peer);
        if (connection.exchange == nullptr) {  // since a reload
            close(connection,
                  {.reason = ReasonCode::bad_authentication_method,
                   .detail = "the authentication method is not supported any more",
                   .send_disconnect = true},
                  now);
            return;
        }
    }
    connection.verdict_due = true;
    auto admission = connection.exchange->next(data_of(packet), id_, connection.id);
    if (admission) reauthenticated(connection, std::move(*admission), now);
}

/// The method's answer to an AUTH of an open connection.
void Shard::reauthenticated(Connection& connection, Admission admission, Instant now) {
    STENTOR_ASSERT(connection.verdict_due && connection.exchange);
    connection.verdict_due = false;
    SessionEntry& entry = *sessions_.at(connection.slot);
    const bool same_user = admission.identity.user == entry.identity.user;
    if (!admission.goes_on && (!admission.accepted || !same_user)) {
        // The session is its user's: another one may not have it [MQTT-4.12.1-2].
        close(connection,
              {.reason = admission.accepted ? ReasonCode::not_authorized
                                            : disconnect_reason(admission.reason),
               .detail = "re-authentication has failed",
               .send_disconnect = true},
              now);
        return;
    }
    const ReasonCode reason =
        admission.goes_on ? ReasonCode::continue_authentication : ReasonCode::success;
    if (!send_auth(connection, entry.attached->session.request(), reason, admission.data)) {
        close(connection,
              {.reason = ReasonCode::packet_too_large,
               .detail = "AUTH exceeds the client's Maximum Packet Size",
               .send_disconnect = true},
              now);
        return;
    }
    if (admission.goes_on) return;
    connection.exchange.reset();
    const bool had_terms = entry.identity.has_terms();
    entry.identity = std::move(admission.identity);
    if (had_terms || entry.identity.has_terms() || entry.identity.edition != edition_ ||
        entry.attached->judged != edition_) {  // what it was put off for; see wait_for_proof()
        review_later(entry);
    }
    connection.valid_until =
        admission.valid_for ? saturating_add(now, *admission.valid_for) : kNever;
    watch_credentials(connection);
}

}  // namespace stentor::server
