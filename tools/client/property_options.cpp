#include "tools/client/property_options.hpp"

#include "base/suggest.hpp"
#include "protocol/codec/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string>

namespace stentor::tools {
namespace {

using mqtt::Property;
using mqtt::PropertyContext;

enum class Type : std::uint8_t { byte, two_bytes, four_bytes, varint, text, binary, pair };

struct Known {
    std::string_view name;
    Property id;
    Type type;
};

constexpr std::array<Known, 27> kProperties{{
    {"assigned-client-identifier", Property::assigned_client_identifier, Type::text},
    {"authentication-data", Property::authentication_data, Type::binary},
    {"authentication-method", Property::authentication_method, Type::text},
    {"content-type", Property::content_type, Type::text},
    {"correlation-data", Property::correlation_data, Type::binary},
    {"maximum-packet-size", Property::maximum_packet_size, Type::four_bytes},
    {"maximum-qos", Property::maximum_qos, Type::byte},
    {"message-expiry-interval", Property::message_expiry_interval, Type::four_bytes},
    {"payload-format-indicator", Property::payload_format_indicator, Type::byte},
    {"reason-string", Property::reason_string, Type::text},
    {"receive-maximum", Property::receive_maximum, Type::two_bytes},
    {"request-problem-information", Property::request_problem_information, Type::byte},
    {"request-response-information", Property::request_response_information, Type::byte},
    {"response-information", Property::response_information, Type::text},
    {"response-topic", Property::response_topic, Type::text},
    {"retain-available", Property::retain_available, Type::byte},
    {"server-keep-alive", Property::server_keep_alive, Type::two_bytes},
    {"server-reference", Property::server_reference, Type::text},
    {"session-expiry-interval", Property::session_expiry_interval, Type::four_bytes},
    {"shared-subscription-available", Property::shared_subscription_available, Type::byte},
    {"subscription-identifier", Property::subscription_identifier, Type::varint},
    {"subscription-identifier-available", Property::subscription_identifier_available, Type::byte},
    {"topic-alias", Property::topic_alias, Type::two_bytes},
    {"topic-alias-maximum", Property::topic_alias_maximum, Type::two_bytes},
    {"user-property", Property::user_property, Type::pair},
    {"wildcard-subscription-available", Property::wildcard_subscription_available, Type::byte},
    {"will-delay-interval", Property::will_delay_interval, Type::four_bytes},
}};

constexpr std::array<std::string_view, 6> kCommands{
    "connect", "will", "publish", "subscribe", "unsubscribe", "disconnect"};

struct Target {
    mqtt::PropertyWriter* writer;
    PropertyContext context;
};

std::string lower_case(std::string_view text) {
    std::string lower{text};
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return lower;
}

std::string suggestion(std::string_view word, std::span<const std::string_view> candidates) {
    const auto near = nearest(word, candidates);
    return near.empty() ? "" : fmt::format("did you mean {}?", near);
}

std::int64_t largest(Type type) {
    switch (type) {
        case Type::byte:
            return std::numeric_limits<std::uint8_t>::max();
        case Type::two_bytes:
            return std::numeric_limits<std::uint16_t>::max();
        case Type::varint:
            return mqtt::kVarintMax;
        default:
            return std::numeric_limits<std::uint32_t>::max();
    }
}

Usage check_text(std::string_view text) {
    if (text.size() > mqtt::kStringBytesMax) {
        return UsageError{fmt::format("longer than {} bytes", mqtt::kStringBytesMax)};
    }
    if (!mqtt::is_mqtt_text(text)) return UsageError{"not a text in UTF-8"};
    return {};
}

/// Appends the property to `writer`.
Usage write_value(const Known& known, ArgumentValues& values, mqtt::PropertyWriter& writer) {
    STENTOR_TRY(const auto value, values.next("the property's value"));
    switch (known.type) {
        case Type::byte:
        case Type::two_bytes:
        case Type::four_bytes:
        case Type::varint: {
            STENTOR_TRY(const auto number, parse_number(value, 0, largest(known.type)));
            writer.number(known.id, static_cast<std::uint32_t>(number));
            return {};
        }
        case Type::text:
            STENTOR_TRY_VOID(check_text(value));
            writer.text(known.id, value);
            return {};
        case Type::binary:
            if (value.size() > mqtt::kStringBytesMax) {
                return UsageError{fmt::format("longer than {} bytes", mqtt::kStringBytesMax)};
            }
            writer.binary(known.id, as_bytes(value));
            return {};
        case Type::pair: {
            STENTOR_TRY(const auto second, values.next("the user property's value"));
            STENTOR_TRY_VOID(check_text(value));
            STENTOR_TRY_VOID(check_text(second));
            writer.user(value, second);
            return {};
        }
    }
    return {};
}

Result<Known, UsageError> find_property(std::string_view name) {
    for (const auto& known : kProperties) {
        if (known.name == name) return known;
    }
    std::vector<std::string_view> names;
    names.reserve(kProperties.size());
    for (const auto& known : kProperties) names.push_back(known.name);
    return UsageError{fmt::format("'{}' is not a property", name), suggestion(name, names)};
}

}  // namespace

Usage PropertyOptions::add(ArgumentValues& values) {
    STENTOR_TRY(const auto command_word, values.next("the packet's name (publish, connect, ...)"));
    STENTOR_TRY(const auto name, values.next("the property's name"));
    const auto command = lower_case(command_word);
    Target target{nullptr, PropertyContext::connect};
    if (command == "connect") target = {&connect, PropertyContext::connect};
    if (command == "will") target = {&will, PropertyContext::will};
    if (command == "publish") target = {&publish, PropertyContext::publish_to_server};
    if (command == "subscribe") target = {&subscribe, PropertyContext::subscribe};
    if (command == "unsubscribe") target = {&unsubscribe, PropertyContext::unsubscribe};
    if (command == "disconnect") target = {&disconnect, PropertyContext::disconnect_to_server};
    if (target.writer == nullptr) {
        auto hint = suggestion(command, kCommands);
        if (hint.empty()) hint = "connect, will, publish, subscribe, unsubscribe or disconnect";
        return UsageError{fmt::format("'{}' is no packet with properties here", command_word),
                          hint};
    }
    STENTOR_TRY(const auto known, find_property(name));

    mqtt::PropertyWriter alone;
    STENTOR_TRY_VOID(write_value(known, values, alone));
    const auto valid = mqtt::parse_properties(alone.bytes(), target.context);
    if (!valid) {
        // The codec's judgement; find out whether it is about the place or the value.
        mqtt::PropertyWriter plain;
        const bool number = known.type <= Type::varint;
        if (number) plain.number(known.id, 1);
        if (number && mqtt::parse_properties(plain.bytes(), target.context)) {
            return UsageError{fmt::format("{} has no such value", known.name)};
        }
        return UsageError{fmt::format("{} has no property {}", command, known.name)};
    }
    for (const auto& entry : mqtt::PropertyEntries{alone.bytes()}) target.writer->entry(entry);
    if (!mqtt::parse_properties(target.writer->bytes(), target.context)) {
        return UsageError{fmt::format("{} can be given once", known.name)};
    }
    return {};
}

bool PropertyOptions::empty() const noexcept {
    return connect.bytes().empty() && will.bytes().empty() && publish.bytes().empty() &&
           subscribe.bytes().empty() && unsubscribe.bytes().empty() && disconnect.bytes().empty();
}

std::string_view property_name(mqtt::Property id) noexcept {
    for (const auto& known : kProperties) {
        if (known.id == id) return known.name;
    }
    return "unknown";
}

}  // namespace stentor::tools
