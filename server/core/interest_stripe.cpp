#include "server/core/interest_stripe.hpp"

#include "base/assert.hpp"

#include <bit>
#include <thread>
#include <utility>

namespace stentor::server {

namespace {

constexpr std::uint64_t kDurableBit = 1;  // of a key: some durable session wants it
constexpr std::uint64_t kCountedBit =
    2;  // of a key: counts_ knows its subscriptions; else it is one
constexpr std::uint64_t kFlags = kDurableBit | kCountedBit;

// Two (key, shard) pairs with the same number share their counts: the sum falls to zero only when
// both have, so an interest may outlive its subscription, and none is lost.
std::uint64_t count_key(InterestKey key, ShardId shard) noexcept {
    return key.bits() + std::uint64_t{shard.value()} * 0x9E37'79B9'7F4A'7C15U;
}

std::uint64_t bit_of(ShardId shard) noexcept { return std::uint64_t{1} << shard.value(); }

/// The lowest of them.
ShardId shard_of(std::uint64_t shards) noexcept {
    return ShardId{static_cast<ShardId::rep>(std::countr_zero(shards))};
}

}  // namespace

InterestChunks::Chunk* InterestChunks::take() {
    const std::lock_guard lock{mutex_};
    if (free_.empty()) {
        free_.reserve(kTogether);
        Chunk* const first = all_.emplace_back(std::make_unique<Chunk[]>(kTogether)).get();
        for (std::size_t i = kTogether; i != 0; --i) free_.push_back(first + (i - 1));
    }
    Chunk* const chunk = free_.back();
    free_.pop_back();
    for (InterestSlot& slot : *chunk) {
        slot.shards.store(0, std::memory_order_release);
        slot.key.store(0, std::memory_order_release);
    }
    return chunk;
}

void InterestChunks::give_back(std::span<Chunk* const> chunks) {
    const std::lock_guard lock{mutex_};
    free_.insert(free_.end(), chunks.begin(), chunks.end());
}

std::size_t InterestChunks::memory_bytes() const {
    const std::lock_guard lock{mutex_};
    return all_.size() * (kTogether * sizeof(Chunk) + sizeof all_[0]) +
           free_.capacity() * sizeof(void*);
}

InterestStripe::Slots::Slots(InterestChunks& chunks, std::size_t count) {
    chunks_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) chunks_.push_back(chunks.take());
}

// By the low bits, so that they are not those that chose the stripe.
std::size_t InterestStripe::Slots::place_of(std::uint64_t key) const noexcept {
    constexpr unsigned kFlagBits = 2;
    constexpr unsigned kHalf = 32;
    const std::uint64_t low = (key >> kFlagBits) & 0xFFFF'FFFFU;
    return static_cast<std::size_t>(low * size() >> kHalf);
}

InterestStripe::InterestStripe(InterestChunks& chunks) : chunks_{chunks} {
    arrays_.push_back(std::make_unique<Slots>(chunks_, 1));
    slots_.store(arrays_.back().get(), std::memory_order_release);
}

// Every store below that a reader may see is a release and every load of a reader an acquire: a
// reader that sees anything of a tidy() also sees that the version has become odd.

InterestStripe::Found InterestStripe::look_up(InterestKey key) const noexcept {
    for (;;) {
        const std::uint64_t version = version_.load(std::memory_order_acquire);
        if ((version & 1U) != 0) {
            std::this_thread::yield();
            continue;
        }
        Found found;
        const Slots& slots = *slots_.load(std::memory_order_acquire);
        std::size_t i = slots.place_of(key.bits());
        for (std::size_t left = slots.size(); left != 0; i = slots.after(i), --left) {
            const Slot& slot = slots.at(i);
            const std::uint64_t present = slot.key.load(std::memory_order_acquire);
            if (present == 0) break;
            if ((present & ~kFlags) != key.bits()) continue;
            found.shards = slot.shards.load(std::memory_order_acquire);
            found.durable = found.shards != 0 && (present & kDurableBit) != 0;
            break;
        }
        if (version_.load(std::memory_order_relaxed) == version) return found;
    }
}

