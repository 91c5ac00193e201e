#include "persistence/sqlite/state_store.hpp"

#include "base/assert.hpp"
#include "base/log.hpp"

#include <algorithm>
#include <array>
#include <type_traits>
#include <utility>
#include <variant>

namespace stentor::store {
namespace {

// The files that an older store has are named at the end of the first start.
constexpr std::array<Migration, 2> kMigrations{
    {{.from = 1, .sql = "ALTER TABLE subscription ADD COLUMN kept BLOB"},
     {.from = 2,
      .sql =
          "CREATE TABLE segment(first INTEGER NOT NULL, generation INTEGER NOT NULL,"
          " last INTEGER NOT NULL, newest_message INTEGER NOT NULL, messages INTEGER,"
          " ended_at INTEGER NOT NULL, given_up INTEGER NOT NULL, PRIMARY KEY(first, generation))"
          " WITHOUT ROWID;"
          "ALTER TABLE session ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;"
          "ALTER TABLE session ADD COLUMN lost_reason INTEGER NOT NULL DEFAULT 0"}}};

constexpr FileFormat kFormat{
    .application_id = 0x53'74'53'74,  // "StSt"
    .version = 3,
    .schema =
        "CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id = 1), applied_through INTEGER NOT NULL,"
        " at INTEGER NOT NULL, wall_unix_ms INTEGER NOT NULL, run_state INTEGER NOT NULL);"
        "INSERT INTO meta VALUES(1, 0, 0, 0, 0);"
        "CREATE TABLE session(client BLOB PRIMARY KEY, version INTEGER NOT NULL,"
        " expiry_seconds INTEGER NOT NULL, attached INTEGER NOT NULL, detached_at INTEGER NOT NULL,"
        " user BLOB NOT NULL, sent_through INTEGER NOT NULL, transient INTEGER NOT NULL,"
        " unfinished BLOB NOT NULL, inbound BLOB NOT NULL, will_delay_seconds INTEGER NOT NULL,"
        " will BLOB, lost INTEGER NOT NULL DEFAULT 0, lost_reason INTEGER NOT NULL DEFAULT 0)"
        " WITHOUT ROWID;"
        "CREATE TABLE subscription(client BLOB NOT NULL, place INTEGER NOT NULL,"
        " filter BLOB NOT NULL, options INTEGER NOT NULL, identifier INTEGER NOT NULL,"
        " since INTEGER NOT NULL, replay_next BLOB, replay_until INTEGER NOT NULL, kept BLOB,"
        " PRIMARY KEY(client, place)) WITHOUT ROWID;"
        "CREATE TABLE retained(topic BLOB PRIMARY KEY, seq INTEGER NOT NULL,"
        " message BLOB NOT NULL);"
        "CREATE UNIQUE INDEX retained_seq ON retained(seq);"
        "CREATE TABLE pinned(seq INTEGER PRIMARY KEY, message BLOB NOT NULL);"
        "CREATE TABLE segment(first INTEGER NOT NULL, generation INTEGER NOT NULL,"
        " last INTEGER NOT NULL, newest_message INTEGER NOT NULL, messages INTEGER,"
        " ended_at INTEGER NOT NULL, given_up INTEGER NOT NULL, PRIMARY KEY(first, generation))"
        " WITHOUT ROWID",
    .migrations = kMigrations};

constexpr const char* kSessionColumns =
    "SELECT client, version, expiry_seconds, attached, detached_at, user, sent_through, transient,"
    " unfinished, inbound, will_delay_seconds, will, lost, lost_reason FROM session";

// seq, packet identifier, QoS, phase (bit 0) and RETAIN (bit 1)
constexpr std::size_t kUnfinishedBytes = 12;
constexpr unsigned kRetainBit = 2;

[[nodiscard]] Bytes packed(const std::vector<Unfinished>& list) {
    Bytes bytes(list.size() * kUnfinishedBytes);
    for (std::size_t i = 0; i < list.size(); ++i) {
        const MutableByteView entry = MutableByteView{bytes}.subspan(i * kUnfinishedBytes);
        store_u64(entry, list[i].seq.value());
        store_u16(entry.subspan(8), list[i].packet_id.value());
        entry[10] = static_cast<std::byte>(list[i].qos);
        entry[11] = static_cast<std::byte>(static_cast<unsigned>(list[i].phase) |
                                           (list[i].retain ? kRetainBit : 0U));
    }
    return bytes;
}

[[nodiscard]] std::vector<Unfinished> unpacked_unfinished(ByteView bytes) {
    std::vector<Unfinished> list;
    for (; bytes.size() >= kUnfinishedBytes; bytes = bytes.subspan(kUnfinishedBytes)) {
        list.push_back({.seq = Seq{load_u64(bytes)},
                        .packet_id = PacketId{load_u16(bytes.subspan(8))},
                        .qos = static_cast<mqtt::QoS>(bytes[10]),
                        .phase = static_cast<DeliveryPhase>(bytes[11] & std::byte{1}),
                        .retain = (std::to_integer<unsigned>(bytes[11]) & kRetainBit) != 0});
    }
    return list;
}

[[nodiscard]] Bytes packed(const std::set<PacketId>& identifiers) {
    Bytes bytes(identifiers.size() * 2);
    std::size_t at = 0;
    for (const PacketId id : identifiers) {
        store_u16(MutableByteView{bytes}.subspan(at), id.value());
        at += 2;
    }
    return bytes;
}

[[nodiscard]] std::set<PacketId> unpacked_identifiers(ByteView bytes) {
    std::set<PacketId> identifiers;
    for (; bytes.size() >= 2; bytes = bytes.subspan(2)) {
        identifiers.insert(PacketId{load_u16(bytes)});
    }
    return identifiers;
}

// since, until, QoS
constexpr std::size_t kKeptBytes = 17;

/// What has not been sent yet.
[[nodiscard]] Bytes packed(const KeptSpans& kept, Seq sent_through) {
    Bytes bytes;
    for (const KeptSpan& span : kept.all()) {
        if (span.until <= sent_through) continue;
        const std::size_t at = bytes.size();
        bytes.resize(at + kKeptBytes);
        const MutableByteView entry = MutableByteView{bytes}.subspan(at);
        store_u64(entry, span.since.value());
        store_u64(entry.subspan(8), span.until.value());
        entry[16] = static_cast<std::byte>(span.qos);
    }
    return bytes;
}

[[nodiscard]] KeptSpans unpacked_kept(ByteView bytes, Seq sent_through) {
    KeptSpans kept;
    for (; bytes.size() >= kKeptBytes; bytes = bytes.subspan(kKeptBytes)) {
        kept.keep({.since = Seq{load_u64(bytes)},
                   .until = Seq{load_u64(bytes.subspan(8))},
                   .qos = static_cast<mqtt::QoS>(bytes[16])},
                  sent_through);
    }
    return kept;
}

[[nodiscard]] Bytes stored(const MessagePtr& message) {
    Bytes bytes;
    message->serialize(bytes);
    return bytes;
}

[[nodiscard]] Result<MessagePtr> parse_message(ByteView bytes) {
    auto message = mqtt::Message::parse(bytes);
    if (message) return MessagePtr{*std::move(message)};
    STENTOR_LOG(error, "store_damaged", "a message in state.db");
    return StoreErrc::damaged;
}

[[nodiscard]] std::int64_t ticks(Instant at) noexcept { return at.time_since_epoch().count(); }

/// The sessions a record is about; null: none.
[[nodiscard]] std::array<const ClientId*, 2> concerned(const Record& record) {
    return std::visit(
        [](const auto& r) -> std::array<const ClientId*, 2> {
            using Kind = std::decay_t<decltype(r)>;
            if constexpr (std::is_same_v<Kind, MessageRecord>) {
                return {r.inbound ? &r.inbound->client : nullptr,
                        r.fires_will_of.empty() ? nullptr : &r.fires_will_of};
            } else if constexpr (std::is_same_v<Kind, RetainedForgotten>) {
                return {nullptr, nullptr};
            } else {
                return {&r.client, nullptr};
            }
        },
        record);
}

}  // namespace

const FileFormat& state_format() noexcept { return kFormat; }

Result<StateStore> StateStore::open(const std::string& path,
                                    const std::string& vfs,
                                    Database::Open how) {
    STENTOR_TRY(Database database, Database::open(path, how, kFormat, vfs));
    // Segments are removed on the strength of what is here.
    STENTOR_TRY_VOID(database.run("PRAGMA synchronous=FULL"));
    constexpr int kCheckpointPages = 4000;
    database.checkpoint_from(kCheckpointPages);
    StateStore store{std::move(database)};
    STENTOR_TRY_VOID(store.prepare_statements());
    STENTOR_TRY_VOID(store.read_meta());
    STENTOR_TRY_VOID(store.read_references());
    STENTOR_TRY_VOID(store.read_segments());
    return store;
}

Result<void> StateStore::prepare_statements() {
    const std::string by_client = std::string{kSessionColumns} + " WHERE client = ?1";
    const std::pair<Statement*, const char*> all[] = {
        {&select_session_, by_client.c_str()},
        {&select_subscriptions_,
         "SELECT filter, options, identifier, since, replay_next, replay_until, kept"
         " FROM subscription"
         " WHERE client = ?1 ORDER BY place"},
        {&upsert_session_,
         "INSERT OR REPLACE INTO session(client, version, expiry_seconds, attached, detached_at,"
         " user, sent_through, transient, unfinished, inbound, will_delay_seconds, will, lost,"
         " lost_reason) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"},
        {&delete_session_, "DELETE FROM session WHERE client = ?1"},
        {&delete_subscriptions_, "DELETE FROM subscription WHERE client = ?1"},
        {&insert_subscription_,
         "INSERT INTO subscription(client, place, filter, options, identifier, since, replay_next,"
         " replay_until, kept) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"},
        {&update_replay_,
         "UPDATE subscription SET replay_next = ?3, replay_until = ?4"
         " WHERE client = ?1 AND place = ?2"},
        {&select_retained_, "SELECT seq, message FROM retained WHERE topic = ?1"},
        {&upsert_retained_,
         "INSERT OR REPLACE INTO retained(topic, seq, message) VALUES(?1, ?2, ?3)"},
        {&delete_retained_, "DELETE FROM retained WHERE topic = ?1"},
        {&insert_pin_, "INSERT OR REPLACE INTO pinned(seq, message) VALUES(?1, ?2)"},
        {&delete_pin_, "DELETE FROM pinned WHERE seq = ?1"},
        {&insert_segment_,
         "INSERT OR REPLACE INTO segment(first, generation, last, newest_message, messages,"
         " ended_at, given_up) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"},
        {&delete_segment_, "DELETE FROM segment WHERE first = ?1 AND generation = ?2"}};
    for (const auto& [statement, sql] : all) {
        STENTOR_TRY(*statement, database_.prepare(sql));
    }
    return {};
}

Result<void> StateStore::read_meta() {
    STENTOR_TRY(Statement select,
                database_.prepare("SELECT applied_through, at, wall_unix_ms, run_state FROM meta"));
    STENTOR_TRY(const Statement::Step step, select.step());
    if (step == Statement::Step::done) return StoreErrc::damaged;
    meta_ = {.applied_through = select.seq(0),
             .at = Instant{Duration{select.integer(1)}},
             .wall_unix_ms = select.integer(2),
             .run_state = static_cast<RunState>(select.integer(3))};
    STENTOR_TRY(const std::int64_t bytes,
                database_.integer("SELECT total(length(message)) FROM (SELECT message FROM retained"
                                  " UNION ALL SELECT message FROM pinned)"));
    message_bytes_ = static_cast<std::uint64_t>(bytes);
    return {};
}

Result<void> StateStore::read_references() {
    // Few among many: the others refer to nothing.
    const std::string referring =
        std::string{kSessionColumns} +
        " WHERE length(unfinished) > 0 OR client IN"
        " (SELECT client FROM subscription WHERE replay_next IS NOT NULL)";
    STENTOR_TRY(Statement sessions, database_.prepare(referring.c_str()));
    for (;;) {
        STENTOR_TRY(const Statement::Step step, sessions.step());
        if (step == Statement::Step::done) break;
        STENTOR_TRY(StoredSession session, read_session(sessions));
        const ClientId client = session.client;
        working_.restore(std::move(session));
        (void)working_.take_out(client);
    }
    STENTOR_TRY(Statement pins, database_.prepare("SELECT seq, length(message) FROM pinned"));
    for (;;) {
        STENTOR_TRY(const Statement::Step step, pins.step());
        if (step == Statement::Step::done) return {};
        working_.restore_pinned(pins.seq(0));
        stored_pins_.emplace(pins.seq(0), static_cast<std::size_t>(pins.integer(1)));
    }
}

Result<void> StateStore::read_segments() {
    STENTOR_TRY(Statement rows,
                database_.prepare("SELECT first, generation, last, newest_message, messages,"
                                  " ended_at, given_up FROM segment ORDER BY first, generation"));
    for (;;) {
        STENTOR_TRY(const Statement::Step step, rows.step());
        if (step == Statement::Step::done) return {};
        KnownSegment& segment = segments_.emplace_back();
        segment.id = {.first = rows.seq(0),
                      .generation = static_cast<std::uint32_t>(rows.integer(1))};
        segment.last = rows.seq(2);
        segment.newest_message = rows.seq(3);
        if (!rows.is_null(4)) segment.messages = static_cast<std::uint64_t>(rows.integer(4));
        segment.ended_at = Instant{Duration{rows.integer(5)}};
        segment.given_up = rows.integer(6) != 0;
    }
}

Result<StoredSession> StateStore::read_session(Statement& row) {
    StoredSession session;
    session.client = row.text(0);
    session.version = static_cast<mqtt::ProtocolVersion>(row.integer(1));
    session.expiry_seconds = static_cast<std::uint32_t>(row.integer(2));
    session.attached = row.integer(3) != 0;
    session.detached_at = Instant{Duration{row.integer(4)}};
    session.user = row.text(5);
    session.sent_through = row.seq(6);
    session.transient = row.integer(7) != 0;
    session.unfinished = unpacked_unfinished(row.blob(8));
    session.inbound = unpacked_identifiers(row.blob(9));
    if (!row.is_null(11)) {
        STENTOR_TRY(const MessagePtr message, parse_message(row.blob(11)));
        session.will = WillRecord{.message = message,
                                  .delay_seconds = static_cast<std::uint32_t>(row.integer(10))};
    }
    session.loss = {.messages = static_cast<std::uint64_t>(row.integer(12)),
                    .reason = static_cast<LossReason>(row.integer(13))};
    const ResetAtEnd reset_at_end{select_subscriptions_};
    select_subscriptions_.bind(1, as_bytes(session.client));
    for (;;) {
        STENTOR_TRY(const Statement::Step step, select_subscriptions_.step());
        if (step == Statement::Step::done) {
            session.has_other_subscriptions = false;
            return session;
        }
        const Statement& from = select_subscriptions_;
        const auto options =
            mqtt::SubscriptionOptions::from_byte(static_cast<std::byte>(from.integer(1)));
        if (!options) return StoreErrc::damaged;
        StoredSubscription& subscription = session.subscriptions.emplace_back();
        subscription.filter = from.text(0);
        subscription.options = *options;
        subscription.subscription_identifier = static_cast<std::uint32_t>(from.integer(2));
        subscription.since = from.seq(3);
        if (!from.is_null(4)) subscription.replay_next.emplace(from.text(4));
        subscription.replay_until = from.seq(5);
        if (!from.is_null(6)) {
            subscription.kept = unpacked_kept(from.blob(6), session.sent_through);
        }
    }
}

Result<std::optional<StoredSession>> StateStore::find_session(const ClientId& client) {
    const ResetAtEnd reset_at_end{select_session_};
    select_session_.bind(1, as_bytes(client));
    STENTOR_TRY(const Statement::Step step, select_session_.step());
    if (step == Statement::Step::done) return std::optional<StoredSession>{};
    STENTOR_TRY(StoredSession session, read_session(select_session_));
    return std::optional{std::move(session)};
}

Result<void> StateStore::need_session(const ClientId& client) {
    if (!sessions_.try_emplace(client).second) return {};
    STENTOR_TRY(std::optional<StoredSession> session, find_session(client));
    if (session) working_.put_back(*std::move(session));
    return {};
}

Result<void> StateStore::need_topic(std::string_view topic) {
    auto [place, is_new] = topics_.try_emplace(std::string{topic}, 0);
    if (!is_new) return {};
    const ResetAtEnd reset_at_end{select_retained_};
    select_retained_.bind(1, as_bytes(topic));
    STENTOR_TRY(const Statement::Step step, select_retained_.step());
    if (step == Statement::Step::done) return {};
    STENTOR_TRY(const MessagePtr message, parse_message(select_retained_.blob(1)));
    place->second = select_retained_.blob(1).size();
    working_.restore_retained({.seq = select_retained_.seq(0), .message = message});
    return {};
}

Result<void> StateStore::apply(Seq seq, const Record& record) {
    for (const ClientId* client : concerned(record)) {
        if (client != nullptr) STENTOR_TRY_VOID(need_session(*client));
    }
    if (const auto* published = std::get_if<MessageRecord>(&record)) {
        if (published->sets_retained) STENTOR_TRY_VOID(need_topic(published->message->topic()));
    } else if (const auto* forgotten = std::get_if<RetainedForgotten>(&record)) {
        STENTOR_TRY_VOID(need_topic(forgotten->topic));
    } else if (const auto* replay = std::get_if<RetainedReplay>(&record)) {
        sessions_[replay->client].insert(replay->filter);
    }
    working_.apply(seq, record);
    return {};
}

Result<void> StateStore::commit(const StateMeta& meta) {
    STENTOR_ASSERT(meta.applied_through >= meta_.applied_through, "state never goes back");
    STENTOR_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::write));
    STENTOR_TRY_VOID(write_sessions());
    STENTOR_TRY_VOID(write_retained());
    STENTOR_TRY_VOID(write_pins());
    STENTOR_TRY_VOID(write_segments());
    STENTOR_TRY_VOID(write_meta(meta));
    STENTOR_TRY_VOID(transaction.commit());
    meta_ = meta;
    if (wanted_) segments_ = *std::exchange(wanted_, std::nullopt);
    return {};
}

