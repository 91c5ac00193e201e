#include "protocol/codec/refused_connect.hpp"

#include "protocol/codec/encoder.hpp"
#include "protocol/codec/packet_body.hpp"

#include <algorithm>
#include <string_view>

namespace stentor::mqtt {

std::optional<std::size_t> connack_bytes_max(ByteView packet) noexcept {
    constexpr auto kConnect = static_cast<unsigned>(PacketType::connect);
    constexpr auto kLevel5 = static_cast<std::uint8_t>(ProtocolVersion::v5);
    Reader reader{packet};
    std::uint8_t type = 0;
    std::uint8_t level = 0;
    std::uint8_t flags = 0;
    std::uint16_t keep_alive = 0;
    std::uint32_t length = 0;
    std::string_view protocol;
    ByteView block;
    if (!reader.u8(type) || type >> 4U != kConnect || !reader.varint(length) ||
        !reader.string(protocol) || protocol != "MQTT" || !reader.u8(level) || level != kLevel5 ||
        !reader.u8(flags) || !reader.u16(keep_alive) || !reader.varint(length) ||
        !reader.bytes(length, block)) {
        return std::nullopt;
    }
    const auto smallest = smallest_packet_size(block);
    if (!smallest || *smallest == 0) return std::nullopt;
    return std::min(std::size_t{*smallest}, kPacketBytesMax);
}

}  // namespace stentor::mqtt