InterestStripe::Slot* InterestStripe::find(InterestKey key) const noexcept {
    const Slots& slots = *arrays_.back();
    for (std::size_t i = slots.place_of(key.bits());; i = slots.after(i)) {
        Slot& slot = slots.at(i);
        const std::uint64_t present = slot.key.load(std::memory_order_relaxed);
        if (present == 0) return nullptr;
        if ((present & ~kFlags) == key.bits()) return &slot;
    }
}

InterestStripe::Slot& InterestStripe::find_or_insert(InterestKey key) {
    if (Slot* const slot = find(key)) return *slot;
    make_room();
    const Slots& slots = *arrays_.back();
    for (std::size_t i = slots.place_of(key.bits());; i = slots.after(i)) {
        Slot& slot = slots.at(i);
        const bool is_free = slot.key.load(std::memory_order_relaxed) == 0;
        if (!is_free && slot.shards.load(std::memory_order_relaxed) != 0) continue;
        if (is_free) ++used_;
        // A reader of the slot's old key may now see the new one's shards: too many, never too few.
        slot.key.store(key.bits(), std::memory_order_release);
        return slot;
    }
}

void InterestStripe::raise(InterestKey key, ShardId shard, bool durable) {
    const std::lock_guard lock{mutex_};
    Slot& slot = find_or_insert(key);
    const std::uint64_t shards = slot.shards.load(std::memory_order_relaxed);
    if (shards == 0) {
        ++live_;
    } else {
        count_the_only_one(slot, key);
        Counts& counts = counts_[count_key(key, shard)];
        ++(durable ? counts.durable : counts.transient);
    }
    if (durable) {
        const std::uint64_t present = slot.key.load(std::memory_order_relaxed);
        slot.key.store(present | kDurableBit, std::memory_order_release);
    }
    slot.shards.store(shards | bit_of(shard), std::memory_order_release);
    // Unlocking is a read-modify-write, so on leaving the stores are visible, not only on their
    // way.
}

/// Another one is coming.
void InterestStripe::count_the_only_one(Slot& slot, InterestKey key) {
    const std::uint64_t present = slot.key.load(std::memory_order_relaxed);
    if ((present & kCountedBit) != 0) return;
    const std::uint64_t shards = slot.shards.load(std::memory_order_relaxed);
    Counts& counts = counts_[count_key(key, shard_of(shards))];
    ++((present & kDurableBit) != 0 ? counts.durable : counts.transient);
    slot.key.store(present | kCountedBit, std::memory_order_release);
}

bool InterestStripe::any_durable(InterestKey key, std::uint64_t shards) const {
    for (; shards != 0; shards &= shards - 1) {
        const auto counts = counts_.find(count_key(key, shard_of(shards)));
        if (counts != counts_.end() && counts->second.durable != 0) return true;
    }
    return false;
}

void InterestStripe::lower(InterestKey key, ShardId shard, bool durable) {
    const std::lock_guard lock{mutex_};
    Slot* const slot = find(key);
    STENTOR_ASSERT(slot != nullptr, "lower() without raise()");
    if ((slot->key.load(std::memory_order_relaxed) & kCountedBit) == 0) {
        lower_the_only_one(*slot, key, shard, durable);
        return;
    }
    const auto at = counts_.find(count_key(key, shard));
    STENTOR_ASSERT(at != counts_.end(), "lower() without raise()");
    Counts& counts = at->second;
    std::uint32_t& count = durable ? counts.durable : counts.transient;
    STENTOR_ASSERT(count != 0, "lower() without raise()");
    --count;
    const bool shard_left = counts.transient == 0 && counts.durable == 0;
    const bool durable_left = durable && count == 0;
    if (shard_left) counts_.erase(at);
    if (!shard_left && !durable_left) return;

    std::uint64_t shards = slot->shards.load(std::memory_order_relaxed);
    if (shard_left && (shards & bit_of(shard)) != 0) {
        shards &= ~bit_of(shard);
        slot->shards.store(shards, std::memory_order_release);
    }
    const std::uint64_t present = slot->key.load(std::memory_order_relaxed);
    if (shards == 0) {
        --live_;
        slot->key.store(key.bits(), std::memory_order_release);
    } else if (durable_left && !any_durable(key, shards)) {
        slot->key.store(present & ~kDurableBit, std::memory_order_release);
    }
}

