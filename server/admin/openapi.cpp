#include "server/admin/openapi.hpp"

#include "base/assert.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>

namespace stentor::admin {

namespace json = boost::json;

namespace {

/// JSON Schema (2020-12) of what is sent and answered, by name.
constexpr std::string_view kSchemas = R"json({
"Error": {"type": "object", "required": ["code", "http", "error", "hint"], "properties": {
    "code": {"type": "string", "description": "For programs; never changes its meaning."},
    "http": {"type": "integer"},
    "error": {"type": "string", "description": "What is wrong."},
    "hint": {"type": "string", "description": "What to do."}}},
"Status": {"type": "object", "required": ["status"], "properties": {
    "status": {"enum": ["alive", "ready"]}}},
"Document": {"type": "object", "required": ["openapi", "info", "paths"]},
"Cursor": {"type": ["string", "null"],
    "description": "To be handed back as after=; null: there is nothing behind this page."},
"Time": {"type": "string", "format": "date-time"},
"MaybeTime": {"anyOf": [{"$ref": "#/components/schemas/Time"}, {"type": "null"}]},
"QoS": {"type": "integer", "minimum": 0, "maximum": 2},
"Properties": {"type": "object", "additionalProperties": false, "properties": {
    "payload_format_indicator": {"enum": [0, 1]},
    "message_expiry_interval": {"type": "integer", "minimum": 0},
    "content_type": {"type": "string"},
    "response_topic": {"type": "string"},
    "correlation_data": {"type": "string", "description": "base64"},
    "user_properties": {"type": "object", "additionalProperties": {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}}}},
"Message": {"type": "object", "required": ["topic"], "additionalProperties": false, "properties": {
    "topic": {"type": "string"},
    "payload": {"type": "string"},
    "payload_encoding": {"enum": ["plain", "base64"]},
    "qos": {"$ref": "#/components/schemas/QoS"},
    "retain": {"type": "boolean"},
    "properties": {"$ref": "#/components/schemas/Properties"}}},
"PublishRequest": {"anyOf": [{"$ref": "#/components/schemas/Message"},
    {"type": "array", "minItems": 1, "maxItems": 10000,
     "items": {"$ref": "#/components/schemas/Message"}}]},
"Published": {"type": "object", "required": ["id", "live", "durable"], "properties": {
    "id": {"type": ["string", "null"]},
    "live": {"type": "boolean"},
    "durable": {"type": "boolean"}}},
"PublishAnswer": {"anyOf": [{"$ref": "#/components/schemas/Published"}, {"type": "array",
    "items": {"anyOf": [{"$ref": "#/components/schemas/Published"},
                        {"$ref": "#/components/schemas/Error"}]}}]},
"ClientSummary": {"type": "object",
    "required": ["client_id", "username", "connected", "since", "protocol", "session", "address",
                 "listener", "subscriptions"],
    "properties": {
    "client_id": {"type": "string"},
    "username": {"type": ["string", "null"]},
    "connected": {"type": "boolean"},
    "since": {"$ref": "#/components/schemas/Time"},
    "protocol": {"enum": ["3.1.1", "5.0"]},
    "session": {"enum": ["durable", "transient"]},
    "address": {"type": ["string", "null"]},
    "listener": {"type": ["string", "null"]},
    "subscriptions": {"type": "integer", "minimum": 0}}},
"ClientPage": {"type": "object", "required": ["clients", "next"], "properties": {
    "clients": {"type": "array", "items": {"$ref": "#/components/schemas/ClientSummary"}},
    "next": {"$ref": "#/components/schemas/Cursor"}}},
"Client": {"type": "object",
    "required": ["client_id", "username", "connected", "protocol", "session", "address", "port",
                 "listener", "certificate_name", "subscriptions", "shared_subscriptions",
                 "connected_at", "disconnected_at", "last_disconnect_reason", "keep_alive_seconds",
                 "clean_start", "receive_maximum", "packet_bytes_max", "session_expiry_seconds",
                 "session_ends_at", "inflight", "backlog", "will", "offline_messages"],
    "properties": {
    "client_id": {"type": "string"},
    "username": {"type": ["string", "null"]},
    "connected": {"type": "boolean"},
    "connected_at": {"$ref": "#/components/schemas/MaybeTime"},
    "disconnected_at": {"$ref": "#/components/schemas/MaybeTime"},
    "last_disconnect_reason": {"type": ["string", "null"]},
    "protocol": {"enum": ["3.1.1", "5.0"]},
    "session": {"enum": ["durable", "transient"]},
    "session_expiry_seconds": {"type": ["integer", "null"], "description": "null: it never ends."},
    "session_ends_at": {"$ref": "#/components/schemas/MaybeTime"},
    "address": {"type": ["string", "null"]},
    "port": {"type": ["integer", "null"]},
    "listener": {"type": ["string", "null"]},
    "certificate_name": {"type": ["string", "null"]},
    "keep_alive_seconds": {"type": ["integer", "null"]},
    "clean_start": {"type": ["boolean", "null"]},
    "receive_maximum": {"type": ["integer", "null"]},
    "packet_bytes_max": {"type": ["integer", "null"]},
    "subscriptions": {"type": "integer", "minimum": 0},
    "shared_subscriptions": {"type": "integer", "minimum": 0},
    "inflight": {"type": "object", "required": ["to_client", "from_client"], "properties": {
        "to_client": {"type": "integer", "minimum": 0},
        "from_client": {"type": "integer", "minimum": 0}}},
    "backlog": {"type": "object",
        "required": ["level_with_log", "log_positions_behind", "queued", "unsent_bytes"],
        "properties": {
        "level_with_log": {"type": ["boolean", "null"]},
        "log_positions_behind": {"type": ["integer", "null"]},
        "queued": {"type": "integer", "minimum": 0},
        "unsent_bytes": {"type": "integer", "minimum": 0}}},
    "will": {"anyOf": [{"type": "null"}, {"type": "object",
        "required": ["topic", "qos", "retain", "payload_bytes", "delay_seconds"], "properties": {
        "topic": {"type": "string"},
        "qos": {"$ref": "#/components/schemas/QoS"},
        "retain": {"type": "boolean"},
        "payload_bytes": {"type": "integer", "minimum": 0},
        "delay_seconds": {"type": "integer", "minimum": 0}}}]},
    "offline_messages": {"type": "object", "required": ["gets", "why"], "properties": {
        "gets": {"type": "boolean"},
        "why": {"type": ["string", "null"]}}}}},
"Subscription": {"type": "object",
    "required": ["client_id", "connected", "filter", "qos", "no_local", "retain_as_published",
                 "retain_handling", "subscription_identifier"],
    "properties": {
    "client_id": {"type": "string"},
    "connected": {"type": "boolean"},
    "filter": {"type": "string"},
    "qos": {"$ref": "#/components/schemas/QoS"},
    "no_local": {"type": "boolean"},
    "retain_as_published": {"type": "boolean"},
    "retain_handling": {"type": "integer", "minimum": 0, "maximum": 2},
    "subscription_identifier": {"type": ["integer", "null"]}}},
"SubscriptionPage": {"type": "object", "required": ["subscriptions", "next"], "properties": {
    "subscriptions": {"type": "array", "items": {"$ref": "#/components/schemas/Subscription"}},
    "next": {"$ref": "#/components/schemas/Cursor"}}},
"Retained": {"type": "object",
    "required": ["topic", "qos", "payload", "payload_encoding", "payload_bytes", "properties",
                 "publisher", "published_at", "age_seconds"],
    "properties": {
    "topic": {"type": "string"},
    "qos": {"$ref": "#/components/schemas/QoS"},
    "payload": {"type": ["string", "null"], "description": "null: longer than 1 MiB."},
    "payload_encoding": {"enum": ["plain", "base64"]},
    "payload_bytes": {"type": "integer", "minimum": 0},
    "properties": {"$ref": "#/components/schemas/Properties"},
    "publisher": {"type": ["string", "null"]},
    "published_at": {"$ref": "#/components/schemas/Time"},
    "age_seconds": {"type": "integer", "minimum": 0}}},
"RetainedPage": {"type": "object", "required": ["retained", "next"], "properties": {
    "retained": {"type": "array", "items": {"$ref": "#/components/schemas/Retained"}},
    "next": {"$ref": "#/components/schemas/Cursor"}}},
"TopicPage": {"type": "object", "required": ["topics", "next"], "properties": {
    "topics": {"type": "array", "items": {"type": "object",
        "required": ["topic", "payload_bytes", "subscribed"], "properties": {
        "topic": {"type": "string"},
        "payload_bytes": {"type": "integer", "minimum": 0},
        "subscribed": {"type": "boolean"}}}},
    "next": {"$ref": "#/components/schemas/Cursor"}}},
"Node": {"type": "object",
    "required": ["name", "version", "commit", "started_at", "uptime_seconds", "ready", "why",
                 "shards", "shards_silent", "listeners", "http_connections", "sessions",
                 "subscriptions", "shared_groups", "retained_messages", "inflight_messages",
                 "store"],
    "properties": {
    "name": {"type": "string"},
    "version": {"type": "string"},
    "commit": {"type": "string"},
    "started_at": {"$ref": "#/components/schemas/Time"},
    "uptime_seconds": {"type": "integer", "minimum": 0},
    "ready": {"type": "boolean"},
    "why": {"type": ["string", "null"], "description": "Why it is not ready."},
    "shards": {"type": "integer", "minimum": 1},
    "shards_silent": {"type": "integer", "minimum": 0},
    "listeners": {"type": "array", "items": {"type": "object", "required": ["url", "connections"],
        "properties": {"url": {"type": "string"},
                       "connections": {"type": "integer", "minimum": 0}}}},
    "http_connections": {"type": "integer", "minimum": 0},
    "sessions": {"type": "object", "required": ["connected", "away"], "properties": {
        "connected": {"type": "integer", "minimum": 0},
        "away": {"type": "integer", "minimum": 0}}},
    "subscriptions": {"type": "integer", "minimum": 0},
    "shared_groups": {"type": "integer", "minimum": 0},
    "retained_messages": {"type": "integer", "minimum": 0},
    "inflight_messages": {"type": "integer", "minimum": 0},
    "store": {"type": "object",
        "required": ["directory", "acknowledge_after", "log_bytes", "log_bytes_max",
                     "disk_free_bytes", "commits", "reopened"],
        "properties": {
        "directory": {"type": ["string", "null"], "description": "null: in memory."},
        "acknowledge_after": {"enum": ["disk", "os", "memory"]},
        "log_bytes": {"type": "integer", "minimum": 0},
        "log_bytes_max": {"type": "integer", "minimum": 0},
        "disk_free_bytes": {"type": ["integer", "null"]},
        "commits": {"type": "integer", "minimum": 0},
        "reopened": {"type": "integer", "minimum": 0}}}}},
"Reload": {"type": "object", "required": ["applied", "changed", "restart_needed"], "properties": {
    "applied": {"const": true},
    "changed": {"type": "array", "items": {"type": "string"},
        "description": "Keys with other values than before, in force now."},
    "restart_needed": {"type": "array", "items": {"type": "string"},
        "description": "Keys whose new values wait for the next start."}}},
"Backup": {"type": "object", "required": ["directory", "segments", "bytes"], "properties": {
    "directory": {"type": "string"},
    "segments": {"type": "integer", "minimum": 0},
    "bytes": {"type": "integer", "minimum": 0}}}
})json";

