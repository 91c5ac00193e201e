#pragma once
// What a topic matches: one run of subscribers per matching filter, and, where several filters
// match, the same subscribers grouped by who they are.
// Pure values, meant to be kept and used again: after warming up they allocate nothing.

#include "server/core/subscriber.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stentor::server {

/// The subscribers of every filter that matches, in no particular order of filters. Within one
/// source no subscriber comes twice: is_single_source() spares the caller the merging.
/// The spans point into the index and live until its next add() or remove().
class MatchSet {
  public:
    using Source = std::span<const Subscriber>;  // never empty

    void clear() noexcept { sources_.clear(); }
    void append(Source source) { sources_.push_back(source); }

    [[nodiscard]] bool empty() const noexcept { return sources_.empty(); }
    [[nodiscard]] bool is_single_source() const noexcept { return sources_.size() == 1; }
    [[nodiscard]] std::span<const Source> sources() const noexcept { return sources_; }
    /// Entries in all sources; a subscriber counts once per filter of its that matches.
    [[nodiscard]] std::size_t size() const noexcept;

  private:
    std::vector<Source> sources_;
};

/// The matches of several sources, one group per subscriber. Linear in the number of entries.
/// One per shard; keeps 8 bytes for every slot number it has seen.
class MatchGroups {
  public:
    /// A subscriber's matching subscriptions; at least one.
    class Group {
      public:
        class Iterator {
          public:
            using value_type = Subscriber;
            using difference_type = std::ptrdiff_t;
            Iterator() noexcept = default;
            [[nodiscard]] const Subscriber& operator*() const noexcept;
            [[nodiscard]] const Subscriber* operator->() const noexcept { return &**this; }
            Iterator& operator++() noexcept;
            Iterator operator++(int) noexcept;
            friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
                return a.entry_ == b.entry_;
            }

          private:
            friend class Group;
            Iterator(const MatchGroups* groups, std::uint32_t entry) noexcept
                : groups_{groups}, entry_{entry} {}
            const MatchGroups* groups_ = nullptr;
            std::uint32_t entry_ = kNone;
        };

        [[nodiscard]] SubscriberId id() const noexcept { return begin()->id; }
        [[nodiscard]] Iterator begin() const noexcept { return {groups_, first_}; }
        [[nodiscard]] Iterator end() const noexcept { return {groups_, kNone}; }

      private:
        friend class MatchGroups;
        Group(const MatchGroups* groups, std::uint32_t first) noexcept
            : groups_{groups}, first_{first} {}
        const MatchGroups* groups_;
        std::uint32_t first_;
    };

    /// Replaces the groups by those of `matches`, whose spans must stay valid while they are read.
    void assign(const MatchSet& matches);

    [[nodiscard]] std::size_t size() const noexcept { return firsts_.size(); }
    /// In the order in which the subscribers first occur in the sources.
    [[nodiscard]] Group operator[](std::size_t index) const noexcept {
        return {this, firsts_[index]};
    }

  private:
    static constexpr std::uint32_t kNone = 0xFFFF'FFFF;
    struct Entry {
        const Subscriber* subscriber;
        std::uint32_t next;  // of the same subscriber
    };
    struct Last {  // the newest entry of a slot, if `round` is the current one
        std::uint32_t round = 0;
        std::uint32_t entry = 0;
    };
    [[nodiscard]] Last& last_of(SubscriberId id);

    std::vector<Entry> entries_;
    std::vector<std::uint32_t> firsts_;
    std::vector<Last> sessions_;
    std::vector<Last> shared_groups_;
    std::uint32_t round_ = 0;
};

}  // namespace stentor::server
