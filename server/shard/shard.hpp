#pragma once
// A shard: the connections and sessions of one thread, what they subscribe to, its part of the
// retained values, its timers. A step function: bytes, mailbox and time go in, bytes and log
// records come out. An epoll loop drives it in production, the simulator in tests.
//
// One thread for life. What is not its own it reaches by ShardShared: mailboxes, the interest
// table, the engine, AccessControl and the gate of new connections, each for any thread by its own
// rule (docs/architecture.md, "Threads"); immutable Messages and commit groups; and the counts that
// ration log lines (LogEvery), which are the process's.
//
// Rules of docs/architecture.md kept here: 2 (one order), 3 (the seam), 6 (since), 7 (interest
// first), 9 (retained after the commit stream), 10 (attach is a commit), 11 (time is handed in).

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/leaky_table.hpp"
#include "base/random.hpp"
#include "persistence/contract/engine.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/session/session.hpp"
#include "server/core/access.hpp"
#include "server/core/interest_table.hpp"
#include "server/core/placement.hpp"
#include "server/core/retained_store.hpp"
#include "server/core/subscription_index.hpp"
#include "server/shard/backlog_check.hpp"
#include "server/shard/commit_queue.hpp"
#include "server/shard/counters.hpp"
#include "server/shard/mailbox.hpp"
#include "server/shard/rates.hpp"
#include "server/shard/session_room.hpp"
#include "server/shard/session_table.hpp"
#include "server/shard/shared_groups.hpp"
#include "server/shard/snapshot.hpp"
#include "server/shard/timers.hpp"
#include "server/shard/transport_port.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {

struct ShardOptions {
    mqtt::SessionLimits limits;
    Duration connect_timeout = std::chrono::seconds{10};
    Duration lazy_commit_interval = std::chrono::seconds{1};  // QoS 1 progress (rule 5)
    RetainedLimits retained;
    SessionBounds sessions;
    BacklogBounds shared_waiting;  // of a group whose members have no room, in memory
    std::uint64_t shared_waiting_bytes_of_all_max = 256U << 20U;  // of the shard's groups together
    BacklogBounds backlog;                                        // of a durable session
    std::uint64_t will_bytes_max = 256U << 20U;  // of the shard's sessions, in memory
    std::uint32_t messages_per_second_max = 0;   // of a client; 0: no bound
    std::uint64_t seed = 0;                      // of assigned client identifiers
    /// False of shards that only tell clients to come back, while the store is opened again: what
    /// they were given to publish would be nowhere.
    bool takes_messages = true;
    /// What a turn may cost, in deliveries of a short message (Shard::turn_is_used_up()).
    std::size_t work_per_turn = 65'536;
};

/// What the shards of a process have in common; outlives them all. Any shard's thread may call any
/// of it at any time.
struct ShardShared {
    InterestTable* interest = nullptr;
    const Placement* placement = nullptr;
    store::StorageEngine* engine = nullptr;
    AccessControl* access = nullptr;
    std::span<Mailbox* const> mailboxes;  // by ShardId
    SecondlyGate* connects = nullptr;     // null: no bound
    SnapshotSink* snapshots = nullptr;    // null: nobody asks
};

class Shard {
  public:
    Shard(ShardId id,
          const ShardOptions& options,
          const ShardShared& shared,
          TransportPort& transport);
    ~Shard();
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;

    /// Takes over the sessions and retained values of `recovered` that are at home here. Once,
    /// before anything else.
    void recover(const store::Recovered& recovered, Instant now);

    // --- the driver's calls: see TransportPort ---------------------------------------------------
    /// A connection was accepted on this shard. kNoConnection: refused, close it.
    [[nodiscard]] ConnectionId opened(PeerInfo peer, Instant now);
    /// The driver has closed one by itself, at a bound.
    void turned_away(RefusedAtDoor why) noexcept {
        ++counters_.refused_at_door[static_cast<std::size_t>(why)];
    }
    /// The driver could make no MQTT of what came: PROXY header, TLS, WebSocket.
    void handshake_failed() noexcept { ++counters_.handshakes_failed; }
    /// It speaks HTTP and is not the driver's any more; before CONNECT.
    void handed_over(ConnectionId connection);
    /// A TLS certificate or a proxy has said who the peer is; before received().
    void peer_is(ConnectionId connection, PeerInfo peer);
    /// Returns how many bytes were consumed; the others are to be offered again together with what
    /// comes behind them. After a call the connection may have been closed or set to not reading.
    [[nodiscard]] std::size_t received(ConnectionId connection, ByteView bytes, Instant now);
    void writable(ConnectionId connection, Instant now);
    /// received() takes nothing more before step() has run: others wait for what this turn has
    /// begun. A driver that has bytes in its own hands offers them; what lies in a socket it
    /// leaves there.
    [[nodiscard]] bool turn_is_used_up() const noexcept { return work_ >= options_.work_per_turn; }
    /// All that had arrived by `through` has been offered. Nobody is closed for having been silent
    /// after that. Without any call of it that is always so.
    void heard_all(Instant through) noexcept { heard_through_ = through; }
    /// The peer has closed, or the network has failed.
    void disconnected(ConnectionId connection, Instant now);

