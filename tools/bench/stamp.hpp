#pragma once
// What the front of every payload says, so that the receiver can tell loss, doubles, disorder and
// latency. In the machine's own byte order: sender and receiver share its clock anyway.
// Pure. Any thread.

#include "base/bytes.hpp"
#include "base/clock.hpp"

#include <cstdint>
#include <cstring>

namespace stentor::bench {

struct Stamp {
    std::uint32_t run = 0;       // messages of other runs are none of ours
    std::uint32_t flow = 0;      // a publisher's messages on one topic
    std::uint32_t sequence = 0;  // within the flow, from 0
    std::uint32_t unused = 0;
    Instant due;  // when it was to be sent (monotonic_now()): with a rate, by the schedule
};
inline constexpr std::size_t kStampBytes = sizeof(Stamp);
static_assert(kStampBytes == 24);

/// `to` must hold kStampBytes.
inline void write_stamp(std::byte* to, const Stamp& stamp) noexcept {
    std::memcpy(to, &stamp, kStampBytes);
}

/// A payload shorter than that is not ours: its run is 0, which no run is.
[[nodiscard]] inline Stamp read_stamp(ByteView payload) noexcept {
    Stamp stamp;
    if (payload.size() >= kStampBytes) std::memcpy(&stamp, payload.data(), kStampBytes);
    return stamp;
}

}  // namespace stentor::bench
