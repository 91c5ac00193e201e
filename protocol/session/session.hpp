#pragma once
// The broker's side of one attached MQTT session, 3.1.1 and 5.0: acknowledgement flows, windows,
// identifiers, aliases.
//
// Pure: no socket, file, clock, thread or logger; packets, commits and time come in, bytes and
// Effects go out. Used on its home shard only. A movable value. It exists from the moment CONNECT
// is accepted (the attach commit of a durable session may still be under way) until the connection
// ends; then SessionParts says what a durable session keeps.
//
// It does not know topics' subscribers: the shard routes what accept_publish() lets through,
// matches subscriptions and merges them into a Grant, reads the log, and owns the subscriptions.
//
// Rules of docs/architecture.md kept here: 1 (acknowledgements wait for commits), 3 (live or
// behind, sent_through), 4 and 5 (QoS 2 exactly once, QoS 1 lazily), 8 (releases and
// acknowledgements in arrival order).

#include "protocol/codec/encoder.hpp"
#include "protocol/session/session_types.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace stentor::mqtt {

/// What survives a connection, and what a session is resumed from.
struct SessionParts {
    Seq sent_through = {};                       // durable only
    std::vector<InflightMessage> inflight = {};  // in order of sending
    /// Identifiers received, committed and not released. One whose PUBLISH is still being committed
    /// is not among them: it joins the session when that record commits, see restore_inbound().
    std::vector<std::uint16_t> inbound_qos2 = {};
    std::uint16_t last_packet_id = 0;                 // allocation goes on behind it
    std::vector<InflightMessage> queued_shares = {};  // shares that never got an identifier
};

/// Topic names that aliases of one direction stand for, together.
inline constexpr std::size_t kAliasTopicBytesMax = 65'536;

class Session {
  public:
    /// `limits` outlives the session. `parts` is empty for a new session; what it holds counts as
    /// committed. The password of `request` is wiped.
    Session(ConnectRequest request, const SessionLimits& limits, SessionParts parts);
    Session(Session&& other) noexcept;
    Session& operator=(Session&& other) noexcept;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

    // --- opening
    enum class [[nodiscard]] UserProperties : std::uint8_t{sent, left_out};
    /// CONNACK success, with every property that differs from what the client asked or must be
    /// told. Call once, after the attach commit of a durable session. `session_present`:
    /// [MQTT-3.2.2-2], [MQTT-3.2.2-3]. Where the client's Maximum Packet Size forbids it, the user
    /// properties are left out, all of them [MQTT-3.2.2-20]; fx.close is set if CONNACK does not
    /// fit even so. 3.1.1 has none.
    UserProperties send_connack(bool session_present,
                                std::span<const UserProperty> user_properties,
                                Effects& fx);

    /// Repeats everything in flight in its original order with its identifier: PUBLISH with DUP,
    /// PUBREL for phase received [MQTT-4.4.0-1], [MQTT-4.6.0-1]. What exceeds the client's Receive
    /// Maximum follows as acknowledgements come. Messages are set in `parts` or come through
    /// restore_message() before.
    void send_inflight_again(Instant now, Effects& fx);
    /// Appends the positions whose message is not in memory.
    void missing_messages(std::vector<Seq>& out) const;
    /// Gives the message of an unfinished position back; null: it is not stored any more (counted
    /// as `why_not`), which ends the delivery: at once with QoS 1, with PUBREL and PUBCOMP in QoS
    /// 2, because the client may have the message. Unknown positions are ignored.
    /// `identifiers_anew` is asked for the subscription identifiers if a restart has lost them.
    void restore_message(Seq seq,
                         MessagePtr message,
                         const std::function<std::span<const std::uint32_t>()>& identifiers_anew,
                         Effects& fx,
                         DropReason why_not = DropReason::no_longer_stored);

    // --- from the client
    /// Alias, receive maximum, duplicates. Returns what is to be routed (then call ingress()
    /// exactly once with the outcome), or nothing: answered already, or fx.close.
    [[nodiscard]] std::optional<PublishToRoute> accept_publish(const PublishView& packet,
                                                               Instant now,
                                                               Effects& fx);
    /// The outcome of the PublishToRoute just returned. `message` may be null unless `outcome` is
    /// released; `ticket` names the pending commit (any number that grows with each call). `reason`
    /// goes into the acknowledgement, of a pending one after its commit.
    /// refused with not_authorized is counted in fx.drops; 3.1.1 has no negative acknowledgement,
    /// so there it is acknowledged like any other [MQTT-3.3.5-2 of 3.1.1] and any other refusal of
    /// QoS 1/2 closes the connection.
    void ingress(PacketId packet_id,
                 QoS qos,
                 Ingress outcome,
                 ReasonCode reason,
                 MessagePtr message,
                 std::uint64_t destinations,
                 std::uint64_t ticket,
                 Effects& fx);
    /// The commit that holds the pending PUBLISH with this ticket is done (or failed: the reason
    /// goes to the client; a 3.1.1 connection is closed). Unknown tickets are ignored (QoS 0).
    void ingress_committed(std::uint64_t ticket, Effects& fx);
    /// A QoS 2 PUBLISH of this session's earlier connection is committed only now: should the
    /// client send it again, it is a duplicate.
    void restore_inbound(PacketId packet_id);
    /// The same for a PUBREL: its identifier is free, and should the client repeat it, unknown.
    void forget_inbound(PacketId packet_id);
    void ingress_failed(std::uint64_t ticket, ReasonCode reason, Effects& fx);