    /// Drains the mailbox, fires due timers, feeds sessions, submits the batch, writes what the
    /// connections have to send. Call after every round of driver calls and when next_deadline()
    /// is due. `now` never goes back.
    void step(Instant now);
    /// When step() has to run again at the latest, if nothing happens before.
    [[nodiscard]] Instant next_deadline() const noexcept;
    /// step() left work that waits for nothing but the next step().
    [[nodiscard]] bool has_work() const noexcept;
    /// What was asked of other shards and of the log and has not been answered. None at rest.
    [[nodiscard]] std::size_t questions_open() const noexcept {
        return join_answers_.size() + waiting_joins_.size() + readers_.size() + replayers_.size() +
               backlog_reads_.size() + waiting_queries_.size() + put_off_.detached.size() +
               put_off_.records.size();
    }

    /// After Drain: no connection is left and nothing is on its way to the log.
    [[nodiscard]] bool drained() const noexcept;

    [[nodiscard]] ShardId id() const noexcept { return id_; }
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
    [[nodiscard]] ShardSnapshot snapshot() const;
    [[nodiscard]] std::size_t connections() const noexcept { return connections_open_; }
    [[nodiscard]] std::size_t sessions() const noexcept { return sessions_.size(); }
    /// Those that do not rest.
    [[nodiscard]] std::size_t sessions_awake() const noexcept { return sessions_.awake(); }
    [[nodiscard]] std::size_t sessions_at_rest() const noexcept { return sessions_.at_rest(); }
    [[nodiscard]] std::size_t subscriptions() const noexcept { return index_.subscriptions(); }
    [[nodiscard]] std::size_t retained_messages() const noexcept { return retained_.size(); }

  private:
    enum class Phase : std::uint8_t {
        handshake,       // waiting for CONNECT
        authenticating,  // an authenticator is thinking
        answering,       // the client is: AUTH has been sent, AUTH is to come
        leaving,         // on its way to its home shard at the end of the step
        attaching,       // CONNACK waits for a commit
        open,
    };
    /// So much longer than the client has for what it owes may an authenticator think.
    static constexpr int kThinksTimes = 3;
    // Why a connection does not read; it reads when no bit is set.
    using Pause = std::uint8_t;
    static constexpr Pause kPauseOpening = 1;
    static constexpr Pause kPauseIngress = 2;
    static constexpr Pause kPauseCongested = 4;
    static constexpr Pause kPauseRate = 8;
    static constexpr Pause kPauseTurn = 16;  // until step() has run
    /// So many bytes cost about as much again as the packet or delivery itself.
    static constexpr std::size_t kBytesPerWork = 256;

    struct Connection {
        explicit Connection(mqtt::DecodeLimits limits) : decoder{limits} {}
        ConnectionId id;
        Phase phase = Phase::handshake;
        Pause paused = 0;
        bool dirty = false;
        bool write_blocked = false;
        bool verdict_due = false;         // in phase open: an authenticator thinks about AUTH
        std::uint32_t awaited_round = 0;  // of the mailbox, see has_caught_up(); 0: none
        mqtt::Decoder decoder;
        mqtt::WireBuffer out;
        Instant last_packet;
        TokenBucket rate;                 // of messages_per_second_max
        std::uint32_t slot = 0;           // session, in phases attaching and open
        std::uint32_t connect_bytes = 0;  // of its CONNECT, see may_bring()
        std::unique_ptr<PeerInfo> peer;
        std::unique_ptr<mqtt::ConnectRequest> request;  // until attached
        std::unique_ptr<AuthExchange> exchange;         // while enhanced authentication goes on
        Identity identity;
        Instant valid_until = kNever;      // by its credentials
        Instant credentials_due = kNever;  // when their timer fires
    };

