#pragma once
// One stripe of the interest table: from the key of a filter to the shards that want it.
// Any thread. Writers lock; readers do not.
//
// How a reader can do without a lock: a key never moves within an array of slots, and the memory of
// slots is never freed before the table. A larger array is filled before it is published; then the
// chunks of the smaller one are given to whoever grows next, and readers that may still be in them
// see that their stripe's version has changed and try again. tidy() moves keys in place: it makes
// the version odd meanwhile.
//
// A filter that one subscription wants, and most are of that kind, costs its slot and no more: 16
// bytes at a load of 0.6 to 0.75. Counts are kept where there are several.

#include "base/ids.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace stentor::server {

/// The hash of a filter: bits 0 and 1 are clear, and it is not 0.
class InterestKey {
  public:
    explicit InterestKey(std::uint64_t hash) noexcept : bits_{hash & ~std::uint64_t{3}} {
        if (bits_ == 0) bits_ = 4;
    }
    [[nodiscard]] std::uint64_t bits() const noexcept { return bits_; }

  private:
    std::uint64_t bits_;
};

struct InterestSlot {
    std::atomic<std::uint64_t> key{0};     // 0: free; bits 0 and 1: flags, see interest_stripe.cpp
    std::atomic<std::uint64_t> shards{0};  // 0: nobody wants it, the slot may get another key
};

/// Memory for slots, passed on between the stripes of a table. Any thread.
class InterestChunks {
  public:
    static constexpr std::size_t kSlots = 32;
    using Chunk = std::array<InterestSlot, kSlots>;

    /// All free. Readers of a stripe that gave it back earlier may be in it.
    [[nodiscard]] Chunk* take();
    /// No reader can come any more, and those inside will notice.
    void give_back(std::span<Chunk* const> chunks);
    [[nodiscard]] std::size_t memory_bytes() const;

  private:
    static constexpr std::size_t kTogether = 32;  // allocated at once

    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Chunk[]>> all_;
    std::vector<Chunk*> free_;
};

class alignas(64) InterestStripe {
  public:
    struct Found {
        std::uint64_t shards = 0;  // a bit for each
        bool durable = false;
    };

    /// `chunks` outlives the stripe.
    explicit InterestStripe(InterestChunks& chunks);
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
        std::size_t memory_bytes = 0;  // less what belongs to InterestChunks
    };
    [[nodiscard]] Counters counters() const;

  private:
    using Slot = InterestSlot;
    class Slots {
      public:
        Slots(InterestChunks& chunks, std::size_t count);
        [[nodiscard]] std::size_t size() const noexcept {
            return chunks_.size() * InterestChunks::kSlots;
        }
        [[nodiscard]] Slot& at(std::size_t i) const noexcept {
            return (*chunks_[i / InterestChunks::kSlots])[i % InterestChunks::kSlots];
        }
        /// Where a key is looked for first; then in those behind it, and behind the last at the
        /// first.
        [[nodiscard]] std::size_t place_of(std::uint64_t key) const noexcept;
        [[nodiscard]] std::size_t after(std::size_t i) const noexcept {
            return i + 1 == size() ? 0 : i + 1;
        }
        [[nodiscard]] std::span<InterestChunks::Chunk* const> chunks() const noexcept {
            return chunks_;
        }

      private:
        std::vector<InterestChunks::Chunk*> chunks_;
    };
    struct Counts {
        std::uint32_t transient = 0;
        std::uint32_t durable = 0;
    };

    static void put(const Slots& slots, std::uint64_t key_and_flags, std::uint64_t shards) noexcept;
    [[nodiscard]] Slot* find(InterestKey key) const noexcept;
    [[nodiscard]] Slot& find_or_insert(InterestKey key);
    void count_the_only_one(Slot& slot, InterestKey key);
    void lower_the_only_one(Slot& slot, InterestKey key, ShardId shard, bool durable);
    [[nodiscard]] bool any_durable(InterestKey key, std::uint64_t shards) const;
    void make_room();
    void grow();
    void tidy();

    InterestChunks& chunks_;
    std::atomic<std::uint64_t> version_{0};
    std::atomic<Slots*> slots_;

    mutable std::mutex mutex_;                    // guards what follows, and all writing
    std::vector<std::unique_ptr<Slots>> arrays_;  // the last one is current; see grow()
    std::size_t used_ = 0;                        // slots with a key, wanted or not
    std::size_t live_ = 0;                        // slots somebody wants
    boost::unordered_flat_map<std::uint64_t, Counts> counts_;  // by key and shard, if several
};

}  // namespace stentor::server
