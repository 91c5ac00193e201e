#include "tests/conformance/wire.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace stentor::conformance {
namespace {

constexpr std::array<std::string_view, 16> kTypeNames{"RESERVED",
                                                      "CONNECT",
                                                      "CONNACK",
                                                      "PUBLISH",
                                                      "PUBACK",
                                                      "PUBREC",
                                                      "PUBREL",
                                                      "PUBCOMP",
                                                      "SUBSCRIBE",
                                                      "SUBACK",
                                                      "UNSUBSCRIBE",
                                                      "UNSUBACK",
                                                      "PINGREQ",
                                                      "PINGRESP",
                                                      "DISCONNECT",
                                                      "AUTH"};

constexpr std::array kProperties{
    PropertyKind{"payload_format", 0x01, PropertyForm::byte},
    PropertyKind{"message_expiry", 0x02, PropertyForm::u32},
    PropertyKind{"content_type", 0x03, PropertyForm::text},
    PropertyKind{"response_topic", 0x08, PropertyForm::text},
    PropertyKind{"correlation_data", 0x09, PropertyForm::binary},
    PropertyKind{"subscription_id", 0x0b, PropertyForm::varint},
    PropertyKind{"session_expiry", 0x11, PropertyForm::u32},
    PropertyKind{"assigned_id", 0x12, PropertyForm::text},
    PropertyKind{"server_keep_alive", 0x13, PropertyForm::u16},
    PropertyKind{"auth_method", 0x15, PropertyForm::text},
    PropertyKind{"auth_data", 0x16, PropertyForm::binary},
    PropertyKind{"request_problem", 0x17, PropertyForm::byte},
    PropertyKind{"will_delay", 0x18, PropertyForm::u32},
    PropertyKind{"request_response", 0x19, PropertyForm::byte},
    PropertyKind{"response_information", 0x1a, PropertyForm::text},
    PropertyKind{"server_reference", 0x1c, PropertyForm::text},
    PropertyKind{"reason_string", 0x1f, PropertyForm::text},
    PropertyKind{"receive_maximum", 0x21, PropertyForm::u16},
    PropertyKind{"topic_alias_maximum", 0x22, PropertyForm::u16},
    PropertyKind{"topic_alias", 0x23, PropertyForm::u16},
    PropertyKind{"maximum_qos", 0x24, PropertyForm::byte},
    PropertyKind{"retain_available", 0x25, PropertyForm::byte},
    PropertyKind{"user_property", 0x26, PropertyForm::pair},
    PropertyKind{"maximum_packet", 0x27, PropertyForm::u32},
    PropertyKind{"wildcard_available", 0x28, PropertyForm::byte},
    PropertyKind{"subscription_ids_available", 0x29, PropertyForm::byte},
    PropertyKind{"shared_available", 0x2a, PropertyForm::byte}};

// Section 2.2.2.2 of 5.0: which properties a broker may put into which packet.
std::span<const std::string_view> allowed_from_broker(Type type) {
    static constexpr std::array<std::string_view, 17> kConnack{"session_expiry",
                                                               "receive_maximum",
                                                               "maximum_qos",
                                                               "retain_available",
                                                               "maximum_packet",
                                                               "assigned_id",
                                                               "topic_alias_maximum",
                                                               "reason_string",
                                                               "user_property",
                                                               "wildcard_available",
                                                               "subscription_ids_available",
                                                               "shared_available",
                                                               "server_keep_alive",
                                                               "response_information",
                                                               "server_reference",
                                                               "auth_method",
                                                               "auth_data"};
    static constexpr std::array<std::string_view, 8> kPublish{"payload_format",
                                                              "message_expiry",
                                                              "topic_alias",
                                                              "response_topic",
                                                              "correlation_data",
                                                              "user_property",
                                                              "subscription_id",
                                                              "content_type"};
    static constexpr std::array<std::string_view, 2> kAck{"reason_string", "user_property"};
    static constexpr std::array<std::string_view, 3> kDisconnect{
        "reason_string", "user_property", "server_reference"};
    static constexpr std::array<std::string_view, 4> kAuth{
        "auth_method", "auth_data", "reason_string", "user_property"};
    switch (type) {
        case Type::connack:
            return kConnack;
        case Type::publish:
            return kPublish;
        case Type::disconnect:
            return kDisconnect;
        case Type::auth:
            return kAuth;
        default:
            return kAck;
    }
}

// The reason codes a broker may use, packet by packet (section 2.4 of 5.0).
std::string_view reasons_from_broker(Type type) {
    using namespace std::string_view_literals;
    switch (type) {
        case Type::connack:
            return "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90"
                   "\x95\x97\x99\x9a\x9b\x9c\x9d\x9f"sv;
        case Type::puback:
        case Type::pubrec:
            return "\x00\x10\x80\x83\x87\x90\x91\x97\x99"sv;
        case Type::pubrel:
        case Type::pubcomp:
            return "\x00\x92"sv;
        case Type::suback:
            return "\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2"sv;
        case Type::unsuback:
            return "\x00\x11\x80\x83\x87\x8f\x91"sv;
        case Type::disconnect:
            return "\x00\x80\x81\x82\x83\x87\x89\x8b\x8d\x8e\x8f\x90\x93\x94\x95\x96"
                   "\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2"sv;
        case Type::auth:
            return "\x00\x18"sv;
        default:
            return {};
    }
}

bool well_formed_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto lead = static_cast<unsigned char>(text[at]);
        const int more = lead < 0x80 ? 0 : lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        std::uint32_t point = more == 0 ? lead : lead & (0x3fU >> static_cast<unsigned>(more));
        if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || at + more >= text.size()) return false;
        for (int i = 1; i <= more; ++i) {
            const auto next = static_cast<unsigned char>(text[at + static_cast<std::size_t>(i)]);
            if ((next & 0xc0U) != 0x80) return false;
            point = point << 6U | (next & 0x3fU);
        }
        static constexpr std::array<std::uint32_t, 4> kLeast{0, 0x80, 0x800, 0x10000};
        if (point == 0 || point < kLeast[static_cast<std::size_t>(more)] || point > 0x10ffff ||
            (point >= 0xd800 && point <= 0xdfff)) {
            return false;
        }
        at += static_cast<std::size_t>(more) + 1;
    }
    return true;
}

