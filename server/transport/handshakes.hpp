#pragma once
// The TLS handshakes of a shard's loop that are not complete: who has spoken and waits for a turn,
// and who has been answered and owes us the rest. Addresses have their turns one after the other;
// who has been answered and goes on has every other one, whatever the number of those that begin.
// Pure. One per loop, on its thread.
//
// Bounds: HandshakeBounds. At either the oldest of the address that has most has to go; it is the
// likeliest not to wait any more.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "server/transport/address_lanes.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>

namespace stentor::server {

struct HandshakeBounds {
    // Whose hello has not been answered: a socket and no object of OpenSSL. What a core does in the
    // time that the least patient of them waits.
    std::size_t waiting_max = 16'384;
    std::size_t under_way_max = 4096;  // each has a connection object of OpenSSL, 10 to 20 kB
};

class Handshakes {
  public:
    explicit Handshakes(const HandshakeBounds& bounds) : bounds_{bounds} {}

    enum class Stage : std::uint8_t { first, answered };
    /// It has spoken, for the first time or after an answer; `lane` as AddressLanes has it. Returns
    /// who has to go for it, perhaps itself; to be forgotten next.
    [[nodiscard]] std::optional<ConnectionId> wait(ConnectionId who,
                                                   std::uint64_t lane,
                                                   Stage stage,
                                                   Instant now);
    [[nodiscard]] bool anybody_waits() const noexcept {
        return !first_.empty() || !further_.empty();
    }

    struct Turn {
        ConnectionId who;
        std::uint64_t waited_for = 0;  // answers of others that were computed meanwhile
        Instant since{};
    };
    /// Whose turn it is. Not while nobody waits.
    [[nodiscard]] Turn take_next();
    /// That turn has cost an answer: others have waited for it.
    void has_answered() noexcept { ++answers_; }

    /// Its handshake goes on. As wait().
    [[nodiscard]] std::optional<ConnectionId> is_under_way(ConnectionId who, std::uint64_t lane);
    /// Complete, or gone. Whoever is not there is none of ours.
    void forget(ConnectionId who);

    /// Those that wait and those under way, each once.
    [[nodiscard]] std::size_t size() const noexcept {
        return first_.size() + under_way_.size() - of_both_;
    }

  private:
    struct Wait {
        std::uint64_t answers;  // of others, before it
        Instant since;
    };

    void has_left_first(ConnectionId who) noexcept;

    const HandshakeBounds bounds_;
    AddressLanes first_;      // wait for an answer to their hello, or to a part of it
    AddressLanes further_;    // wait, and have been answered
    AddressLanes under_way_;  // something has come of them; may wait as well
    bool further_is_next_ = false;
    std::uint64_t answers_ = 0;
    std::size_t of_both_ = 0;  // whose hello comes in parts, or was to be said again: first_ and
                               // under_way_ have it
    std::unordered_map<std::uint64_t, Wait> waits_;  // by packed id
};

}  // namespace stentor::server