struct Described {
    unsigned status;
    std::string_view description;
};
constexpr std::array<Described, 17> kStatuses{{{200, "Done."},
                                               {201, "Made."},
                                               {202, "Where it belongs, on disk or on its way."},
                                               {204, "Done."},
                                               {207, "Some of an array were refused."},
                                               {400, "The request makes no sense."},
                                               {401, "A user, or a token, is needed."},
                                               {403, "Not allowed."},
                                               {404, "There is no such thing."},
                                               {409, "Not now, or not here."},
                                               {410, "The list has to begin anew."},
                                               {413, "Too long."},
                                               {422, "The configuration was refused."},
                                               {429, "Too many; see Retry-After."},
                                               {500, "It has failed."},
                                               {503, "Not now; try again."},
                                               {507, "There is no room on disk."}}};

std::string_view description_of(unsigned status) {
    for (const Described& each : kStatuses) {
        if (each.status == status) return each.description;
    }
    STENTOR_ASSERT(false, "every status of a route is described");
    return {};
}

json::object schema_of(const Content& content) {
    if (content.schema.empty()) return {};
    return {{"$ref", "#/components/schemas/" + std::string{content.schema}}};
}

json::object content_of(const Content& content) {
    return {{content.media_type, json::object{{"schema", schema_of(content)}}}};
}

