#pragma once
// The identifiers of the client's QoS 2 packets that are not finished. Internal to the session.
// Pure. A value used on its session's shard.

#include "base/ids.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace stentor::mqtt {

/// Of one session; more when its Receive Maximum is more. Each costs the broker memory, and 3.1.1
/// lets a client have all 65,535, as do many connections of a 5.0 session one after the other.
inline constexpr std::size_t kInboundIdsMax = 10'000;

/// Where the receiver's side of a QoS 2 exchange stands (figure 4.3).
enum class InboundPhase : std::uint8_t {
    pending,    // PUBLISH came, PUBREC has not left: its commit or its turn is awaited
    received,   // PUBREC has left: the same identifier is a duplicate [MQTT-4.3.3-10]
    releasing,  // PUBREL came, PUBCOMP waits for the commit that forgets the identifier
};

/// Sorted, four bytes each: a client's identifiers rise, so entries come at the back and leave at
/// the front. The session bounds them by kInboundIdsMax; in 5.0 those of one connection by Receive
/// Maximum, which does not look at what an earlier one has left (5.0 section 4.9).
class InboundIds {
  public:
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }

    /// Those whose PUBLISH came on this connection.
    [[nodiscard]] std::size_t of_this_connection() const noexcept {
        return entries_.size() - carried_over_;
    }

    /// Its phase, to read or change; null: not there. Valid until the next put() or erase().
    [[nodiscard]] InboundPhase* find(PacketId id) noexcept {
        const auto at = position(id);
        return at != entries_.end() && at->id == id ? &at->phase : nullptr;
    }

    /// Adds the identifier, or changes its phase.
    void put(PacketId id, InboundPhase phase) {
        const auto at = position(id);
        if (at != entries_.end() && at->id == id) {
            at->phase = phase;
        } else {
            entries_.insert(at, {id, phase});
        }
    }

    /// Adds one whose PUBLISH an earlier connection brought, with PUBREC sent or owed. One that is
    /// there stays as it is.
    void carry_over(PacketId id) {
        const auto at = position(id);
        if (at != entries_.end() && at->id == id) return;
        entries_.insert(at, {id, InboundPhase::received, true});
        ++carried_over_;
    }

    /// This connection has brought its PUBLISH, too.
    void came_again(PacketId id) noexcept {
        const auto at = position(id);
        if (at == entries_.end() || at->id != id || !at->carried_over) return;
        at->carried_over = false;
        --carried_over_;
    }

    void erase(PacketId id) noexcept {
        const auto at = position(id);
        if (at == entries_.end() || at->id != id) return;
        if (at->carried_over) --carried_over_;
        entries_.erase(at);
    }

    /// Those whose PUBLISH is accounted for: received and releasing.
    [[nodiscard]] std::vector<std::uint16_t> accepted() const {
        std::vector<std::uint16_t> ids;
        for (const Entry& entry : entries_) {
            if (entry.phase != InboundPhase::pending) ids.push_back(entry.id.value());
        }
        return ids;
    }

    [[nodiscard]] std::size_t memory_bytes() const noexcept {
        return entries_.capacity() * sizeof(Entry);
    }

  private:
    struct Entry {
        PacketId id;
        InboundPhase phase;
        bool carried_over = false;
    };

    [[nodiscard]] std::vector<Entry>::iterator position(PacketId id) noexcept {
        const auto before = [](const Entry& entry, PacketId value) { return entry.id < value; };
        return std::lower_bound(entries_.begin(), entries_.end(), id, before);
    }

    std::vector<Entry> entries_;
    std::size_t carried_over_ = 0;  // of them
};

}  // namespace stentor::mqtt