    // connections.cpp
    [[nodiscard]] Connection* find(ConnectionId id) noexcept;
    [[nodiscard]] Connection& connection_of(SessionEntry& entry) noexcept;
    Connection& create_connection(PeerInfo peer, Instant now);
    void free_connection(Connection& connection);
    void set_pause(Connection& connection, Pause why, bool on);
    void mark_dirty(Connection& connection);
    void write_out(Connection& connection);
    void flush_dirty();
    void wait_for_turn(Connection& connection);
    void begin_turn();
    void wait_for_room(Connection& connection);
    void resume_congested();
    [[nodiscard]] bool has_caught_up(Connection& connection, Instant now);
    void dispatch(Connection& connection, const mqtt::PacketView& packet, Instant now);
    [[nodiscard]] std::string_view client_of(const Connection& connection) noexcept;
    [[nodiscard]] bool may_bring(Connection& connection, std::size_t bytes, Instant now);
    void forget_connect_bytes(Connection& connection) noexcept;
    void note_violation(const Connection& connection,
                        const mqtt::ProtocolError& error,
                        Instant now);
    void refuse_packet(Connection& connection,
                       const mqtt::ProtocolError& error,
                       Instant now,
                       ByteView packet = {});
    void close(Connection& connection, const mqtt::Close& close, Instant now);
    void drop_connection(Connection& connection, bool send_rest, mqtt::ReasonCode reason);
    void forget_connection(Connection& connection, bool send_rest);
    void connect_timer(std::uint32_t slot, std::uint32_t tag, Instant now);
    void keep_alive_timer(std::uint32_t slot, std::uint32_t tag, Instant now);
    void keep_to_rate(Connection& connection, Instant now);
    void rate_timer(std::uint32_t slot, std::uint32_t tag);
    void watch_credentials(Connection& connection);
    void credentials_timer(std::uint32_t slot, std::uint32_t tag, Instant now);
    [[nodiscard]] Instant keep_alive_deadline(const Connection& connection,
                                              const SessionEntry& entry) const noexcept;

    // on_connect.cpp
    void on_connect(Connection& connection, const mqtt::ConnectView& packet, Instant now);
    /// `packet`: the CONNECT, if the decoder has refused it.
    void refuse_connect(Connection& connection,
                        mqtt::ReasonCode reason,
                        const char* detail,
                        ByteView packet = {});
    void admitted(Connection& connection, Admission admission, Instant now);
    static void log_not_admitted(const Connection& connection,
                                 const Admission& admission,
                                 Instant now);
    [[nodiscard]] bool may_leave_will(const Connection& connection) const;
    void move_out();
    void move_in(std::unique_ptr<MovedConnection> moved, Instant now);
    [[nodiscard]] bool has_room_for_will(const mqtt::ConnectRequest& request);
    [[nodiscard]] bool has_room_for_session(const mqtt::ConnectRequest& request);
    void log_no_room(std::string_view client, const char* for_what, Instant now);
    void attach(Connection& connection, Instant now);
    void watch_takeovers(std::string_view client,
                         const PeerInfo& old_peer,
                         const PeerInfo& peer,
                         Instant now);
    SessionEntry& prepare_entry(const mqtt::ConnectRequest& request,
                                const PeerInfo& peer,
                                bool& session_present,
                                bool& discards,
                                Instant now);
    void finish_attach(SessionEntry& entry, Instant now);
    void resume(SessionEntry& entry, Instant now);
    void end_attachment(SessionEntry& entry, mqtt::CloseWill will, LastEnd end, Instant now);
    void forget_attachment(SessionEntry& entry);
    static void keep_parts(SessionEntry& entry, mqtt::SessionParts parts);
    [[nodiscard]] static std::optional<store::SessionLoss> loss_to_store(SessionEntry& entry);
    [[nodiscard]] static store::DeliveryState whole_state(SessionEntry& entry);
    void commit_detached(SessionEntry& entry);
    void rewrite_state(SessionEntry& entry);
    void rewrite_replays(SessionEntry& entry);
    void settle_later(SessionEntry& entry);
    static void tells_of_replay(SessionEntry& entry, std::string_view text);
    static void settle_replays(SessionEntry& entry);
    void expire(SessionEntry& entry, Instant now);
    void discard_session(SessionEntry& entry, Instant now);
    void remove_entry(SessionEntry& entry, Instant now);

    // on_auth.cpp
    void begin_exchange(Connection& connection, Instant now);
    void answer_exchange(Connection& connection, ByteView data, Instant now);
    void answer_while_connecting(Connection& connection,
                                 const mqtt::PacketView& packet,
                                 Instant now);
    [[nodiscard]] bool send_auth(Connection& connection,
                                 const mqtt::ConnectRequest& request,
                                 mqtt::ReasonCode reason,
                                 std::string_view data);
    void challenged(Connection& connection, const Admission& admission, Instant now);
    void on_auth(SessionEntry& entry, const mqtt::AuthView& packet, Instant now);
    void reauthenticated(Connection& connection, Admission admission, Instant now);

    // publish.cpp
    void publish_asked(const PublishJobPtr& job, std::size_t at, Instant now);
    void answer_published();