std::string_view where(ParameterIn in) {
    switch (in) {
        case ParameterIn::path:
            return "path";
        case ParameterIn::query:
            return "query";
        case ParameterIn::header:
            break;
    }
    return "header";
}

std::string_view type_of(ParameterType type) {
    switch (type) {
        case ParameterType::text:
            return "string";
        case ParameterType::number:
            return "integer";
        case ParameterType::flag:
            break;
    }
    return "boolean";
}

json::array parameters_of(const RouteInfo& route) {
    json::array all;
    for (const Parameter& each : route.parameters) {
        all.push_back(json::object{{"name", each.name},
                                   {"in", where(each.in)},
                                   {"required", each.in == ParameterIn::path},
                                   {"description", each.description},
                                   {"schema", json::object{{"type", type_of(each.type)}}}});
    }
    return all;
}

void add_error(json::object& responses, unsigned status) {
    responses[std::to_string(status)] =
        json::object{{"description", description_of(status)},
                     {"content", content_of({"application/json", "Error"})}};
}

json::object responses_of(const RouteInfo& route) {
    json::object responses;
    json::object success{{"description", description_of(route.status)}};
    if (!route.answer.media_type.empty()) success["content"] = content_of(route.answer);
    if (route.other_statuses.find("207") != std::string_view::npos) responses["207"] = success;
    responses[std::to_string(route.status)] = std::move(success);
    for (std::string_view rest = route.other_statuses; !rest.empty();) {
        const std::string status{rest.substr(0, 3)};
        rest.remove_prefix(std::min<std::size_t>(rest.size(), 4));
        if (status != "207") add_error(responses, static_cast<unsigned>(std::stoul(status)));
    }
    if (route.permission != Permission::anybody) {
        for (const unsigned status : {401U, 403U, 429U}) add_error(responses, status);
    }
    add_error(responses, 503);
    return responses;
}