Result<void> StateStore::write_sessions() {
    for (const auto& [client, replayed] : sessions_) {
        const std::optional<StoredSession> session = working_.take_out(client);
        if (session) {
            STENTOR_TRY_VOID(write_session(*session));
            if (session->has_other_subscriptions) {
                STENTOR_TRY_VOID(write_subscriptions(*session));
            } else if (!replayed.empty()) {
                STENTOR_TRY_VOID(write_replays(*session, replayed));
            }
        } else {
            STENTOR_TRY_VOID(delete_session_.bind(1, as_bytes(client)).run());
            STENTOR_TRY_VOID(delete_subscriptions_.bind(1, as_bytes(client)).run());
        }
    }
    sessions_.clear();
    return {};
}

Result<void> StateStore::write_session(const StoredSession& session) {
    const Bytes unfinished = packed(session.unfinished);
    const Bytes inbound = packed(session.inbound);
    const Bytes will = session.will ? stored(session.will->message) : Bytes{};
    Statement& row = upsert_session_;
    row.bind(1, as_bytes(session.client))
        .bind(2, static_cast<std::int64_t>(session.version))
        .bind(3, std::int64_t{session.expiry_seconds})
        .bind(4, std::int64_t{session.attached})
        .bind(5, ticks(session.detached_at))
        .bind(6, as_bytes(session.user))
        .bind(7, session.sent_through)
        .bind(8, std::int64_t{session.transient})
        .bind(9, ByteView{unfinished})
        .bind(10, ByteView{inbound})
        .bind(11, std::int64_t{session.will ? session.will->delay_seconds : 0U})
        .bind(13, static_cast<std::int64_t>(session.loss.messages))
        .bind(14, static_cast<std::int64_t>(session.loss.reason));
    session.will ? row.bind(12, ByteView{will}) : row.bind_null(12);
    return row.run();
}

