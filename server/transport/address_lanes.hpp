#pragma once
// Connections that wait for something, in lanes, one for each address: however many one address
// has, another's wait for one of each. Of a lane the one that has waited longest and the one that
// came last go alternately: who comes behind a heap does not wait for all of it, and nobody for
// ever. Any of them can leave. No bound of its own: the longest lane is known at once.
// Pure. One thread.

#include "base/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <set>
#include <unordered_map>
#include <utility>

namespace stentor::server {

class AddressLanes {
  public:
    [[nodiscard]] std::size_t size() const noexcept { return places_.size(); }
    [[nodiscard]] bool empty() const noexcept { return places_.empty(); }
    [[nodiscard]] bool contains(ConnectionId who) const noexcept {
        return places_.contains(who.packed());
    }

    /// `lane`: a good hash of the address. Not twice.
    void add(ConnectionId who, std::uint64_t lane);
    /// Whether it was there.
    bool remove(ConnectionId who);
    /// Of the lane whose turn it is. Not while empty().
    [[nodiscard]] ConnectionId take_next();
    /// The oldest of the longest lane; of `lane` if that is as long. Not while empty().
    [[nodiscard]] ConnectionId take_oldest_of_longest(std::uint64_t lane);

  private:
    struct Lane {
        std::list<ConnectionId> members;  // oldest first
        std::list<std::uint64_t>::iterator turn;
        bool newest_is_next = false;
    };
    struct Place {
        std::uint64_t lane;
        std::list<ConnectionId>::iterator at;
    };

    void has_changed(std::uint64_t lane, std::size_t before, std::size_t after);

    std::unordered_map<std::uint64_t, Place> places_;  // by packed id
    std::unordered_map<std::uint64_t, Lane> lanes_;    // none is empty
    std::list<std::uint64_t> turns_;                   // each lane once, the next one in front
    std::set<std::pair<std::size_t, std::uint64_t>> by_length_;
};

}  // namespace stentor::server