std::string_view who(Permission permission) {
    switch (permission) {
        case Permission::anybody:
            return "For anybody.";
        case Permission::figures:
            return "For administrators; on this machine also for whoever is let in without a name.";
        case Permission::admitted:
            return "For whoever is let in, where the rules allow it.";
        case Permission::admins:
            break;
    }
    return "For administrators (http.admins).";
}

json::array security_of(Permission permission) {
    json::array all;
    if (permission == Permission::anybody) return all;
    all.push_back(json::object{{"basic", json::array{}}});
    all.push_back(json::object{{"bearer", json::array{}}});
    // Without Authorization a visitor is anonymous, which may be enough.
    if (permission != Permission::admins) all.push_back(json::object{});
    return all;
}

std::string method_of(const RouteInfo& route) {
    std::string method;
    for (const char each : boost::beast::http::to_string(route.method)) {
        method += static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
    }
    return method;
}

json::object operation_of(const RouteInfo& route) {
    json::object operation{{"summary", route.summary},
                           {"description", who(route.permission)},
                           {"security", security_of(route.permission)},
                           {"responses", responses_of(route)}};
    if (!route.parameters.empty()) operation["parameters"] = parameters_of(route);
    if (!route.body.media_type.empty()) {
        operation["requestBody"] =
            json::object{{"required", true}, {"content", content_of(route.body)}};
    }
    return operation;
}

}  // namespace

json::object openapi_document(std::span<const RouteInfo> routes, std::string_view version) {
    json::object paths;
    for (const RouteInfo& route : routes) {
        json::value& path = paths[documented_path(route.path)];
        if (path.is_null()) path = json::object{};
        path.get_object()[method_of(route)] = operation_of(route);
    }
    const json::object schemes{{"basic", json::object{{"type", "http"}, {"scheme", "basic"}}},
                               {"bearer", json::object{{"type", "http"}, {"scheme", "bearer"}}}};
    return {{"openapi", "3.1.0"},
            {"info",
             json::object{{"title", "Stentor"},
                          {"version", version},
                          {"description", "The HTTP API of the Stentor MQTT broker."}}},
            {"paths", std::move(paths)},
            {"components",
             json::object{{"schemas", json::parse({kSchemas.data(), kSchemas.size()})},
                          {"securitySchemes", schemes}}}};
}

}  // namespace stentor::admin