    // on_packet.cpp
    void on_publish(SessionEntry& entry, const mqtt::PublishView& packet, Instant now);
    void on_pubrel(SessionEntry& entry, const mqtt::PubrelView& packet, Instant now);
    [[nodiscard]] static SubscriptionForecast::Granted foreseen(SessionEntry& entry,
                                                                const std::string& filter);
    [[nodiscard]] static std::size_t foreseen_count(const SessionEntry& entry,
                                                    std::size_t count) noexcept;
    static void foresee(SessionEntry& entry,
                        const std::string& filter,
                        SubscriptionForecast::Granted after);
    void has_happened(const AttachmentRef& who, const std::string& filter);
    void on_subscribe(SessionEntry& entry, const mqtt::SubscribeView& packet, Instant now);
    void on_unsubscribe(SessionEntry& entry, const mqtt::UnsubscribeView& packet, Instant now);
    void on_disconnect(SessionEntry& entry, const mqtt::DisconnectView& packet, Instant now);
    /// Runs `call(session, effects)` on an attached session and does what the effects ask.
    /// Afterwards the entry may be detached or gone.
    template <class Call>
    void with_session(SessionEntry& entry, Instant now, Call&& call);
    void apply_effects(SessionEntry& entry, Instant now);
    void count_deliveries(Attachment& attached);

    // subscriptions.cpp
    void activate(FinishSubscribe& operation, Seq seq, Instant now);
    void make_room(SessionEntry& entry, FinishSubscribe& operation, Seq seq);
    static void replace(const SessionEntry& entry,
                        Subscription& subscription,
                        const PendingSubscription& wanted,
                        Seq seq);
    void activate_one(SessionEntry& entry,
                      FinishSubscribe& operation,
                      const PendingSubscription& wanted,
                      Seq seq,
                      Instant now);
    void lower_interest(std::string_view text, Durability durability);
    void raise_interest(std::string_view text, Durability durability);
    [[nodiscard]] mqtt::ReasonCode judge_filter(const SessionEntry& entry,
                                                const mqtt::SubscriptionView& wanted) const;
    [[nodiscard]] bool merge_grant(SessionEntry& entry,
                                   const mqtt::Message& message,
                                   Seq seq,
                                   mqtt::Grant& grant);
    void acknowledge(std::unique_ptr<FinishSubscribe> operation, Instant now);
    void start_replays(SessionEntry& entry, const FinishSubscribe& operation);
    void activate(FinishUnsubscribe& operation, Instant now);
    void acknowledge(FinishUnsubscribe& operation, Instant now);
    void index_subscription(SessionEntry& entry, const Subscription& subscription);
    enum class Leaving : std::uint8_t { away, for_good };
    void unindex_subscription(SessionEntry& entry,
                              const Subscription& subscription,
                              Leaving leaving);
    void forget_subscriptions(SessionEntry& entry);
    void shared_joined(std::uint64_t cookie, Instant now);

    // routing.cpp
    struct Routed {
        mqtt::Ingress outcome = mqtt::Ingress::refused;
        mqtt::ReasonCode reason = mqtt::ReasonCode::success;
        MessagePtr message = nullptr;
        ShardMask destinations = {};
        bool live = false;     // somebody subscribes
        bool durable = false;  // it waits for durable sessions
    };
    struct Routing {
        std::optional<store::InboundQos2> inbound = {};
        std::string fires_will_of = {};
        bool is_will = false;        // nobody would send it again
        bool behind_logged = false;  // its publisher has messages on their way to the log
    };
    /// Decides between log and direct delivery; a logged message is in the batch afterwards.
    [[nodiscard]] Routed route(MessagePtr message, Routing how, Action action, Instant now);
    void release(const MessagePtr& message, ShardMask destinations, Instant now);
    struct Place {
        Seq seq = kNoSeq;    // kNoSeq: the message did not come through the log
        bool stays = false;  // it can be read from the log again
    };
    void deliver_to_matching(const MessagePtr& message, Place place, Instant now);
    template <class Subscribers>
    void deliver_to(SubscriberId who,
                    const Subscribers& subscribers,
                    const MessagePtr& message,
                    Place place,
                    Instant now);
    struct InboxPlace {  // in a message of the inbox: what comes before has been handled
        std::size_t slice = 0;
        std::size_t item = 0;
    };
    [[nodiscard]] bool commit_group(const store::CommitGroup& group,
                                    InboxPlace& place,
                                    Instant now);
    void apply_record(const store::Record& record, Seq seq, Instant now);
    void activate_action(Action& action, Seq seq, Instant now);
    void fail_attach(SessionEntry& entry, Instant now);
    void restore_before(SessionEntry& entry, BeforeAttach before);
    void fail_subscribe(std::unique_ptr<FinishSubscribe> operation, Instant now);
    void session_ended(const std::string& client);
    void retry(std::unique_ptr<store::Record> record);
    static constexpr std::size_t kDetachedPerRound = 4096;  // after a crash there may be a million
    static constexpr std::uint32_t kRetryRound = 1;  // the id of its timer; 0: housekeeping's own
    void retry_put_off(std::size_t detached_max, Instant now);
    void retry_later(Instant now);
    void give_up_retries();
    void retry_all(std::vector<std::unique_ptr<store::Record>> records);
    void ticket_done(store::CommitTicket ticket, const Result<void>& result, Instant now);
    void acknowledge_action(Action& action, Instant now);
    [[nodiscard]] static bool logged(SessionEntry& entry, const AcknowledgePublish& publish);
    void keep_inbound(const AcknowledgePublish& publish);
    void forget_inbound(const AnswerPubrel& pubrel);
    void fail_action(Action& action, const boost::system::error_code& error, Instant now);
    void refuse_message(mqtt::ReasonCode reason, std::string_view client);
    void drop(mqtt::DropReason reason, std::string_view client, std::uint64_t messages = 1);