Result<void> StateStore::write_subscriptions(const StoredSession& session) {
    STENTOR_TRY_VOID(delete_subscriptions_.bind(1, as_bytes(session.client)).run());
    std::int64_t place = 0;
    for (const StoredSubscription& subscription : session.subscriptions) {
        Statement& insert = insert_subscription_;
        insert.bind(1, as_bytes(session.client))
            .bind(2, place++)
            .bind(3, as_bytes(subscription.filter))
            .bind(4, std::to_integer<std::int64_t>(subscription.options.to_byte()))
            .bind(5, std::int64_t{subscription.subscription_identifier})
            .bind(6, subscription.since)
            .bind(8, subscription.replay_until);
        subscription.replay_next ? insert.bind(7, as_bytes(*subscription.replay_next))
                                 : insert.bind_null(7);
        const Bytes kept = packed(subscription.kept, session.sent_through);
        kept.empty() ? insert.bind_null(9) : insert.bind(9, ByteView{kept});
        STENTOR_TRY_VOID(insert.run());
    }
    return {};
}

/// Of subscriptions whose rows are otherwise as they were.
Result<void> StateStore::write_replays(const StoredSession& session,
                                       const std::set<std::string>& filters) {
    std::int64_t place = -1;
    for (const StoredSubscription& subscription : session.subscriptions) {
        ++place;
        if (!filters.contains(subscription.filter)) continue;
        Statement& update = update_replay_;
        update.bind(1, as_bytes(session.client)).bind(2, place).bind(4, subscription.replay_until);
        subscription.replay_next ? update.bind(3, as_bytes(*subscription.replay_next))
                                 : update.bind_null(3);
        STENTOR_TRY_VOID(update.run());
    }
    return {};
}

