#pragma once
// Which shards want a topic, and whether any durable session does: shared by all shards.
// Any thread. raise() and lower() lock; look_up() takes no lock and waits only while a change of
// the very stripe it reads is half done.
//
// It may name a shard that wants nothing (hash collisions, filters of unusual shape); it never
// leaves out one that does: once raise() has returned, every look_up() that starts afterwards, on
// any thread, sees it until the matching lower().

#include "base/hash.hpp"
#include "base/ids.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace stentor::server {

/// What a subscription needs: Durability::durable if its session is durable and its granted QoS at
/// least 1, i.e. if messages must be logged for it.
enum class Durability : std::uint8_t { transient, durable };

inline constexpr std::size_t kShardsMax = 64;

class ShardMask {
  public:
    constexpr ShardMask() noexcept = default;
    explicit constexpr ShardMask(std::uint64_t bits) noexcept : bits_{bits} {}
    [[nodiscard]] static constexpr ShardMask of(ShardId shard) noexcept {
        return ShardMask{std::uint64_t{1} << shard.value()};
    }

    [[nodiscard]] constexpr bool contains(ShardId shard) const noexcept {
        return (bits_ >> shard.value() & 1U) != 0;
    }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return static_cast<std::size_t>(std::popcount(bits_));
    }
    [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
    constexpr ShardMask& operator|=(ShardMask other) noexcept {
        bits_ |= other.bits_;
        return *this;
    }
    friend constexpr bool operator==(ShardMask, ShardMask) noexcept = default;

    /// Calls visit(ShardId) for each, in ascending order.
    template <class Visit>
    constexpr void for_each(Visit&& visit) const {
        for (std::uint64_t rest = bits_; rest != 0; rest &= rest - 1) {
            visit(ShardId{static_cast<ShardId::rep>(std::countr_zero(rest))});
        }
    }

  private:
    std::uint64_t bits_ = 0;
};

struct Interest {
    ShardMask shards;
    bool durable = false;
    friend bool operator==(const Interest&, const Interest&) noexcept = default;
};

class InterestTable {
  public:
    /// `key` hashes levels; any will do, as long as strangers do not know it.
    explicit InterestTable(const HashKey& key = {});
    ~InterestTable();  // no other thread may be inside any more
    InterestTable(const InterestTable&) = delete;
    InterestTable& operator=(const InterestTable&) = delete;

    /// One more subscription to the valid `filter` (without "$share/{name}/") on `shard`
    /// (below kShardsMax). Counted: as many lower() undo it.
    void raise(std::string_view filter, ShardId shard, Durability durability);

    /// Undoes one raise() with the same arguments; there must be one (asserted as far as it shows).
    void lower(std::string_view filter, ShardId shard, Durability durability);

    /// For the valid topic name `topic`, whose topic_hash() is `topic_hash`. Costs one probe per
    /// shape in use, of which there are at most kShapesMax: filters of further shapes count as
    /// their literal prefix of up to kWidenedLevelsMax levels followed by "#".
    [[nodiscard]] Interest look_up(std::string_view topic, std::uint64_t topic_hash) const noexcept;

    static constexpr std::size_t kShapesMax = 64;  // besides the widened ones, "#" to "1/../7/#"
    static constexpr std::size_t kWidenedLevelsMax = 7;

    struct Counters {
        std::size_t keys = 0;            // distinct filters, up to collisions and widening
        std::size_t shapes = 0;          // probes of a look-up at most
        std::size_t widened_shapes = 0;  // shapes in use that found no room of their own
        std::size_t memory_bytes = 0;
    };
    /// For metrics: takes every stripe's lock in turn, so the parts may belong to different
    /// moments.
    [[nodiscard]] Counters counters() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace stentor::server
