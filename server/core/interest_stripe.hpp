#pragma once
// One stripe of the interest table: from the key of a filter to the shards that want it.
// Any thread. Writers lock; readers do not.
//
// How a reader can do without a lock: a key never moves within an array of slots, and an array is
// never freed before the stripe. A larger array is filled before it is published. Only tidy() moves
// keys in place; it makes the version odd meanwhile, and readers that saw it change try again.

#include "base/ids.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace stentor::server {

/// The hash of a filter: bit 0 is clear, and it is not 0.
class InterestKey {
  public:
    explicit InterestKey(std::uint64_t hash) noexcept : bits_{hash & ~std::uint64_t{1}} {
        if (bits_ == 0) bits_ = 2;
    }
    [[nodiscard]] std::uint64_t bits() const noexcept { return bits_; }

  private:
    std::uint64_t bits_;
};

class alignas(64) InterestStripe {
  public:
    struct Found {
        std::uint64_t shards = 0;  // a bit for each
        bool durable = false;
    };

    InterestStripe();
    InterestStripe(const InterestStripe&) = delete;
    InterestStripe& operator=(const InterestStripe&) = delete;
    ~InterestStripe() = default;

    void raise(InterestKey key, ShardId shard, bool durable);
    /// There must have been a raise() with the same arguments for it (asserted as far as it shows).
    void lower(InterestKey key, ShardId shard, bool durable);

    /// Sees every raise() that returned before the call, unless it has been undone.
    [[nodiscard]] Found look_up(InterestKey key) const noexcept;

    struct Counters {
        std::size_t keys = 0;
        std::size_t memory_bytes = 0;
    };
    [[nodiscard]] Counters counters() const;

  private:
    struct Slot {
        std::atomic<std::uint64_t> key{0};     // 0: free; bit 0: some durable session wants it
        std::atomic<std::uint64_t> shards{0};  // 0: nobody wants it, the slot may get another key
    };
    struct Slots {
        explicit Slots(std::size_t size) : mask{size - 1}, slots{std::make_unique<Slot[]>(size)} {}
        [[nodiscard]] std::size_t size() const noexcept { return mask + 1; }
        std::size_t mask;
        std::unique_ptr<Slot[]> slots;
    };
    struct Counts {
        std::uint32_t transient = 0;
        std::uint32_t durable = 0;
    };

    static void put(Slots& slots, std::uint64_t key_and_durable, std::uint64_t shards) noexcept;
    [[nodiscard]] Slot* find(InterestKey key) const noexcept;
    [[nodiscard]] Slot& find_or_insert(InterestKey key);
    [[nodiscard]] bool any_durable(InterestKey key, std::uint64_t shards) const;
    void make_room();
    void grow();
    void tidy();

    std::atomic<std::uint64_t> version_{0};
    std::atomic<Slots*> slots_;

    mutable std::mutex mutex_;  // guards what follows, and all writing
    std::vector<std::unique_ptr<Slots>>
        arrays_;            // the last one is current, readers may be in others
    std::size_t used_ = 0;  // slots with a key, wanted or not
    std::size_t live_ = 0;  // slots somebody wants
    boost::unordered_flat_map<std::uint64_t, Counts> counts_;  // by key and shard
};

}  // namespace stentor::server
