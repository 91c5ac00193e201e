#pragma once
// The packet identifiers a client has in use towards the server, and the QoS 1/2 messages behind
// them, kept until they are done so that they can be repeated after a reconnect.
// Pure. One per ClientSession. Look-up by identifier is an index; slots and their memory are
// reused, so a steady window allocates nothing.

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/types.hpp"

#include <cstdint>
#include <vector>

namespace stentor::mqtt {

class OutboundStore {
  public:
    enum class Phase : std::uint8_t {
        free,
        waiting,    // a PUBLISH not (or not yet again) sent on this connection
        published,  // PUBLISH sent, PUBACK or PUBREC expected
        received,   // PUBREC came, PUBREL not sent (manual answers)
        released,   // PUBREL sent, PUBCOMP expected
        subscribe,
        unsubscribe,
    };

    struct Slot {
        Phase phase = Phase::free;
        QoS qos = QoS::at_most_once;
        bool retain = false;
        bool sent_before = false;  // to this session of the server's: repeated with DUP
        std::uint64_t token = 0;
        std::uint64_t order = 0;  // of the PUBLISH, later of its PUBREC
        Bytes stored;             // topic, properties, payload
        std::uint32_t topic_bytes = 0;
        std::uint32_t property_bytes = 0;
        std::uint32_t next_free = 0;

        /// The message as it was first given; views into `stored`.
        [[nodiscard]] Publish publish(PacketId packet_id) const noexcept;
    };

    explicit OutboundStore(PacketId first) noexcept;

    [[nodiscard]] bool full() const noexcept { return in_use_ == kSlotsMax; }
    [[nodiscard]] std::size_t in_use() const noexcept { return in_use_; }

    /// Takes an identifier that is not in use; full() must be false.
    [[nodiscard]] PacketId take(Phase phase);
    /// Takes one for this message, and copies it.
    [[nodiscard]] PacketId keep(const Publish& packet, std::uint64_t token);

    /// Null if the identifier is not in use. Valid until the next take() or keep().
    [[nodiscard]] Slot* find(PacketId packet_id) noexcept;
    void release(PacketId packet_id) noexcept;

    /// Moves a slot to the end of the order.
    void touch(Slot& slot) noexcept { slot.order = ++last_order_; }

    /// Appends the identifiers in `phase`, in their order.
    void collect(Phase phase, std::vector<PacketId>& out) const;

  private:
    static constexpr std::size_t kSlotsMax = 65'535;

    [[nodiscard]] PacketId id_of(std::size_t slot) const noexcept;

    std::vector<Slot> slots_;
    std::uint16_t first_;
    std::size_t in_use_ = 0;
    std::uint64_t last_order_ = 0;
    // Free slots are used in turn, oldest first: a late acknowledgement then meets a free slot
    // rather than a stranger. 0 ends the list; entries are slot + 1.
    std::uint32_t free_head_ = 0;
    std::uint32_t free_tail_ = 0;
};

}  // namespace stentor::mqtt