class Reader {
  public:
    explicit Reader(std::string_view rest) : rest_{rest} {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }
    std::string_view take(std::size_t count) {
        if (count > rest_.size()) throw BadPacket{"the packet ends too early"};
        const std::string_view front = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return front;
    }
    std::string_view take_all() { return take(rest_.size()); }
    std::uint32_t number(std::size_t bytes) {
        std::uint32_t value = 0;
        for (const char c : take(bytes)) value = value << 8U | static_cast<unsigned char>(c);
        return value;
    }
    std::uint32_t varint() {
        std::uint32_t value = 0;
        for (unsigned shift = 0; shift < 28; shift += 7) {
            const std::uint32_t byte = number(1);
            value |= (byte & 0x7fU) << shift;
            if (byte >= 0x80) continue;
            if (byte == 0 && shift > 0) throw BadPacket{"a longer integer than needed"};
            return value;
        }
        throw BadPacket{"a variable byte integer of five bytes"};
    }
    Octets binary() { return Octets{take(number(2))}; }
    Octets text() {
        Octets value = binary();
        if (!well_formed_utf8(value)) throw BadPacket{"ill-formed UTF-8: " + hex(value)};
        return value;
    }

  private:
    std::string_view rest_;
};

Property read_property(Reader& from) {
    Property property;
    property.kind = property_with(static_cast<std::uint8_t>(from.varint()));
    if (property.kind == nullptr) throw BadPacket{"an unknown property"};
    switch (property.kind->form) {
        case PropertyForm::byte:
            property.number = from.number(1);
            break;
        case PropertyForm::u16:
            property.number = from.number(2);
            break;
        case PropertyForm::u32:
            property.number = from.number(4);
            break;
        case PropertyForm::varint:
            property.number = from.varint();
            break;
        case PropertyForm::text:
            property.text = from.text();
            break;
        case PropertyForm::binary:
            property.text = from.binary();
            break;
        case PropertyForm::pair:
            property.text = from.text();
            property.second = from.text();
            break;
    }
    return property;
}

