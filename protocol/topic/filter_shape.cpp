#include "protocol/topic/filter_shape.hpp"

#include "base/assert.hpp"
#include "protocol/topic/topic_levels.hpp"

namespace stentor::mqtt {

namespace {

// One to one in both arguments and dependent on their order; the levels are already keyed hashes,
// so nobody outside can aim for a collision.
std::uint64_t fold(std::uint64_t hash, std::uint64_t next) noexcept {
    hash = (hash ^ next) * 0x9E37'79B9'7F4A'7C15U;
    return hash ^ (hash >> 32U);
}

}  // namespace

std::size_t hash_value(const FilterShape& shape) noexcept {
    const std::uint64_t rest = std::uint64_t{shape.levels} << 1U | (shape.multi_level ? 1U : 0U);
    // Two rounds: the open levels must not cancel out against the rest.
    return fold(fold(0x5374'656E'746F'7200U, shape.plus_levels), rest);
}

FilterShape FilterShape::widened(std::uint8_t prefix_levels) const noexcept {
    STENTOR_ASSERT(prefix_levels <= literal_prefix_levels());
    return {.plus_levels = 0, .levels = prefix_levels, .multi_level = true};
}

FilterShape shape_of(std::string_view filter) noexcept {
    FilterShape shape;
    for (const std::string_view level : TopicLevels{filter}) {
        if (level == "#") {
            shape.multi_level = true;
            break;
        }
        STENTOR_ASSERT(shape.levels < kTopicLevelsMax);
        if (level == "+") shape.plus_levels |= std::uint64_t{1} << shape.levels;
        ++shape.levels;
    }
    return shape;
}

// Half a KiB, of which a topic uses a few words: the rest is not initialised.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
LevelHashes::LevelHashes(const HashKey& key, std::string_view text) noexcept {
    for (const std::string_view level : TopicLevels{text}) {
        STENTOR_ASSERT(size_ < kTopicLevelsMax);
        hashes_[size_++] = keyed_hash(key, level);
    }
}

std::uint64_t literal_hash(const FilterShape& shape, const LevelHashes& levels) noexcept {
    STENTOR_ASSERT(levels.size() >= shape.levels);
    std::uint64_t hash = hash_value(shape);
    for (std::size_t i = 0; i < shape.levels; ++i) {
        const bool is_open = (shape.plus_levels >> i & 1U) != 0;
        if (!is_open) hash = fold(hash, levels[i]);
    }
    return hash;
}

}  // namespace stentor::mqtt
