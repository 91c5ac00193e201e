#include "protocol/codec/properties.hpp"

#include "base/assert.hpp"
#include "protocol/codec/packet_body.hpp"
#include "protocol/codec/reader.hpp"
#include "protocol/codec/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

namespace stentor::mqtt {

namespace {

enum class Kind : std::uint8_t { unknown, flag, u16, u32, varint, text, binary, pair };

template <class... Contexts>
constexpr std::uint16_t in(Contexts... contexts) noexcept {
    return static_cast<std::uint16_t>((0U | ... | (1U << static_cast<unsigned>(contexts))));
}

struct Rule {
    Kind kind = Kind::unknown;
    std::uint16_t allowed = 0;    // contexts
    std::uint16_t misplaced = 0;  // contexts of the right packet in the wrong direction
};

constexpr std::size_t kIdsEnd = 0x2B;

/// Table 2-4, by identifier.
constexpr std::array<Rule, kIdsEnd> kRules = [] {
    using enum PropertyContext;
    constexpr auto kMessage = in(will, publish_to_server, publish_to_client);
    constexpr auto kConnack = in(connack);
    constexpr auto kBothConnects = in(connect, connack);
    constexpr auto kAuthentication = in(connect, connack, auth);
    constexpr auto kReasoned = in(connack,
                                  puback,
                                  pubrec,
                                  pubrel,
                                  pubcomp,
                                  suback,
                                  unsuback,
                                  disconnect_to_server,
                                  disconnect_to_client,
                                  auth);
    std::array<Rule, kIdsEnd> rules{};
    const auto set =
        [&rules](Property id, Kind kind, std::uint16_t allowed, std::uint16_t misplaced = 0) {
            rules[static_cast<std::size_t>(id)] = Rule{kind, allowed, misplaced};
        };
    set(Property::payload_format_indicator, Kind::flag, kMessage);
    set(Property::message_expiry_interval, Kind::u32, kMessage);
    set(Property::content_type, Kind::text, kMessage);
    set(Property::response_topic, Kind::text, kMessage);
    set(Property::correlation_data, Kind::binary, kMessage);
    set(Property::subscription_identifier,
        Kind::varint,
        in(publish_to_client, subscribe),
        in(publish_to_server));  // [MQTT-3.3.4-6]
    set(Property::session_expiry_interval,
        Kind::u32,
        in(connect, connack, disconnect_to_server),
        in(disconnect_to_client));  // [MQTT-3.14.2-2]
    set(Property::assigned_client_identifier, Kind::text, kConnack);
    set(Property::server_keep_alive, Kind::u16, kConnack);
    set(Property::authentication_method, Kind::text, kAuthentication);
    set(Property::authentication_data, Kind::binary, kAuthentication);
    set(Property::request_problem_information, Kind::flag, in(connect));
    set(Property::will_delay_interval, Kind::u32, in(will));
    set(Property::request_response_information, Kind::flag, in(connect));
    set(Property::response_information, Kind::text, kConnack);
    set(Property::server_reference,
        Kind::text,
        in(connack, disconnect_to_client),
        in(disconnect_to_server));  // 3.14.2.2.5: the server sends it
    set(Property::reason_string, Kind::text, kReasoned);
    set(Property::receive_maximum, Kind::u16, kBothConnects);
    set(Property::topic_alias_maximum, Kind::u16, kBothConnects);
    set(Property::topic_alias, Kind::u16, in(publish_to_server, publish_to_client));
    set(Property::maximum_qos, Kind::flag, kConnack);
    set(Property::retain_available, Kind::flag, kConnack);
    set(Property::user_property, Kind::pair, 0xFFFF);
    set(Property::maximum_packet_size, Kind::u32, kBothConnects);
    set(Property::wildcard_subscription_available, Kind::flag, kConnack);
    set(Property::subscription_identifier_available, Kind::flag, kConnack);
    set(Property::shared_subscription_available, Kind::flag, kConnack);
    return rules;
}();

constexpr ProtocolError forbidden(const char* detail) noexcept {
    return {ReasonCode::protocol_error, detail};
}

/// The value of an integer of 1, 2 or 4 bytes or a varint, as `kind` says.
bool read_number(Reader& reader, Kind kind, std::uint32_t& value) noexcept {
    switch (kind) {
        case Kind::flag: {
            std::uint8_t byte = 0;
            if (!reader.u8(byte)) return false;
            value = byte;
            return true;
        }
        case Kind::u16: {
            std::uint16_t word = 0;
            if (!reader.u16(word)) return false;
            value = word;
            return true;
        }
        case Kind::u32:
            return reader.u32(value);
        case Kind::varint:
            return reader.varint(value);
        default:
            return false;
    }
}

/// Takes one value off `reader` and judges nothing; `number`: if it is one.
bool read_raw(Reader& reader, Kind kind, std::uint32_t& number) noexcept {
    ByteView raw;
    switch (kind) {
        case Kind::text:
        case Kind::binary:
            return reader.binary(raw);
        case Kind::pair:
            return reader.binary(raw) && reader.binary(raw);
        default:
            return read_number(reader, kind, number);
    }
}

ProtocolResult<void> check_number(Property id, Kind kind, std::uint32_t value) noexcept {
    if (kind == Kind::flag && value > 1) return forbidden("a property of 0 or 1 has another value");
    if (value != 0) return {};
    switch (id) {
        case Property::topic_alias:
            return ProtocolError{ReasonCode::topic_alias_invalid, "Topic Alias 0 [MQTT-3.3.2-8]"};
        case Property::receive_maximum:
            return forbidden("Receive Maximum 0 (3.1.2.11.3)");
        case Property::maximum_packet_size:
            return forbidden("Maximum Packet Size 0 (3.1.2.11.4)");
        case Property::subscription_identifier:
            return forbidden("Subscription Identifier 0 (3.8.2.1.2)");
        default:
            return {};
    }
}

ProtocolResult<void> check_text(Property id, std::string_view text) noexcept {
    if (id == Property::response_topic) {
        switch (scan_topic_name(text, kStringBytesMax + 1)) {
            case TopicNameScan::has_wildcard:
                return forbidden("wildcard in the Response Topic [MQTT-3.3.2-14]");
            case TopicNameScan::not_text:
                break;
            default:
                if (text.empty()) return forbidden("empty Response Topic [MQTT-4.7.3-1]");
                return {};
        }
    } else if (is_mqtt_text(text)) {
        return {};
    }
    return malformed("a property's string is not UTF-8 [MQTT-1.5.4-1, -2]");
}

/// Takes one value off `reader` and judges it.
ProtocolResult<void> check_value(Reader& reader, Property id, Kind kind) noexcept {
    std::string_view text;
    ByteView raw;
    switch (kind) {
        case Kind::text:
            if (!reader.string(text)) break;
            return check_text(id, text);
        case Kind::pair:
            for (int part = 0; part < 2; ++part) {
                if (!reader.string(text)) {
                    return malformed("a user property overruns its block (2.2.2)");
                }
                if (!is_mqtt_text(text)) {
                    return malformed("a user property is not UTF-8 [MQTT-1.5.7-1]");
                }
            }
            return {};
        case Kind::binary:
            if (!reader.binary(raw)) break;
            return {};
        default: {
            std::uint32_t value = 0;
            if (!read_number(reader, kind, value)) break;
            return check_number(id, kind, value);
        }
    }
    return malformed("a property overruns its block, or is not of its type (2.2.2)");
}

constexpr std::uint64_t bit(Property id) noexcept {
    return std::uint64_t{1} << static_cast<unsigned>(id);
}

bool may_repeat(Property id, PropertyContext context) noexcept {
    return id == Property::user_property || (id == Property::subscription_identifier &&
                                             context == PropertyContext::publish_to_client);
}

/// The size of a checked entry at the front of `block`.
std::size_t entry_size(ByteView block) noexcept {
    const auto id = std::to_integer<std::size_t>(block[0]);
    STENTOR_ASSERT(id < kIdsEnd, "the block has not been checked");
    switch (kRules[id].kind) {
        case Kind::flag:
            return 2;
        case Kind::u16:
            return 3;
        case Kind::u32:
            return 5;
        case Kind::varint: {
            std::size_t size = 2;
            while (std::to_integer<unsigned>(block[size - 1]) >= 0x80U) ++size;
            return size;
        }
        case Kind::text:
        case Kind::binary:
            return 3U + load_u16(block.subspan(1));
        case Kind::pair: {
            const std::size_t name_end = 3U + load_u16(block.subspan(1));
            return name_end + 2U + load_u16(block.subspan(name_end));
        }
        case Kind::unknown:
            break;
    }
    assertion_failed(__FILE__, __LINE__, "kind", "the block has not been checked");
}

}  // namespace

ProtocolResult<PropertiesView> parse_properties(ByteView block, PropertyContext context) noexcept {
    const auto here = in(context);
    std::uint64_t present = 0;
    Reader reader{block};
    while (!reader.at_end()) {
        // The identifier is a Variable Byte Integer, but none has more than one byte (2.2.2.2).
        std::uint8_t number = 0;
        if (!reader.u8(number) || number >= kIdsEnd) return malformed("unknown property (2.2.2.2)");
        const Rule& rule = kRules[number];
        const auto id = static_cast<Property>(number);
        if ((rule.allowed & here) == 0) {
            if ((rule.misplaced & here) != 0) {
                return forbidden("a property this side must not send (3.3.4, 3.14.2.2)");
            }
            return malformed("a property this packet does not have (2.2.2.2)");
        }
        if ((present & bit(id)) != 0 && !may_repeat(id, context)) {
            return forbidden("a property is there twice (2.2.2)");
        }
        present |= bit(id);
        STENTOR_TRY_VOID(check_value(reader, id, rule.kind));
    }
    if (context == PropertyContext::connect &&
        (present & (bit(Property::authentication_method) | bit(Property::authentication_data))) ==
            bit(Property::authentication_data)) {
        return forbidden("Authentication Data without a method (3.1.2.11.10)");
    }
    return PropertiesView::from_checked(block, present);
}

std::optional<std::uint32_t> smallest_packet_size(ByteView block) noexcept {
    std::uint32_t smallest = std::numeric_limits<std::uint32_t>::max();
    Reader reader{block};
    while (!reader.at_end()) {
        std::uint8_t number = 0;
        std::uint32_t value = 0;
        if (!reader.u8(number) || number >= kIdsEnd) return std::nullopt;
        if (!read_raw(reader, kRules[number].kind, value)) return std::nullopt;
        if (static_cast<Property>(number) == Property::maximum_packet_size) {
            smallest = std::min(smallest, value);
        }
    }
    return smallest;
}

bool is_forwarded(Property id) noexcept {
    constexpr std::uint64_t kForwarded =
        bit(Property::payload_format_indicator) | bit(Property::content_type) |
        bit(Property::response_topic) | bit(Property::correlation_data) |
        bit(Property::user_property);
    return (kForwarded & bit(id)) != 0;
}

std::uint32_t PropertyEntry::number() const noexcept {
    Reader reader{wire.subspan(1)};
    std::uint32_t value = 0;
    const bool read = read_number(reader, kRules[static_cast<std::size_t>(id)].kind, value);
    STENTOR_ASSERT(read, "not an integer property");
    return value;
}

ByteView PropertyEntry::binary() const noexcept {
    return wire.subspan(3, load_u16(wire.subspan(1)));
}

std::string_view PropertyEntry::text() const noexcept { return as_text(binary()); }

std::string_view PropertyEntry::user_value() const noexcept {
    STENTOR_ASSERT(id == Property::user_property);
    return as_text(wire.subspan(3U + load_u16(wire.subspan(1)) + 2U));
}

void PropertyEntries::Iterator::read() noexcept {
    if (rest_.empty()) {
        entry_ = {};
        return;
    }
    entry_.id = static_cast<Property>(rest_[0]);
    entry_.wire = rest_.first(entry_size(rest_));
}

PropertyEntry PropertiesView::find(Property id) const noexcept {
    for (const PropertyEntry& entry : entries()) {
        if (entry.id == id) return entry;
    }
    assertion_failed(__FILE__, __LINE__, "has(id)", "the property is not there");
}

std::optional<std::uint32_t> PropertiesView::number(Property id) const noexcept {
    if (!has(id)) return std::nullopt;
    return find(id).number();
}
bool PropertiesView::flag(Property id, bool absent) const noexcept {
    return has(id) ? find(id).number() != 0 : absent;
}
std::optional<std::string_view> PropertiesView::text(Property id) const noexcept {
    if (!has(id)) return std::nullopt;
    return find(id).text();
}
std::optional<ByteView> PropertiesView::binary(Property id) const noexcept {
    if (!has(id)) return std::nullopt;
    return find(id).binary();
}

PropertiesView::UserProperties PropertiesView::user_properties() const noexcept {
    return has(Property::user_property) ? UserProperties{block_} : UserProperties{};
}
PropertiesView::SubscriptionIdentifiers PropertiesView::subscription_identifiers() const noexcept {
    return has(Property::subscription_identifier) ? SubscriptionIdentifiers{block_}
                                                  : SubscriptionIdentifiers{};
}

namespace {

std::optional<std::uint16_t> narrow(std::optional<std::uint32_t> value) noexcept {
    if (!value) return std::nullopt;
    return static_cast<std::uint16_t>(*value);
}

}  // namespace

bool PropertiesView::payload_is_utf8() const noexcept {
    return flag(Property::payload_format_indicator, false);
}
std::optional<std::uint32_t> PropertiesView::message_expiry_interval() const noexcept {
    return number(Property::message_expiry_interval);
}
std::optional<std::string_view> PropertiesView::content_type() const noexcept {
    return text(Property::content_type);
}
std::optional<std::string_view> PropertiesView::response_topic() const noexcept {
    return text(Property::response_topic);
}
std::optional<ByteView> PropertiesView::correlation_data() const noexcept {
    return binary(Property::correlation_data);
}
std::optional<std::uint16_t> PropertiesView::topic_alias() const noexcept {
    return narrow(number(Property::topic_alias));
}
std::uint32_t PropertiesView::will_delay_interval() const noexcept {
    return number(Property::will_delay_interval).value_or(0);
}
std::optional<std::uint32_t> PropertiesView::subscription_identifier() const noexcept {
    return number(Property::subscription_identifier);
}
std::optional<std::uint32_t> PropertiesView::session_expiry_interval() const noexcept {
    return number(Property::session_expiry_interval);
}
std::uint16_t PropertiesView::receive_maximum() const noexcept {
    return narrow(number(Property::receive_maximum)).value_or(0xFFFF);
}
std::uint16_t PropertiesView::topic_alias_maximum() const noexcept {
    return narrow(number(Property::topic_alias_maximum)).value_or(0);
}
std::optional<std::uint32_t> PropertiesView::maximum_packet_size() const noexcept {
    return number(Property::maximum_packet_size);
}
bool PropertiesView::request_problem_information() const noexcept {
    return flag(Property::request_problem_information, true);
}
bool PropertiesView::request_response_information() const noexcept {
    return flag(Property::request_response_information, false);
}
std::optional<std::string_view> PropertiesView::authentication_method() const noexcept {
    return text(Property::authentication_method);
}
std::optional<ByteView> PropertiesView::authentication_data() const noexcept {
    return binary(Property::authentication_data);
}
std::optional<std::string_view> PropertiesView::assigned_client_identifier() const noexcept {
    return text(Property::assigned_client_identifier);
}
std::optional<std::uint16_t> PropertiesView::server_keep_alive() const noexcept {
    return narrow(number(Property::server_keep_alive));
}
std::optional<std::string_view> PropertiesView::response_information() const noexcept {
    return text(Property::response_information);
}
std::optional<std::string_view> PropertiesView::server_reference() const noexcept {
    return text(Property::server_reference);
}
std::optional<std::string_view> PropertiesView::reason_string() const noexcept {
    return text(Property::reason_string);
}
QoS PropertiesView::maximum_qos() const noexcept {
    // Absent means 2; the property itself can only say 0 or 1 (3.2.2.3.4).
    const auto value = number(Property::maximum_qos);
    return value ? static_cast<QoS>(*value) : QoS::exactly_once;
}
bool PropertiesView::retain_available() const noexcept {
    return flag(Property::retain_available, true);
}
bool PropertiesView::wildcard_subscription_available() const noexcept {
    return flag(Property::wildcard_subscription_available, true);
}
bool PropertiesView::subscription_identifier_available() const noexcept {
    return flag(Property::subscription_identifier_available, true);
}
bool PropertiesView::shared_subscription_available() const noexcept {
    return flag(Property::shared_subscription_available, true);
}

}  // namespace stentor::mqtt