std::vector<Property> read_properties(Reader& from) {
    Reader block{from.take(from.varint())};
    std::vector<Property> properties;
    while (!block.empty()) properties.push_back(read_property(block));
    return properties;
}

void check_properties(const Packet& packet) {
    const auto allowed = allowed_from_broker(packet.type);
    for (const Property& property : packet.properties) {
        const std::string_view name = property.kind->name;
        if (std::ranges::find(allowed, name) == allowed.end()) {
            throw BadPacket{"property " + std::string{name} + " does not belong there"};
        }
        const auto count = std::ranges::count_if(
            packet.properties, [&](const Property& other) { return other.kind == property.kind; });
        if (count > 1 && name != "user_property" && name != "subscription_id") {
            throw BadPacket{"property " + std::string{name} + " twice"};
        }
        const bool zero_forbidden = name == "receive_maximum" || name == "maximum_packet" ||
                                    name == "topic_alias" || name == "subscription_id";
        if (zero_forbidden && property.number == 0) {
            throw BadPacket{"property " + std::string{name} + " is 0"};
        }
    }
}

void check_reason(Type type, int reason) {
    if (reasons_from_broker(type).find(static_cast<char>(reason)) == std::string_view::npos) {
        throw BadPacket{"reason code " + std::to_string(reason) + " does not belong there"};
    }
}

void read_connack(Packet& packet, Reader& body) {
    const std::uint32_t flags = body.number(1);
    if (flags > 1) throw BadPacket{"reserved acknowledge flags"};
    packet.session_present = flags == 1;
    packet.reason = static_cast<int>(body.number(1));
    if (packet.session_present && packet.reason != 0) {
        throw BadPacket{"session present in a refusal"};
    }
    if (packet.level == 5) {
        packet.properties = read_properties(body);
        check_reason(packet.type, packet.reason);
    } else if (packet.reason > 5) {
        throw BadPacket{"no such return code"};
    }
}

void read_publish(Packet& packet, Reader& body, unsigned flags) {
    packet.dup = (flags & 8U) != 0;
    packet.qos = static_cast<int>(flags >> 1U & 3U);
    packet.retain = (flags & 1U) != 0;
    if (packet.qos == 3) throw BadPacket{"QoS 3"};
    if (packet.dup && packet.qos == 0) throw BadPacket{"DUP at QoS 0"};
    packet.topic = body.text();
    if (packet.topic.find_first_of("+#") != Octets::npos) {
        throw BadPacket{"a wildcard in a topic name"};
    }
    if (packet.qos > 0) packet.packet_id = static_cast<int>(body.number(2));
    if (packet.qos > 0 && packet.packet_id == 0) throw BadPacket{"packet identifier 0"};
    if (packet.level == 5) packet.properties = read_properties(body);
    if (packet.topic.empty() && packet.find("topic_alias") == nullptr) {
        throw BadPacket{"an empty topic name without an alias"};
    }
    packet.payload = body.take_all();
}

// PUBACK and its like, DISCONNECT, AUTH: reason and properties may be left out in 5.0.
void read_reason_and_properties(Packet& packet, Reader& body) {
    if (packet.level != 5 || body.empty()) return;
    packet.reason = static_cast<int>(body.number(1));
    check_reason(packet.type, packet.reason);
    if (!body.empty()) packet.properties = read_properties(body);
}

