#pragma once
// A session at home on a shard: what it is, what it subscribes to, and, while a client is
// connected, what belongs to the connection. One thread: the shard's.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/state/kept_spans.hpp"
#include "protocol/session/session.hpp"
#include "server/core/access.hpp"
#include "server/core/interest_table.hpp"
#include "server/core/retained_store.hpp"
#include "server/shard/backlog_check.hpp"
#include "server/shard/retained_replays.hpp"
#include "server/shard/shard_message.hpp"
#include "server/shard/subscription_forecast.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::server {

struct Subscription {
    std::string text;             // as the client wrote it, with $share/...
    std::uint64_t share_key = 0;  // 0: not a shared one
    mqtt::SubscriptionOptions options;
    std::uint32_t identifier = 0;  // subscription identifier; 0: none
    Seq since;
    // Of a shared one: the rules have come to allow less than all of it. The session is no member
    // of the group meanwhile, or one that is away.
    bool withheld = false;
    bool ended = false;  // by an UNSUBSCRIBE that is being carried out
    // A durable subscription's retained replay that is not done (rule 9) goes on with this topic;
    // null: there is none.
    std::unique_ptr<std::string> replay_next;
    Seq replay_until;  // the latest replay's, done or not
    // A durable subscription's messages that waited when QoS 0 replaced another. Those that have
    // been sent are forgotten when the log knows it, some time later.
    store::KeptSpans kept;

    /// What it grants a logged message; nothing if it was not there then.
    [[nodiscard]] std::optional<mqtt::QoS> granted(Seq seq) const noexcept {
        const mqtt::QoS by_earlier = kept.at(seq);
        if (seq > since) return std::max(options.qos, by_earlier);
        if (by_earlier == mqtt::QoS::at_most_once) return std::nullopt;
        return by_earlier;
    }
};

/// The lowest position above `position` for which a session reads the log because of this
/// subscription. What a shared one gets comes from its group, which says itself what it needs.
[[nodiscard]] std::optional<Seq> needed_for(const auto& subscription, Seq position) noexcept {
    if (subscription.share_key != 0) return std::nullopt;
    const std::optional<Seq> kept = subscription.kept.needed_from(position);
    if (subscription.options.qos == mqtt::QoS::at_most_once) return kept;
    const Seq needed = next(std::max(subscription.since, position));
    return kept ? std::min(*kept, needed) : needed;
}

/// How a durable session reads the log while it is behind.
struct CatchUp {
    store::FilterSetPtr filters;  // what the log is asked for; null: to be collected anew
    // Those that decide how a message is delivered, QoS 0 among them; null: the same.
    store::FilterSetPtr granting;
    Seq kept_until;  // behind it some of `filters` may not be asked for any more; kNoSeq: all are
    bool reading = false;
    std::uint64_t cookie = 0;  // of the read on its way; an answer to an earlier one is ignored
    std::vector<store::PageEntry> page;
    std::uint32_t page_done = 0;  // entries at its front; their messages are null
    bool page_valid = false;
    Seq page_through;
    // What the next page may hold: less where the window is full before a page is done, because the
    // rest waits here, in memory.
    std::size_t page_messages = 128;

    void drop_filters() noexcept {
        filters.reset();
        granting.reset();
    }
    /// And what it takes.
    void drop_page() noexcept {
        page = {};
        page_done = 0;
        page_valid = false;
    }
};

/// What a session has lost to a bound and has not been told; the next CONNACK tells.
struct BacklogLoss {
    std::uint64_t messages = 0;
    mqtt::DropReason reason = mqtt::DropReason::backlog_full;  // of the newest of them
};

/// Of the wills that a shard holds.
struct WillTotals {
    std::size_t wills = 0;
    std::size_t bytes = 0;
};

class PendingWill {
  public:
    /// Counts in `totals`, which outlives it.
    PendingWill(mqtt::WillMessage the_will, WillTotals& totals) noexcept
        : will{std::move(the_will)}, totals_{&totals}, bytes_{will.message->bytes()} {
        ++totals_->wills;
        totals_->bytes += bytes_;
    }
    PendingWill(const PendingWill&) = delete;
    PendingWill& operator=(const PendingWill&) = delete;
    ~PendingWill() {
        --totals_->wills;
        totals_->bytes -= bytes_;
    }

    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

    mqtt::WillMessage will;
    Instant due = kNever;  // valid while detached

  private:
    WillTotals* totals_;
    std::size_t bytes_;
};

/// What a stored session was before a CONNECT whose commit is still on its way, and is again if
/// that fails: then nothing the CONNECT asked for may come to be.
struct BeforeAttach {
    mqtt::ProtocolVersion version;
    std::uint32_t expiry_seconds;
    Identity identity;
    Instant detached_at;
    std::unique_ptr<PendingWill> will;
    bool will_stored;
};