void InterestStripe::lower_the_only_one(Slot& slot, InterestKey key, ShardId shard, bool durable) {
    const bool was_durable = (slot.key.load(std::memory_order_relaxed) & kDurableBit) != 0;
    STENTOR_ASSERT(
        slot.shards.load(std::memory_order_relaxed) == bit_of(shard) && was_durable == durable,
        "lower() without raise()");
    slot.shards.store(0, std::memory_order_release);
    slot.key.store(key.bits(), std::memory_order_release);
    --live_;
}

void InterestStripe::make_room() {
    const std::size_t size = arrays_.back()->size();
    if ((used_ + 1) * 4 <= size * 3) return;
    if (live_ * 5 > size * 3) {
        grow();
    } else {
        tidy();
    }
}

void InterestStripe::put(const Slots& slots,
                         std::uint64_t key_and_flags,
                         std::uint64_t shards) noexcept {
    for (std::size_t i = slots.place_of(key_and_flags);; i = slots.after(i)) {
        Slot& slot = slots.at(i);
        if (slot.key.load(std::memory_order_relaxed) != 0) continue;
        slot.key.store(key_and_flags, std::memory_order_release);
        slot.shards.store(shards, std::memory_order_release);
        return;
    }
}

/// By a quarter. What names the chunks of the old array is kept, for readers who have it: a quarter
/// of a byte for each of its slots, so one byte for each of the new ones together with all before.
void InterestStripe::grow() {
    const Slots& old = *arrays_.back();
    const std::size_t chunks = old.chunks().size();
    auto larger = std::make_unique<Slots>(chunks_, chunks + chunks / 4 + 1);
    for (std::size_t i = 0; i < old.size(); ++i) {
        const std::uint64_t shards = old.at(i).shards.load(std::memory_order_relaxed);
        if (shards != 0) put(*larger, old.at(i).key.load(std::memory_order_relaxed), shards);
    }
    used_ = live_;
    arrays_.push_back(std::move(larger));
    slots_.store(arrays_.back().get(), std::memory_order_release);
    // Who reads in the old chunks tries again, if he has not finished before others write there.
    version_.store(version_.load(std::memory_order_relaxed) + 2, std::memory_order_release);
    chunks_.give_back(old.chunks());
}

void InterestStripe::tidy() {
    const Slots& slots = *arrays_.back();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> wanted;
    wanted.reserve(live_);
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const std::uint64_t shards = slots.at(i).shards.load(std::memory_order_relaxed);
        if (shards == 0) continue;
        wanted.emplace_back(slots.at(i).key.load(std::memory_order_relaxed), shards);
    }
    const std::uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);  // the stores below carry it along
    for (std::size_t i = 0; i < slots.size(); ++i) {
        slots.at(i).shards.store(0, std::memory_order_release);
        slots.at(i).key.store(0, std::memory_order_release);
    }
    for (const auto& [key, shards] : wanted) put(slots, key, shards);
    used_ = live_;
    version_.store(version + 2, std::memory_order_release);
}

InterestStripe::Counters InterestStripe::counters() const {
    const std::lock_guard lock{mutex_};
    Counters counters{.keys = live_, .memory_bytes = sizeof *this};
    for (const auto& slots : arrays_) {
        counters.memory_bytes += sizeof *slots + slots->chunks().size() * sizeof(Slot*);
    }
    // One byte of metadata for each of the map's slots.
    counters.memory_bytes += counts_.bucket_count() * (sizeof(decltype(counts_)::value_type) + 1);
    return counters;
}

}  // namespace stentor::server
