#pragma once
// The part of a Session that exists while QoS 1/2 messages to the client are unfinished or waiting.
// Internal to the session. Pure values, used on the session's shard.
// Bounds, kept by the session: `inflight` by the client's Receive Maximum, inflight_maximum,
// inflight_bytes_max and one message more, and what an earlier connection has left unfinished;
// `queue` by transient_queue_messages_max and transient_queue_bytes_max, beyond which the new
// message is dropped and counted.

#include "base/ids.hpp"
#include "protocol/session/ring.hpp"
#include "protocol/session/session.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace stentor::mqtt {

/// A message's subscription identifiers: mostly none or one, which then costs no allocation.
class SubscriptionIds {
  public:
    SubscriptionIds() noexcept = default;
    explicit SubscriptionIds(std::span<const std::uint32_t> ids)
        : size_{static_cast<std::uint32_t>(ids.size())} {
        if (size_ == 1) single_ = ids[0];
        if (size_ <= 1) return;
        many_ = std::make_unique<std::uint32_t[]>(size_);
        std::copy(ids.begin(), ids.end(), many_.get());
    }

    [[nodiscard]] std::span<const std::uint32_t> view() const noexcept {
        return {size_ <= 1 ? &single_ : many_.get(), size_};
    }

  private:
    std::unique_ptr<std::uint32_t[]> many_;
    std::uint32_t size_ = 0;
    std::uint32_t single_ = 0;
};

/// A QoS 1/2 message with an identifier.
struct Session::Outgoing {
    enum class Phase : std::uint8_t {
        sent,      // PUBLISH sent (or to be sent), no PUBACK or PUBREC yet
        received,  // QoS 2: PUBREC came, no PUBCOMP yet
        done,      // nothing is awaited from the client; the identifier is free after a commit
    };
    /// Whether the stored state says what this entry says. Always settled in transient sessions.
    enum class Commit : std::uint8_t { needed, under_way, settled };

    MessagePtr message;  // only in phase sent
    Seq seq;
    SubscriptionIds subscription_identifiers;
    std::uint64_t share_tag = 0;
    std::uint32_t change = 0;  // under_way: the number of the change that tells of this phase
    PacketId packet_id;
    QoS qos = QoS::at_least_once;
    Phase phase = Phase::sent;
    Commit commit = Commit::settled;
    bool retain = false;
    bool listed = false;    // a change names the identifier, so its end must be committed too
    bool on_wire = false;   // the packet of its phase has left: PUBLISH, or PUBREL
    bool repeated = false;  // from an earlier connection: DUP
    bool identifiers_lost = false;  // see InflightMessage

    /// Whether the client can know the identifier, if only from an earlier connection: it may
    /// answer before we have repeated what it answers.
    [[nodiscard]] bool known_to_client() const noexcept {
        return phase == Phase::received || (phase == Phase::sent && (on_wire || repeated));
    }
};

struct Session::Outbound {
    struct Queued {
        MessagePtr message;
        SubscriptionIds subscription_identifiers;
        std::uint64_t share_tag = 0;
        QoS qos = QoS::at_least_once;
        bool retain = false;

        [[nodiscard]] std::size_t bytes() const noexcept {
            return message->bytes() + sizeof(Queued);
        }
    };

    Ring<Outgoing> inflight;  // in the order of sending
    Ring<Queued> queue;       // transient sessions only
    std::size_t queue_bytes = 0;
    std::size_t inflight_bytes = 0;  // of the messages in `inflight`
    /// PUBREL waits for the commit; in the order of the PUBRECs [MQTT-4.6.0-4].
    Ring<PacketId> pubrels_due;
    std::uint32_t changes_taken = 0;
    std::uint32_t changes_committed = 0;
    std::uint32_t open = 0;        // entries not done
    std::uint32_t unsent = 0;      // open ones whose PUBLISH has not left
    std::uint32_t slots_used = 0;  // of the client's Receive Maximum: open - unsent
    std::uint32_t done_to_tell = 0;
    std::uint16_t free_ids_ahead = 0;  // behind the last identifier given, known to be free
    bool changed = false;              // there is something to commit ...
    bool urgent = false;               // ... and a QoS 2 packet waits for it
    bool outbox_full = false;          // seen at the last attempt
    bool starved = false;              // window_full was answered: wants_more is owed

    void hold(Outgoing& entry, MessagePtr message) noexcept {
        inflight_bytes += message->bytes();
        entry.message = std::move(message);
    }
    void release(Outgoing& entry) noexcept {
        if (!entry.message) return;
        inflight_bytes -= entry.message->bytes();
        entry.message.reset();
    }

    [[nodiscard]] std::optional<std::size_t> find(PacketId id) const noexcept {
        if (inflight.empty()) return std::nullopt;
        // Identifiers rise by one with each entry, so this is where it stands unless some before it
        // have gone; then it is nearer to the front.
        const auto ahead = static_cast<std::uint16_t>(id.value() - inflight[0].packet_id.value());
        const std::size_t likely = std::min<std::size_t>(ahead, inflight.size() - 1);
        for (std::size_t i = likely + 1; i-- > 0;) {
            if (inflight[i].packet_id == id) return i;
        }
        // Identifiers have wrapped around, or those of an earlier connection come first.
        for (std::size_t i = likely + 1; i < inflight.size(); ++i) {
            if (inflight[i].packet_id == id) return i;
        }
        return std::nullopt;
    }

    [[nodiscard]] bool idle() const noexcept {
        return inflight.empty() && queue.empty() && changes_taken == changes_committed &&
               !changed && !outbox_full && !starved;
    }
};

}  // namespace stentor::mqtt
