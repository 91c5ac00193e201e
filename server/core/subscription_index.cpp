#include "server/core/subscription_index.hpp"

#include "base/assert.hpp"
#include "protocol/message.hpp"
#include "protocol/topic/filter_shape.hpp"
#include "protocol/topic/filter_trie.hpp"
#include "protocol/topic/validate.hpp"
#include "server/core/subscriber_list.hpp"
#include "server/core/topic_cache.hpp"

#include <boost/unordered/unordered_flat_set.hpp>

#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace stentor::server {

namespace {

// A filter without wildcards: its text stands behind the object in the same allocation, so that a
// match of a cold topic costs two cache misses (table, filter).
class ExactFilter {
  public:
    struct Destroy {
        void operator()(ExactFilter* filter) const noexcept {
            filter->~ExactFilter();
            ::operator delete(filter);
        }
    };
    using Ptr = std::unique_ptr<ExactFilter, Destroy>;

    static Ptr create(std::string_view text) {
        void* const memory = ::operator new(sizeof(ExactFilter) + text.size());
        Ptr filter{new (memory) ExactFilter};
        filter->text_size_ = static_cast<std::uint32_t>(text.size());
        std::memcpy(filter->text_begin(), text.data(), text.size());
        return filter;
    }

    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(this + 1), text_size_};
    }
    [[nodiscard]] std::size_t heap_bytes() const noexcept {
        return sizeof(ExactFilter) + text_size_ + subscribers.heap_bytes();
    }

    SubscriberList subscribers;

  private:
    ExactFilter() noexcept = default;
    char* text_begin() noexcept { return reinterpret_cast<char*>(this + 1); }

    std::uint32_t text_size_ = 0;
};

struct ExactEntry {
    std::uint64_t hash;  // beside the pointer: most comparisons end here
    ExactFilter::Ptr filter;
};

struct ExactKey {
    std::uint64_t hash;
    std::string_view text;
};

struct ExactHash {
    using is_transparent = void;
    using is_avalanching = void;
    std::size_t operator()(const ExactEntry& entry) const noexcept { return entry.hash; }
    std::size_t operator()(const ExactKey& key) const noexcept { return key.hash; }
};

struct ExactEqual {
    using is_transparent = void;
    bool operator()(const ExactEntry& a, const ExactEntry& b) const noexcept {
        return a.filter == b.filter;
    }
    bool operator()(const ExactKey& key, const ExactEntry& entry) const noexcept {
        return key.hash == entry.hash && key.text == entry.filter->text();
    }
    bool operator()(const ExactEntry& entry, const ExactKey& key) const noexcept {
        return (*this)(key, entry);
    }
};

// Keeps a sum of heap bytes right while the object it is about changes.
template <class T>
class Accounting {
  public:
    Accounting(std::size_t& sum, const T& object) noexcept
        : sum_{sum}, object_{object}, before_{object.heap_bytes()} {}
    ~Accounting() { sum_ += object_.heap_bytes() - before_; }
    Accounting(const Accounting&) = delete;
    Accounting& operator=(const Accounting&) = delete;

  private:
    std::size_t& sum_;
    const T& object_;
    std::size_t before_;
};

}  // namespace

struct SubscriptionIndex::Impl {
    explicit Impl(const SubscriptionIndexOptions& options)
        : key{options.hash_key}, trie{options.hash_key}, cache{options.cached_topics_max} {}

    HashKey key;
    boost::unordered_flat_set<ExactEntry, ExactHash, ExactEqual> exact;
    mqtt::FilterTrie trie;
    TopicCache cache;
    std::vector<SubscriberList> wildcard;  // by filter number
    std::vector<FilterNumber> free_numbers;
    std::vector<FilterNumber> matched;  // of the topic in hand
    std::size_t subscriptions = 0;
    std::size_t filter_bytes = 0;  // of all filters and their lists
    CacheCounters counters;

