#pragma once
// Everything that threads tell a shard: one closed list. Values and immutable counted objects; a
// reference never crosses.

#include "base/ids.hpp"
#include "base/result.hpp"
#include "persistence/contract/engine.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "protocol/message.hpp"
#include "protocol/session/session_types.hpp"
#include "server/core/access.hpp"
#include "server/core/retained_store.hpp"
#include "server/shard/inquiry.hpp"
#include "server/shard/publish_job.hpp"
#include "server/shard/transport_port.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace stentor::server {

using MessagePtr = IntrusivePtr<const mqtt::Message>;

/// What a message counts for in a mailbox: at least 1 KiB, for a shard has its work with it,
/// however short it is.
[[nodiscard]] inline std::size_t counted_bytes(const MessagePtr& message) noexcept {
    return std::max(message->bytes(), std::size_t{1024});
}

/// From the store's thread: a commit, in Seq order.
struct GroupCommitted {
    store::CommitGroupPtr group;
    std::size_t bytes = 0;  // of its messages, counted
};
[[nodiscard]] inline GroupCommitted group_committed(store::CommitGroupPtr group) noexcept {
    std::size_t bytes = 0;
    for (const store::Record& record : group->records) {
        const auto* published = std::get_if<store::MessageRecord>(&record);
        if (published != nullptr) bytes += counted_bytes(published->message);
    }
    return {.group = std::move(group), .bytes = bytes};
}

/// From the store's thread: a batch of this shard is committed or failed.
struct TicketDone {
    store::CommitTicket ticket = 0;
    Result<void> result;
};

/// From the store's thread: the answer to a read.
struct PageRead {
    store::Page page;
};

/// From another shard: unlogged messages this shard is interested in, in their order.
struct Deliver {
    std::vector<MessagePtr> messages;
    std::size_t bytes = 0;  // counted
};

/// A connection that arrives at its session's home, CONNECT judged and admitted.
struct MovedConnection {
    explicit MovedConnection(mqtt::Decoder the_decoder) : decoder{the_decoder} {}
    std::unique_ptr<MovedSocket> socket;
    mqtt::Decoder decoder;
    mqtt::WireBuffer out;  // AUTH that is still on its way to the client
    mqtt::ConnectRequest request;
    Identity identity;
    Instant valid_until = kNever;
    PeerInfo peer;
};
struct MoveIn {
    std::unique_ptr<MovedConnection> connection;
};

/// The answer of an authenticator that took its time.
struct Admitted {
    ConnectionId connection;
    Admission admission;
};

/// A session of shard `from` wants a page of retained values with Seq <= `through`; answered once
/// this shard has applied `through` (rule 9) and what the asking one had `applied`: what that has
/// delivered live is not followed by an older value.
struct RetainedQuery {
    ShardId from;
    std::uint64_t cookie = 0;
    std::string filter;
    Seq through;
    Seq unlogged_through;           // for values that go out with QoS 0; counts if it is higher
    bool all_at_most_once = false;  // by the subscription
    Seq applied;
    RetainedCursor cursor;
};
struct RetainedPage {
    ShardId from;  // who answers
    std::uint64_t cookie = 0;
    std::vector<RetainedValue> values = {};
    RetainedCursor cursor;  // where the next page begins
};

/// A member of a shared subscription, named for the group's home shard.
struct SharedMember {
    ShardId shard;
    std::uint32_t slot = 0;        // session slot on `shard`
    std::uint32_t generation = 0;  // of the attachment
    friend bool operator==(const SharedMember&, const SharedMember&) = default;
};

/// How a member takes messages: as many QoS 1/2 at a time as `window`, and none whose PUBLISH, as
/// the rest of this says that it would be, exceeds the client's Maximum Packet Size.
struct ShareTerms {
    std::uint32_t window = 0;
    std::uint32_t packet_bytes_max = 0;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    mqtt::QoS qos = mqtt::QoS::at_most_once;    // of the subscription
    std::uint32_t subscription_identifier = 0;  // 0: none
};

