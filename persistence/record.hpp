#pragma once
// The records of the log: everything persistent is one of these, and has a position (Seq) in
// commit order.
//
// Pure values, no storage in sight. A record is built on the shard that owns its session (or, for
// messages, on the publisher's shard), travels inside a WriteBatch to the engine and comes back,
// immutable, inside a CommitGroup that every shard may read. record_codec.hpp turns it into bytes,
// state/stored_state.hpp says what it means.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/intrusive.hpp"
#include "protocol/codec/types.hpp"
#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace stentor::store {

using MessagePtr = IntrusivePtr<const mqtt::Message>;

/// One bit per shard; the number of shards is therefore bounded by 64.
using ShardMask = std::uint64_t;

/// A client's identifier names its session, in records as on the wire.
using ClientId = std::string;

/// The identifier under which a durable session sent a QoS 2 PUBLISH: remembered until PUBREL
/// [MQTT-4.3.3-8..12].
struct InboundQos2 {
    ClientId client;
    PacketId packet_id;
};

/// A message somebody durable wants, a new retained value, an inbound QoS 2 identifier, a will that
/// fires: any combination, in one record, so that they are committed together or not at all.
struct MessageRecord {
    MessagePtr message;                 // never null
    bool for_durable_sessions = false;  // in the log until every interested session has passed it
    bool sets_retained =
        false;                // replaces (with an empty payload: clears) the topic's retained value
    ShardMask wanted_by = 0;  // which shards matched at publish time; not stored
    std::optional<InboundQos2> inbound;
    ClientId fires_will_of;  // empty: none. Publishing a will and forgetting it are one commit
    // Nobody would send it again (a will): not refused for want of room. Not stored.
    bool has_no_sender = false;
};

/// PUBREL of a durable session: PUBCOMP leaves after this commit.
struct InboundForgotten {
    ClientId client;
    PacketId packet_id;
};

struct WillRecord {
    MessagePtr message;  // never null
    std::uint32_t delay_seconds = 0;
};

/// Session Expiry Interval [MQTT 5.0 3.1.2.11.2].
inline constexpr std::uint32_t kNeverExpires = 0xFFFFFFFF;

/// CONNECT accepted. For a transient session written only when there is a will (`expiry_seconds` is
/// 0 then).
struct Attached {
    ClientId client;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    bool discards_earlier_state = false;  // Clean Start 1, or nothing was there
    std::uint32_t expiry_seconds =
        0;  // Session Expiry Interval; 3.1.1, Clean Session 0: kNeverExpires
    std::optional<WillRecord> will;  // replaces the pending or earlier will; none: cancels it
    std::string user;  // authenticated user name, for inspection and for wills after a crash
    Instant at;
};

enum class DeliveryPhase : std::uint8_t {
    sent = 0,      // PUBLISH sent, waiting for PUBACK or PUBREC
    received = 1,  // QoS 2: PUBREC came; PUBREL is (to be) sent, waiting for PUBCOMP
};

/// A message sent to a session and not yet done with. Pinned: never expired, trimmed or dropped.
struct Unfinished {
    Seq seq;  // kNoSeq: the message was not logged; listed for its identifier's sake (QoS 2)
    PacketId packet_id;
    mqtt::QoS qos = mqtt::QoS::at_least_once;
    DeliveryPhase phase = DeliveryPhase::sent;
    bool retain = false;  // RETAIN of the packet, which depends on what the delivery was
    friend bool operator==(const Unfinished&, const Unfinished&) = default;
};

/// Why a session has lost what waited for it. Stored: numbers are never used again.
enum class LossReason : std::uint8_t {
    backlog_full = 0,
    too_old = 1,
    log_full = 2,
    segment_missing = 3,
};

/// What a session has lost and its client has not been told. The position that goes past it and
/// this are one commit, so that nothing is lost silently, nor told that was not lost.
struct SessionLoss {
    std::uint64_t messages = 0;                    // 0: nothing, or it has been told
    LossReason reason = LossReason::backlog_full;  // of the newest of them
    friend bool operator==(const SessionLoss&, const SessionLoss&) = default;
};

/// A session's delivery state, whole or as a change; in either form it is consistent by itself: all
/// that matches and lies at or below `sent_through` has been sent, and what of it is not done is in
/// the (resulting) unfinished list. `sent_through` never goes back.
struct DeliveryState {
    ClientId client;
    Seq sent_through;
    bool whole = false;               // true: `changed` is the complete unfinished list
    std::vector<PacketId> done;       // identifiers that are free again (with whole == false) ...
    std::vector<Unfinished> changed;  // ... before these are added, or (same identifier) replaced
    std::optional<SessionLoss> loss;  // takes the place of what there is; none: that stays
};

/// The connection of a session ended. Holds the whole delivery state, so that QoS 1 repeats nothing
/// needlessly. With `expiry_seconds` 0 the session ends here; only a kept will stays.
struct Detached {
    ClientId client;
    std::uint32_t expiry_seconds = 0;  // as changed by DISCONNECT [MQTT 5.0 3.14.2.2.2]
    bool keeps_will = false;           // the will waits for its delay (or the session's end)
    Instant at;                        // the expiry interval and the will delay count from here
    DeliveryState delivery;            // whole; `client` empty here
};

/// The session is gone with all it had: expired, ended at close, discarded by an administrator.
/// A will that is to be sent is fired by a MessageRecord before this one.
struct SessionEnded {
    ClientId client;
};

struct SubscriptionRecord {
    std::string filter;  // as the client wrote it, with $share/...
    mqtt::SubscriptionOptions options;
    std::uint32_t subscription_identifier = 0;  // 0: none
    bool keeps_since = false;  // replaces options of a subscription that stays (rule 6)
    bool replays_retained =
        false;  // retained values with Seq <= this record's are still to be sent
};

struct Subscribed {
    ClientId client;
    std::vector<SubscriptionRecord> subscriptions;
};

/// Ends a retained replay of these filters too. What that replay has sent and not yet listed as
/// unfinished must be listed by a record before this one: afterwards the store may have let go of
/// retained values that were superseded meanwhile. (The same holds for Detached, which lists all,
/// and for a Subscribed that starts a replay over.)
struct Unsubscribed {
    ClientId client;
    std::vector<std::string> filters;
};

/// How far a durable subscription's retained replay is (rule 9). Topics are replayed in the order
/// of their bytes. About a replay that another SUBSCRIBE has taken the place of since, only
/// `delivery` counts.
struct RetainedReplay {
    ClientId client;
    std::string filter;
    Seq until;               // of the SUBSCRIBE that began it
    std::string next_topic;  // empty: done
    DeliveryState delivery;  // what of the replay is unfinished, one commit with the progress;
                             // `client` empty here
};

/// DISCONNECT with reason 0, or a reconnect in time: the will is not to be sent any more.
struct WillForgotten {
    ClientId client;
};

/// The retained value that `topic` got at `seq` is over without a successor: it has expired, or it
/// was refused by a limit that is known only once it is committed. Changes nothing if the topic has
/// another value by now.
struct RetainedForgotten {
    std::string topic;
    Seq seq;
};

using Record = std::variant<MessageRecord,
                            InboundForgotten,
                            Attached,
                            Detached,
                            SessionEnded,
                            Subscribed,
                            Unsubscribed,
                            DeliveryState,
                            RetainedReplay,
                            WillForgotten,
                            RetainedForgotten>;

/// What the record costs in memory and, closely, on disk. The same for equal records.
[[nodiscard]] std::size_t record_bytes(const Record& record) noexcept;

}  // namespace stentor::store
