#include "server/admin/listing_json.hpp"

#include "base/base64.hpp"
#include "base/bytes.hpp"
#include "persistence/record.hpp"
#include "protocol/codec/utf8.hpp"
#include "protocol/message.hpp"

#include <boost/json/array.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string_view>

namespace stentor::admin {

namespace json = boost::json;
using server::ClientDetails;
using server::LastEnd;

namespace {

json::value text_or_null(std::string_view text) {
    if (text.empty()) return nullptr;
    return json::value(text);
}

std::string_view version_of(mqtt::ProtocolVersion version) {
    return version == mqtt::ProtocolVersion::v5 ? "5.0" : "3.1.1";
}

json::value last_end_of(LastEnd end) {
    if (end.code == LastEnd::kUnknown) return nullptr;
    if (end.code == LastEnd::kLost) return "connection_lost";
    return json::value(mqtt::name(static_cast<mqtt::ReasonCode>(end.code)));
}

json::value expiry_of(std::uint32_t seconds) {
    if (seconds == store::kNeverExpires) return nullptr;
    return seconds;
}

json::value will_of(const ClientDetails& client) {
    if (!client.will) return nullptr;
    return json::object{{"topic", client.will->topic},
                        {"qos", static_cast<unsigned>(client.will->qos)},
                        {"retain", client.will->retain},
                        {"payload_bytes", client.will->payload_bytes},
                        {"delay_seconds", client.will->delay_seconds}};
}

/// Those of a connection; null while there is none.
void add_connection(json::object& to, const ClientDetails& client) {
    const auto& connected = client.connected;
    to["port"] = connected ? json::value(connected->port) : nullptr;
    to["certificate_name"] = connected ? text_or_null(connected->certificate_name) : nullptr;
    to["keep_alive_seconds"] = connected ? json::value(connected->keep_alive_seconds) : nullptr;
    to["clean_start"] = connected ? json::value(connected->clean_start) : nullptr;
    to["receive_maximum"] = connected ? json::value(connected->receive_maximum) : nullptr;
    to["packet_bytes_max"] = connected ? json::value(connected->packet_bytes_max) : nullptr;
}

json::object backlog_of(const ClientDetails& client) {
    const auto& connected = client.connected;
    return {
        {"level_with_log",
         client.summary.durable ? json::value(client.log_positions_behind == 0)
                                : json::value(nullptr)},
        {"log_positions_behind",
         client.summary.durable ? json::value(client.log_positions_behind) : json::value(nullptr)},
        {"queued", connected ? connected->queued : 0},
        {"unsent_bytes", connected ? connected->unsent_bytes : 0}};
}

/// As text if people can read it.
bool is_readable(std::string_view payload) {
    return mqtt::is_mqtt_text(payload) && std::ranges::none_of(payload, [](char each) {
               const auto code = static_cast<unsigned char>(each);
               return (code < 0x20 && each != '\t' && each != '\n' && each != '\r') || code == 0x7F;
           });
}

json::object properties_of(const mqtt::Message& message, Instant now) {
    const mqtt::PropertiesView from = message.properties();
    json::object to;
    if (from.has(mqtt::Property::payload_format_indicator)) {
        to["payload_format_indicator"] = from.payload_is_utf8() ? 1 : 0;
    }
    if (const auto left = message.expiry_left_seconds(now)) to["message_expiry_interval"] = *left;
    if (const auto type = from.content_type()) to["content_type"] = *type;
    if (const auto topic = from.response_topic()) to["response_topic"] = *topic;
    if (const auto data = from.correlation_data()) to["correlation_data"] = base64(*data);
    json::object users;
    for (const mqtt::UserProperty& each : from.user_properties()) {
        json::value& values = users[each.name];
        if (values.is_null()) values = json::array{};
        values.get_array().emplace_back(each.value);
    }
    if (!users.empty()) to["user_properties"] = std::move(users);
    return to;
}

}  // namespace

std::string TimeScale::text(Instant at) const {
    const auto ago = std::chrono::duration_cast<std::chrono::milliseconds>(store_now - at).count();
    // What lies before 1970, or beyond the calendar, is nobody's point in time.
    constexpr std::int64_t kYear9999Ms = 253'402'300'799'000;
    const std::int64_t ms = std::clamp<std::int64_t>(unix_ms_now - ago, 0, kYear9999Ms);
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(ms / 1000)));
}

