#include "protocol/codec/packet_body.hpp"

#include "protocol/codec/utf8.hpp"

namespace stentor::mqtt {

ProtocolResult<void> read_properties(Reader& body,
                                     ProtocolVersion version,
                                     PropertyContext context,
                                     PropertiesView& out) noexcept {
    if (version != ProtocolVersion::v5) return {};
    std::uint32_t size = 0;
    ByteView block;
    if (!body.varint(size)) return malformed("bad Property Length (2.2.2.1)");
    if (size == 0) return {};
    if (!body.bytes(size, block)) return malformed("the properties overrun the packet (2.2.2.1)");
    STENTOR_TRY(out, parse_properties(block, context));
    return {};
}

ProtocolResult<void> read_text(Reader& body, std::string_view& out) noexcept {
    if (!body.string(out)) return malformed("a string overruns the packet (1.5.4)");
    if (!is_mqtt_text(out)) return malformed("a string is not UTF-8 [MQTT-1.5.4-1, -2]");
    return {};
}

ProtocolResult<void> read_packet_id(Reader& body, PacketId& out) noexcept {
    std::uint16_t number = 0;
    if (!body.u16(number)) return malformed("no packet identifier (2.2.1)");
    if (number == 0) return malformed("packet identifier 0 [MQTT-2.2.1-3, -4]");
    out = PacketId{number};
    return {};
}

ProtocolResult<void> check_topic(std::string_view topic, std::uint16_t levels_max) noexcept {
    switch (scan_topic_name(topic, levels_max)) {
        case TopicNameScan::ok:
            return {};
        case TopicNameScan::not_text:
            return malformed("the topic name is not UTF-8 [MQTT-1.5.4-1, -2]");
        case TopicNameScan::has_wildcard:
            return ProtocolError{ReasonCode::topic_name_invalid,
                                 "wildcard in a topic name [MQTT-3.3.2-2]"};
        case TopicNameScan::too_many_levels:
            return ProtocolError{ReasonCode::topic_name_invalid,
                                 "the topic name has too many levels (our limit)"};
    }
    return {};
}

}  // namespace stentor::mqtt
