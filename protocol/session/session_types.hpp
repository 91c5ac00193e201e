#pragma once
// What goes into and comes out of a Session: limits, the CONNECT it was made from, grants, ingress
// outcomes, effects.
// Pure values; each lives on the shard of the session it speaks of.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/intrusive.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "protocol/message.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::mqtt {

using MessagePtr = IntrusivePtr<const Message>;

/// The server's side of every bound a session keeps. One immutable copy per shard; sessions refer
/// to it.
struct SessionLimits {
    std::uint32_t packet_bytes_max = 1'048'576;  // of a packet towards us; announced in 5.0
    std::uint16_t receive_maximum = 100;         // QoS 1/2 towards us and not finished
    std::uint16_t inflight_maximum = 100;        // QoS 1/2 towards the client and not finished
    std::uint16_t topic_aliases_max = 32;        // each direction
    std::uint16_t topic_levels_max = 64;
    std::uint32_t subscriptions_per_session_max = 10'000;
    std::uint32_t session_expiry_seconds_max = 90u * 24 * 3600;
    std::uint16_t keep_alive_seconds_max = 0;  // 0: the client's own
    std::uint32_t transient_queue_messages_max = 10'000;
    std::size_t transient_queue_bytes_max = std::size_t{8} << 20;
    std::size_t outbox_bytes_max = std::size_t{4} << 20;
};

struct WillMessage {
    MessagePtr message;  // publisher: the client; arrival: CONNECT's, see published_at()
    std::uint32_t delay_seconds = 0;  // Will Delay Interval (5.0, 3.1.3.2.2)
};

/// The same message with another arrival: a will's Message Expiry Interval counts from the moment
/// it is published, not from CONNECT (5.0, 3.1.3.2.4).
[[nodiscard]] MessagePtr published_at(const Message& message, Instant arrival);

/// A CONNECT that passed every check a single packet allows; owns what it says.
struct ConnectRequest {
    std::string client_id;  // empty: the server has to assign one, see assign_client_id()
    std::optional<WillMessage> will;
    std::optional<std::string> user_name;
    std::optional<std::string> password;  // bytes; wiped once authentication has ended
    std::string authentication_method;    // empty: none
    std::string authentication_data;
    std::uint32_t session_expiry_seconds = 0;     // in force; 3.1.1: 0 or the limit
    std::uint32_t packet_bytes_max = 0xFFFFFFFF;  // of the client
    std::uint16_t receive_maximum = 65535;        // of the client
    std::uint16_t topic_alias_maximum = 0;        // of the client
    std::uint16_t keep_alive_seconds = 0;         // in force: the client's or the limit
    ProtocolVersion version = ProtocolVersion::v5;
    bool clean_start = true;
    bool client_id_assigned = false;         // then CONNACK tells it (5.0)
    bool keep_alive_overridden = false;      // then CONNACK tells it; only a 5.0 client can be told
    bool session_expiry_overridden = false;  // then CONNACK tells it (5.0)
    bool request_problem_information = true;
    bool request_response_information = false;

    /// Set by the shard: Clean Start 0 has found a stored session. With an expiry interval of 0 it
    /// is still resumed and delivered durably; it ends when the connection does.
    bool resumes_stored = false;

    [[nodiscard]] bool durable() const noexcept {
        return session_expiry_seconds != 0 || resumes_stored;
    }
};

/// Judges a decoded CONNECT. Fails with the reason for CONNACK: client_identifier_not_valid for an
/// empty identifier with Clean Session 0 [MQTT-3.1.3-8 of 3.1.1], topic_name_invalid for the will's
/// topic. `client_id` stays empty when the server has to assign one.
[[nodiscard]] ProtocolResult<ConnectRequest> judge_connect(const ConnectView& connect,
                                                           const SessionLimits& limits,
                                                           Instant now);

/// Names a client that came without an identifier, and makes it the publisher of its will.
void assign_client_id(ConnectRequest& request, std::string client_id);

/// How one message goes to one session: all its matching subscriptions merged (highest QoS, all
/// identifiers).
struct Grant {
    QoS qos = QoS::at_most_once;  // already the minimum of subscription and message
    bool retain = false;          // RETAIN of the outgoing packet
    std::span<const std::uint32_t> subscription_identifiers = {};  // valid during the call
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
    count_,
};

struct Dropped {
    DropReason reason;
    std::uint32_t messages = 1;
};

/// What a call on a session asks of its shard, besides the bytes it appended to the connection's
/// WireBuffer. One object per shard, cleared and reused: the steady path allocates nothing.
struct Effects {
    WireBuffer* out = nullptr;  // set by the shard before each call; never null during a call
    std::vector<Release> releases;
    std::vector<Dropped> drops;
    std::optional<Close> close;  // the session takes no further packets once this is set
    bool pause_reading = false;  // too much on the way, or answers unread; resume_reading ends it
    bool resume_reading = false;
    bool wants_more = false;  // there is room again after window_full: feed the session (pages)

    void clear() noexcept {
        releases.clear();
        drops.clear();
        close.reset();
        pause_reading = resume_reading = wants_more = false;
    }
};

enum class DeliveryPhase : std::uint8_t { sent = 0, received = 1 };

/// An outbound QoS 1/2 message that is not done; `message` may be null in phase received.
struct InflightMessage {
    Seq seq;  // kNoSeq: unlogged (transient sessions only)
    PacketId packet_id;
    QoS qos = QoS::at_least_once;
    DeliveryPhase phase = DeliveryPhase::sent;
    MessagePtr message;
    bool retain = false;
    std::vector<std::uint32_t> subscription_identifiers;
};

/// What is to be committed about a durable session's deliveries; see store::DeliveryState.
struct DeliveryChange {
    Seq sent_through;
    bool whole = false;
    struct Item {
        Seq seq;
        PacketId packet_id;
        QoS qos;
        DeliveryPhase phase;
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
