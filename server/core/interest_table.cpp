#include "server/core/interest_table.hpp"

#include "base/assert.hpp"
#include "protocol/message.hpp"
#include "protocol/topic/filter_shape.hpp"
#include "server/core/interest_stripe.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>

namespace stentor::server {

namespace {

using mqtt::FilterShape;
using mqtt::LevelHashes;

constexpr std::size_t kStripes = 256;
constexpr std::size_t kWidenedSlots = InterestTable::kWidenedLevelsMax + 1;

// A shape that readers see while it is in use. It changes only when nothing has been raised under
// the old shape any more and nothing yet under the new one; who reads half of each finds a shape
// that nobody relies on.
class ShapeSlot {
  public:
    void publish(const FilterShape& shape) noexcept {
        plus_levels_.store(shape.plus_levels, std::memory_order_release);
        rest_.store(kInUse | (shape.multi_level ? kMultiLevel : 0U) | shape.levels,
                    std::memory_order_release);
    }
    void withdraw() noexcept { rest_.store(0, std::memory_order_release); }

    [[nodiscard]] std::optional<FilterShape> get() const noexcept {
        const std::uint32_t rest = rest_.load(std::memory_order_acquire);
        if (rest == 0) return std::nullopt;
        return FilterShape{.plus_levels = plus_levels_.load(std::memory_order_acquire),
                           .levels = static_cast<std::uint8_t>(rest & 0xFFU),
                           .multi_level = (rest & kMultiLevel) != 0};
    }

  private:
    static constexpr std::uint32_t kMultiLevel = 0x100;
    static constexpr std::uint32_t kInUse = 0x200;

    std::atomic<std::uint64_t> plus_levels_{0};
    std::atomic<std::uint32_t> rest_{0};
};

// The wildcard shapes in use. Slots 0 .. kWidenedLevelsMax belong to "#" .. "1/../7/#", into which
// shapes that find no other slot free are widened.
class ShapeRegistry {
  public:
    // The shape under which the filters of `shape` are entered. The answer stays the same until
    // as many leave().
    FilterShape enter(const FilterShape& shape) {
        const std::lock_guard lock{mutex_};
        const FilterShape entered = choose(shape);
        if (entered != shape) ++take(entered).filters;
        return entered;
    }

    // To be called before the key is lowered; finish with leave() after it.
    FilterShape entered_as(const FilterShape& shape) const {
        const std::lock_guard lock{mutex_};
        const auto use = uses_.find(shape);
        STENTOR_ASSERT(use != uses_.end(), "lower() without raise()");
        return use->second.is_widened ? widen(shape) : shape;
    }

    void leave(const FilterShape& shape) {
        const std::lock_guard lock{mutex_};
        const auto use = uses_.find(shape);
        const bool was_widened = use->second.is_widened;
        drop(use);
        if (was_widened) drop(uses_.find(widen(shape)));
    }

    // Calls visit(shape) for every shape under which a key may be found.
    template <class Visit>
    void for_each(const Visit& visit) const noexcept {
        const std::size_t end = end_.load(std::memory_order_acquire);
        for (std::size_t i = 0; i < end; ++i) {
            if (const auto shape = slots_[i].get()) visit(*shape);
        }
    }

    void count(InterestTable::Counters& counters) const {
        const std::lock_guard lock{mutex_};
        for (const auto& [shape, use] : uses_) {
            ++(use.is_widened ? counters.widened_shapes : counters.shapes);
        }
        counters.memory_bytes +=
            sizeof *this + uses_.bucket_count() * (sizeof(Uses::value_type) + 1);
    }

  private:
    struct Use {
        std::size_t filters = 0;
        std::size_t slot = 0;
        bool is_widened = false;  // decided when the first filter comes, kept until the last goes
    };
    using Uses = boost::unordered_flat_map<FilterShape, Use>;

    static FilterShape widen(const FilterShape& shape) noexcept {
        return shape.widened(static_cast<std::uint8_t>(std::min<std::size_t>(
            shape.literal_prefix_levels(), InterestTable::kWidenedLevelsMax)));
    }

    std::optional<std::size_t> free_slot(const FilterShape& shape) const noexcept {
        if (shape.plus_levels == 0 && shape.levels < kWidenedSlots) return shape.levels;
        for (std::size_t i = kWidenedSlots; i < slots_.size(); ++i) {
            if (!slots_[i].get()) return i;
        }
        return std::nullopt;
    }

    Use& take(const FilterShape& shape) {
        const auto [at, is_new] = uses_.try_emplace(shape);
        Use& use = at->second;
        if (!is_new) return use;
        if (const auto slot = free_slot(shape)) {
            use.slot = *slot;
            slots_[use.slot].publish(shape);
            if (use.slot >= end_.load(std::memory_order_relaxed)) {
                end_.store(use.slot + 1, std::memory_order_release);
            }
        } else {
            use.is_widened = true;
        }
        return use;
    }

