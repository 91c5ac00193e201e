#include "server/admin/publish_request.hpp"

#include "base/base64.hpp"
#include "base/suggest.hpp"
#include "protocol/codec/property_writer.hpp"
#include "protocol/codec/utf8.hpp"
#include "protocol/topic/validate.hpp"
#include "server/admin/query.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace stentor::admin {

namespace json = boost::json;
using mqtt::Property;

namespace {

constexpr std::size_t kJsonDepthMax = 8;
// Around topic, payload and properties of a PUBLISH: fixed header, lengths, packet identifier.
constexpr std::size_t kPacketHeadBytesMax = 13;

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }
std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

Mistake bad_request(std::string error, std::string hint = {}) {
    return {.error = std::move(error), .hint = std::move(hint)};
}

/// A message in the making.
struct Draft {
    std::string_view topic = {};
    ByteView payload = {};
    Bytes decoded = {};  // what payload is of, if it came in base64
    mqtt::QoS qos = mqtt::QoS::at_least_once;
    bool retain = false;
    std::optional<std::uint32_t> expiry_seconds = {};
    mqtt::PropertyWriter properties = {};
};

Result<MessagePtr, Mistake> finished(const Draft& draft, const PublishRules& rules, Instant now) {
    const std::size_t bytes = kPacketHeadBytesMax + draft.topic.size() + draft.payload.size() +
                              draft.properties.bytes().size();
    if (bytes > rules.packet_bytes_max) {
        return Mistake{
            .status = Status::payload_too_large,
            .code = "message_too_large",
            .error = fmt::format("a PUBLISH of {} bytes", bytes),
            .hint = fmt::format("limits.packet_bytes_max is {}", rules.packet_bytes_max)};
    }
    const auto properties =
        mqtt::parse_properties(draft.properties.bytes(), mqtt::PropertyContext::publish_to_server);
    if (!properties) return bad_request("properties that MQTT does not allow (5.0, 3.3.2.3)");
    return mqtt::Message::create({.topic = draft.topic,
                                  .properties = *properties,
                                  .payload = draft.payload,
                                  .qos = draft.qos,
                                  .retain = draft.retain,
                                  .arrival = now,
                                  .message_expiry_seconds = draft.expiry_seconds});
}

std::optional<Mistake> check_topic(std::string_view topic, const PublishRules& rules) {
    Mistake mistake{.code = "bad_topic"};
    if (topic.empty()) {
        mistake.error = "a message needs a topic";
        mistake.hint = "POST /v1/publish/sensors/kitchen, or \"topic\" in JSON";
    } else if (topic.size() > mqtt::kStringBytesMax) {
        mistake.error = "a topic name is longer than 65,535 bytes";
    } else if (!mqtt::is_mqtt_text(topic)) {
        mistake.error = "a topic name is UTF-8 without U+0000 (MQTT 1.5.4)";
    } else {
        switch (mqtt::check_topic_name(topic, {.levels_max = rules.topic_levels_max})) {
            case mqtt::TopicCheck::ok:
                return std::nullopt;
            case mqtt::TopicCheck::invalid:
                mistake.error = "a topic name to publish to has no wildcards ('+', '#')";
                mistake.hint = "publish to each topic by itself";
                break;
            case mqtt::TopicCheck::too_many_levels:
                mistake.error = "a topic name with too many levels";
                mistake.hint = fmt::format("limits.topic_levels_max is {}", rules.topic_levels_max);
                break;
        }
    }
    return mistake;
}

/// What the header says, if it is there once; more than once is nobody's wish.
Result<std::optional<std::string_view>, Mistake> header(const Request& request,
                                                        std::string_view name) {
    const boost::beast::string_view key{name.data(), name.size()};
    if (request.count(key) > 1) {
        return bad_request(fmt::format("more than one header {}", name));
    }
    const auto at = request.find(key);
    if (at == request.end()) return std::optional<std::string_view>{};
    return std::optional{view(at->value())};
}

