#pragma once
// Packets for the codec's own tests: drawn at random from a seed, encoded, and written out as text
// so that what was encoded can be compared with what was decoded.
// Test code. One thread.

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/wire_buffer.hpp"

#include <string>

namespace stentor::mqtt {

/// One packet as bytes, and what a decoder has to find in them.
struct Sample {
    ProtocolVersion version = ProtocolVersion::v5;
    Role receiver = Role::server;
    PacketType type = PacketType::connect;
    Bytes wire;
    std::string expected;  // as describe() writes it
};

/// A random packet of that type, receiver and version, valid in every respect. The type must be
/// one that the receiver takes in that version.
[[nodiscard]] Sample random_sample(Random& random,
                                   ProtocolVersion version,
                                   Role receiver,
                                   PacketType type);

/// Whether `receiver` takes packets of that type (CONNECT by a fresh decoder).
[[nodiscard]] bool receives(Role receiver, ProtocolVersion version, PacketType type);

/// Every field of the packet, one line each; strings and bytes in hex.
[[nodiscard]] std::string describe(const PacketView& packet);

/// A decoder that is ready for `sample` (a server's has seen a CONNECT where that is needed).
[[nodiscard]] Decoder decoder_for(const Sample& sample, DecodeLimits limits = {});

/// All bytes that wait in `buffer`.
[[nodiscard]] Bytes bytes_of(const WireBuffer& buffer);

}  // namespace stentor::mqtt
