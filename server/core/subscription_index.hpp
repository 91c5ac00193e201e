#pragma once
// The subscriptions of one shard, found by the topic they match.
// One thread: the shard's. No recursion; a match allocates nothing once its buffers have grown.

#include "base/hash.hpp"
#include "server/core/match_set.hpp"
#include "server/core/subscriber.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace stentor::server {

struct SubscriptionIndexOptions {
    HashKey hash_key;  // for levels; any will do, as long as strangers do not know it
    /// Topics whose wildcard matches are remembered, 128 bytes each, taken when the first wildcard
    /// filter arrives. Rounded up to a power of two; 0 remembers none.
    std::size_t cached_topics_max = 8192;
};

class SubscriptionIndex {
  public:
    enum class Added : std::uint8_t {
        new_filter,      // and nobody on this shard had that filter
        new_subscriber,  // others have the filter
        replaced,        // this subscriber had it: options and identifier are the new ones,
                         // `since` the old one (design rule 6)
    };
    enum class Removed : std::uint8_t {
        not_found,
        subscriber,  // others still have the filter
        filter,      // it was the last one
    };

    explicit SubscriptionIndex(SubscriptionIndexOptions options = {});
    ~SubscriptionIndex();
    SubscriptionIndex(SubscriptionIndex&&) noexcept;
    SubscriptionIndex& operator=(SubscriptionIndex&&) noexcept;
    SubscriptionIndex(const SubscriptionIndex&) = delete;
    SubscriptionIndex& operator=(const SubscriptionIndex&) = delete;

    /// `filter` is valid, has at most mqtt::kTopicLevelsMax levels, and comes without
    /// "$share/{name}/". It is copied when it is new. Cost independent of the number of
    /// subscribers. Ends the life of all spans handed out.
    Added add(std::string_view filter, const Subscriber& subscriber);

    /// Cost independent of the number of subscribers. Ends the life of all spans handed out.
    Removed remove(std::string_view filter, SubscriberId subscriber);

    /// The entry, or null. Lives until the next add() or remove().
    [[nodiscard]] const Subscriber* find(std::string_view filter, SubscriberId subscriber) const;

    /// Replaces the contents of `out` by the subscribers of every filter that matches the valid
    /// topic name `topic`, whose topic_hash() is `topic_hash`.
    void match(std::string_view topic, std::uint64_t topic_hash, MatchSet& out);

    [[nodiscard]] std::size_t subscriptions() const noexcept;
    [[nodiscard]] std::size_t exact_filters() const noexcept;
    [[nodiscard]] std::size_t wildcard_filters() const noexcept;
    /// What the index has taken from the heap, to within the allocator's own overhead.
    [[nodiscard]] std::size_t memory_bytes() const noexcept;

    struct CacheCounters {
        std::uint64_t hits = 0;
        std::uint64_t misses = 0;    // no entry, or one that a change of the filters made stale
        std::uint64_t bypassed = 0;  // topic too long, or too many matches for an entry
    };
    [[nodiscard]] CacheCounters cache_counters() const noexcept;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace stentor::server