    void on(const PubackView& packet, Instant now, Effects& fx);
    void on(const PubrecView& packet, Instant now, Effects& fx);
    void on(const PubcompView& packet, Instant now, Effects& fx);
    void on(const PingreqView& packet, Effects& fx);
    /// Session expiry changes, will kept or forgotten: fx.close is always set. [MQTT-3.14.*]
    void on(const DisconnectView& packet, Effects& fx);

    enum class Pubrel : std::uint8_t {
        answered,       // PUBCOMP sent (transient session, or unknown identifier: 0x92); fx.close
                        // for one whose PUBREC has not left
        commit_forget,  // durable: commit InboundForgotten, then call forget_committed()
    };
    [[nodiscard]] Pubrel on(const PubrelView& packet, Effects& fx);
    void forget_committed(PacketId packet_id, Effects& fx);

    /// SUBACK / UNSUBACK after the commit (durable) or at once. Codes are 5.0 reason codes; 3.1.1
    /// gets 0x80 for any error.
    void send_suback(PacketId packet_id, std::span<const ReasonCode> codes, Effects& fx);
    void send_unsuback(PacketId packet_id, std::span<const ReasonCode> codes, Effects& fx);

    // --- to the client
    /// Any message for a transient session; for a durable one QoS 0 only (asserted: what it gets
    /// with QoS 1/2 is in the log). QoS 0 leaves at once or is dropped at the outbox bound; QoS 1/2
    /// leaves, or waits in the bounded queue.
    void deliver(const MessagePtr& message, const Grant& grant, Instant now, Effects& fx);

    enum class Logged : std::uint8_t { taken, window_full };
    /// A logged message with effective QoS 1/2, in order of seq (live or from a page). Ignored
    /// (taken) when seq <= sent_through. window_full: nothing happened; the session is behind from
    /// here on, and sent_through is the position before `seq`; fx.wants_more says when to go on.
    [[nodiscard]] Logged deliver_logged(
        Seq seq, const MessagePtr& message, const Grant& grant, Instant now, Effects& fx);
    /// A message outside the position: retained replay or a shared subscription's share (which may
    /// be unlogged, kNoSeq: then it does not survive a crash). Otherwise the same; window_full
    /// leaves the position and live() as they are.
    [[nodiscard]] Logged deliver_pinned(
        Seq seq, const MessagePtr& message, const Grant& grant, Instant now, Effects& fx);

    /// A durable session is live (groups are offered to it as they commit) or behind (it reads
    /// pages). A new object is behind.
    [[nodiscard]] bool live() const noexcept { return live_; }
    /// Everything up to `position` has been sent or did not match. Never goes back.
    void advance(Seq position) noexcept;
    void set_live(bool live) noexcept { live_ = live; }
    [[nodiscard]] Seq sent_through() const noexcept { return sent_through_; }
    /// May a further QoS 1/2 message be sent now (window, identifiers, outbox)?
    [[nodiscard]] bool window_open() const noexcept;
    /// The same; if not, fx.wants_more says when.
    [[nodiscard]] bool request_room();
    /// Sends what has waited for room: unsent ones in flight, then the transient queue; called when
    /// the outbox has drained (the session does it itself when an acknowledgement comes).
    void pump(Instant now, Effects& fx);

    /// Takes out of the transient queue what `may_stay` says no to: counted as not_authorized, but
    /// for shares of groups, which are appended to `shares`: they are others' work now.
    void withdraw_queued(const std::function<bool(const Message&)>& may_stay,
                         std::vector<InflightMessage>& shares,
                         Effects& fx);

    // --- commits of the delivery state
    [[nodiscard]] CommitNeed commit_need() const noexcept;
    /// The change since the last call; the session counts it as on its way. Each is confirmed by
    /// one delivery_committed(), in order; then QoS 2 PUBLISH and PUBREL packets leave and
    /// identifiers become free. If a commit fails the shard must close the session (0x88): what is
    /// stored stays as it was.
    [[nodiscard]] DeliveryChange take_delivery_change();
    /// The same, but all there is: right whatever becomes of changes that are still on their way.
    [[nodiscard]] DeliveryChange take_whole_state();
    void delivery_committed(Instant now, Effects& fx);

