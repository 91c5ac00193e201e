#pragma once
// What can still be read of a CONNECT that the Decoder has refused.
// Pure. Any thread.

#include "base/bytes.hpp"

#include <cstddef>
#include <optional>

namespace stentor::mqtt {

/// `packet`: the bytes that Decoder::next() has refused, from the front. How large a CONNACK the
/// client takes: its Maximum Packet Size (the smallest, if it says several), kPacketBytesMax if it
/// says none. Nothing unless it is a CONNECT of 5.0 whose properties are all there and, whatever
/// their values, can be told apart, and none of them says 0: nobody knows then what the client
/// takes [MQTT-3.2.2-19].
[[nodiscard]] std::optional<std::size_t> connack_bytes_max(ByteView packet) noexcept;

}  // namespace stentor::mqtt
