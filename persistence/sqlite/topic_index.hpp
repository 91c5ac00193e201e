#pragma once
// Which positions of a segment hold messages of which topic: in full while the segment grows, as a
// small filter once its index is in its file.
// Values. One thread at a time; a filled TopicFilter may be asked by any.

#include "base/bytes.hpp"
#include "base/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::store {

class TopicIndex {
  public:
    /// Positions ascend from call to call.
    void add(std::string_view topic, Seq seq);

    /// Appends at most `count_max` positions of the topic after `after`, ascending, and returns how
    /// many.
    std::size_t find(std::string_view topic,
                     Seq after,
                     std::size_t count_max,
                     std::vector<Seq>& out) const;

    struct Entry {
        std::string_view topic;
        const std::vector<Seq>* positions;
    };
    /// In the order of the topics' bytes; valid until the next add().
    [[nodiscard]] std::vector<Entry> sorted() const;
    /// `visit(topic, positions)` for each topic, in no order.
    template <class Visit>
    void for_each(const Visit& visit) const {
        for (const auto& [topic, positions] : topics_) visit(topic, positions);
    }
    [[nodiscard]] std::size_t topics() const noexcept { return topics_.size(); }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view topic) const noexcept {
            return std::hash<std::string_view>{}(topic);
        }
    };
    std::unordered_map<std::string, std::vector<Seq>, Hash, std::equal_to<>> topics_;
};

/// A Bloom filter: says no for most topics that are not there, never for one that is. About ten
/// bits per topic, stored in the segment's file.
class TopicFilter {
  public:
    TopicFilter() = default;
    explicit TopicFilter(const TopicIndex& index);
    /// As bytes() gave it.
    explicit TopicFilter(ByteView stored) : bits_{to_owned(stored)} {}

    /// What a topic is known by here; good for every filter.
    [[nodiscard]] static std::uint64_t hash(std::string_view topic) noexcept;
    [[nodiscard]] bool may_contain(std::uint64_t topic_hash) const noexcept;
    [[nodiscard]] bool may_contain(std::string_view topic) const noexcept {
        return may_contain(hash(topic));
    }
    /// Of how many topics it was made.
    [[nodiscard]] std::size_t topics() const noexcept;
    [[nodiscard]] ByteView bytes() const noexcept { return bits_; }

  private:
    Bytes bits_;  // empty: contains nothing
};

}  // namespace stentor::store
