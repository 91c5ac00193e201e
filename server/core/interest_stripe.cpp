#include "server/core/interest_stripe.hpp"

#include "base/assert.hpp"

#include <bit>
#include <thread>
#include <utility>

namespace stentor::server {

namespace {

constexpr std::size_t kSlotsMin = 16;
constexpr std::uint64_t kDurableBit = 1;

// Two (key, shard) pairs with the same number share their counts: the sum falls to zero only when
// both have, so an interest may outlive its subscription, and none is lost.
std::uint64_t count_key(InterestKey key, ShardId shard) noexcept {
    return key.bits() + std::uint64_t{shard.value()} * 0x9E37'79B9'7F4A'7C15U;
}

std::uint64_t bit_of(ShardId shard) noexcept { return std::uint64_t{1} << shard.value(); }

// The low bits choose the slot, so that they are not those that chose the stripe.
std::size_t slot_of(std::uint64_t key) noexcept { return static_cast<std::size_t>(key >> 1U); }

}  // namespace

InterestStripe::InterestStripe() {
    arrays_.push_back(std::make_unique<Slots>(kSlotsMin));
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
        for (std::size_t i = slot_of(key.bits()), left = slots.size(); left != 0; ++i, --left) {
            const Slot& slot = slots.slots[i & slots.mask];
            const std::uint64_t present = slot.key.load(std::memory_order_acquire);
            if (present == 0) break;
            if ((present & ~kDurableBit) != key.bits()) continue;
            found.shards = slot.shards.load(std::memory_order_acquire);
            found.durable = found.shards != 0 && (present & kDurableBit) != 0;
            break;
        }
        if (version_.load(std::memory_order_relaxed) == version) return found;
    }
}

InterestStripe::Slot* InterestStripe::find(InterestKey key) const noexcept {
    const Slots& slots = *arrays_.back();
    for (std::size_t i = slot_of(key.bits());; ++i) {
        Slot& slot = slots.slots[i & slots.mask];
        const std::uint64_t present = slot.key.load(std::memory_order_relaxed);
        if (present == 0) return nullptr;
        if ((present & ~kDurableBit) == key.bits()) return &slot;
    }
}

InterestStripe::Slot& InterestStripe::find_or_insert(InterestKey key) {
    if (Slot* const slot = find(key)) return *slot;
    make_room();
    const Slots& slots = *arrays_.back();
    for (std::size_t i = slot_of(key.bits());; ++i) {
        Slot& slot = slots.slots[i & slots.mask];
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
    Counts& counts = counts_[count_key(key, shard)];
    ++(durable ? counts.durable : counts.transient);
    Slot& slot = find_or_insert(key);
    const std::uint64_t shards = slot.shards.load(std::memory_order_relaxed);
    if (shards == 0) ++live_;
    if (durable) {
        const std::uint64_t present = slot.key.load(std::memory_order_relaxed);
        slot.key.store(present | kDurableBit, std::memory_order_release);
    }
    slot.shards.store(shards | bit_of(shard), std::memory_order_release);
    // Unlocking is a read-modify-write, so on leaving the stores are visible, not only on their
    // way.
}

bool InterestStripe::any_durable(InterestKey key, std::uint64_t shards) const {
    for (; shards != 0; shards &= shards - 1) {
        const ShardId shard{static_cast<ShardId::rep>(std::countr_zero(shards))};
        const auto counts = counts_.find(count_key(key, shard));
        if (counts != counts_.end() && counts->second.durable != 0) return true;
    }
    return false;
}

void InterestStripe::lower(InterestKey key, ShardId shard, bool durable) {
    const std::lock_guard lock{mutex_};
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

    Slot* const slot = find(key);
    STENTOR_ASSERT(slot != nullptr);
    std::uint64_t shards = slot->shards.load(std::memory_order_relaxed);
    if (shard_left && (shards & bit_of(shard)) != 0) {
        shards &= ~bit_of(shard);
        slot->shards.store(shards, std::memory_order_release);
        if (shards == 0) --live_;
    }
    if (durable_left && !any_durable(key, shards)) {
        slot->key.store(key.bits(), std::memory_order_release);
    }
}

void InterestStripe::make_room() {
    const std::size_t size = arrays_.back()->size();
    if ((used_ + 1) * 4 <= size * 3) return;
    if (live_ * 2 > size) {
        grow();
    } else {
        tidy();
    }
}

void InterestStripe::put(Slots& slots,
                         std::uint64_t key_and_durable,
                         std::uint64_t shards) noexcept {
    for (std::size_t i = slot_of(key_and_durable);; ++i) {
        Slot& slot = slots.slots[i & slots.mask];
        if (slot.key.load(std::memory_order_relaxed) != 0) continue;
        slot.key.store(key_and_durable, std::memory_order_release);
        slot.shards.store(shards, std::memory_order_release);
        return;
    }
}

void InterestStripe::grow() {
    const Slots& old = *arrays_.back();
    auto larger = std::make_unique<Slots>(old.size() * 2);
    for (std::size_t i = 0; i < old.size(); ++i) {
        const std::uint64_t shards = old.slots[i].shards.load(std::memory_order_relaxed);
        if (shards != 0) put(*larger, old.slots[i].key.load(std::memory_order_relaxed), shards);
    }
    used_ = live_;
    arrays_.push_back(std::move(larger));
    slots_.store(arrays_.back().get(), std::memory_order_release);
}

void InterestStripe::tidy() {
    Slots& slots = *arrays_.back();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> wanted;
    wanted.reserve(live_);
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const Slot& slot = slots.slots[i];
        const std::uint64_t shards = slot.shards.load(std::memory_order_relaxed);
        if (shards != 0) wanted.emplace_back(slot.key.load(std::memory_order_relaxed), shards);
    }
    const std::uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);  // the stores below carry it along
    for (std::size_t i = 0; i < slots.size(); ++i) {
        slots.slots[i].shards.store(0, std::memory_order_release);
        slots.slots[i].key.store(0, std::memory_order_release);
    }
    for (const auto& [key, shards] : wanted) put(slots, key, shards);
    used_ = live_;
    version_.store(version + 2, std::memory_order_release);
}

InterestStripe::Counters InterestStripe::counters() const {
    const std::lock_guard lock{mutex_};
    Counters counters{.keys = live_, .memory_bytes = sizeof *this};
    for (const auto& slots : arrays_) counters.memory_bytes += slots->size() * sizeof(Slot);
    // One byte of metadata for each of the map's slots.
    counters.memory_bytes += counts_.bucket_count() * (sizeof(decltype(counts_)::value_type) + 1);
    return counters;
}

}  // namespace stentor::server
