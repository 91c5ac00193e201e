#include "server/transport/address_lanes.hpp"

#include "base/assert.hpp"

#include <iterator>

namespace stentor::server {

void AddressLanes::add(ConnectionId who, std::uint64_t lane) {
    const auto [found, is_new] = lanes_.try_emplace(lane);
    Lane& to = found->second;
    if (is_new) to.turn = turns_.insert(turns_.end(), lane);
    to.members.push_back(who);
    const bool first_time =
        places_.try_emplace(who.packed(), Place{lane, std::prev(to.members.end())}).second;
    STENTOR_ASSERT(first_time, "a connection waits once");
    has_changed(lane, to.members.size() - 1, to.members.size());
}

bool AddressLanes::remove(ConnectionId who) {
    const auto place = places_.find(who.packed());
    if (place == places_.end()) return false;
    const std::uint64_t lane = place->second.lane;
    const auto from = lanes_.find(lane);
    from->second.members.erase(place->second.at);
    places_.erase(place);
    const std::size_t left = from->second.members.size();
    has_changed(lane, left + 1, left);
    if (left == 0) {
        turns_.erase(from->second.turn);
        lanes_.erase(from);
    }
    return true;
}

ConnectionId AddressLanes::take_next() {
    STENTOR_ASSERT(!empty());
    Lane& lane = lanes_.find(turns_.front())->second;
    turns_.splice(turns_.end(), turns_, lane.turn);
    const ConnectionId next = lane.newest_is_next ? lane.members.back() : lane.members.front();
    lane.newest_is_next = !lane.newest_is_next;
    (void)remove(next);
    return next;
}

ConnectionId AddressLanes::take_oldest_of_longest(std::uint64_t lane) {
    STENTOR_ASSERT(!empty());
    const auto longest = *by_length_.rbegin();
    const bool is_as_long = by_length_.contains({longest.first, lane});
    const ConnectionId oldest =
        lanes_.find(is_as_long ? lane : longest.second)->second.members.front();
    (void)remove(oldest);
    return oldest;
}

void AddressLanes::has_changed(std::uint64_t lane, std::size_t before, std::size_t after) {
    // NOLINTNEXTLINE(readability-qualified-auto)
    auto node = by_length_.extract({before, lane});
    if (after == 0) return;
    if (node.empty()) {
        by_length_.insert({after, lane});
        return;
    }
    node.value().first = after;
    by_length_.insert(std::move(node));
}

}  // namespace stentor::server
