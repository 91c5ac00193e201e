#pragma once
// What goes into and comes out of a Session: grants, ingress outcomes, effects, delivery changes.
// Pure values; each lives on the shard of the session it speaks of.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "protocol/message.hpp"
#include "protocol/session/connect_request.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::mqtt {

/// How one message goes to one session: all its matching subscriptions merged (highest QoS, all
/// identifiers).
struct Grant {
    QoS qos = QoS::at_most_once;  // already the minimum of subscription and message
    bool retain = false;          // RETAIN of the outgoing packet
    std::span<const std::uint32_t> subscription_identifiers = {};  // valid during the call
    /// Not 0: the share of a shared subscription; fx.shares_done tells when it is done with.
    std::uint64_t share_tag = 0;
};

enum class Verdict : std::uint8_t { allow, deny };

/// What became of a PUBLISH the session let through.
enum class Ingress : std::uint8_t {
    released,        // unlogged: may go to `destinations` as soon as its turn comes
    pending,         // in the shard's write batch; ingress_committed() or ingress_failed() follows
    no_subscribers,  // unlogged and nobody matched (5.0: 0x10)
    refused,         // not taken; the reason goes into the acknowledgement
};

/// A PUBLISH to route: views into the input or the session's alias table, valid until the next call
/// on the session.
struct PublishToRoute {
    std::string_view topic;
    const PublishView* packet = nullptr;
    /// QoS 2 of a durable session: commit the identifier together with the message.
    bool keep_identifier = false;
};

/// An unlogged message whose turn has come (rule 8): hand it to these shards.
struct Release {
    MessagePtr message;
    std::uint64_t destinations = 0;
};

enum class CloseWill : std::uint8_t { publish, forget };

struct Close {
    ReasonCode reason = ReasonCode::success;
    const char* detail = "";
    /// 5.0 and CONNACK has left: call send_disconnect(reason, ...) before the close.
    bool send_disconnect = false;
    CloseWill will = CloseWill::publish;
    bool is_violation = false;  // the client has sent what it may not send, or not then
};

enum class DropReason : std::uint8_t {
    outbox_full,       // QoS 0 beyond outbox_bytes_max
    queue_full,        // transient session beyond its queue
    packet_too_large,  // larger than the client's Maximum Packet Size
    expired,           // message expiry passed before it could be sent
    not_authorized,    // ACL said no
    no_longer_stored,  // an unfinished message could not be read back
    session_ended,     // waiting in a queue that ended with its session
    retained_limit,    // retained_messages_max
    backlog_full,      // the oldest of what waited for a durable session, beyond its backlog
    too_old,           // ... beyond the age of the log
    log_full,          // ... beyond the size of the log
    segment_missing,   // ... in a file of the log that somebody has removed
    count_,
};

struct Dropped {
    DropReason reason{};
    std::uint32_t messages = 1;
};

/// What a call on a session asks of its shard, besides the bytes it appended to the connection's
/// WireBuffer. One object per shard, cleared and reused: the steady path allocates nothing.
struct Effects {
    WireBuffer* out = nullptr;  // set by the shard before each call; never null during a call
    std::vector<Release> releases;
    std::vector<Dropped> drops;
    std::vector<std::uint64_t> shares_done;  // QoS 1/2 messages that are not in flight any more
    std::optional<Close> close;  // the session takes no further packets once this is set
    bool pause_reading = false;  // too much on the way, or answers unread; resume_reading ends it
    bool resume_reading = false;
    bool wants_more = false;  // there is room again after window_full: feed the session (pages)
    /// Of one message in about 16 that left for the first time and is not a retained one: when it
    /// arrived here, and when it left.
    struct Delivery {
        Instant arrival;
        Instant sent;
    };
    std::vector<Delivery> sampled_deliveries;
    // Of all calls so far: clear() leaves them.
    std::array<std::uint64_t, 16> packets_sent{};  // by type
    std::array<std::uint64_t, 3> messages_sent{};  // by QoS
    std::uint32_t deliveries_until_sample = 1;
    std::uint32_t sample_state = 0;

    void sent(PacketType type) noexcept { ++packets_sent[static_cast<std::size_t>(type)]; }
    void delivered(const Message& message, Instant now) {
        if (--deliveries_until_sample != 0) return;
        // At irregular distances, 1 to 32: not always the same one of sixteen subscribers.
        sample_state = sample_state * 1'664'525 + 1'013'904'223;
        deliveries_until_sample = 1 + (sample_state >> 27U);
        sampled_deliveries.push_back({message.arrival(), now});
    }

    void clear() noexcept {
        releases.clear();
        drops.clear();
        shares_done.clear();
        sampled_deliveries.clear();
        close.reset();
        pause_reading = resume_reading = wants_more = false;
    }
};

enum class DeliveryPhase : std::uint8_t { sent = 0, received = 1 };

/// An outbound QoS 1/2 message that is not done; `message` may be null in phase received, and for
/// one that is in the log: it is read from there when the client is back.
struct InflightMessage {
    Seq seq;  // kNoSeq: unlogged (transient sessions only)
    PacketId packet_id;
    QoS qos = QoS::at_least_once;
    DeliveryPhase phase = DeliveryPhase::sent;
    MessagePtr message = {};
    bool retain = false;
    std::vector<std::uint32_t> subscription_identifiers = {};
    bool identifiers_lost = false;  // at a restart: the log does not keep them
    bool was_sent = true;           // the client may have seen it
    std::uint64_t share_tag = 0;    // see Grant
};

/// What is to be committed about a durable session's deliveries; see store::DeliveryState.
struct DeliveryChange {
    Seq sent_through;
    bool whole = false;
    struct Item {
        Seq seq;
        PacketId packet_id;
        QoS qos = QoS::at_most_once;
        DeliveryPhase phase{};
        bool retain = false;
    };
    std::vector<PacketId> done = {};  // free again, before ...
    std::vector<Item> changed =
        {};  // ... these are added, or known by packet_id and in another phase
};

enum class CommitNeed : std::uint8_t {
    none,
    lazy,  // QoS 1 progress: within about a second
    now,   // QoS 2: something waits for the commit
};

}  // namespace stentor::mqtt
