#pragma once
// The identifiers that travel between modules.
// Pure values. Any thread.

#include "base/strong_id.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace stentor {

/// One shard per core: 0 .. shards - 1, fixed while the process runs.
using ShardId = StrongId<struct ShardIdTag, std::uint16_t>;

/// MQTT's packet identifier. 0 is not one on the wire; here it means "none yet".
using PacketId = StrongId<struct PacketIdTag, std::uint16_t>;
inline constexpr PacketId kNoPacketId{0};

/// A slot in the session table of one shard; means nothing on another shard, and nothing any more
/// once that shard has removed the session.
using SessionId = StrongId<struct SessionIdTag, std::uint32_t>;

/// A position in the log, in commit order. The first record has 1.
using Seq = StrongId<struct SeqTag, std::uint64_t>;
inline constexpr Seq kNoSeq{0};  // before the first record

/// The position after `seq`.
[[nodiscard]] constexpr Seq next(Seq seq) noexcept { return Seq{seq.value() + 1}; }

/// A connection, by its slot in the shard's table and the slot's generation: whoever keeps one
/// looks it up and finds out that the connection has gone, instead of finding its successor.
struct ConnectionId {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;  // 0: no connection has this id

    friend constexpr auto operator<=>(const ConnectionId&, const ConnectionId&) noexcept = default;

    /// Both halves in one word, for epoll's user data.
    [[nodiscard]] constexpr std::uint64_t packed() const noexcept {
        return std::uint64_t{generation} << 32U | slot;
    }
    [[nodiscard]] static constexpr ConnectionId unpack(std::uint64_t packed) noexcept {
        return {.slot = static_cast<std::uint32_t>(packed),
                .generation = static_cast<std::uint32_t>(packed >> 32U)};
    }
    friend std::size_t hash_value(const ConnectionId& id) noexcept {
        return std::hash<std::uint64_t>{}(id.packed());
    }
};
inline constexpr ConnectionId kNoConnection{};

}  // namespace stentor

template <>
struct std::hash<stentor::ConnectionId> {
    std::size_t operator()(const stentor::ConnectionId& id) const noexcept {
        return hash_value(id);
    }
};