Result<void> StateStore::write_retained() {
    for (const auto& [topic, size_before] : topics_) {
        const std::optional<StoredRetained> value = working_.take_out_retained(topic);
        message_bytes_ -= size_before;
        if (value) {
            const Bytes message = stored(value->message);
            message_bytes_ += message.size();
            upsert_retained_.bind(1, as_bytes(topic)).bind(2, value->seq);
            STENTOR_TRY_VOID(upsert_retained_.bind(3, ByteView{message}).run());
        } else {
            STENTOR_TRY_VOID(delete_retained_.bind(1, as_bytes(topic)).run());
        }
    }
    topics_.clear();
    return {};
}

Result<void> StateStore::write_pins() {
    const StoredState::Pinned& pinned = working_.pinned();
    for (auto pin = stored_pins_.begin(); pin != stored_pins_.end();) {
        if (pinned.contains(pin->first)) {
            ++pin;
            continue;
        }
        STENTOR_TRY_VOID(delete_pin_.bind(1, pin->first).run());
        message_bytes_ -= pin->second;
        pin = stored_pins_.erase(pin);
    }
    std::vector<Seq> written;
    for (const auto& [seq, message] : pinned) {
        if (stored_pins_.contains(seq)) continue;
        const Bytes bytes = stored(message);
        STENTOR_TRY_VOID(insert_pin_.bind(1, seq).bind(2, ByteView{bytes}).run());
        stored_pins_.emplace(seq, bytes.size());
        message_bytes_ += bytes.size();
        written.push_back(seq);
    }
    for (const Seq seq : written) working_.hand_over(seq);
    return {};
}

