#pragma once
// Records turned into state: what the log says about sessions, subscriptions, deliveries, retained
// values and wills (docs/architecture.md).
//
// Pure; used by one thread at a time. The memory engine applies every group here; the sqlite engine
// applies the same rules to state.db and recovers into this. A shard rebuilds its sessions from the
// part that maps to it. Expiry is judged by readers: nothing here looks at a clock.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "persistence/record.hpp"
#include "persistence/state/kept_spans.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace stentor::store {

struct StoredSubscription {
    std::string filter;  // as the client wrote it, with $share/...
    mqtt::SubscriptionOptions options;
    std::uint32_t subscription_identifier = 0;
    Seq since;  // position of the SUBSCRIBE record that (first) made it
    // Retained replay under way: values with Seq <= replay_until from topic replay_next on (empty
    // string: from the first); nullopt: done or never wanted.
    std::optional<std::string> replay_next;
    Seq replay_until;
    // What waited when QoS 0 came. Some of it may lie at or below the session's `sent_through`:
    // that has been sent.
    KeptSpans kept;
};

struct StoredSession {
    ClientId client;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    std::uint32_t expiry_seconds = 0;
    bool attached = false;  // at the moment of the crash: its interval restarts, its will is due
    Instant detached_at;    // valid when !attached
    std::string user;
    Seq sent_through;                               // a new session begins at its Attached record
    std::vector<Unfinished> unfinished;             // in order of seq, packet identifiers unique
    std::vector<StoredSubscription> subscriptions;  // in order of first subscription
    std::set<PacketId> inbound;      // QoS 2 packet identifiers received and not released
    std::optional<WillRecord> will;  // pending
    SessionLoss loss;                // to be told
    bool transient = false;          // only here for its will
    // Its subscriptions may differ from those that restore() or put_back() brought, by more than
    // how far a replay is. A session may have ten thousand of them and come and go every second:
    // engines with rows write them only then.
    bool has_other_subscriptions = true;
};

/// The lowest position whose message this session may still ask the log for by its filters: the one
/// after `sent_through`, or after its oldest subscription (or what one has kept). nullopt: none
/// (without subscriptions nothing can match). Unfinished messages do not count: engines keep those
/// anyway.
[[nodiscard]] std::optional<Seq> needed_from(const StoredSession& session) noexcept;

struct StoredRetained {
    Seq seq;
    MessagePtr message;
};

class StoredState {
  public:
    using Sessions = std::unordered_map<ClientId, StoredSession>;
    using Retained = std::unordered_map<std::string, StoredRetained>;
    using Pinned = std::unordered_map<Seq, MessagePtr>;  // null: see hand_over()

    /// Applies the record at position `seq`; positions ascend from call to call. Records of unknown
    /// sessions (a race with SessionEnded) change nothing.
    void apply(Seq seq, const Record& record);

    [[nodiscard]] const Sessions& sessions() const noexcept { return sessions_; }
    [[nodiscard]] const Retained& retained() const noexcept { return retained_; }

    /// Messages of unfinished deliveries whose position the log may have let go: retained values
    /// that were superseded or forgotten (also those that a retained replay under way may have sent
    /// and is about to list), and what keep() was given.
    [[nodiscard]] const Pinned& pinned() const noexcept { return pinned_; }

    /// The message at `seq` if it is a current retained value or pinned; otherwise null, also when
    /// hand_over() was called.
    [[nodiscard]] MessagePtr held_message(Seq seq) const;

    /// Whether a session lists `seq` as unfinished (or may be about to, see pinned()).
    [[nodiscard]] bool is_referenced(Seq seq) const noexcept { return references_.contains(seq); }

    /// Takes over a message that the log lets go although is_referenced(seq); pinned() holds it
    /// until the last session is done with it.
    void keep(Seq seq, const MessagePtr& message);

    /// What the messages held here (retained, pinned, wills) cost in memory.
    [[nodiscard]] std::size_t message_bytes() const noexcept { return message_bytes_; }

    // --- for engines that keep the state in rows and apply records to those they concern ---

    /// Adds a session as it was stored; there must be none of its name.
    void restore(StoredSession session);
    /// Adds a topic's current retained value; there must be none.
    void restore_retained(StoredRetained value);
    /// Adds a position whose message is pinned and kept by the caller (as after hand_over()), for
    /// whoever will refer to it until drop_unreferenced().
    void restore_pinned(Seq seq);
    void drop_unreferenced();
    /// The caller keeps the message of the pinned position `seq` from here on, until pinned() does
    /// not have that position any more.
    void hand_over(Seq seq);

    /// Takes a session or retained value out as if it were still here: what it refers to stays
    /// referenced. Nothing if there is none. put_back() is the way back, and must come before
    /// apply() sees a record about it.
    [[nodiscard]] std::optional<StoredSession> take_out(const ClientId& client);
    [[nodiscard]] std::optional<StoredRetained> take_out_retained(const std::string& topic);
    void put_back(StoredSession session);

    /// The positions in [first, last] for which is_referenced(), in no order.
    [[nodiscard]] std::vector<Seq> referenced(Seq first, Seq last) const;

  private:
    void on(Seq seq, const MessageRecord& record);
    void on(Seq seq, const InboundForgotten& record);
    void on(Seq seq, const Attached& record);
    void on(Seq seq, const Detached& record);
    void on(Seq seq, const SessionEnded& record);
    void on(Seq seq, const Subscribed& record);
    void on(Seq seq, const Unsubscribed& record);
    void on(Seq seq, const DeliveryState& record);
    void on(Seq seq, const RetainedReplay& record);
    void on(Seq seq, const WillForgotten& record);
    void on(Seq seq, const RetainedForgotten& record);

    [[nodiscard]] StoredSession* find(const ClientId& client) noexcept;
    void deliver(StoredSession& session, const DeliveryState& state);
    void set_will(StoredSession& session, std::optional<WillRecord> will);
    void forget_will(const ClientId& client);
    void clear(StoredSession& session);
    void set_retained(Seq seq, const MessagePtr& message);
    void drop_retained(Retained::iterator value);

    void no_longer_held(const MessagePtr& pinned) noexcept;
    void refer_to(Seq seq);
    void release(Seq seq);

    // A retained replay reads values with Seq <= s0 on the shards and lists what it sent in a later
    // record; a value superseded or forgotten in between would be lost. So while a replay of s0 is
    // under way on an attached session, such values it may have sent stay pinned, held by the
    // largest such s0.
    struct OpenReplays {
        std::size_t count = 0;
        std::vector<Seq> held;
    };
    void open_replay(Seq until);
    void close_replay(Seq until);
    void open_replays(const StoredSession& session);
    void close_replays(const StoredSession& session);
    [[nodiscard]] OpenReplays* holder_of(Seq value) noexcept;

    Sessions sessions_;
    Retained retained_;
    std::unordered_map<Seq, std::string> retained_topics_;  // by position of the current value
    Pinned pinned_;
    std::unordered_map<Seq, std::size_t> references_;  // position -> unfinished entries, holders
    std::map<Seq, OpenReplays> open_replays_;          // by replay_until
    std::size_t next_replayed_ = 0;  // likely place of the subscription a RetainedReplay is about
    std::size_t message_bytes_ = 0;
};

}  // namespace stentor::store
