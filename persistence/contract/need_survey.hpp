#pragma once
// Which messages the durable sessions of one or more shards may still ask the log for: by filter,
// the lowest position. needed_from() is the lowest of all and holds up everything behind one
// session that stays away; a survey says that its filters match next to nothing of that.
// A value of 16 bytes per distinct filter; one thread at a time.

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "protocol/topic/filter_shape.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

namespace stentor::store {

/// Above all positions: what nobody needs is needed from here.
inline constexpr Seq kNobodyNeeds{std::numeric_limits<std::uint64_t>::max()};

class NeedSurvey {
  public:
    /// Says something about messages at or below `taken_at` only: sessions and subscriptions that
    /// came later begin above it.
    explicit NeedSurvey(Seq taken_at) noexcept : taken_at_{taken_at} {}

    [[nodiscard]] Seq taken_at() const noexcept { return taken_at_; }
    [[nodiscard]] std::size_t filters() const noexcept { return lowest_.size(); }

    /// A session needs what the valid plain `filter` matches, from `from` on.
    void add(std::string_view filter, Seq from);
    /// All from there on, whatever its topic.
    void add_everything(Seq from) noexcept;
    /// What either says is needed; about the messages that both say something about.
    void merge(const NeedSurvey& other);

    /// The lowest position of messages with that topic that may be needed, kNobodyNeeds if none
    /// is. May be too low (hashes collide, unusual shapes are widened), never too high.
    [[nodiscard]] Seq needed_from(std::string_view topic) const;
    [[nodiscard]] bool is_needed(std::string_view topic, Seq seq) const {
        return seq > taken_at_ || seq >= needed_from(topic);
    }

  private:
    static constexpr std::size_t kShapesMax = 64;  // further ones count as their literal prefix

    [[nodiscard]] mqtt::FilterShape shape_for(const mqtt::FilterShape& wanted);
    void lower(std::uint64_t hash, Seq from);

    Seq taken_at_;
    Seq everything_from_ = kNobodyNeeds;
    std::vector<mqtt::FilterShape> shapes_;
    boost::unordered_flat_map<std::uint64_t, Seq> lowest_;  // by literal hash
};

}  // namespace stentor::store