/// Both lists side by side: there may be thousands.
Result<void> StateStore::write_segments() {
    if (!wanted_) return {};
    auto known = segments_.cbegin();
    for (const KnownSegment& segment : *wanted_) {
        for (; known != segments_.cend() && known->id < segment.id; ++known) {
            STENTOR_TRY_VOID(delete_segment(known->id));
        }
        const bool is_known = known != segments_.cend() && known->id == segment.id;
        if (!is_known || *known != segment) STENTOR_TRY_VOID(write_segment(segment));
        if (is_known) ++known;
    }
    for (; known != segments_.cend(); ++known) STENTOR_TRY_VOID(delete_segment(known->id));
    return {};
}

Result<void> StateStore::write_segment(const KnownSegment& segment) {
    Statement& insert = insert_segment_;
    insert.bind(1, segment.id.first)
        .bind(2, std::int64_t{segment.id.generation})
        .bind(3, segment.last)
        .bind(4, segment.newest_message)
        .bind(6, ticks(segment.ended_at))
        .bind(7, std::int64_t{segment.given_up});
    segment.messages ? insert.bind(5, static_cast<std::int64_t>(*segment.messages))
                     : insert.bind_null(5);
    return insert.run();
}

Result<void> StateStore::delete_segment(SegmentId id) {
    return delete_segment_.bind(1, id.first).bind(2, std::int64_t{id.generation}).run();
}

