#include "tools/sub/message_json.hpp"

#include "base/base64.hpp"
#include "protocol/codec/utf8.hpp"
#include "tools/client/json_text.hpp"
#include "tools/client/property_options.hpp"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <iterator>
#include <optional>

namespace stentor::tools {
namespace {

using mqtt::Property;

/// Whether what Mosquitto's JSON cannot hold is to be kept.
enum class Fidelity : std::uint8_t { as_mosquitto, complete };

/// Writes one object; knows where commas and line ends go.
class ObjectWriter {
  public:
    ObjectWriter(std::string& out, JsonStyle style, int depth)
        : out_{out}, style_{style}, depth_{depth} {
        out_ += '{';
    }
    /// What follows is this member's value.
    std::string& member(std::string_view name) {
        if (!first_) out_ += ',';
        first_ = false;
        line(depth_ + 1);
        append_json_string(out_, name);
        out_ += style_ == JsonStyle::pretty ? ": " : ":";
        return out_;
    }
    void text(std::string_view name, std::string_view value) {
        append_json_string(member(name), value);
    }
    void number(std::string_view name, std::uint64_t value) {
        fmt::format_to(std::back_inserter(member(name)), "{}", value);
    }
    void close() {
        if (!first_) line(depth_);
        out_ += '}';
    }

  private:
    void line(int depth) {
        if (style_ != JsonStyle::pretty) return;
        out_ += '\n';
        out_.append(static_cast<std::size_t>(depth) * 2, ' ');
    }

    std::string& out_;
    JsonStyle style_;
    int depth_;
    bool first_ = true;
};

/// Names may repeat, and order counts, so an object would lose some of them.
void append_pairs(const mqtt::PropertiesView& properties, std::string& out) {
    char separator = '[';
    for (const auto& user : properties.user_properties()) {
        out += separator;
        out += '[';
        append_json_string(out, user.name);
        out += ',';
        append_json_string(out, user.value);
        out += ']';
        separator = ',';
    }
    out += ']';
}

void append_correlation_data(ByteView data, Fidelity fidelity, ObjectWriter& object) {
    const auto name = property_name(Property::correlation_data);
    if (fidelity == Fidelity::as_mosquitto || mqtt::is_mqtt_text(as_text(data))) {
        object.text(name, as_text(data));
        return;
    }
    object.text(name, base64(data));
    object.text("correlation-data_encoding", "base64");
}

void append_properties(const mqtt::PropertiesView& properties,
                       Fidelity fidelity,
                       JsonStyle style,
                       ObjectWriter& message) {
    ObjectWriter object{message.member("properties"), style, 1};
    bool users = false;
    for (const auto& entry : properties.entries()) {
        switch (entry.id) {
            case Property::user_property:
                users = true;
                break;
            case Property::subscription_identifier:
                break;
            case Property::content_type:
            case Property::response_topic:
                object.text(property_name(entry.id), entry.text());
                break;
            case Property::correlation_data:
                append_correlation_data(entry.binary(), fidelity, object);
                break;
            default:
                object.number(property_name(entry.id), entry.number());
        }
    }
    if (users && fidelity == Fidelity::complete) {
        append_pairs(properties, object.member("user-properties"));
    } else if (users) {
        ObjectWriter pairs{object.member("user-properties"), style, 2};
        for (const auto& user : properties.user_properties()) pairs.text(user.name, user.value);
        pairs.close();
    }
    std::string identifiers;
    for (const auto& identifier : properties.subscription_identifiers()) {
        identifiers += fmt::format("{}{}", identifiers.empty() ? "" : ",", identifier.value);
    }
    if (!identifiers.empty()) {
        object.member("subscription-identifiers").append("[").append(identifiers).append("]");
    }
    object.close();
}

}  // namespace

std::string iso_8601(WallTime at, bool microseconds) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
    const std::time_t unix_seconds = seconds.time_since_epoch().count();
    std::tm parts{};
    ::localtime_r(&unix_seconds, &parts);
    std::array<char, 64> date{};
    std::array<char, 16> zone{};
    std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    std::strftime(zone.data(), zone.size(), "%z", &parts);
    if (!microseconds) return fmt::format("{}{}", date.data(), zone.data());
    const auto rest = std::chrono::floor<std::chrono::microseconds>(at - seconds).count();
    return fmt::format("{}.{:06}{}", date.data(), rest, zone.data());
}

bool append_message_json(const mqtt::PublishView& message,
                         WallTime at,
                         PayloadJson payload,
                         JsonStyle style,
                         std::string& out) {
    const auto text = as_text(message.payload);
    std::optional<std::string> value;
    if (payload == PayloadJson::value) {
        value = minified_json(text);
        if (!value) return false;
    }
    ObjectWriter object{out, style, 0};
    object.text("tst", iso_8601(at, true));
    object.text("topic", message.topic);
    object.number("qos", static_cast<std::uint64_t>(message.qos));
    object.number("retain", message.retain ? 1 : 0);
    object.number("payloadlen", message.payload.size());
    if (message.packet_id != kNoPacketId) object.number("mid", message.packet_id.value());
    const auto fidelity =
        payload == PayloadJson::text_or_base64 ? Fidelity::complete : Fidelity::as_mosquitto;
    if (!message.properties.empty()) {
        append_properties(message.properties, fidelity, style, object);
    }
    const bool is_text = mqtt::is_mqtt_text(text);
    if (value) {
        object.member("payload").append(*value);
    } else if (payload == PayloadJson::text_or_base64 && !is_text) {
        object.text("payload", base64(message.payload));
        object.text("payload_encoding", "base64");
    } else if (payload == PayloadJson::text && text.empty()) {
        object.member("payload").append("null");  // as Mosquitto's does
    } else {
        object.text("payload", text);
    }
    object.close();
    return true;
}

}  // namespace stentor::tools
