#include "server/transport/handshakes.hpp"

#include "base/assert.hpp"

namespace stentor::server {

std::optional<ConnectionId> Handshakes::wait(ConnectionId who,
                                             std::uint64_t lane,
                                             Stage stage,
                                             Instant now) {
    waits_.insert_or_assign(who.packed(), Wait{.answers = answers_, .since = now});
    if (stage == Stage::answered) {
        further_.add(who, lane);
        return std::nullopt;
    }
    first_.add(who, lane);
    if (under_way_.contains(who)) ++of_both_;
    if (first_.size() <= bounds_.waiting_max) return std::nullopt;
    const ConnectionId excess = first_.take_oldest_of_longest(lane);
    has_left_first(excess);
    return excess;
}

void Handshakes::has_left_first(ConnectionId who) noexcept {
    if (under_way_.contains(who)) --of_both_;
}

Handshakes::Turn Handshakes::take_next() {
    STENTOR_ASSERT(anybody_waits());
    const bool goes_on = first_.empty() || (further_is_next_ && !further_.empty());
    further_is_next_ = !goes_on;
    const ConnectionId who = goes_on ? further_.take_next() : first_.take_next();
    if (!goes_on) has_left_first(who);
    const auto wait = waits_.find(who.packed());
    const Turn turn{
        .who = who, .waited_for = answers_ - wait->second.answers, .since = wait->second.since};
    waits_.erase(wait);
    return turn;
}

std::optional<ConnectionId> Handshakes::is_under_way(ConnectionId who, std::uint64_t lane) {
    if (under_way_.contains(who)) return std::nullopt;
    under_way_.add(who, lane);
    if (under_way_.size() <= bounds_.under_way_max) return std::nullopt;
    const ConnectionId excess = under_way_.take_oldest_of_longest(lane);
    if (first_.contains(excess)) --of_both_;
    return excess;
}

void Handshakes::forget(ConnectionId who) {
    if (first_.remove(who)) has_left_first(who);
    (void)further_.remove(who);
    (void)under_way_.remove(who);
    waits_.erase(who.packed());
}

}  // namespace stentor::server