std::optional<std::uint32_t> number_in(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

Mistake no_expiry() {
    return bad_request("how long a message is good for is a number of seconds, 1 to 4294967295",
                       "without it the message never expires; for those who are connected now "
                       "and nobody else: QoS 0");
}
Mistake no_qos() { return bad_request("QoS is 0, 1 or 2", "1 is the default"); }

std::optional<Mistake> set_qos(Draft& draft, std::optional<std::uint64_t> number) {
    if (!number || *number > 2) return no_qos();
    draft.qos = static_cast<mqtt::QoS>(*number);
    return std::nullopt;
}

std::optional<Mistake> set_expiry(Draft& draft, std::optional<std::uint64_t> number) {
    if (!number || *number == 0 || *number > UINT32_MAX) return no_expiry();
    draft.expiry_seconds = static_cast<std::uint32_t>(*number);
    draft.properties.number(Property::message_expiry_interval, *draft.expiry_seconds);
    return std::nullopt;
}

/// A property of text, as MQTT allows text.
std::optional<Mistake> set_text(Draft& draft,
                                Property id,
                                std::string_view name,
                                std::string_view text) {
    if (text.size() > mqtt::kStringBytesMax || !mqtt::is_mqtt_text(text)) {
        return bad_request(
            fmt::format("{} is UTF-8 without U+0000, 65,535 bytes at most (MQTT 1.5.4)", name));
    }
    draft.properties.text(id, text);
    return std::nullopt;
}

// --- JSON ----------------------------------------------------------------------------------------

std::optional<std::uint64_t> unsigned_of(const json::value& value) {
    if (value.is_uint64()) return value.get_uint64();
    if (value.is_int64() && value.get_int64() >= 0) {
        return static_cast<std::uint64_t>(value.get_int64());
    }
    return std::nullopt;
}

template <class Table>
Mistake unknown_key(std::string_view key, std::string_view where, const Table& table) {
    std::vector<std::string_view> names;
    names.reserve(table.size());
    for (const auto& each : table) names.push_back(each.name);
    const std::string_view shown = key.substr(0, 64);
    const std::string_view meant = nearest(shown, names);
    return bad_request(fmt::format("there is no \"{}\" in {}", shown, where),
                       meant.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                                     : fmt::format("did you mean \"{}\"?", meant));
}

Mistake wrong_type(std::string_view key, std::string_view wanted) {
    return bad_request(fmt::format("\"{}\" is {}", key, wanted));
}

using Setter = std::optional<Mistake> (*)(Draft&, std::string_view key, const json::value&);
struct Key {
    std::string_view name;
    Setter set;
};

std::optional<Mistake> format_indicator(Draft& draft,
                                        std::string_view key,
                                        const json::value& value) {
    const auto number = unsigned_of(value);
    if (!number || *number > 1) return wrong_type(key, "0 (bytes) or 1 (UTF-8)");
    draft.properties.number(Property::payload_format_indicator,
                            static_cast<std::uint32_t>(*number));
    return std::nullopt;
}

std::optional<Mistake> expiry(Draft& draft, std::string_view /*key*/, const json::value& value) {
    return set_expiry(draft, unsigned_of(value));
}

std::optional<Mistake> content_type(Draft& draft, std::string_view key, const json::value& value) {
    if (!value.is_string()) return wrong_type(key, "a text");
    return set_text(draft, Property::content_type, key, view(value.get_string()));
}

std::optional<Mistake> response_topic(Draft& draft,
                                      std::string_view key,
                                      const json::value& value) {
    if (!value.is_string()) return wrong_type(key, "a text");
    const std::string_view topic = view(value.get_string());
    if (mqtt::check_topic_name(topic) != mqtt::TopicCheck::ok) {
        return wrong_type(key, "a topic name without wildcards [MQTT-3.3.2-14]");
    }
    return set_text(draft, Property::response_topic, key, topic);
}

std::optional<Mistake> correlation_data(Draft& draft,
                                        std::string_view key,
                                        const json::value& value) {
    std::optional<Bytes> bytes;
    if (value.is_string()) {
        const std::string_view text = view(value.get_string());
        bytes = from_base64(text, Padding::required, text.size());
    }
    if (!bytes || bytes->size() > mqtt::kStringBytesMax) {
        return wrong_type(key, "base64 of 65,535 bytes at most");
    }
    draft.properties.binary(Property::correlation_data, *bytes);
    return std::nullopt;
}

/// {"name": "value"}, or {"name": ["value", "value"]}: a name may stand several times.
std::optional<Mistake> user_properties(Draft& draft,
                                       std::string_view key,
                                       const json::value& value) {
    const auto add = [&](std::string_view name, const json::value& one) {
        if (!one.is_string()) return false;
        const std::string_view text = view(one.get_string());
        const auto fits = [](std::string_view each) {
            return each.size() <= mqtt::kStringBytesMax && mqtt::is_mqtt_text(each);
        };
        if (!fits(name) || !fits(text)) return false;
        draft.properties.user(name, text);
        return true;
    };
    bool all = value.is_object();
    if (all) {
        for (const auto& [name, given] : value.get_object()) {
            const std::string_view key_text{name.data(), name.size()};
            if (!given.is_array()) {
                all = all && add(key_text, given);
                continue;
            }
            for (const json::value& one : given.get_array()) all = all && add(key_text, one);
        }
    }
    if (all) return std::nullopt;
    return wrong_type(key, "an object of texts, or of arrays of texts");
}

constexpr std::array<Key, 6> kProperties{{{"payload_format_indicator", format_indicator},
                                          {"message_expiry_interval", expiry},
                                          {"content_type", content_type},
                                          {"response_topic", response_topic},
                                          {"correlation_data", correlation_data},
                                          {"user_properties", user_properties}}};

template <std::size_t kSize>
std::optional<Mistake> set_all(Draft& draft,
                               const json::object& object,
                               const std::array<Key, kSize>& keys,
                               std::string_view where) {
    for (const auto& [name, value] : object) {
        const std::string_view key{name.data(), name.size()};
        const auto* at = std::find_if(
            keys.begin(), keys.end(), [&](const Key& each) { return each.name == key; });
        if (at == keys.end()) return unknown_key(key, where, keys);
        if (auto mistake = at->set(draft, key, value)) return mistake;
    }
    return std::nullopt;
}

std::optional<Mistake> topic(Draft& draft, std::string_view key, const json::value& value) {
    if (!value.is_string()) return wrong_type(key, "a text");
    draft.topic = view(value.get_string());
    return std::nullopt;
}

std::optional<Mistake> payload(Draft& draft, std::string_view key, const json::value& value) {
    if (!value.is_string()) {
        return bad_request(fmt::format("\"{}\" is a text", key),
                           R"(JSON goes in as text: "{\"temperature\": 21}")");
    }
    draft.payload = as_bytes(view(value.get_string()));
    return std::nullopt;
}

/// Looked at when the payload is there, see message_in().
std::optional<Mistake> payload_encoding(Draft& /*draft*/,
                                        std::string_view key,
                                        const json::value& value) {
    if (value.is_string() && (value.get_string() == "plain" || value.get_string() == "base64")) {
        return std::nullopt;
    }
    return wrong_type(key, R"("plain" or "base64")");
}

std::optional<Mistake> qos(Draft& draft, std::string_view /*key*/, const json::value& value) {
    return set_qos(draft, unsigned_of(value));
}

std::optional<Mistake> retain(Draft& draft, std::string_view key, const json::value& value) {
    if (!value.is_bool()) return wrong_type(key, "true or false");
    draft.retain = value.get_bool();
    return std::nullopt;
}

std::optional<Mistake> properties(Draft& draft, std::string_view key, const json::value& value) {
    if (!value.is_object()) return wrong_type(key, "an object");
    return set_all(draft, value.get_object(), kProperties, "properties");
}

constexpr std::array<Key, 6> kKeys{{{"topic", topic},
                                    {"payload", payload},
                                    {"payload_encoding", payload_encoding},
                                    {"qos", qos},
                                    {"retain", retain},
                                    {"properties", properties}}};

Result<MessagePtr, Mistake> message_in(const json::value& value,
                                       const PublishRules& rules,
                                       Instant now) {
    if (!value.is_object()) {
        return bad_request("a message is an object", R"({"topic": "a/b", "payload": "hello"})");
    }
    Draft draft;
    if (auto mistake = set_all(draft, value.get_object(), kKeys, "a message")) return *mistake;
    if (auto mistake = check_topic(draft.topic, rules)) return *mistake;
    const json::value* encoding = value.get_object().if_contains("payload_encoding");
    if (encoding != nullptr && encoding->get_string() == "base64") {
        const std::string_view text = as_text(draft.payload);
        auto decoded = from_base64(text, Padding::required, text.size());
        if (!decoded) return bad_request("\"payload\" is not base64");
        draft.decoded = *std::move(decoded);
        draft.payload = draft.decoded;
    }
    return finished(draft, rules, now);
}

}  // namespace

Result<std::string, Mistake> topic_of(std::string_view path_rest, const PublishRules& rules) {
    auto topic = percent_decoded(path_rest);
    if (!topic) {
        return Mistake{.code = "bad_topic",
                       .error = "the topic in the path is not percent-encoded as URLs are",
                       .hint = "write % as %25"};
    }
    if (auto mistake = check_topic(*topic, rules)) return *mistake;
    return *std::move(topic);
}

Result<MessagePtr, Mistake> message_of(const Request& request,
                                       std::string_view topic,
                                       const PublishRules& rules,
                                       Instant now) {
    Draft draft;
    draft.topic = topic;
    draft.payload = as_bytes(request.body());
    STENTOR_TRY(const auto qos, header(request, "QoS"));
    if (qos) {
        if (auto mistake = set_qos(draft, number_in(*qos))) return *mistake;
    }
    STENTOR_TRY(const auto ttl, header(request, "TTL"));
    if (ttl) {
        if (auto mistake = set_expiry(draft, number_in(*ttl))) return *mistake;
    }
    STENTOR_TRY(const auto retain, header(request, "Retain"));
    if (retain) {
        const bool yes =
            *retain == "1" || boost::beast::iequals({retain->data(), retain->size()}, "true");
        const bool no =
            *retain == "0" || boost::beast::iequals({retain->data(), retain->size()}, "false");
        if (!yes && !no) return bad_request("Retain is true or false");
        draft.retain = yes;
    }
    STENTOR_TRY(const auto type, header(request, "Content-Type"));
    // What curl -d says of whatever it sends.
    if (type && !type->empty() && *type != "application/x-www-form-urlencoded") {
        if (auto mistake = set_text(draft, Property::content_type, "Content-Type", *type)) {
            return *mistake;
        }
    }
    return finished(draft, rules, now);
}

Result<Asked, Mistake> messages_of(std::string_view text, const PublishRules& rules, Instant now) {
    json::parse_options options;
    options.max_depth = kJsonDepthMax;
    boost::json::error_code error;
    const json::value value = json::parse({text.data(), text.size()}, error, {}, options);
    if (error) {
        return bad_request("the body is not JSON: " + error.message(),
                           R"(an object or an array of objects: {"topic": ..., "payload": ...})");
    }
    Asked asked;
    if (!value.is_array()) {
        STENTOR_TRY(auto message, message_in(value, rules, now));
        asked.messages.push_back(std::move(message));
        return asked;
    }
    asked.is_list = true;
    const json::array& list = value.get_array();
    if (list.empty() || list.size() > kMessagesMax) {
        return bad_request(fmt::format("an array of 1 to {} messages", kMessagesMax));
    }
    asked.messages.reserve(list.size());
    for (const json::value& each : list) {
        auto message = message_in(each, rules, now);
        if (!message) {
            Mistake mistake = message.error();
            mistake.error = fmt::format("message {}: {}", asked.messages.size(), mistake.error);
            return mistake;
        }
        asked.messages.push_back(*std::move(message));
    }
    return asked;
}

}  // namespace stentor::admin