    [[nodiscard]] std::size_t wildcard_filters() const noexcept {
        return wildcard.size() - free_numbers.size();
    }

    Added add_exact(std::string_view filter, const Subscriber& subscriber);
    Added add_wildcard(std::string_view filter, const Subscriber& subscriber);
    Removed remove_exact(std::string_view filter, SubscriberId subscriber);
    Removed remove_wildcard(std::string_view filter, SubscriberId subscriber);
    [[nodiscard]] const SubscriberList* list_of(std::string_view filter) const;
    FilterNumber new_number();
    void tell_cache(std::string_view filter);
    void match_wildcards(std::string_view topic, std::uint64_t topic_hash, MatchSet& out);
};

SubscriptionIndex::Added SubscriptionIndex::Impl::add_exact(std::string_view filter,
                                                            const Subscriber& subscriber) {
    const std::uint64_t hash = mqtt::topic_hash(filter);
    const auto at = exact.find(ExactKey{.hash = hash, .text = filter});
    if (at == exact.end()) {
        ExactFilter::Ptr added = ExactFilter::create(filter);
        added->subscribers.add(subscriber);
        filter_bytes += added->heap_bytes();
        exact.insert(ExactEntry{.hash = hash, .filter = std::move(added)});
        return Added::new_filter;
    }
    const Accounting accounting{filter_bytes, *at->filter};
    return at->filter->subscribers.add(subscriber) ? Added::new_subscriber : Added::replaced;
}

SubscriptionIndex::Added SubscriptionIndex::Impl::add_wildcard(std::string_view filter,
                                                               const Subscriber& subscriber) {
    FilterNumber number = trie.find(filter);
    const bool is_new = number == mqtt::kNoFilter;
    if (is_new) {
        number = new_number();
        trie.insert(filter, number);
        tell_cache(filter);
    }
    SubscriberList& list = wildcard[number];
    const Accounting accounting{filter_bytes, list};
    const bool added = list.add(subscriber);
    if (is_new) return Added::new_filter;
    return added ? Added::new_subscriber : Added::replaced;
}

SubscriptionIndex::Removed SubscriptionIndex::Impl::remove_exact(std::string_view filter,
                                                                 SubscriberId subscriber) {
    const auto at = exact.find(ExactKey{.hash = mqtt::topic_hash(filter), .text = filter});
    if (at == exact.end()) return Removed::not_found;
    {
        const Accounting accounting{filter_bytes, *at->filter};
        if (!at->filter->subscribers.remove(subscriber)) return Removed::not_found;
    }
    if (!at->filter->subscribers.empty()) return Removed::subscriber;
    filter_bytes -= at->filter->heap_bytes();
    exact.erase(at);
    return Removed::filter;
}

SubscriptionIndex::Removed SubscriptionIndex::Impl::remove_wildcard(std::string_view filter,
                                                                    SubscriberId subscriber) {
    const FilterNumber number = trie.find(filter);
    if (number == mqtt::kNoFilter) return Removed::not_found;
    SubscriberList& list = wildcard[number];
    {
        const Accounting accounting{filter_bytes, list};
        if (!list.remove(subscriber)) return Removed::not_found;
    }
    if (!list.empty()) return Removed::subscriber;
    trie.erase(filter);
    free_numbers.push_back(number);
    tell_cache(filter);
    return Removed::filter;
}

FilterNumber SubscriptionIndex::Impl::new_number() {
    if (free_numbers.empty()) {
        STENTOR_ASSERT(wildcard.size() < mqtt::kNoFilter);
        wildcard.emplace_back();
        return static_cast<FilterNumber>(wildcard.size() - 1);
    }
    const FilterNumber number = free_numbers.back();
    free_numbers.pop_back();
    return number;
}

void SubscriptionIndex::Impl::tell_cache(std::string_view filter) {
    cache.filter_changed(mqtt::shape_of(filter), mqtt::LevelHashes{key, filter});
}

