// CONNECT and CONNACK (sections 3.1 and 3.2).

#include "protocol/session/session.hpp"
#include "protocol/topic/validate.hpp"

#include <algorithm>
#include <utility>

namespace stentor::mqtt {

namespace {

constexpr std::uint32_t kForever = 0xFFFFFFFF;  // Session Expiry Interval, 3.1.2.11.2

[[nodiscard]] MessagePtr copy_of(const Message& message,
                                 std::string_view publisher,
                                 Instant arrival) {
    return Message::create({.topic = message.topic(),
                            .properties = message.properties(),
                            .payload = message.payload(),
                            .publisher = publisher,
                            .qos = message.qos(),
                            .retain = message.retain(),
                            .arrival = arrival,
                            .message_expiry_seconds = message.message_expiry_seconds()});
}

[[nodiscard]] ProtocolResult<WillMessage> judge_will(const WillView& will,
                                                     std::string_view client_id,
                                                     const SessionLimits& limits,
                                                     Instant now) {
    const TopicCheck check = check_topic_name(will.topic, {.levels_max = limits.topic_levels_max});
    if (check == TopicCheck::invalid) {
        return ProtocolError{ReasonCode::topic_name_invalid, "will topic [MQTT-4.7.1-1]"};
    }
    if (check == TopicCheck::too_many_levels) {
        return ProtocolError{ReasonCode::topic_name_invalid, "will topic has too many levels"};
    }
    return WillMessage{.message = Message::create(
                           {.topic = will.topic,
                            .properties = will.properties,
                            .payload = will.payload,
                            .publisher = client_id,
                            .qos = will.qos,
                            .retain = will.retain,
                            .arrival = now,
                            .message_expiry_seconds = will.properties.message_expiry_interval()}),
                       .delay_seconds = will.properties.will_delay_interval()};
}

void judge_session_expiry(const ConnectView& connect,
                          const SessionLimits& limits,
                          ConnectRequest& request) {
    if (request.version == ProtocolVersion::v3_1_1) {
        // Clean Session 0 has no end of its own [MQTT-3.1.2-4 of 3.1.1]: it gets the longest one.
        request.session_expiry_seconds =
            connect.clean_start ? 0 : std::min(kForever, limits.session_expiry_seconds_max);
        return;
    }
    const std::uint32_t wanted = connect.properties.session_expiry_interval().value_or(0);
    request.session_expiry_seconds = std::min(wanted, limits.session_expiry_seconds_max);
    request.session_expiry_overridden = request.session_expiry_seconds != wanted;
}

void judge_keep_alive(const ConnectView& connect,
                      const SessionLimits& limits,
                      ConnectRequest& request) {
    const std::uint16_t wanted = connect.keep_alive_seconds;
    request.keep_alive_seconds = wanted;
    // A 3.1.1 client cannot be told, so cutting it off earlier than it expects would be a surprise.
    if (limits.keep_alive_seconds_max == 0 || request.version == ProtocolVersion::v3_1_1) return;
    if (wanted != 0 && wanted <= limits.keep_alive_seconds_max) return;
    request.keep_alive_seconds = limits.keep_alive_seconds_max;  // [MQTT-3.2.2-21]
    request.keep_alive_overridden = true;
}

void take_credentials(const ConnectView& connect, ConnectRequest& request) {
    if (connect.user_name) request.user_name.emplace(*connect.user_name);
    if (connect.password) request.password.emplace(as_text(*connect.password));
    // The decoder has refused data without a method (3.1.2.11.10).
    if (const auto method = connect.properties.authentication_method()) {
        request.authentication_method = *method;
    }
    if (const auto data = connect.properties.authentication_data()) {
        request.authentication_data = as_text(*data);
    }
}

}  // namespace

MessagePtr published_at(const Message& message, Instant arrival) {
    return copy_of(message, message.publisher(), arrival);
}

ProtocolResult<ConnectRequest> judge_connect(const ConnectView& connect,
                                             const SessionLimits& limits,
                                             Instant now) {
    ConnectRequest request;
    request.version = connect.version;
    request.clean_start = connect.clean_start;
    if (connect.client_id.empty() && connect.version == ProtocolVersion::v3_1_1 &&
        !connect.clean_start) {
        return ProtocolError{ReasonCode::client_identifier_not_valid,
                             "empty client identifier with Clean Session 0 [MQTT-3.1.3-8]"};
    }
    request.client_id = connect.client_id;
    judge_session_expiry(connect, limits, request);
    judge_keep_alive(connect, limits, request);
    take_credentials(connect, request);
    if (connect.will) {
        STENTOR_TRY(request.will, judge_will(*connect.will, connect.client_id, limits, now));
    }
    const PropertiesView& properties = connect.properties;
    request.receive_maximum = properties.receive_maximum();
    request.packet_bytes_max = properties.maximum_packet_size().value_or(0xFFFFFFFF);
    request.topic_alias_maximum = properties.topic_alias_maximum();
    request.request_problem_information = properties.request_problem_information();
    request.request_response_information = properties.request_response_information();
    return request;
}

void assign_client_id(ConnectRequest& request, std::string client_id) {
    request.client_id = std::move(client_id);
    request.client_id_assigned = true;
    if (!request.will) return;
    const Message& will = *request.will->message;
    request.will->message = copy_of(will, request.client_id, will.arrival());
}

Session::UserProperties Session::send_connack(bool session_present,
                                              std::span<const UserProperty> user_properties,
                                              Effects& fx) {
    STENTOR_ASSERT(!connack_sent_);
    const std::size_t bytes_max = std::min<std::size_t>(request_.packet_bytes_max, kPacketBytesMax);
    auto told = user_properties.empty() ? UserProperties::sent : UserProperties::left_out;
    PropertyWriter properties;
    if (is_v5()) {
        if (request_.session_expiry_overridden) {
            properties.number(Property::session_expiry_interval, request_.session_expiry_seconds);
        }
        properties.number(Property::receive_maximum, limits_->receive_maximum);
        properties.number(Property::maximum_packet_size, limits_->packet_bytes_max);
        if (request_.client_id_assigned) {  // [MQTT-3.2.2-16]
            properties.text(Property::assigned_client_identifier, request_.client_id);
        }
        properties.number(Property::topic_alias_maximum, limits_->topic_aliases_max);
        if (request_.keep_alive_overridden) {  // [MQTT-3.2.2-21]
            properties.number(Property::server_keep_alive, request_.keep_alive_seconds);
        }
        if (!request_.authentication_method.empty()) {  // [MQTT-4.12.0-5]
            properties.text(Property::authentication_method, request_.authentication_method);
            if (!request_.authentication_data.empty()) {
                properties.binary(Property::authentication_data,
                                  as_bytes(request_.authentication_data));
            }
        }
        PropertyWriter with_user = properties;
        for (const UserProperty& property : user_properties) {
            with_user.user(property.name, property.value);
        }
        // A part of them could not be told from the whole.
        if (connack_wire_size(with_user.bytes()) <= bytes_max) {
            properties = std::move(with_user);
            told = UserProperties::sent;
        }
    }
    const Encoded encoded =
        encode_connack(*fx.out,
                       request_.version,
                       {.session_present = session_present, .properties = properties.bytes()},
                       bytes_max);
    if (encoded == Encoded::too_large) {  // [MQTT-3.1.2-24]
        // One that says so is shorter; if even that does not fit, there is nothing left to say.
        (void)encode_connack(
            *fx.out, request_.version, {.reason = ReasonCode::packet_too_large}, bytes_max);
        close(ReasonCode::packet_too_large, "CONNACK exceeds the client's Maximum Packet Size", fx);
        return told;
    }
    fx.sent(PacketType::connack);
    connack_sent_ = true;
    request_.authentication_data = {};
    return told;
}

}  // namespace stentor::mqtt
