#pragma once
// An integer that cannot be mistaken for another one: StrongId<struct ShardIdTag, std::uint16_t>.
// Pure value, as large as its Rep. Any thread.

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace stentor {

template <class Tag, std::unsigned_integral Rep>
class StrongId {
  public:
    using rep = Rep;

    constexpr StrongId() noexcept = default;
    explicit constexpr StrongId(Rep value) noexcept : value_{value} {}

    [[nodiscard]] constexpr Rep value() const noexcept { return value_; }

    friend constexpr auto operator<=>(StrongId, StrongId) noexcept = default;

    /// For boost::hash and the boost::unordered containers.
    friend std::size_t hash_value(StrongId id) noexcept { return std::hash<Rep>{}(id.value_); }

  private:
    Rep value_{0};
};

}  // namespace stentor

template <class Tag, class Rep>
struct std::hash<stentor::StrongId<Tag, Rep>> {
    std::size_t operator()(stentor::StrongId<Tag, Rep> id) const noexcept { return hash_value(id); }
};