/// To the group's home: a member session is attached and subscribed, or its terms have changed.
/// Further options are its own shard's business.
struct SharedJoin {
    std::uint64_t key = 0;  // Placement::shared_key() of the two below
    std::string share_name;
    std::string filter;
    SharedMember member;
    ShareTerms terms;
    std::uint64_t cookie = 0;  // 0: no answer wanted
    bool away = false;         // a durable session that is not connected: the group waits for it
};
/// The home's answer: every publish that starts from now on finds the member.
struct SharedJoined {
    std::uint64_t cookie = 0;
};
struct SharedLeave {
    std::uint64_t key = 0;
    SharedMember member;
    bool away = false;  // the session stays: it has only lost its connection
};
/// The member's share of the work.
struct SharedDeliver {
    std::uint64_t key = 0;
    SharedMember member;
    MessagePtr message;
    Seq seq;  // kNoSeq: unlogged
};
[[nodiscard]] inline std::size_t counted_bytes(const SharedDeliver& share) noexcept {
    return counted_bytes(share.message);
}
/// The shares of a step, for members of one shard.
struct SharedDeliveries {
    std::vector<SharedDeliver> deliveries;
    std::size_t bytes = 0;  // counted
};
/// The member has gone, never wanted it, or cannot take it by terms the home had not heard of when
/// it chose: somebody else's work now.
struct SharedReturn {
    std::uint64_t key = 0;
    MessagePtr message;
    Seq seq;
};
/// Members have done with so many messages published with QoS 1 or 2: they have room for others.
struct SharedDone {
    struct Item {
        std::uint64_t key = 0;
        SharedMember member;
        std::uint32_t messages = 0;
    };
    std::vector<Item> items;
};

/// An administrator ends a connection (and, with it, the session if `discard_session`).
struct Kick {
    std::string client_id;
    mqtt::ReasonCode reason = mqtt::ReasonCode::administrative_action;
    bool discard_session = false;
    Asker asker = {};
};

/// Somebody wants to know.
struct Inquiry {
    Question question;
    Asker asker;
};

/// Stop accepting, tell 5.0 clients `reason`, close every connection, commit what must be.
struct Drain {
    mqtt::ReasonCode reason = mqtt::ReasonCode::server_shutting_down;
    const char* detail = "the server is stopping";
    // The store has failed: what is not in the log is given up, and nothing waits for it.
    bool abandons_log = false;
};

/// How does the shard fare? Answered to ShardShared::snapshots.
struct TakeSnapshot {
    std::uint64_t cookie = 0;
};

/// What the broker says about itself below $SYS: retained, delivered, and never in the log. Goes to
/// every shard.
struct BrokerValues {
    std::vector<MessagePtr> messages;  // retained, QoS 0
};

/// Somebody without a connection publishes.
struct PublishAsked {
    PublishJobPtr job;
    std::size_t bytes = 0;  // of its messages, counted
};

using ShardMessage = std::variant<GroupCommitted,
                                  TicketDone,
                                  PageRead,
                                  Deliver,
                                  MoveIn,
                                  Admitted,
                                  RetainedQuery,
                                  RetainedPage,
                                  SharedJoin,
                                  SharedJoined,
                                  SharedLeave,
                                  SharedDeliveries,
                                  SharedReturn,
                                  SharedDone,
                                  Kick,
                                  TakeSnapshot,
                                  Inquiry,
                                  BrokerValues,
                                  PublishAsked,
                                  Drain>;

/// A connection that comes or goes, or all of them: nobody's message has to be before it, because
/// it could have come at any time. A client that connects to its home shard comes as soon as it is
/// read, too, whatever lies in the mailbox.
[[nodiscard]] inline bool overtakes(const ShardMessage& message) noexcept {
    return std::holds_alternative<MoveIn>(message) || std::holds_alternative<Admitted>(message) ||
           std::holds_alternative<Kick>(message) || std::holds_alternative<Drain>(message);
}

/// Of the MQTT messages in it: those that publishers send, directly or through the log.
[[nodiscard]] inline std::size_t bytes_of(const ShardMessage& message) noexcept {
    return std::visit(
        [](const auto& any) -> std::size_t {
            if constexpr (requires { any.bytes; }) return any.bytes;
            return 0;
        },
        message);
}

}  // namespace stentor::server
