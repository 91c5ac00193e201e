#pragma once
// How much waits for a session, and which of it the session has to lose to a bound: the oldest, and
// no more than it must. One check walks the session's part of the log once, from its position on.
// Pure; a value of its session's shard.

#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "protocol/session/session_types.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace stentor::server {

/// How much may wait, in parts of the bounds. A session's share of what was logged is never more
/// than what was logged: it is not counted anew before that could have reached a bound.
using BacklogLoad = std::uint64_t;
inline constexpr BacklogLoad kFullBacklog = BacklogLoad{1} << 30U;
inline constexpr BacklogLoad kBacklogSlack = kFullBacklog / 16;  // between two counts at least

/// What may wait for one durable session; the newest stay.
struct BacklogBounds {
    std::uint64_t messages_max = 100'000;  // at least 1, as is bytes_max
    std::uint64_t bytes_max = std::uint64_t{64} << 20U;

    [[nodiscard]] BacklogLoad load_of(std::uint64_t messages, std::uint64_t bytes) const noexcept;
};

class BacklogCheck {
  public:
    /// `give_way`: what the bounds of the log ask for.
    BacklogCheck(const BacklogBounds& bounds, const store::GiveWay& give_way)
        : bounds_{bounds}, give_way_{give_way} {}

    /// A message that waits, in order of seq.
    void add(Seq seq, std::size_t bytes);

    /// So much is lost already that the session should be advanced before more is read: what is
    /// remembered here is bounded by the bounds and this.
    [[nodiscard]] bool is_due() const noexcept { return over_bounds_.size() >= kLostMax; }

    /// See GiveWay: as it was when the check began.
    [[nodiscard]] Seq large_below() const noexcept { return give_way_.large_below; }

    struct Outcome {
        Seq through;             // the session goes on behind it; kNoSeq: it stays where it is
        std::uint64_t lost = 0;  // of what waited for it
        mqtt::DropReason reason = mqtt::DropReason::backlog_full;  // of the newest of them
        bool spared = false;   // it holds too little of what large sessions are to give up
        BacklogLoad room = 0;  // when that has been logged it can be at a bound of its own
    };
    /// `position`: all up to it has been sent to the session meanwhile. `read_through`: everything
    /// that waits up to there was added.
    [[nodiscard]] Outcome conclude(Seq position, Seq read_through) const;

  private:
    static constexpr std::size_t kLostMax = 65'536;

    struct Waiting {
        Seq seq;
        std::size_t bytes = 0;
    };
    [[nodiscard]] bool is_over_bounds() const noexcept;
    [[nodiscard]] Seq gives_way_below(Seq position) const;

    BacklogBounds bounds_;
    store::GiveWay give_way_;
    std::vector<Seq> over_bounds_;  // lost to the session's own bounds
    std::deque<Waiting> waiting_;   // what they let stay
    std::uint64_t bytes_ = 0;       // of it
};

}  // namespace stentor::server