OfflineVerdict offline_verdict(const ClientDetails& client) {
    if (!client.summary.durable || client.expiry_seconds == 0) {
        return {.why = client.summary.version == mqtt::ProtocolVersion::v5
                           ? "its session ends with its connection: it asked for a Session Expiry "
                             "Interval of 0 (or for none)"
                           : "its session ends with its connection: it connects with Clean "
                             "Session 1"};
    }
    if (client.summary.subscriptions == 0) return {.why = "it has no subscriptions"};
    if (client.subscriptions_kept_for == 0) {
        return {.why = "all its subscriptions were granted QoS 0, which nothing waits for"};
    }
    return {.gets = true};
}

json::object to_json(const server::ClientSummary& client,
                     const TimeScale& scale,
                     std::span<const std::string> listeners) {
    json::object object{{"client_id", client.client_id},
                        {"username", text_or_null(client.user)},
                        {"connected", client.connected},
                        {"since", scale.text(client.since)},
                        {"protocol", version_of(client.version)},
                        {"session", client.durable ? "durable" : "transient"},
                        {"address", text_or_null(client.address)},
                        {"listener", nullptr},
                        {"subscriptions", client.subscriptions}};
    if (client.connected && client.listener < listeners.size()) {
        object["listener"] = listeners[client.listener];
    }
    return object;
}

json::object to_json(const ClientDetails& client,
                     const TimeScale& scale,
                     std::span<const std::string> listeners) {
    json::object object = to_json(client.summary, scale, listeners);
    object.erase("since");
    const bool is_connected = client.summary.connected;
    const std::string since = scale.text(client.summary.since);
    object["connected_at"] = is_connected ? json::value(since) : nullptr;
    object["disconnected_at"] = is_connected ? json::value(nullptr) : json::value(since);
    object["last_disconnect_reason"] = last_end_of(client.last_end);
    add_connection(object, client);
    object["session_expiry_seconds"] = expiry_of(client.expiry_seconds);
    object["session_ends_at"] = client.expires_at == kNever
                                    ? json::value(nullptr)
                                    : json::value(scale.text(client.expires_at));
    object["shared_subscriptions"] = client.subscriptions_shared;
    object["inflight"] = json::object{{"to_client", client.inflight_to_client},
                                      {"from_client", client.inflight_from_client}};
    object["backlog"] = backlog_of(client);
    object["will"] = will_of(client);
    OfflineVerdict verdict = offline_verdict(client);
    object["offline_messages"] =
        json::object{{"gets", verdict.gets}, {"why", text_or_null(verdict.why)}};
    return object;
}

json::object to_json(const server::ListedSubscription& subscription) {
    json::object object{
        {"client_id", subscription.client_id},
        {"connected", subscription.connected},
        {"filter", subscription.filter},
        {"qos", static_cast<unsigned>(subscription.options.qos)},
        {"no_local", subscription.options.no_local},
        {"retain_as_published", subscription.options.retain_as_published},
        {"retain_handling", static_cast<unsigned>(subscription.options.retain_handling)},
        {"subscription_identifier", nullptr}};
    if (subscription.identifier != 0) {
        object["subscription_identifier"] = subscription.identifier;
    }
    return object;
}

json::object to_json(const server::RetainedValue& value, const TimeScale& scale) {
    const mqtt::Message& message = *value.message;
    const std::string_view payload = as_text(message.payload());
    const bool readable = payload.size() <= kPayloadShownMax && is_readable(payload);
    json::object object{{"topic", message.topic()},
                        {"qos", static_cast<unsigned>(message.qos())},
                        {"payload", nullptr},
                        {"payload_encoding", readable ? "plain" : "base64"},
                        {"payload_bytes", payload.size()},
                        {"properties", properties_of(message, scale.store_now)},
                        {"publisher", text_or_null(message.publisher())}};
    if (payload.size() <= kPayloadShownMax) {
        object["payload"] =
            readable ? json::value(payload) : json::value(base64(message.payload()));
    }
    const auto age =
        std::chrono::duration_cast<std::chrono::seconds>(scale.store_now - message.arrival());
    object["published_at"] = scale.text(message.arrival());
    object["age_seconds"] = std::max<std::int64_t>(age.count(), 0);
    return object;
}

}  // namespace stentor::admin
