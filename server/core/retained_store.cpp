#include "server/core/retained_store.hpp"

#include "base/assert.hpp"
#include "protocol/topic/level_order.hpp"
#include "protocol/topic/validate.hpp"
#include "server/core/filter_scan.hpp"

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace stentor::server {

namespace {

// What an entry costs besides its message: a node of the tree, a slot of the hash table, and the
// allocator's headers.
constexpr std::size_t kEntryBytes = 104;

std::size_t bytes_of(const mqtt::Message& message) noexcept {
    return message.bytes() + kEntryBytes;
}

// The message may be exchanged in place: the order looks only at its topic, which stays the same.
struct Entry {
    mutable RetainedValue value;
    [[nodiscard]] std::string_view topic() const noexcept { return value.message->topic(); }
};

struct EntryOrder {
    using is_transparent = void;
    bool operator()(const Entry& a, const Entry& b) const noexcept {
        return mqtt::level_order(a.topic(), b.topic()) < 0;
    }
    bool operator()(const Entry& a, std::string_view b) const noexcept {
        return mqtt::level_order(a.topic(), b) < 0;
    }
    bool operator()(std::string_view a, const Entry& b) const noexcept {
        return mqtt::level_order(a, b.topic()) < 0;
    }
};

using Entries = std::set<Entry, EntryOrder>;

// The same entries by the hash of their topics: most retained messages replace one, and a look-up
// in the tree costs twenty cache misses when it is large.
struct Place {
    std::uint64_t hash;
    Entries::iterator entry;
};

struct TopicKey {
    std::uint64_t hash;
    std::string_view topic;
};

struct PlaceHash {
    using is_transparent = void;
    using is_avalanching = void;
    std::size_t operator()(const Place& place) const noexcept { return place.hash; }
    std::size_t operator()(const TopicKey& key) const noexcept { return key.hash; }
};

struct PlaceEqual {
    using is_transparent = void;
    bool operator()(const Place& a, const Place& b) const noexcept { return a.entry == b.entry; }
    bool operator()(const TopicKey& key, const Place& place) const noexcept {
        return key.hash == place.hash && key.topic == place.entry->topic();
    }
    bool operator()(const Place& place, const TopicKey& key) const noexcept {
        return (*this)(key, place);
    }
};

struct Pin {
    MessagePtr message;
    std::size_t count = 0;
};

}  // namespace

struct RetainedStore::Impl {
    RetainedLimits limits;
    Entries entries;
    boost::unordered_flat_set<Place, PlaceHash, PlaceEqual> by_topic;
    std::size_t bytes = 0;
    std::size_t expiring = 0;  // entries with an expiry
    std::string sweep_from;
    boost::unordered_flat_map<std::string, Seq> cleared;  // until applied_through()
    boost::unordered_flat_map<Seq, Pin> pins;

    [[nodiscard]] bool has_seen(std::string_view topic, Seq seq) const {
        if (cleared.empty()) return false;
        const auto at = cleared.find(std::string{topic});
        return at != cleared.end() && seq <= at->second;
    }

    [[nodiscard]] Entries::const_iterator find(std::string_view topic,
                                               std::uint64_t topic_hash) const {
        const auto place = by_topic.find(TopicKey{.hash = topic_hash, .topic = topic});
        return place == by_topic.end() ? entries.end() : Entries::const_iterator{place->entry};
    }

    void count_in(const mqtt::Message& message) noexcept {
        bytes += bytes_of(message);
        if (message.message_expiry_seconds()) ++expiring;
    }
    void count_out(const mqtt::Message& message) noexcept {
        bytes -= bytes_of(message);
        if (message.message_expiry_seconds()) --expiring;
    }

    Entries::iterator erase(Entries::const_iterator entry) {
        const mqtt::Message& message = *entry->value.message;
        count_out(message);
        by_topic.erase(TopicKey{.hash = message.topic_hash(), .topic = message.topic()});
        return entries.erase(entry);
    }

    Stored clear(Entries::const_iterator entry, std::string_view topic, Seq seq) {
        cleared.insert_or_assign(std::string{topic}, seq);
        if (entry == entries.end()) return Stored::nothing_to_clear;
        erase(entry);
        return Stored::cleared;
    }

    /// A value that may not be kept has replaced the one before all the same.
    Stored replace(Entries::const_iterator entry, RetainedValue value) {
        const std::size_t old_bytes = bytes_of(*entry->value.message);
        const std::size_t new_bytes = bytes_of(*value.message);
        if (new_bytes > old_bytes && bytes - old_bytes + new_bytes > limits.bytes_max) {
            (void)clear(entry, value.message->topic(), value.seq);
            return Stored::refused;
        }
        count_out(*entry->value.message);
        entry->value = std::move(value);
        count_in(*entry->value.message);
        return Stored::replaced;
    }

    Stored add(RetainedValue value) {
        if (entries.size() >= limits.messages_max ||
            bytes + bytes_of(*value.message) > limits.bytes_max) {
            return Stored::refused;
        }
        insert(std::move(value));
        return Stored::added;
    }

    void insert(RetainedValue value) {
        count_in(*value.message);
        cleared.erase(std::string{value.message->topic()});
        const std::uint64_t hash = value.message->topic_hash();
        by_topic.insert(
            Place{.hash = hash, .entry = entries.insert(Entry{std::move(value)}).first});
    }
};

RetainedStore::RetainedStore(RetainedLimits limits) : impl_{std::make_unique<Impl>()} {
    impl_->limits = limits;
}
RetainedStore::~RetainedStore() = default;
RetainedStore::RetainedStore(RetainedStore&&) noexcept = default;
RetainedStore& RetainedStore::operator=(RetainedStore&&) noexcept = default;

RetainedStore::Stored RetainedStore::store(RetainedValue value) {
    STENTOR_ASSERT(value.message);
    const std::string_view topic = value.message->topic();
    const auto entry = impl_->find(topic, value.message->topic_hash());
    const bool exists = entry != impl_->entries.end();
    if (exists ? value.seq <= entry->value.seq : impl_->has_seen(topic, value.seq)) {
        return Stored::stale;
    }
    if (value.message->payload().empty()) return impl_->clear(entry, topic, value.seq);
    return exists ? impl_->replace(entry, std::move(value)) : impl_->add(std::move(value));
}

void RetainedStore::restore(RetainedValue value) {
    STENTOR_ASSERT(value.message);
    const mqtt::Message& message = *value.message;
    STENTOR_ASSERT(impl_->find(message.topic(), message.topic_hash()) == impl_->entries.end(),
                   "a topic has one value");
    impl_->insert(std::move(value));
}

void RetainedStore::applied_through(Seq seq) {
    boost::unordered::erase_if(
        impl_->cleared, [seq](const auto& topic_and_seq) { return topic_and_seq.second <= seq; });
}

const RetainedValue* RetainedStore::find(std::string_view topic, Instant now) const {
    const auto entry = impl_->find(topic, mqtt::topic_hash(topic));
    if (entry == impl_->entries.end() || entry->value.message->expired(now)) return nullptr;
    return &entry->value;
}

void RetainedStore::match(std::string_view filter,
                          Seq through,
                          Instant now,
                          RetainedPageLimits limits,
                          RetainedCursor& cursor,
                          std::vector<RetainedValue>& out) const {
    if (cursor.done) return;
    const auto emit = [&](const RetainedValue& value) {
        const bool fits = value.seq <= through && !value.message->expired(now);
        if (fits) out.push_back(value);
        return fits;
    };
    const Entries& entries = impl_->entries;
    if (!mqtt::has_wildcard(filter)) {
        const auto entry = impl_->find(filter, mqtt::topic_hash(filter));
        if (entry != entries.end()) emit(entry->value);
        cursor.done = true;
        return;
    }
    FilterScan scan{filter};
    std::size_t values_left = std::max<std::size_t>(limits.values_max, 1);
    std::size_t steps_left = std::max<std::size_t>(limits.steps_max, 1);
    std::string from = std::move(cursor.next_topic);
    auto entry = entries.lower_bound(std::string_view{from});
    for (; entry != entries.end() && values_left != 0 && steps_left != 0; --steps_left) {
        switch (scan.look_at(entry->topic())) {
            case FilterScan::Verdict::matches:
                if (emit(entry->value)) --values_left;
                ++entry;
                break;
            case FilterScan::Verdict::go_to:
                entry = entries.lower_bound(scan.next_topic());
                break;
            case FilterScan::Verdict::past_the_end:
                entry = entries.end();
                break;
        }
    }
    cursor.done = entry == entries.end();
    cursor.next_topic = cursor.done ? std::string{} : std::string{entry->topic()};
}

std::vector<RetainedValue> RetainedStore::sweep(Instant now, std::size_t steps_max) {
    std::vector<RetainedValue> dropped;
    Entries& entries = impl_->entries;
    if (impl_->expiring == 0) return dropped;
    auto entry = entries.lower_bound(std::string_view{impl_->sweep_from});
    for (std::size_t steps = 0; steps < steps_max && !entries.empty(); ++steps) {
        if (entry == entries.end()) entry = entries.begin();
        if (entry->value.message->expired(now)) {
            dropped.push_back(entry->value);
            entry = impl_->erase(entry);
        } else {
            ++entry;
        }
    }
    impl_->sweep_from = entry == entries.end() ? std::string{} : std::string{entry->topic()};
    return dropped;
}

void RetainedStore::pin(Seq seq, MessagePtr message) {
    STENTOR_ASSERT(message);
    Pin& pin = impl_->pins[seq];
    if (pin.count++ == 0) pin.message = std::move(message);
}

void RetainedStore::unpin(Seq seq) {
    const auto pin = impl_->pins.find(seq);
    STENTOR_ASSERT(pin != impl_->pins.end(), "unpin() without pin()");
    if (--pin->second.count == 0) impl_->pins.erase(pin);
}

const mqtt::Message* RetainedStore::find_pinned(Seq seq) const {
    const auto pin = impl_->pins.find(seq);
    return pin == impl_->pins.end() ? nullptr : pin->second.message.get();
}

std::size_t RetainedStore::size() const noexcept { return impl_->entries.size(); }
std::size_t RetainedStore::bytes() const noexcept { return impl_->bytes; }
std::size_t RetainedStore::pinned() const noexcept { return impl_->pins.size(); }

}  // namespace stentor::server
