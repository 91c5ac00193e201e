#pragma once
// A filter's shape (which of its levels are wildcards) and the hash of its other levels. All
// filters of one shape that match a topic have the hash that the topic has under that shape, so one
// hash look-up per shape in use finds them all. Pure values.

#include "base/hash.hpp"
#include "protocol/topic/validate.hpp"

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stentor::mqtt {

struct FilterShape {
    std::uint64_t plus_levels = 0;  // bit i: level i is "+"
    std::uint8_t levels = 0;        // those before a final "#", otherwise all
    bool multi_level = false;       // ends in "#"

    friend auto operator<=>(const FilterShape&, const FilterShape&) noexcept = default;
    friend std::size_t hash_value(const FilterShape& shape) noexcept;

    /// Nothing but literal levels: the filter matches exactly the topic of the same text.
    [[nodiscard]] bool is_exact() const noexcept { return plus_levels == 0 && !multi_level; }

    /// Such filters match no topic that begins with '$' [MQTT-4.7.2-1].
    [[nodiscard]] bool begins_with_wildcard() const noexcept {
        return (plus_levels & 1U) != 0 || (multi_level && levels == 0);
    }

    /// Whether a topic with that many levels can match at all.
    [[nodiscard]] bool admits(std::size_t topic_levels) const noexcept {
        return multi_level ? topic_levels >= levels : topic_levels == levels;
    }

    /// The levels before the first wildcard.
    [[nodiscard]] std::uint8_t literal_prefix_levels() const noexcept {
        const auto before_plus = static_cast<unsigned>(std::countr_zero(plus_levels));
        return before_plus < levels ? static_cast<std::uint8_t>(before_plus) : levels;
    }

    /// The shape that keeps the first `prefix_levels` levels (at most literal_prefix_levels()) and
    /// replaces the others by "#": it matches all that this shape matches, and more.
    [[nodiscard]] FilterShape widened(std::uint8_t prefix_levels) const noexcept;
};

/// The shape of a valid filter.
[[nodiscard]] FilterShape shape_of(std::string_view filter) noexcept;

/// The keyed hashes of a text's levels, worked out once and used under every shape.
/// A value of fixed size (half a KiB, for the stack); borrows nothing.
class LevelHashes {
  public:
    /// `text` is a topic name or filter of at most kTopicLevelsMax levels (asserted).
    LevelHashes(const HashKey& key, std::string_view text) noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::uint64_t operator[](std::size_t level) const noexcept {
        return hashes_[level];
    }

  private:
    std::array<std::uint64_t, kTopicLevelsMax> hashes_;  // the first size_ are set
    std::size_t size_ = 0;
};

/// The hash of the levels that `shape` does not leave open, and of the shape itself. Equal for a
/// filter of that shape and every topic it matches, given the same key; different shapes or
/// literals collide only as 64-bit hashes do. `levels` must have at least shape.levels entries.
[[nodiscard]] std::uint64_t literal_hash(const FilterShape& shape,
                                         const LevelHashes& levels) noexcept;

}  // namespace stentor::mqtt
