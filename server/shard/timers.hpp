#pragma once
// A shard's deadlines: 16 bytes each, in one heap. Nothing is taken out as soon as it is stale:
// whoever owns a deadline that fires looks whether it still means something, and sets the next one
// if it was too early. A keep-alive therefore costs one entry per period, and a read none. When
// most entries must be stale, the shard sweeps them out: so there are at most twice 4 per
// connection, 2 per session and 1024 of them, or what came since the last look a second ago.
// One thread: the shard's.

#include "base/clock.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace stentor::server {

enum class TimerKind : std::uint8_t {
    connect_timeout,  // until CONNACK; id = connection slot
    keep_alive,       // id = connection slot
    session_expiry,   // id = session slot
    will_delay,       // id = session slot
    housekeeping,     // the shard's own rounds; id = which
    rate,             // reading goes on; id = connection slot
    credentials,      // they are valid no longer; id = connection slot
};

struct Timer {
    Instant at;
    std::uint32_t id = 0;
    std::uint32_t kind_and_tag = 0;  // kind in the lowest 3 bits, the owner's generation above

    [[nodiscard]] TimerKind kind() const noexcept {
        return static_cast<TimerKind>(kind_and_tag & 7U);
    }
    /// The low 29 bits of the generation that set it: compare with same_tag().
    [[nodiscard]] std::uint32_t tag() const noexcept { return kind_and_tag >> 3U; }
};
static_assert(sizeof(Timer) == 16);

class Timers {
  public:
    void set(Instant at, TimerKind kind, std::uint32_t id, std::uint32_t generation) {
        heap_.push_back({.at = at,
                         .id = id,
                         .kind_and_tag = generation << 3U | static_cast<std::uint32_t>(kind)});
        std::push_heap(heap_.begin(), heap_.end(), kLater);
    }

    [[nodiscard]] static bool same_tag(std::uint32_t tag, std::uint32_t generation) noexcept {
        return tag == (generation & 0x1FFF'FFFFU);
    }

    /// kNever without any.
    [[nodiscard]] Instant next() const noexcept {
        return heap_.empty() ? kNever : heap_.front().at;
    }

    /// Takes the next deadline at or before `now` into `due`; false if there is none.
    [[nodiscard]] bool pop_due(Instant now, Timer& due) {
        if (heap_.empty() || heap_.front().at > now) return false;
        std::pop_heap(heap_.begin(), heap_.end(), kLater);
        due = heap_.back();
        heap_.pop_back();
        return true;
    }

    /// Removes the deadlines of which `is_stale` says that nobody waits for them.
    template <class IsStale>
    void sweep(IsStale&& is_stale) {
        std::erase_if(heap_, is_stale);
        std::make_heap(heap_.begin(), heap_.end(), kLater);
        heap_.shrink_to_fit();
    }

    [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }

  private:
    static constexpr auto kLater = [](const Timer& a, const Timer& b) { return a.at > b.at; };
    std::vector<Timer> heap_;
};

}  // namespace stentor::server
