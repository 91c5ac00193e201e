#include "server/transport/handshakes.hpp"

#include "base/assert.hpp"

namespace stentor::server {

std::optional<ConnectionId> Handshakes::wait(ConnectionId who, std::uint64_t lane, Stage stage) {
    waits_since_.insert_or_assign(who.packed(), answers_);
    if (stage == Stage::answered) {
        further_.add(who, lane);
        return std::nullopt;
    }
    first_.add(who, lane);
    if (first_.size() <= bounds_.waiting_max) return std::nullopt;
    return first_.take_oldest_of_longest(lane);
}

Handshakes::Turn Handshakes::take_next() {
    STENTOR_ASSERT(anybody_waits());
    const bool goes_on = first_.empty() || (further_is_next_ && !further_.empty());
    further_is_next_ = !goes_on;
    const ConnectionId who = goes_on ? further_.take_next() : first_.take_next();
    const auto since = waits_since_.find(who.packed());
    const Turn turn{.who = who, .waited_for = answers_ - since->second};
    waits_since_.erase(since);
    return turn;
}

std::optional<ConnectionId> Handshakes::is_under_way(ConnectionId who, std::uint64_t lane) {
    if (under_way_.contains(who)) return std::nullopt;
    under_way_.add(who, lane);
    if (under_way_.size() <= bounds_.under_way_max) return std::nullopt;
    return under_way_.take_oldest_of_longest(lane);
}

void Handshakes::forget(ConnectionId who) {
    (void)first_.remove(who);
    (void)further_.remove(who);
    (void)under_way_.remove(who);
    waits_since_.erase(who.packed());
}

}  // namespace stentor::server