void read_suback(Packet& packet, Reader& body) {
    packet.packet_id = static_cast<int>(body.number(2));
    if (packet.level == 5) packet.properties = read_properties(body);
    for (const char c : body.take_all()) {
        const int reason = static_cast<unsigned char>(c);
        packet.reasons.push_back(reason);
        if (packet.level == 5) {
            check_reason(packet.type, reason);
        } else if (packet.type == Type::unsuback || (reason > 2 && reason != 0x80)) {
            throw BadPacket{"no such return code"};
        }
    }
}

void read_body(Packet& packet, Reader& body, unsigned flags) {
    const unsigned expected_flags = packet.type == Type::pubrel ? 2U : 0U;
    if (packet.type != Type::publish && flags != expected_flags) throw BadPacket{"header flags"};
    switch (packet.type) {
        case Type::connack:
            return read_connack(packet, body);
        case Type::publish:
            return read_publish(packet, body, flags);
        case Type::puback:
        case Type::pubrec:
        case Type::pubrel:
        case Type::pubcomp:
            packet.packet_id = static_cast<int>(body.number(2));
            if (packet.packet_id == 0) throw BadPacket{"packet identifier 0"};
            return read_reason_and_properties(packet, body);
        case Type::suback:
        case Type::unsuback:
            return read_suback(packet, body);
        case Type::pingresp:
            return;
        case Type::disconnect:
        case Type::auth:
            if (packet.level != 5) throw BadPacket{"a packet 3.1.1 brokers do not send"};
            return read_reason_and_properties(packet, body);
        default:
            throw BadPacket{"a packet brokers do not send"};
    }
}

Reader body_of(std::string_view octets) {
    Reader all{octets};
    (void)all.number(1);
    return Reader{all.take(all.varint())};
}

Packet glance_at_connect(Packet packet, Reader body) {
    (void)body.text();
    packet.level = body.number(1) >= 5 ? 5 : 4;
    (void)body.take(3);
    if (packet.level == 5) packet.properties = read_properties(body);
    return packet;
}

}  // namespace

std::string_view type_name(Type type) { return kTypeNames[static_cast<std::size_t>(type)]; }

std::optional<Type> type_named(std::string_view name) {
    const auto* found = std::find(kTypeNames.begin() + 1, kTypeNames.end(), name);
    if (found == kTypeNames.end()) return std::nullopt;
    return static_cast<Type>(found - kTypeNames.begin());
}

const PropertyKind* property_named(std::string_view name) {
    const auto* found = std::ranges::find(kProperties, name, &PropertyKind::name);
    return found == kProperties.end() ? nullptr : found;
}

const PropertyKind* property_with(std::uint8_t id) {
    const auto* found = std::ranges::find(kProperties, id, &PropertyKind::id);
    return found == kProperties.end() ? nullptr : found;
}

const Property* Packet::find(std::string_view name) const {
    const auto found = std::ranges::find_if(
        properties, [&](const Property& property) { return property.kind->name == name; });
    return found == properties.end() ? nullptr : &*found;
}

std::optional<std::size_t> packet_size(std::string_view octets) {
    std::size_t length = 0;
    for (std::size_t i = 1; i < octets.size(); ++i) {
        if (i > 4) throw BadPacket{"a Remaining Length of five bytes"};
        const auto byte = static_cast<unsigned char>(octets[i]);
        length |= std::size_t{byte & 0x7fU} << (7 * (i - 1));
        if (byte < 0x80) return 1 + i + length;
    }
    return std::nullopt;
}

Packet decode_from_broker(int level, std::string_view octets) {
    Packet packet;
    packet.raw = octets;
    packet.level = level;
    const auto head = static_cast<unsigned char>(octets.at(0));
    if (head >> 4U == 0) throw BadPacket{"packet type 0: " + hex(octets)};
    packet.type = static_cast<Type>(head >> 4U);
    if (packet.type == Type::connack && octets.size() == 4) packet.level = 4;
    try {
        Reader body = body_of(octets);
        read_body(packet, body, head & 15U);
        if (!body.empty()) throw BadPacket{"bytes behind its end"};
        if (packet.level == 5) check_properties(packet);
    } catch (const BadPacket& bad) {
        throw BadPacket{std::string{type_name(packet.type)} + " from the broker: " + bad.what() +
                        ": " + hex(octets)};
    }
    return packet;
}

