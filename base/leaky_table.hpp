#pragma once
// How much of something each of very many strangers has done lately, in fixed memory: leaky buckets
// by hash. What was added leaks away with time; who has nothing in the bucket needs no entry.
//
// At the bound: an entry can stand in eight places, and of those the one with the least in it gives
// way. Whoever tries to be forgotten by bringing more strangers than there are entries has to give
// each of them as much as he has himself.
// Pure: time is handed in and may be anybody's clock. No locks: one thread, or the owner's mutex.

#include "base/clock.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stentor {

class LeakyTable {
  public:
    /// 16 bytes each; at least eight, rounded up to a power of two.
    explicit LeakyTable(std::size_t entries) {
        std::size_t rows = 1;
        while (rows * kPlaces < entries) rows *= 2;
        rows_.resize(rows);
    }

    /// What is in the bucket of `key`, a good hash: how long it takes to run empty.
    [[nodiscard]] Duration level(std::uint64_t key, Instant now) const noexcept {
        const Entry* entry = find(key);
        return entry == nullptr ? Duration::zero() : entry->level(now);
    }

    /// Adds to it. Returns what is in it then.
    Duration add(std::uint64_t key, Duration amount, Instant now) noexcept {
        Row& row = rows_[key & (rows_.size() - 1)];
        auto* entry = const_cast<Entry*>(find(key));  // NOLINT(*-const-cast): it is ours
        if (entry == nullptr) {
            entry = &*std::min_element(row.begin(), row.end(), [](const Entry& a, const Entry& b) {
                return a.empty_at < b.empty_at;
            });
            *entry = {.key = key, .empty_at = now};
        }
        entry->empty_at = saturating_add(std::max(entry->empty_at, now), amount);
        return entry->level(now);
    }

    /// Takes some of what was added out again; no more than is there, and nothing of a stranger.
    void take_out(std::uint64_t key, Duration amount, Instant now) noexcept {
        if (const Entry* entry = find(key)) {
            const Duration left = std::max(entry->level(now) - amount, Duration::zero());
            const_cast<Entry*>(entry)->empty_at = now + left;  // NOLINT(*-const-cast): it is ours
        }
    }

    /// Empties it.
    void forget(std::uint64_t key) noexcept {
        if (const Entry* entry = find(key)) {
            const_cast<Entry*>(entry)->empty_at = Instant{};  // NOLINT(*-const-cast): it is ours
        }
    }

  private:
    static constexpr std::size_t kPlaces = 8;
    struct Entry {
        std::uint64_t key = 0;
        Instant empty_at{};  // the level runs down to nothing then

        [[nodiscard]] Duration level(Instant now) const noexcept {
            return std::max(empty_at - now, Duration::zero());
        }
    };
    using Row = std::array<Entry, kPlaces>;

    [[nodiscard]] const Entry* find(std::uint64_t key) const noexcept {
        const Row& row = rows_[key & (rows_.size() - 1)];
        const auto at = std::find_if(
            row.begin(), row.end(), [&](const Entry& entry) { return entry.key == key; });
        return at == row.end() ? nullptr : &*at;
    }

    std::vector<Row> rows_;
};

}  // namespace stentor
