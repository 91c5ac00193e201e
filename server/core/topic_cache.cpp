#include "server/core/topic_cache.hpp"

#include <algorithm>
#include <bit>

namespace stentor::server {

namespace {

// The group of a prefix of `levels` levels, from that of the prefix one level shorter.
std::uint64_t next_prefix(std::uint64_t prefix, std::uint64_t level_hash) noexcept {
    const std::uint64_t hash = (prefix ^ level_hash) * 0x9E37'79B9'7F4A'7C15U;
    return hash ^ (hash >> 32U);
}

constexpr std::uint64_t kEmptyPrefix = 1;

}  // namespace

TopicCache::TopicCache(std::size_t topics_max)
    : entries_max_{topics_max == 0 ? 0 : std::bit_ceil(std::max<std::size_t>(topics_max, 2))} {}

// Prefixes of different lengths never share a group: devices that come and go, deep down, leave the
// entries' shorter prefixes alone.
std::uint16_t TopicCache::group_of(std::size_t prefix_levels, std::uint64_t prefix_hash) noexcept {
    if (prefix_levels == 0) return 0;
    return static_cast<std::uint16_t>(1 + (prefix_levels - 1) * kGroupsPerLength +
                                      prefix_hash % kGroupsPerLength);
}

std::uint64_t TopicCache::changes_of(const Groups& groups) const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint16_t group : groups) sum += changes_[group];
    return sum;
}

bool TopicCache::holds(const Entry& entry,
                       std::string_view topic,
                       std::uint64_t topic_hash) const noexcept {
    return entry.topic_hash == topic_hash &&
           std::string_view{entry.topic.data(), entry.topic_size} == topic;
}

std::size_t TopicCache::pair_of(std::uint64_t topic_hash) const noexcept {
    return static_cast<std::size_t>(topic_hash) & (entries_max_ - 1) & ~std::size_t{1};
}

TopicCache::Found TopicCache::find(std::string_view topic,
                                   std::uint64_t topic_hash) const noexcept {
    if (entries_.empty()) return {};
    const std::size_t pair = pair_of(topic_hash);
    for (std::size_t i = pair; i < pair + 2; ++i) {
        const Entry& entry = entries_[i];
        if (!holds(entry, topic, topic_hash)) continue;
        if (changes_of(entry.groups) != entry.changes) return {};
        return {.hit = true, .filters = std::span{entry.filters}.first(entry.filters_size)};
    }
    return {};
}

bool TopicCache::insert(std::string_view topic,
                        std::uint64_t topic_hash,
                        const mqtt::LevelHashes& levels,
                        std::span<const FilterNumber> filters) {
    if (entries_max_ == 0 || topic.size() > kTopicBytesMax || filters.size() > kFiltersMax) {
        return false;
    }
    if (entries_.empty()) {
        entries_.resize(entries_max_);
        if (changes_.empty()) changes_.resize(kGroups);
    }
    const std::size_t pair = pair_of(topic_hash);
    Entry& entry = entries_[pair];
    if (!holds(entry, topic, topic_hash)) entries_[pair + 1] = entry;
    entry.topic_hash = topic_hash;
    std::uint64_t prefix = kEmptyPrefix;
    entry.groups.fill(0);  // where the topic ends early; the sum is still one that only grows
    for (std::size_t i = 0; i < std::min(levels.size(), kPrefixLevels); ++i) {
        prefix = next_prefix(prefix, levels[i]);
        entry.groups[i + 1] = group_of(i + 1, prefix);
    }
    entry.changes = changes_of(entry.groups);
    entry.topic_size = static_cast<std::uint8_t>(topic.size());
    std::copy(topic.begin(), topic.end(), entry.topic.begin());
    entry.filters_size = static_cast<std::uint8_t>(filters.size());
    std::copy(filters.begin(), filters.end(), entry.filters.begin());
    return true;
}

void TopicCache::filter_changed(const mqtt::FilterShape& shape,
                                const mqtt::LevelHashes& levels) noexcept {
    if (entries_.empty()) return;  // nothing is remembered
    std::uint64_t prefix = kEmptyPrefix;
    const std::size_t depth = std::min<std::size_t>(shape.literal_prefix_levels(), kPrefixLevels);
    for (std::size_t i = 0; i < depth; ++i) prefix = next_prefix(prefix, levels[i]);
    ++changes_[group_of(depth, prefix)];
}

std::size_t TopicCache::memory_bytes() const noexcept {
    return entries_.capacity() * sizeof(Entry) + changes_.capacity() * sizeof(std::uint64_t);
}

}  // namespace stentor::server
