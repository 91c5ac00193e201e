#pragma once
// Cuts a connection's inbound bytes into MQTT control packets and checks them.
// Pure: no allocation, no clock. One Decoder per connection, used on that connection's shard only;
// it is a value and moves with the connection.

#include "base/bytes.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>

namespace stentor::mqtt {

/// Which side is decoding. What only the other side may receive is a protocol_error.
enum class Role : std::uint8_t { server, client };

struct DecodeLimits {
    /// Of a whole packet, fixed header included, as Maximum Packet Size counts [MQTT-3.1.2-24].
    std::uint32_t packet_bytes_max = 1024U * 1024U;
    /// Of CONNECT, which a stranger sends.
    std::uint32_t connect_bytes_max = 1024U * 1024U;
    /// Levels of a topic name (its '/' plus one).
    std::uint16_t topic_levels_max = 64;
};

/// `bytes_min`: how many bytes, from the front of the same input, can bring next() further.
struct NeedMore {
    std::size_t bytes_min = 0;
};

struct Decoded {
    PacketView packet;
    std::size_t bytes_used = 0;
};

using DecodeStep = std::variant<NeedMore, Decoded>;

class Decoder {
  public:
    /// For the server's side. The version is unknown until CONNECT has told it; until then any
    /// other packet is a protocol_error [MQTT-3.1.0-1], from then on a CONNECT is [MQTT-3.1.0-2].
    explicit Decoder(DecodeLimits limits) noexcept;

    /// For the client's side, which has chosen the version.
    Decoder(ProtocolVersion version, DecodeLimits limits) noexcept;

    /// Takes at most one packet from the front of `input`. The packet's views point into `input`:
    /// copy what must outlive the next read. A refused packet is refused as early as its bytes
    /// allow: type, flags and length before the body is there. A Remaining Length with superfluous
    /// bytes is malformed in 5.0 [MQTT-1.5.5-1]; 3.1.1 has no such rule.
    /// Fails with malformed_packet, protocol_error, packet_too_large, topic_name_invalid,
    /// topic_alias_invalid or unsupported_protocol_version; then the connection has to be closed
    /// and the decoder must not be used again.
    [[nodiscard]] ProtocolResult<DecodeStep> next(ByteView input) noexcept;

    /// What the peer speaks, from CONNECT on. After a refused CONNECT: how to say so, CONNACK 0x01
    /// of 3.1.1 or CONNACK with a reason code of 5.0; nothing if it was not MQTT at all.
    [[nodiscard]] std::optional<ProtocolVersion> version() const noexcept;

    [[nodiscard]] Role role() const noexcept { return role_; }

  private:
    [[nodiscard]] ProtocolResult<void> advance(ByteView input, DecodeStep& step) noexcept;
    [[nodiscard]] ProtocolResult<void> check_turn(PacketType type) const noexcept;

    DecodeLimits limits_;
    Role role_;
    std::uint8_t level_ = 0;  // ProtocolVersion, 0: not known yet
};
static_assert(sizeof(Decoder) <= 32);

}  // namespace stentor::mqtt