std::optional<Packet> glance_at_client(int level, std::string_view octets) try {
    Packet packet;
    packet.level = level;
    packet.type = static_cast<Type>(static_cast<unsigned char>(octets.at(0)) >> 4U);
    Reader body = body_of(octets);
    switch (packet.type) {
        case Type::connect:
            return glance_at_connect(std::move(packet), body);
        case Type::puback:
        case Type::pubrec:
        case Type::pubcomp:
            packet.packet_id = static_cast<int>(body.number(2));
            if (level == 5 && !body.empty()) packet.reason = static_cast<int>(body.number(1));
            return packet;
        case Type::disconnect:
            return packet;
        default:
            return std::nullopt;
    }
} catch (const BadPacket&) {
    return std::nullopt;
}

void put_u16(Octets& out, std::uint32_t value) {
    out += static_cast<char>(value >> 8U);
    out += static_cast<char>(value);
}

void put_u32(Octets& out, std::uint32_t value) {
    put_u16(out, value >> 16U);
    put_u16(out, value);
}

void put_varint(Octets& out, std::uint32_t value) {
    do {
        out += static_cast<char>((value & 0x7fU) | (value > 0x7f ? 0x80U : 0U));
        value >>= 7U;
    } while (value > 0);
}

void put_text(Octets& out, std::string_view text) {
    put_u16(out, static_cast<std::uint32_t>(text.size()));
    out += text;
}

std::string hex(std::string_view octets) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (const char c : octets.substr(0, 64)) {
        const auto byte = static_cast<unsigned char>(c);
        if (!out.empty()) out += ' ';
        out += kDigits[byte >> 4U];
        out += kDigits[byte & 15U];
    }
    if (octets.size() > 64) out += " ... (" + std::to_string(octets.size()) + " bytes)";
    return out;
}

namespace {

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 40)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte > 0x20 && byte < 0x7f) {
            out += c;
        } else {
            out += "\\x" + hex(std::string_view{&c, 1});
        }
    }
    if (text.size() > 40) out += "...(" + std::to_string(text.size()) + ")";
    return out.empty() ? "\"\"" : out;
}

std::string hex_number(int value) {
    const char byte = static_cast<char>(value);
    return value < 16 ? std::to_string(value) : "0x" + hex(std::string_view{&byte, 1});
}

}  // namespace

std::string describe(const Packet& packet) {
    std::string out{type_name(packet.type)};
    const auto field = [&](std::string_view key, const std::string& value) {
        out.append(" ").append(key).append("=").append(value);
    };
    if (packet.type == Type::connack) field("sp", packet.session_present ? "1" : "0");
    if (packet.type == Type::publish) {
        field("t", printable(packet.topic));
        field("p", printable(packet.payload));
        field("q", std::to_string(packet.qos));
        if (packet.dup) field("dup", "1");
        if (packet.retain) field("r", "1");
    }
    if (packet.packet_id != 0) field("pid", std::to_string(packet.packet_id));
    if (!packet.reasons.empty()) {
        std::string list;
        for (const int reason : packet.reasons) {
            list += (list.empty() ? "" : ",") + hex_number(reason);
        }
        field("rc", list);
    } else if (packet.type != Type::publish && packet.type != Type::pingresp) {
        field("rc", hex_number(packet.reason));
    }
    for (const Property& property : packet.properties) {
        switch (property.kind->form) {
            case PropertyForm::text:
            case PropertyForm::binary:
                field(property.kind->name, printable(property.text));
                break;
            case PropertyForm::pair:
                field(property.kind->name,
                      printable(property.text) + ":" + printable(property.second));
                break;
            default:
                field(property.kind->name, std::to_string(property.number));
        }
    }
    return out;
}

}  // namespace stentor::conformance