    // review.cpp
    void look_at_edition() noexcept;
    [[nodiscard]] bool may_read(const SessionEntry& entry, std::string_view topic) const;
    void review_later(SessionEntry& entry);
    void review_some(Instant now);
    [[nodiscard]] bool review(SessionEntry& entry, std::size_t& work, Instant now);
    void send_away(SessionEntry& entry, mqtt::ReasonCode reason, Instant now);
    [[nodiscard]] bool may_still_say(SessionEntry& entry,
                                     const mqtt::PacketView& packet,
                                     Instant now);
    void wait_for_proof(Connection& connection, Instant now);
    [[nodiscard]] bool judge_subscriptions(SessionEntry& entry, std::size_t& work);
    void judge_share(SessionEntry& entry, Subscription& subscription);
    void take_back_queued(SessionEntry& entry, Instant now);

    // catch_up.cpp
    void request_feed(SessionEntry& entry);
    void request_commit(SessionEntry& entry);
    void feed(SessionEntry& entry, Instant now);
    void feed_from_log(SessionEntry& entry, Instant now);
    [[nodiscard]] bool send_page(SessionEntry& entry, Instant now);
    void read_page(SessionEntry& entry);
    void page_read(store::Page page, Instant now);
    void collect_identifiers(SessionEntry& entry, const mqtt::Message& message, Seq seq);
    void restored(SessionEntry& entry, store::Page& page, Instant now);
    void read_missing(SessionEntry& entry);
    void collect_filters(SessionEntry& entry);
    void submit_reads();
    [[nodiscard]] bool may_submit_read() const noexcept;
    [[nodiscard]] bool may_submit_count() const noexcept;
    void commit_deliveries(Instant now);
    void commit_delivery(SessionEntry& entry, Instant now);
    void housekeeping(std::uint32_t which, Instant now);
    void sweep_timers();
    [[nodiscard]] bool is_stale(const Timer& timer);
    void scan_needs(Instant now);
    void scan_awake(SessionEntry& entry, bool quiet, Instant now);
    void scan_resting(std::uint32_t slot);
    void commit_if_it_lags(SessionEntry& entry, Seq needed, bool quiet, Instant now);
    void finish_need_scan();
    void lay_to_rest(SessionEntry& entry);
    void give_memory_back();
    template <class AnySubscription>
    void survey_filter(const AnySubscription& subscription, Seq position);
    void survey_needs(const SessionEntry& entry);
    [[nodiscard]] static std::optional<Seq> needed_position(const SessionEntry& entry);
    [[nodiscard]] static std::optional<Seq> lowest_unlisted(const SessionEntry& entry);
    [[nodiscard]] static std::optional<Seq> needed_by_filters(const SessionEntry& entry);

    // backlog.cpp
    struct BacklogRead {  // what waits for a session is being counted
        AttachmentRef who;
        store::FilterSetPtr filters;
        Seq after;  // read so far
        Seq until;
        bool counts_all = false;  // until what was the newest, at `load`
        bool frees_log = false;   // the log's bounds ask for it: catch-up does not come first
        BacklogLoad load = 0;
        bool met_damage = false;  // behind what has been added to the check
        struct Lost {             // with files of the log
            Seq through;
            std::uint64_t messages = 0;
        };
        std::vector<Lost> lost;
        BacklogCheck check;
    };
    void see_who_gives_way();
    [[nodiscard]] Seq gives_way_below(std::uint32_t slot) const;
    [[nodiscard]] bool backlog_is_due(std::uint32_t slot, Seq oldest, BacklogLoad count_at) const;
    [[nodiscard]] BacklogLoad first_count_at(std::size_t place, std::size_t sessions) const;
    void go_on_with_first_counts(Instant now);
    [[nodiscard]] bool take_backlog_turn(std::uint32_t slot);
    void consider_backlog(SessionEntry& entry, Seq needed);
    void count_backlog(SessionEntry& entry, Seq position);
    void read_backlog(BacklogRead read);
    [[nodiscard]] bool backlog_page(store::Page& page, Instant now);
    [[nodiscard]] bool waits_for(SessionEntry& entry,
                                 const store::FilterSet& filters,
                                 const store::PageEntry& logged);
    void conclude_backlog(SessionEntry& entry, const BacklogRead& read, Instant now);
    void advance_attached(SessionEntry& entry, Seq through, Instant now);
    void pass_missing(SessionEntry& entry, const store::Page& page, Instant now);
    static void recover_loss(SessionEntry& entry, const store::SessionLoss& stored);
    static void will_tell(SessionEntry& entry, std::uint64_t messages, mqtt::DropReason reason);
    void count_loss(SessionEntry& entry, const BacklogCheck::Outcome& outcome, Instant now);
    void send_connack(SessionEntry& entry);
    void tell_loss(SessionEntry& entry);
    [[nodiscard]] static store::FilterSetPtr wanted_filters(const SessionEntry& entry,
                                                            Seq position);