    /// The lowest position in flight that no commit is known to list. `earlier`: those that an
    /// earlier connection has left count as well, because the commit that lists them is not done.
    [[nodiscard]] std::optional<Seq> lowest_unlisted(bool earlier = false) const noexcept;

    // --- closing
    /// DISCONNECT with a reason to a 5.0 client that has had its CONNACK; nothing to others.
    /// Afterwards only take_parts() and the facts may be called.
    void send_disconnect(ReasonCode reason,
                         std::string_view reason_string,
                         std::string_view server_reference,
                         Effects& fx);
    /// Ends the session object: what a durable session keeps. Commits on their way count as not
    /// done: their entries are in the parts in their last uncommitted phase, so the Detached record
    /// (whole) holds them.
    [[nodiscard]] SessionParts take_parts() &&;

    // --- facts
    [[nodiscard]] const ConnectRequest& request() const noexcept { return request_; }
    [[nodiscard]] bool durable() const noexcept { return request_.durable(); }
    /// As changed by DISCONNECT.
    [[nodiscard]] std::uint32_t session_expiry_seconds() const noexcept {
        return session_expiry_seconds_;
    }
    [[nodiscard]] std::size_t inflight_count() const noexcept;  // QoS 1/2 to the client, not done
    [[nodiscard]] std::size_t inbound_count() const noexcept;   // the same from the client
    [[nodiscard]] std::size_t queued_count() const noexcept;    // transient queue
    [[nodiscard]] std::size_t bytes() const noexcept;           // memory, for accounting

  private:
    struct IngressEntry;  // inbound.hpp
    struct Inbound;       // the client's PUBLISH packets that are not finished
    struct Outgoing;      // outbound.hpp
    struct Outbound;      // ours that are not finished, and the transient queue
    class Aliases;        // outbound_aliases.hpp

    [[nodiscard]] bool is_v5() const noexcept { return request_.version == ProtocolVersion::v5; }
    [[nodiscard]] std::size_t window() const noexcept;
    [[nodiscard]] bool outbox_has_room(const Effects& fx) const noexcept;
    void close(ReasonCode reason, const char* detail, Effects& fx);
    void release_idle_memory();

    // answers.cpp
    void send_ack(PacketType type, PacketId packet_id, ReasonCode reason, Effects& fx);
    void pause_if_overloaded(Effects& fx);
    void resume_if_relieved(Effects& fx);

    // on_publish.cpp
    Inbound& inbound();
    [[nodiscard]] std::optional<std::string_view> resolve_topic(const PublishView& packet,
                                                                Effects& fx);
    void conclude(IngressEntry& entry, Effects& fx);
    void conclude_in_order(Effects& fx);

    // deliver.cpp
    Outbound& outbound();
    void deliver_at_most_once(const Message& message, const Grant& grant, Instant now, Effects& fx);
    [[nodiscard]] Logged take_logged(
        Seq seq, const MessagePtr& message, const Grant& grant, Instant now, Effects& fx);
    [[nodiscard]] bool inflight_has_room() const noexcept;
    [[nodiscard]] bool has_room(const Effects& fx);
    void admit(Seq seq, const MessagePtr& message, const Grant& grant, Instant now, Effects& fx);
    void enqueue(const MessagePtr& message, const Grant& grant, Effects& fx);
    static void drop(DropReason reason, const Grant& grant, Effects& fx);
    void send_queued(Instant now, Effects& fx);

    // send_publish.cpp
    [[nodiscard]] PacketId allocate_packet_id();
    [[nodiscard]] bool fits(const Message& message, const PublishDelivery& delivery) const noexcept;
    void append_publish(const Message& message, PublishDelivery delivery, Instant now, Effects& fx);
    void send_outgoing(std::size_t index, Instant now, Effects& fx);
    [[nodiscard]] bool may_leave(const Outgoing& entry, Effects& fx);
    void send_unsent(Instant now, Effects& fx);

    // delivery_state.cpp
    enum class Extent : std::uint8_t { change, whole };
    [[nodiscard]] DeliveryChange take(Extent extent);
    void finish(std::size_t index, Effects& fx);
    void mark_received(std::size_t index);
    void send_due_pubrels(Effects& fx);

    ConnectRequest request_;
    const SessionLimits* limits_;
    // These three are there only while they hold something, see release_idle_memory().
    std::unique_ptr<Inbound> inbound_;
    std::unique_ptr<Outbound> outbound_;
    std::unique_ptr<Aliases> aliases_;
    Seq sent_through_;
    std::uint32_t session_expiry_seconds_;
    std::uint16_t last_packet_id_;
    bool live_ = false;
    bool connack_sent_ = false;
    bool closed_ = false;
    bool reading_paused_ = false;
};

}  // namespace stentor::mqtt
