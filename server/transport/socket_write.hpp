#pragma once
// Sends what a WireBuffer holds, gathered: sendmsg() without a copy. Any thread.

#include "protocol/codec/wire_buffer.hpp"

#include <cstdint>

namespace stentor::server {

enum class Sent : std::uint8_t {
    all,
    blocked,  // the kernel takes no more now; what is left stays in the buffer
    broken,   // the connection is
};

/// Consumes what the kernel has taken and adds it to `bytes_sent`.
[[nodiscard]] Sent send_gathered(int descriptor, mqtt::WireBuffer& out, std::uint64_t& bytes_sent);

}  // namespace stentor::server
