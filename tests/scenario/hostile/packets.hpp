#pragma once
// MQTT packets as octets, written down without the broker's own encoder and without its scruples.
// Pure.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stentor::scenario {

using Octets = std::string;

enum class Version : std::uint8_t { v311 = 4, v5 = 5 };

[[nodiscard]] Octets u16(std::size_t value);
/// Behind its two octets of length.
[[nodiscard]] Octets text(std::string_view value);
/// Variable byte integer.
[[nodiscard]] Octets variable(std::size_t value);
/// First octet, length, body.
[[nodiscard]] Octets packet(unsigned first, std::string_view body);

struct ConnectPacket {
    std::string id{};
    Version version = Version::v5;
    std::uint16_t keep_alive = 0;
    std::string will_topic{};  // empty: no will
    std::string protocol_name = "MQTT";
    unsigned level = 0;                 // 0: of `version`
    std::uint16_t receive_maximum = 0;  // 0: is not said; 5.0 only
};
[[nodiscard]] Octets connect(const ConnectPacket& options);

[[nodiscard]] Octets subscribe(Version version, std::string_view filter, unsigned qos);
[[nodiscard]] Octets publish(Version version,
                             std::string_view topic,
                             std::string_view payload,
                             unsigned qos = 0,
                             std::size_t id = 1);
[[nodiscard]] Octets puback(std::size_t id);
[[nodiscard]] Octets pingreq();
[[nodiscard]] Octets disconnect();

}  // namespace stentor::scenario