    // retained.cpp
    void apply_retained(Seq seq, const store::MessageRecord& record, Instant now);
    void forget_retained(const mqtt::Message& message, Seq seq);
    void sweep_retained(Instant now);
    void start_replay(SessionEntry& entry,
                      const Subscription& subscription,
                      std::string_view filter,
                      Seq until,
                      std::string next_topic,
                      Seq resumed_at);
    void feed_replay(SessionEntry& entry, Instant now);
    void hold_replays(SessionEntry& entry, Instant now);
    void release_replays(const AttachmentRef& who);
    [[nodiscard]] bool send_retained(SessionEntry& entry,
                                     RetainedReplay& replay,
                                     const RetainedValue& value,
                                     Instant now);
    void finish_replay(SessionEntry& entry, Instant now);
    void ask_retained(SessionEntry& entry, RetainedReplay& replay, RetainedReplay::Source& source);
    void retained_query(RetainedQuery query, Instant now);
    void answer_waiting_queries(Instant now);
    void retained_page(RetainedPage page, Instant now);
    void broker_values(const BrokerValues& values, Instant now);
    void superseded_by_live(SessionEntry& entry, std::string_view topic);
    static void forget_value(RetainedReplay::Source& source, std::string_view topic);

    // wills.cpp
    void will_after_close(SessionEntry& entry,
                          mqtt::CloseWill what,
                          bool session_ends,
                          Instant now);
    void publish_will(SessionEntry& entry, Instant now);
    /// What publishes it; `stored`: the log is to forget it.
    void publish_will_of(std::string_view client_id,
                         const Identity& identity,
                         const MessagePtr& will,
                         bool stored,
                         Instant now);
    static void set_wills_aside(SessionEntry& entry,
                                std::unique_ptr<BeforeAttach> before,
                                mqtt::CloseWill what,
                                Instant now);
    enum class Attach : std::uint8_t { committed, failed };
    void settle_unanswered(const AttachmentRef& who, Attach outcome, Instant now);
    void settle_before(BeforeAttach& later,
                       std::string_view client_id,
                       Unanswered settled,
                       Attach outcome,
                       Instant now);
    void wait_for_will(SessionEntry& entry, Instant since);
    void will_timer(std::uint32_t slot, std::uint32_t tag, Instant now);
    void expiry_timer(std::uint32_t slot, std::uint32_t tag, Instant now);

    // shared.cpp
    void shared_join(SharedJoin join, Instant now);
    void shared_leave(const SharedLeave& leave, Instant now);
    void shared_deliver(SharedDeliver delivery, Instant now);
    void shared_return(SharedReturn returned, Instant now);
    void shared_done(const SharedDone& done, Instant now);
    void assign_shared(std::uint32_t group, const MessagePtr& message, Seq seq, Instant now);
    [[nodiscard]] bool give_connected(SharedGroups::Group& group,
                                      const MessagePtr& message,
                                      Seq seq);
    void assign_waiting(SharedGroups::Group& group, Instant now);
    [[nodiscard]] bool assign_first(SharedGroups::Group& group,
                                    SharedGroups::Line line,
                                    Instant now);
    void give(const SharedGroups::Group& group,
              const SharedGroups::Member& member,
              const MessagePtr& message,
              Seq seq);
    [[nodiscard]] bool send_share(SessionEntry& entry,
                                  const Subscription& subscription,
                                  const SharedDeliver& delivery,
                                  Instant now);
    void feed_shared(SessionEntry& entry, Instant now);
    void share_done(const SharedMember& member, std::uint64_t key);
    void return_shared(SessionEntry& entry);
    void return_share(SharedDeliver delivery);
    void return_unfinished(std::vector<mqtt::InflightMessage>& messages);
    [[nodiscard]] std::optional<Seq> shared_needs();
    [[nodiscard]] std::uint64_t shared_key(std::string_view text) const;
    [[nodiscard]] ShareTerms share_terms(const SessionEntry& entry,
                                         const Subscription& subscription) const;
    void send_join(const SessionEntry& entry,
                   const Subscription& subscription,
                   std::uint64_t cookie);
    void send_to(ShardId shard, ShardMessage message);