const SubscriberList* SubscriptionIndex::Impl::list_of(std::string_view filter) const {
    if (mqtt::has_wildcard(filter)) {
        const FilterNumber number = trie.find(filter);
        return number == mqtt::kNoFilter ? nullptr : &wildcard[number];
    }
    const auto at = exact.find(ExactKey{.hash = mqtt::topic_hash(filter), .text = filter});
    return at == exact.end() ? nullptr : &at->filter->subscribers;
}

void SubscriptionIndex::Impl::match_wildcards(std::string_view topic,
                                              std::uint64_t topic_hash,
                                              MatchSet& out) {
    if (const TopicCache::Found found = cache.find(topic, topic_hash); found.hit) {
        ++counters.hits;
        for (const FilterNumber number : found.filters) out.append(wildcard[number].all());
        return;
    }
    const mqtt::LevelHashes levels{key, topic};
    matched.clear();
    trie.match(topic, levels, matched);
    for (const FilterNumber number : matched) out.append(wildcard[number].all());
    ++(cache.insert(topic, topic_hash, levels, matched) ? counters.misses : counters.bypassed);
}

SubscriptionIndex::SubscriptionIndex(SubscriptionIndexOptions options)
    : impl_{std::make_unique<Impl>(options)} {}
SubscriptionIndex::~SubscriptionIndex() = default;
SubscriptionIndex::SubscriptionIndex(SubscriptionIndex&&) noexcept = default;
SubscriptionIndex& SubscriptionIndex::operator=(SubscriptionIndex&&) noexcept = default;

SubscriptionIndex::Added SubscriptionIndex::add(std::string_view filter,
                                                const Subscriber& subscriber) {
    const Added added = mqtt::has_wildcard(filter) ? impl_->add_wildcard(filter, subscriber)
                                                   : impl_->add_exact(filter, subscriber);
    if (added != Added::replaced) ++impl_->subscriptions;
    return added;
}

SubscriptionIndex::Removed SubscriptionIndex::remove(std::string_view filter,
                                                     SubscriberId subscriber) {
    const Removed removed = mqtt::has_wildcard(filter) ? impl_->remove_wildcard(filter, subscriber)
                                                       : impl_->remove_exact(filter, subscriber);
    if (removed != Removed::not_found) --impl_->subscriptions;
    return removed;
}

const Subscriber* SubscriptionIndex::find(std::string_view filter, SubscriberId subscriber) const {
    const SubscriberList* const list = impl_->list_of(filter);
    return list == nullptr ? nullptr : list->find(subscriber);
}

void SubscriptionIndex::match(std::string_view topic, std::uint64_t topic_hash, MatchSet& out) {
    out.clear();
    const auto exact = impl_->exact.find(ExactKey{.hash = topic_hash, .text = topic});
    if (exact != impl_->exact.end()) out.append(exact->filter->subscribers.all());
    if (impl_->wildcard_filters() != 0) impl_->match_wildcards(topic, topic_hash, out);
}

std::size_t SubscriptionIndex::subscriptions() const noexcept { return impl_->subscriptions; }
std::size_t SubscriptionIndex::exact_filters() const noexcept { return impl_->exact.size(); }
std::size_t SubscriptionIndex::wildcard_filters() const noexcept {
    return impl_->wildcard_filters();
}

std::size_t SubscriptionIndex::memory_bytes() const noexcept {
    return sizeof *this + sizeof *impl_ + impl_->filter_bytes + impl_->trie.memory_bytes() +
           impl_->cache.memory_bytes() + impl_->wildcard.capacity() * sizeof(SubscriberList) +
           impl_->exact.bucket_count() * (sizeof(ExactEntry) + 1);
}

SubscriptionIndex::CacheCounters SubscriptionIndex::cache_counters() const noexcept {
    return impl_->counters;
}

}  // namespace stentor::server
