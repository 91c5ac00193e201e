#pragma once
// Who is subscribed and how: the entries of the subscription index.
// Pure values.

#include "base/assert.hpp"
#include "base/ids.hpp"
#include "protocol/codec/types.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>

namespace stentor::server {

/// A receiver of one shard: a session, or a shared group that hands each message to one member.
/// Either is a slot in a table of that shard; means nothing on another one.
class SubscriberId {
  public:
    constexpr SubscriberId() noexcept = default;

    [[nodiscard]] static constexpr SubscriberId session(std::uint32_t slot) noexcept {
        STENTOR_ASSERT(slot < kGroupBit);
        return SubscriberId{slot};
    }
    [[nodiscard]] static constexpr SubscriberId session(SessionId id) noexcept {
        return session(id.value());
    }
    [[nodiscard]] static constexpr SubscriberId shared_group(std::uint32_t slot) noexcept {
        STENTOR_ASSERT(slot < kGroupBit);
        return SubscriberId{slot | kGroupBit};
    }

    [[nodiscard]] constexpr bool is_shared_group() const noexcept {
        return (packed_ & kGroupBit) != 0;
    }
    [[nodiscard]] constexpr std::uint32_t slot() const noexcept { return packed_ & ~kGroupBit; }
    /// Unique over both kinds.
    [[nodiscard]] constexpr std::uint32_t packed() const noexcept { return packed_; }

    friend constexpr auto operator<=>(SubscriberId, SubscriberId) noexcept = default;
    friend std::size_t hash_value(SubscriberId id) noexcept { return id.packed_; }

  private:
    static constexpr std::uint32_t kGroupBit = 0x8000'0000;
    explicit constexpr SubscriberId(std::uint32_t packed) noexcept : packed_{packed} {}

    std::uint32_t packed_ = 0;
};

struct Subscriber {
    SubscriberId id;
    mqtt::SubscriptionOptions options;
    std::uint32_t subscription_identifier = 0;  // 0: none was given
    Seq since;  // the subscription wants what comes after this position (design rule 6)
};

}  // namespace stentor::server