    void recover_session(const store::StoredSession& stored, BacklogLoad count_at, Instant now);
    void handle(ShardMessage& message, Instant now);
    [[nodiscard]] bool handle_some(ShardMessage& message, InboxPlace& place, Instant now);
    void handle_local(Instant now);
    void handle_drained(Instant now);
    void handle_ahead(Instant now);
    void handle_inbox(Instant now);
    void fire(const Timer& due, Instant now);
    void close_deferred(Instant now);

    // inquiries.cpp
    struct WaitingKick {
        std::string client_id;
        Kicked kicked;
        Asker asker;
    };
    void inquire(Inquiry inquiry, Instant now);
    [[nodiscard]] bool is_listing(const ListPlace& from) const noexcept;
    [[nodiscard]] ClientsPage look_up(const ClientsQuestion& asked, Instant now);
    [[nodiscard]] ClientFound look_up(const ClientQuestion& asked, Instant now);
    [[nodiscard]] SubscriptionsPage look_up(const SubscriptionsQuestion& asked, Instant now);
    [[nodiscard]] RetainedFound look_up(RetainedQuestion& asked, Instant now);
    [[nodiscard]] RetainedValueFound look_up(const RetainedValueQuestion& asked, Instant now);
    [[nodiscard]] std::optional<ClientSummary> summary_of(std::uint32_t slot,
                                                          const ClientsQuestion& asked);
    [[nodiscard]] static ClientSummary summary_of(const RestingSession& resting);
    [[nodiscard]] ClientSummary summary_of(SessionEntry& entry);
    [[nodiscard]] ClientDetails details_of(SessionEntry& entry);
    [[nodiscard]] ClientDetails::Connected connected_details(SessionEntry& entry);
    template <class Lister>
    [[nodiscard]] bool list_subscriptions(std::uint32_t slot, Lister& lister);
    void kick(Kick kick, Instant now);
    void answer_kicks(std::string_view client);

    void drain(const Drain& how, Instant now);
    void submit_batch(Instant now);
    void flush_outgoing();
    template <class Message, class Item>
    void flush_outgoing(ShardId shard, std::vector<Item>& items);
    void set_congested(bool congested);
    [[nodiscard]] std::string new_client_id();
    [[nodiscard]] Mailbox& mailbox_of(ShardId shard) const {
        return *shared_.mailboxes[shard.value()];
    }

    const ShardId id_;
    const ShardOptions options_;
    const ShardShared shared_;
    TransportPort& transport_;

    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<std::uint32_t> connection_generations_;
    std::vector<std::uint32_t> free_connections_;
    Instant stepped_at_;  // what log lines are rationed by
    std::size_t connections_open_ = 0;
    std::size_t connecting_ = 0;  // connections with connect_bytes
    std::size_t connecting_bytes_ = 0;
    std::size_t sessions_attached_ = 0;
    std::size_t inflight_ = 0;                   // of all attachments' inflight_counted
    std::vector<std::uint32_t> connections_of_;  // listeners
    std::vector<ConnectionId> dirty_;
    std::vector<ConnectionId> leaving_;

    WillTotals wills_;  // sessions count in it
    SessionRoom session_room_;
    SessionTable sessions_;
    SubscriptionIndex index_;
    RetainedStore retained_;
    RetainedStore broker_values_;  // below $SYS, where nothing else is
    std::uint64_t broker_values_heard_ = 0;
    SharedGroups groups_;
    Timers timers_;
    CommitQueue commits_;
    Seq applied_;                                      // groups up to here have been handled
    std::size_t retained_forgotten_on_their_way_ = 0;  // records

    std::unique_ptr<LeakyTable> takeovers_;  // by client identifier; null: none yet

    mqtt::Effects fx_;
    MatchSet matches_;
    MatchGroups match_groups_;
    std::vector<std::uint32_t> identifiers_;
    std::vector<std::string_view> matching_filters_;
    static constexpr std::size_t kMessagesFedPerStep = 2048;
    std::size_t fed_messages_ = 0;  // from pages, in this step

    struct DeferredClose {
        AttachmentRef who;
        mqtt::Close close;
    };
    std::vector<DeferredClose> deferred_closes_;
    bool matching_ = false;  // spans into the index are being read: nothing may change it