Result<void> StateStore::write_meta(const StateMeta& meta) {
    STENTOR_TRY(Statement update,
                database_.prepare("UPDATE meta SET applied_through = ?1, at = ?2,"
                                  " wall_unix_ms = ?3, run_state = ?4"));
    update.bind(1, meta.applied_through)
        .bind(2, ticks(meta.at))
        .bind(3, meta.wall_unix_ms)
        .bind(4, static_cast<std::int64_t>(meta.run_state));
    return update.run();
}

Result<StoredState> StateStore::load() {
    STENTOR_ASSERT(sessions_.empty() && topics_.empty(), "after a commit");
    StoredState state;
    STENTOR_TRY(Statement sessions, database_.prepare(kSessionColumns));
    for (;;) {
        STENTOR_TRY(const Statement::Step step, sessions.step());
        if (step == Statement::Step::done) break;
        STENTOR_TRY(StoredSession session, read_session(sessions));
        state.restore(std::move(session));
    }
    STENTOR_TRY(Statement retained, database_.prepare("SELECT seq, message FROM retained"));
    for (;;) {
        STENTOR_TRY(const Statement::Step step, retained.step());
        if (step == Statement::Step::done) break;
        STENTOR_TRY(const MessagePtr message, parse_message(retained.blob(1)));
        state.restore_retained({.seq = retained.seq(0), .message = message});
    }
    for (const auto& [seq, message] : working_.pinned()) state.restore_pinned(seq);
    state.drop_unreferenced();
    return state;
}

