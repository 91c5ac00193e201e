#pragma once
// MQTT's bytes, written down a second time for the tests: a mistake of protocol/codec cannot hide
// behind itself. Slow, strict and short. Pure.

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::conformance {

using Octets = std::string;  // bytes, not text

enum class Type : std::uint8_t {
    connect = 1,
    connack,
    publish,
    puback,
    pubrec,
    pubrel,
    pubcomp,
    subscribe,
    suback,
    unsubscribe,
    unsuback,
    pingreq,
    pingresp,
    disconnect,
    auth,
};

[[nodiscard]] std::string_view type_name(Type type);
[[nodiscard]] std::optional<Type> type_named(std::string_view name);

enum class PropertyForm { byte, u16, u32, varint, text, binary, pair };

struct PropertyKind {
    std::string_view name;  // as the tables write it
    std::uint8_t id;
    PropertyForm form;
};
[[nodiscard]] const PropertyKind* property_named(std::string_view name);
[[nodiscard]] const PropertyKind* property_with(std::uint8_t id);

struct Property {
    const PropertyKind* kind = nullptr;
    std::uint32_t number = 0;
    Octets text;    // also the name of a pair
    Octets second;  // value of a pair

    friend bool operator==(const Property&, const Property&) = default;
};

/// A packet of either direction, as far as the tables look into it.
struct Packet {
    Octets raw;
    Type type = Type::pingresp;
    int level = 5;
    bool session_present = false;
    int reason = 0;
    std::vector<int> reasons;  // SUBACK, UNSUBACK
    int packet_id = 0;
    int qos = 0;
    bool dup = false;
    bool retain = false;
    Octets topic;
    Octets payload;
    std::vector<Property> properties;

    [[nodiscard]] const Property* find(std::string_view name) const;
};

/// The bytes are not a packet of MQTT, or not one the sender may send.
class BadPacket : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Length of the packet at the front, once its length is there; throws BadPacket for a Remaining
/// Length of more than four bytes.
[[nodiscard]] std::optional<std::size_t> packet_size(std::string_view octets);

/// A whole packet of a broker; everything in it is checked. `level` is what the client speaks; a
/// CONNACK of two bytes is always one of 3.1.1.
[[nodiscard]] Packet decode_from_broker(int level, std::string_view octets);

/// What the checks need to know of a client's packet: CONNECT (level and properties) and
/// acknowledgements. Nothing where it is none of these, or malformed.
[[nodiscard]] std::optional<Packet> glance_at_client(int level, std::string_view octets);

void put_u16(Octets& out, std::uint32_t value);
void put_u32(Octets& out, std::uint32_t value);
void put_varint(Octets& out, std::uint32_t value);
void put_text(Octets& out, std::string_view text);

/// For failure messages: hex, shortened.
[[nodiscard]] std::string hex(std::string_view octets);
/// For failure messages: "PUBLISH t=a/b p=x q=1 pid=3", near the tables' own notation.
[[nodiscard]] std::string describe(const Packet& packet);

}  // namespace stentor::conformance