    std::vector<ShardMessage> inbox_;  // drained from the mailbox; handled up to here:
    std::vector<ShardMessage> ahead_;  // of those that overtake the inbox
    std::size_t inbox_at_ = 0;
    InboxPlace inbox_place_;
    std::size_t inbox_bytes_ = 0;     // of all of it, see Mailbox::handled()
    std::uint32_t inbox_rounds_ = 0;  // how often it was drained
    std::size_t work_ = 0;            // since the turn, or its second half (step()), began
    std::vector<ConnectionId> waiting_for_turn_;
    std::vector<ConnectionId> waiting_for_room_;  // with kPauseCongested, or gone
    Instant heard_through_ = kNever;
    std::deque<ShardMessage> local_;                 // to ourselves
    std::vector<std::vector<MessagePtr>> outgoing_;  // by shard, like the two below
    std::vector<std::vector<SharedDeliver>> outgoing_shares_;
    std::vector<std::vector<SharedDone::Item>> outgoing_done_;
    // Not in the log, and to be told when outgoing_ has gone: once for each message.
    std::vector<PublishJobPtr> published_;
    std::vector<AttachmentRef> commit_queue_;  // sessions whose delivery state must be committed
    std::vector<AttachmentRef> lazy_commits_;
    std::deque<AttachmentRef> feed_queue_;
    std::deque<store::ReadRequest> reads_;        // not yet asked of the engine
    std::deque<store::ReadRequest> near_reads_;   // the same, of sessions that are nearly level
    std::deque<store::ReadRequest> count_reads_;  // the same, to count backlogs
    bool counts_page_ = false;                    // one of these is on its way
    bool near_has_turn_ = true;
    std::deque<RetainedQuery> waiting_queries_;
    std::vector<std::unique_ptr<FinishSubscribe>> waiting_joins_;
    // Failed to get into the log and must, sooner or later: with the next retry round.
    struct PutOff {
        std::vector<std::unique_ptr<store::Record>> records;
        std::vector<AttachmentRef> detached;  // sessions whose connections have ended
        bool timer_set = false;
        [[nodiscard]] bool empty() const noexcept { return records.empty() && detached.empty(); }
    };
    PutOff put_off_;
    boost::unordered_flat_map<std::string, std::uint32_t> ending_;  // SessionEnded on their way
    std::vector<WaitingKick> kicks_;                                // for one of these
    boost::unordered_flat_map<std::uint64_t, std::uint32_t> join_answers_;  // by cookie
    boost::unordered_flat_map<std::uint64_t, AttachmentRef> readers_;       // by cookie of the read
    boost::unordered_flat_map<std::uint64_t, AttachmentRef> replayers_;  // by cookie of the replay
    struct NeedScan {  // the sliced search for the lowest position anybody needs
        std::uint32_t next_slot = 0;
        Seq started_at;
        Seq lowest;
        bool running = false;
        std::optional<store::NeedSurvey> survey = {};  // the same by filter, if the engine asks
        static constexpr std::uint32_t kNobody = UINT32_MAX;
        std::uint32_t first_put_off = kNobody;  // by slot: whose backlog is to be counted first
    } need_scan_;
    std::uint32_t laid_to_rest_ = 0;           // since memory was given back
    std::uint32_t laid_to_rest_at_round_ = 0;  // of these, when the last round ended
    boost::unordered_flat_map<std::uint64_t, BacklogRead> backlog_reads_;  // by cookie of the read
    boost::unordered_flat_map<std::uint32_t, Seq>
        backlog_spared_;                 // by slot: below it, holds little
    BacklogLoad backlog_load_ = 0;       // all that was logged
    BacklogLoad first_counts_left_ = 0;  // see first_count_at()
    Instant first_counts_at_;
    Instant backlog_rests_until_;     // the log could not be read
    std::uint32_t edition_ = 0;       // of the rules, as last seen
    std::uint32_t backlog_turn_ = 0;  // the slot with which this round begins to count
    store::GiveWay give_way_;         // as the engine said when the round began
    Seq last_durable_;                // newest message for durable sessions that came by
    Instant last_durable_at_;

    struct Review {  // the sliced look at what was granted under an earlier edition
        std::deque<AttachmentRef> waiting = {};
        std::string next_text = {};  // of the first that waits: what comes before has been judged
        std::uint32_t edition = 0;
        std::uint32_t next_slot = 0;
        std::uint32_t narrowed = 0;  // of its subscriptions
        bool begun = false;
        bool scanning = false;
    } review_;

    std::uint64_t next_ingress_ticket_ = 1;
    std::uint64_t next_cookie_ = 1;
    Random random_;
    std::uint32_t listing_ = 0;  // names this life of the slots, see ListPlace
    bool congested_ = false;
    bool others_behind_ = false;  // or we are: see Mailbox::is_behind()
    bool outgoing_blocked_ = false;
    bool draining_ = false;
    bool log_abandoned_ = false;
    Instant next_lazy_commit_ = kNever;
    Counters counters_;
};

template <class Call>
void Shard::with_session(SessionEntry& entry, Instant now, Call&& call) {
    Connection& connection = connection_of(entry);
    fx_.clear();
    fx_.out = &connection.out;
    call(entry.attached->session, fx_);
    mark_dirty(connection);
    apply_effects(entry, now);
}

}  // namespace stentor::server