    FilterShape choose(const FilterShape& shape) {
        Use& use = take(shape);
        ++use.filters;
        return use.is_widened ? widen(shape) : shape;
    }

    void drop(Uses::iterator use) {
        STENTOR_ASSERT(use != uses_.end() && use->second.filters != 0);
        if (--use->second.filters != 0) return;
        if (!use->second.is_widened) {
            slots_[use->second.slot].withdraw();
            std::size_t end = end_.load(std::memory_order_relaxed);
            while (end != 0 && !slots_[end - 1].get()) --end;
            end_.store(end, std::memory_order_release);
        }
        uses_.erase(use);
    }

    std::array<ShapeSlot, kWidenedSlots + InterestTable::kShapesMax> slots_;
    std::atomic<std::size_t> end_{0};  // slots from here on are free

    mutable std::mutex mutex_;  // guards uses_, and all writing
    Uses uses_;
};

}  // namespace

struct InterestTable::Impl {
    explicit Impl(const HashKey& hash_key) : key{hash_key} {
        for (std::size_t i = 0; i < kStripes; ++i) stripes.emplace_back(chunks);
    }

    HashKey key;
    ShapeRegistry shapes;
    InterestChunks chunks;
    std::deque<InterestStripe> stripes;  // kStripes: they cannot be moved

    [[nodiscard]] InterestStripe& stripe_of(InterestKey interest_key) noexcept {
        return stripes[interest_key.bits() >> 56U];
    }
    [[nodiscard]] InterestKey key_of(const FilterShape& shape, const LevelHashes& levels) const {
        return InterestKey{literal_hash(shape, levels)};
    }
};

InterestTable::InterestTable(const HashKey& key) : impl_{std::make_unique<Impl>(key)} {}
InterestTable::~InterestTable() = default;

void InterestTable::raise(std::string_view filter, ShardId shard, Durability durability) {
    STENTOR_ASSERT(shard.value() < kShardsMax);
    const bool durable = durability == Durability::durable;
    const FilterShape shape = mqtt::shape_of(filter);
    if (shape.is_exact()) {
        const InterestKey key{mqtt::topic_hash(filter)};
        impl_->stripe_of(key).raise(key, shard, durable);
        return;
    }
    // The shape first: a key that nobody looks for would be an interest that nobody sees.
    const FilterShape entered = impl_->shapes.enter(shape);
    const InterestKey key = impl_->key_of(entered, LevelHashes{impl_->key, filter});
    impl_->stripe_of(key).raise(key, shard, durable);
}

void InterestTable::lower(std::string_view filter, ShardId shard, Durability durability) {
    STENTOR_ASSERT(shard.value() < kShardsMax);
    const bool durable = durability == Durability::durable;
    const FilterShape shape = mqtt::shape_of(filter);
    if (shape.is_exact()) {
        const InterestKey key{mqtt::topic_hash(filter)};
        impl_->stripe_of(key).lower(key, shard, durable);
        return;
    }
    const FilterShape entered = impl_->shapes.entered_as(shape);
    const InterestKey key = impl_->key_of(entered, LevelHashes{impl_->key, filter});
    impl_->stripe_of(key).lower(key, shard, durable);
    impl_->shapes.leave(shape);
}

Interest InterestTable::look_up(std::string_view topic, std::uint64_t topic_hash) const noexcept {
    Interest interest;
    const auto probe = [&](InterestKey key) {
        const InterestStripe::Found found = impl_->stripe_of(key).look_up(key);
        interest.shards |= ShardMask{found.shards};
        interest.durable |= found.durable;
    };
    probe(InterestKey{topic_hash});
    std::optional<LevelHashes> levels;  // worked out only if there is a wildcard
    const bool is_dollar_topic = topic.starts_with('$');
    impl_->shapes.for_each([&](const FilterShape& shape) {
        if (is_dollar_topic && shape.begins_with_wildcard()) return;  // [MQTT-4.7.2-1]
        if (!levels) levels.emplace(impl_->key, topic);
        if (shape.admits(levels->size())) probe(impl_->key_of(shape, *levels));
    });
    return interest;
}

InterestTable::Counters InterestTable::counters() const {
    Counters counters;
    impl_->shapes.count(counters);
    counters.memory_bytes += impl_->chunks.memory_bytes();
    for (const InterestStripe& stripe : impl_->stripes) {
        const InterestStripe::Counters part = stripe.counters();
        counters.keys += part.keys;
        counters.memory_bytes += part.memory_bytes;
    }
    return counters;
}

}  // namespace stentor::server
