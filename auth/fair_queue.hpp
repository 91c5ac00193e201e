#pragma once
// A queue with a lane for each source, served in turn: however much one source brings, another
// one's first item waits for one of each. Where there are too many, the last one of the lane with
// the most goes. No bounds of its own. One thread, or the owner's mutex.

#include "base/assert.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <unordered_map>
#include <utility>

namespace stentor::auth {

template <class T>
class FairQueue {
  public:
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    /// As push() was told.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    /// `lane`: a good hash of the source. `bytes`: what the item holds in memory.
    void push(std::uint64_t lane, T item, std::size_t bytes) {
        Lane& to = lanes_[lane];
        if (to.items.empty()) turns_.push_back(lane);
        to.items.push_back({std::move(item), bytes});
        to.bytes += bytes;
        bytes_ += bytes;
        ++size_;
    }

    /// Of the lane whose turn it is. Not while empty().
    [[nodiscard]] T take_next() {
        STENTOR_ASSERT(!empty());
        const std::uint64_t lane = turns_.front();
        turns_.pop_front();
        const auto from = lanes_.find(lane);
        Item item = std::move(from->second.items.front());
        from->second.items.pop_front();
        took(from, item.bytes);
        if (from->second.items.empty()) {
            lanes_.erase(from);
        } else {
            turns_.push_back(lane);
        }
        return std::move(item.item);
    }

    /// Of the lane with the most items; among equals of the one that would wait longest. It looks
    /// at each lane. Not while empty().
    [[nodiscard]] T take_last_of_longest() {
        return take_last_of_most([](const Lane& lane) { return lane.items.size(); });
    }
    /// Likewise by bytes.
    [[nodiscard]] T take_last_of_heaviest() {
        return take_last_of_most([](const Lane& lane) { return lane.bytes; });
    }

    /// In no order.
    void clear() noexcept {
        lanes_.clear();
        turns_.clear();
        size_ = 0;
        bytes_ = 0;
    }

  private:
    struct Item {
        T item;
        std::size_t bytes;
    };
    struct Lane {
        std::deque<Item> items;
        std::size_t bytes = 0;
    };
    using Lanes = std::unordered_map<std::uint64_t, Lane>;  // none is empty

    void took(typename Lanes::iterator from, std::size_t bytes) noexcept {
        from->second.bytes -= bytes;
        bytes_ -= bytes;
        --size_;
    }

    template <class Measure>
    T take_last_of_most(Measure&& measure) {
        const auto most =
            std::max_element(turns_.rbegin(), turns_.rend(), [&](std::uint64_t a, std::uint64_t b) {
                return measure(lanes_.find(a)->second) < measure(lanes_.find(b)->second);
            });
        STENTOR_ASSERT(most != turns_.rend());
        const auto from = lanes_.find(*most);
        Item item = std::move(from->second.items.back());
        from->second.items.pop_back();
        took(from, item.bytes);
        if (from->second.items.empty()) {
            lanes_.erase(from);
            turns_.erase(std::next(most).base());
        }
        return std::move(item.item);
    }

    Lanes lanes_;
    std::deque<std::uint64_t> turns_;  // each lane once, the next one in front
    std::size_t size_ = 0;
    std::size_t bytes_ = 0;
};

}  // namespace stentor::auth
