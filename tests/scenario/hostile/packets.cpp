#include "tests/scenario/hostile/packets.hpp"

namespace stentor::scenario {
namespace {

Octets no_properties(Version version) {
    return version == Version::v5 ? Octets(1, '\0') : Octets{};
}

}  // namespace

Octets u16(std::size_t value) {
    return {static_cast<char>(value >> 8 & 0xFF), static_cast<char>(value & 0xFF)};
}

Octets text(std::string_view value) { return u16(value.size()).append(value); }

Octets variable(std::size_t value) {
    Octets out;
    do {
        const std::size_t digit = value % 128;
        value /= 128;
        out.push_back(static_cast<char>(digit | (value != 0 ? 0x80U : 0U)));
    } while (value != 0);
    return out;
}

Octets packet(unsigned first, std::string_view body) {
    return Octets(1, static_cast<char>(first)).append(variable(body.size())).append(body);
}

Octets connect(const ConnectPacket& options) {
    const unsigned level =
        options.level != 0 ? options.level : static_cast<unsigned>(options.version);
    const bool will = !options.will_topic.empty();
    Octets body = text(options.protocol_name);
    body.push_back(static_cast<char>(level));
    body.push_back(static_cast<char>(0x02 | (will ? 0x04 : 0)));
    body += u16(options.keep_alive);
    body += options.receive_maximum == 0 ? no_properties(options.version)
                                         : Octets{"\x03\x21"} + u16(options.receive_maximum);
    body += text(options.id);
    if (will) body += no_properties(options.version) + text(options.will_topic) + text("gone");
    return packet(0x10, body);
}

Octets subscribe(Version version, std::string_view filter, unsigned qos) {
    return packet(
        0x82, u16(1) + no_properties(version) + text(filter) + Octets(1, static_cast<char>(qos)));
}

Octets publish(Version version,
               std::string_view topic,
               std::string_view payload,
               unsigned qos,
               std::size_t id) {
    Octets body = text(topic);
    if (qos != 0) body += u16(id);
    body += no_properties(version);
    return packet(0x30 | qos << 1, body.append(payload));
}

Octets puback(std::size_t id) { return packet(0x40, u16(id)); }
Octets pingreq() { return packet(0xC0, ""); }
Octets disconnect() { return packet(0xE0, ""); }

}  // namespace stentor::scenario
