#include "server/shard/backlog_check.hpp"

#include <algorithm>

namespace stentor::server {

using mqtt::DropReason;

BacklogLoad BacklogBounds::load_of(std::uint64_t messages, std::uint64_t bytes) const noexcept {
    const auto part = [](std::uint64_t amount, std::uint64_t bound) {
        const auto exact = static_cast<double>(amount) / static_cast<double>(bound);
        constexpr double kMost = 2.0;  // more does not matter
        return static_cast<BacklogLoad>(std::min(exact, kMost) *
                                        static_cast<double>(kFullBacklog)) +
               1;
    };
    return std::max(part(messages, messages_max), part(bytes, bytes_max));
}

bool BacklogCheck::is_over_bounds() const noexcept {
    return waiting_.size() > bounds_.messages_max || bytes_ > bounds_.bytes_max;
}

void BacklogCheck::add(Seq seq, std::size_t bytes) {
    waiting_.push_back({seq, bytes});
    bytes_ += bytes;
    while (!waiting_.empty() && is_over_bounds()) {
        over_bounds_.push_back(waiting_.front().seq);
        bytes_ -= waiting_.front().bytes;
        waiting_.pop_front();
    }
}

/// Who holds little of what should go is spared while others hold much: what is needed of old
/// segments can be copied. Who holds nothing of it moves on at no cost.
Seq BacklogCheck::gives_way_below(Seq position) const {
    std::uint64_t held = 0;
    for (const Waiting& waiting : waiting_) {
        if (waiting.seq >= give_way_.large_below) break;
        if (waiting.seq > position) held += waiting.bytes;
    }
    const Seq below = std::max(give_way_.too_old_below, give_way_.everybody_below);
    const bool is_large = held == 0 || held >= give_way_.large_bytes;
    return is_large ? std::max(below, give_way_.large_below) : below;
}

BacklogCheck::Outcome BacklogCheck::conclude(Seq position, Seq read_through) const {
    Outcome outcome;
    for (const Seq seq : over_bounds_) {
        if (seq <= position) continue;
        ++outcome.lost;
        outcome.through = seq;
    }
    std::uint64_t left = waiting_.size();
    std::uint64_t left_bytes = bytes_;
    if (!is_due()) {
        const Seq below = gives_way_below(position);
        outcome.spared = below < give_way_.large_below;
        for (const Waiting& waiting : waiting_) {
            if (waiting.seq >= below && waiting.seq > position) break;
            --left;
            left_bytes -= waiting.bytes;
            if (waiting.seq <= position) continue;
            ++outcome.lost;
            outcome.reason =
                waiting.seq < give_way_.too_old_below ? DropReason::too_old : DropReason::log_full;
        }
        const Seq through = below == kNoSeq ? kNoSeq : Seq{below.value() - 1};
        outcome.through = std::max(outcome.through, std::min(through, read_through));
    }
    if (outcome.through <= position) outcome.through = kNoSeq;
    if (is_due()) return outcome;
    const BacklogLoad load = bounds_.load_of(left, left_bytes);
    outcome.room = std::max(kFullBacklog - std::min(load, kFullBacklog), kBacklogSlack);
    return outcome;
}

}  // namespace stentor::server
