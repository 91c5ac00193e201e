#pragma once
// Which shard is at home where: sessions by client identifier, retained values by topic, shared
// groups by name and filter. Pure; the same on all shards of a process, and free to be different
// in the next run (nothing stored depends on it).

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "protocol/message.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stentor::server {

class Placement {
  public:
    static constexpr std::size_t kSlots = 1024;

    /// `key` is secret: clients cannot aim at one shard.
    Placement(std::uint16_t shards, HashKey key) : shards_{shards}, key_{key} {
        for (std::size_t slot = 0; slot < kSlots; ++slot) {
            home_[slot] = ShardId{static_cast<std::uint16_t>(slot % shards)};
        }
    }

    [[nodiscard]] std::uint16_t shards() const noexcept { return shards_; }

    [[nodiscard]] ShardId of_client(std::string_view client_id) const noexcept {
        return home_[keyed_hash(key_, client_id) % kSlots];
    }
    [[nodiscard]] ShardId of_topic(std::string_view topic) const noexcept {
        return home_[keyed_hash(key_, topic) % kSlots];
    }
    /// Names a shared subscription in this run of the program; never 0.
    [[nodiscard]] std::uint64_t shared_key(std::string_view share_name,
                                           std::string_view filter) const noexcept {
        const std::uint64_t name = keyed_hash(key_, share_name);
        return keyed_hash({.k0 = key_.k0 ^ name, .k1 = key_.k1}, filter) | 1U;
    }
    [[nodiscard]] ShardId of_shared(std::uint64_t shared_key) const noexcept {
        return home_[(shared_key >> 1U) % kSlots];
    }

  private:
    std::uint16_t shards_;
    HashKey key_;
    std::array<ShardId, kSlots> home_;
};

}  // namespace stentor::server