Result<std::vector<Seq>> StateStore::damaged_pins() {
    std::vector<Seq> damaged;
    STENTOR_TRY(Statement pins, database_.prepare("SELECT seq, message FROM pinned ORDER BY seq"));
    for (;;) {
        STENTOR_TRY(const Statement::Step step, pins.step());
        if (step == Statement::Step::done) return damaged;
        if (!parse_message(pins.blob(1))) damaged.push_back(pins.seq(0));
    }
}

std::vector<Seq> StateStore::unpinned_references(Seq first, Seq last) const {
    std::vector<Seq> found = working_.referenced(first, last);
    std::erase_if(found, [this](Seq seq) { return working_.pinned().contains(seq); });
    return found;
}

Result<HeldMessages> HeldMessages::open(const std::string& path, const std::string& vfs) {
    STENTOR_TRY(Database database, Database::open(path, Database::Open::existing, kFormat, vfs));
    STENTOR_TRY(Statement select,
                database.prepare("SELECT message FROM pinned WHERE seq = ?1 UNION ALL"
                                 " SELECT message FROM retained WHERE seq = ?1 LIMIT 1"));
    return HeldMessages{std::move(database), std::move(select)};
}

Result<MessagePtr> HeldMessages::find(Seq seq) {
    const ResetAtEnd reset_at_end{select_};
    select_.bind(1, seq);
    STENTOR_TRY(const Statement::Step step, select_.step());
    if (step == Statement::Step::done) return MessagePtr{};
    return parse_message(select_.blob(0));
}

}  // namespace stentor::store
