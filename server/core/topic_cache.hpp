#pragma once
// Which wildcard filters match the topics lately looked up.
// One thread: the shard's. Allocates once.
//
// An entry survives what cannot concern its topic. Every filter belongs to a group: the literal
// levels before its first wildcard, of which at most kPrefixLevels count. A topic is matched only
// by filters of the groups that are its own beginnings, and each group has a counter (shared with
// others of the same hash) of the filters that came and went. The entry keeps the sum of its
// topic's counters; they only grow, so while the sum is the same nothing has changed.

#include "protocol/topic/filter_shape.hpp"
#include "protocol/topic/filter_trie.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace stentor::server {

using mqtt::FilterNumber;

class TopicCache {
  public:
    /// Room for about `topics_max` topics, taken on the first insert(); 0: it remembers nothing.
    explicit TopicCache(std::size_t topics_max);

    struct Found {
        bool hit = false;
        std::span<const FilterNumber> filters;  // lives until the next insert()
    };
    [[nodiscard]] Found find(std::string_view topic, std::uint64_t topic_hash) const noexcept;

    /// Remembers that `filters` are those that match; `levels` are the topic's. False: does not
    /// fit into an entry.
    bool insert(std::string_view topic,
                std::uint64_t topic_hash,
                const mqtt::LevelHashes& levels,
                std::span<const FilterNumber> filters);

    /// To be told about every wildcard filter that comes or goes; subscribers that come to a filter
    /// or leave it do not matter. `levels` are the filter's, hashed with the key of the topics'.
    void filter_changed(const mqtt::FilterShape& shape, const mqtt::LevelHashes& levels) noexcept;

    [[nodiscard]] std::size_t memory_bytes() const noexcept;

  private:
    static constexpr std::size_t kPrefixLevels = 4;
    static constexpr std::size_t kGroupsPerLength = 8192;  // of prefix; there is one empty prefix
    static constexpr std::size_t kGroups = 1 + kPrefixLevels * kGroupsPerLength;
    static constexpr std::size_t kFiltersMax = 8;
    static constexpr std::size_t kTopicBytesMax = 68;

    using Groups = std::array<std::uint16_t, kPrefixLevels + 1>;

    struct alignas(64) Entry {
        std::uint64_t topic_hash = 0;
        std::uint64_t changes = 0;  // sum over `groups` when it was written
        Groups groups{};
        std::uint8_t topic_size = 0;  // 0: free
        std::uint8_t filters_size = 0;
        std::array<FilterNumber, kFiltersMax> filters{};
        std::array<char, kTopicBytesMax> topic{};
    };
    static_assert(sizeof(Entry) == 128);
    static_assert(kGroups <= 0x1'0000);

    [[nodiscard]] static std::uint16_t group_of(std::size_t prefix_levels,
                                                std::uint64_t prefix_hash) noexcept;
    [[nodiscard]] std::uint64_t changes_of(const Groups& groups) const noexcept;
    [[nodiscard]] bool holds(const Entry& entry,
                             std::string_view topic,
                             std::uint64_t topic_hash) const noexcept;
    [[nodiscard]] std::size_t pair_of(std::uint64_t topic_hash) const noexcept;

    std::size_t entries_max_;     // a power of two, or 0
    std::vector<Entry> entries_;  // pairs: a topic may be in either, the first is the newer one
    std::vector<std::uint64_t> changes_;
};

}  // namespace stentor::server