/// A connection that has ended while the commit of its attach was on its way: what the session is,
/// and which will waits, is known when that is.
struct Unanswered {
    std::uint32_t generation = 0;  // of the attachment
    std::unique_ptr<BeforeAttach> before;
    std::unique_ptr<PendingWill> will;  // its CONNECT's; null: none, or a DISCONNECT forgets it
    Instant ended_at;
};

/// What a session has only while a client is connected.
struct Attachment {
    Attachment(mqtt::Session the_session, ConnectionId the_connection)
        : session{std::move(the_session)}, connection{the_connection} {}

    mqtt::Session session;
    ConnectionId connection;
    Instant since;                       // its CONNECT
    std::uint32_t inflight_counted = 0;  // of the session, in the shard's sum
    bool open = false;                   // CONNACK sent
    bool restoring = false;              // unfinished messages are being read back
    bool advancing = false;  // past what it lost to a bound; until the log knows, nothing follows
    bool session_present = false;
    // As of which edition of the rules the subscriptions have been judged, and whether one of them
    // matches more than they allow: then each message is judged. See review.cpp.
    static constexpr std::uint32_t kUnjudged = UINT32_MAX;
    std::uint32_t judged = kUnjudged;
    bool narrowed = false;
    std::unique_ptr<BeforeAttach> before;  // null once attached, and for a new session
    // What failed to get into the log and is tried again as soon as it is known whether this attach
    // got there: it speaks of a will, and an attach replaces wills.
    std::vector<std::unique_ptr<store::Record>> retry_when_attached;
    bool queued_for_commit = false;
    bool queued_for_lazy_commit = false;
    std::uint32_t deliveries_on_their_way = 0;  // commits of its delivery state
    bool queued_for_feed = false;
    // Messages from the client on their way to the log: unlogged ones go there too meanwhile, so
    // that none overtakes another (rule 8). QoS 0 may overtake the rest, but not itself.
    std::uint32_t logging_qos0 = 0;
    std::uint32_t logging_others = 0;
    CatchUp catch_up;
    std::vector<Seq> restoring_seqs;
    RetainedReplays replays;
    // SUBSCRIBEs and UNSUBSCRIBEs on their way to the log. No replay goes on meanwhile: behind
    // their records the store may let go of values that it has sent and not listed
    // (persistence/record.hpp).
    std::uint32_t replays_held = 0;
    std::unique_ptr<SubscriptionForecast> forecast;  // null: no SUBSCRIBE, UNSUBSCRIBE on its way
    // A list: seldom used, and an empty one owns no memory, whatever it has held.
    std::list<SharedDeliver> shared_waiting;  // its share of groups, for the window
};

struct SessionEntry {
    std::string client_id;
    std::uint32_t slot = 0;
    std::uint32_t born = 0;                   // the slot's generation when this session took it
    std::uint32_t generation = 0;             // of the attachment, or of the last one
    bool durable = false;                     // stored in the log, kept when the connection ends
    bool will_stored = false;                 // the log knows a will of it, or may
    std::uint32_t detaches_on_their_way = 0;  // commits of its state as a detached session
    bool state_unsure = false;  // a commit about its deliveries failed, see rewrite_state()
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    std::uint32_t expiry_seconds = 0;
    Identity identity;
    Seq sent_through;                  // while detached
    Seq committed_through;             // by the log
    BacklogLoad backlog_count_at = 0;  // nothing can have reached a bound before
    bool backlog_checking = false;
    Instant detached_at;
    LastEnd last_end;
    std::vector<Subscription> subscriptions;  // by text
    std::unique_ptr<PendingWill> will;
    std::vector<Unanswered> unanswered;  // in order; empty but for moments
    std::unique_ptr<BacklogLoss> loss;   // null: none
    // The log may know of a loss: what is written of its deliveries says what there is of it now.
    bool loss_stored = false;
    // Of which subscriptions commits have told how far the replay is, not all of which are known to
    // be in the log; null: all are. At most about twice as many names as there are subscriptions.
    // See rewrite_state().
    std::unique_ptr<std::vector<std::string>> replays_told;
    std::unique_ptr<mqtt::SessionParts> parts;  // while detached; null: nothing unfinished
    std::unique_ptr<Attachment> attached;

    [[nodiscard]] Subscription* find(std::string_view text);
    /// The shared one with that key; null if it is withheld.
    [[nodiscard]] Subscription* find_share(std::uint64_t key) noexcept;
    [[nodiscard]] Durability durability(const mqtt::SubscriptionOptions& options) const noexcept {
        return durable && options.qos != mqtt::QoS::at_most_once ? Durability::durable
                                                                 : Durability::transient;
    }
    [[nodiscard]] Instant expires_at() const noexcept {
        return expires_at(detached_at, expiry_seconds);
    }
    [[nodiscard]] static Instant expires_at(Instant detached_at,
                                            std::uint32_t expiry_seconds) noexcept {
        if (expiry_seconds == store::kNeverExpires) return kNever;
        return saturating_add(detached_at, std::chrono::seconds{expiry_seconds});
    }
};

}  // namespace stentor::server
