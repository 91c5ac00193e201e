#pragma once
// state.db: what the log's records amount to, in rows (docs/formats/segment.md). Records are
// applied by StoredState's rules to the few sessions and topics they name, which are read before
// and written after; memory holds only who refers to which position, and which messages are pinned.
// It also names the files of the log that exist, so that one that goes is missed.
// One thread at a time.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/record.hpp"
#include "persistence/sqlite/database.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/state/stored_state.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stentor::store {

/// Of state.db.
[[nodiscard]] const FileFormat& state_format() noexcept;

/// Whether and how the last run ended.
enum class RunState : std::uint8_t {
    closed = 0,
    open_disk = 1,
    open_lossy = 2,
    restored = 3,  // a backup: positions jump when it is opened (rule 12)
};

struct StateMeta {
    Seq applied_through;  // all records up to here are in the rows
    Instant at;           // the store's clock there
    std::int64_t wall_unix_ms = 0;
    RunState run_state = RunState::closed;

    /// From before the first start was over: a log that has something comes after that.
    [[nodiscard]] bool is_unused() const noexcept {
        return applied_through == kNoSeq && at == Instant{} && wall_unix_ms == 0 &&
               run_state == RunState::closed;
    }
};

/// A file of the log that exists.
///
/// It is named here after it has come into its directory for good, and is removed after it is not
/// named any more: whenever a process or the power ends, what is named is there. (What is there may
/// not be named: it has just been made, or was about to be removed.) The only other way for a named
/// file to go is that a sealed one of a higher generation has taken its place.
struct KnownSegment {
    SegmentId id;
    Seq last;            // kNoSeq: it is being written
    Seq newest_message;  // for durable sessions; this and the rest: once it is full
    std::optional<std::uint64_t> messages;  // for durable sessions; nothing: not known
    Instant ended_at;                       // the store's clock at its newest commit
    bool given_up = false;                  // it is missing, and the operator goes on without it
    friend bool operator==(const KnownSegment&, const KnownSegment&) = default;
};

class StateStore {
  public:
    [[nodiscard]] static Result<StateStore> open(const std::string& path,
                                                 const std::string& vfs,
                                                 Database::Open how = Database::Open::or_create);

    [[nodiscard]] const StateMeta& meta() const noexcept { return meta_; }

    /// Applies the next record, which lies above meta().applied_through. Nothing is stored before
    /// commit(). After a failure of either the object must not be used again.
    [[nodiscard]] Result<void> apply(Seq seq, const Record& record);
    /// Stores what was applied, through position and clock of `meta`, in one commit that is on disk
    /// when this returns.
    [[nodiscard]] Result<void> commit(const StateMeta& meta);

    /// In order of their first positions.
    [[nodiscard]] const std::vector<KnownSegment>& segments() const noexcept { return segments_; }
    /// What segments() are to be from the next commit() on, in the same order. The commit writes
    /// the rows that differ.
    void know_segments(std::vector<KnownSegment> segments) { wanted_ = std::move(segments); }

    /// When there is time: what was committed goes from the write-ahead log into the file.
    [[nodiscard]] Result<void> tidy() { return database_.empty_log(); }

    /// All of it, for the shards.
    [[nodiscard]] Result<StoredState> load();
    /// Pinned messages that cannot be read. Reads all of them.
    [[nodiscard]] Result<std::vector<Seq>> damaged_pins();
    /// After the last record of a recovery: pins that nobody came to refer to are dropped.
    void finish_recovery() { working_.drop_unreferenced(); }

    /// Positions in [first, last] that unfinished deliveries name and that are not pinned yet.
    [[nodiscard]] std::vector<Seq> unpinned_references(Seq first, Seq last) const;
    /// Keeps a message that the log is about to let go, until its last reference goes; stored by
    /// the next commit().
    void pin(Seq seq, const MessagePtr& message) { working_.keep(seq, message); }

    /// Copies the write-ahead log into the file and syncs it.
    [[nodiscard]] Result<void> checkpoint() { return database_.checkpoint(); }
    /// Fails with io_error if the file is not where it was opened.
    [[nodiscard]] Result<void> check_in_place() { return database_.check_in_place(); }

    /// What retained and pinned messages take.
    [[nodiscard]] std::uint64_t message_bytes() const noexcept { return message_bytes_; }

  private:
    explicit StateStore(Database database) : database_{std::move(database)} {}

    [[nodiscard]] Result<void> prepare_statements();
    [[nodiscard]] Result<void> read_meta();
    [[nodiscard]] Result<void> read_references();
    [[nodiscard]] Result<void> read_segments();
    [[nodiscard]] Result<StoredSession> read_session(Statement& row);
    [[nodiscard]] Result<std::optional<StoredSession>> find_session(const ClientId& client);
    [[nodiscard]] Result<void> need_session(const ClientId& client);
    [[nodiscard]] Result<void> need_topic(std::string_view topic);
    [[nodiscard]] Result<void> write_sessions();
    [[nodiscard]] Result<void> write_session(const StoredSession& session);
    [[nodiscard]] Result<void> write_subscriptions(const StoredSession& session);
    [[nodiscard]] Result<void> write_replays(const StoredSession& session,
                                             const std::set<std::string>& filters);
    [[nodiscard]] Result<void> write_retained();
    [[nodiscard]] Result<void> write_pins();
    [[nodiscard]] Result<void> write_segments();
    [[nodiscard]] Result<void> write_segment(const KnownSegment& segment);
    [[nodiscard]] Result<void> delete_segment(SegmentId id);
    [[nodiscard]] Result<void> write_meta(const StateMeta& meta);

    Database database_;
    StateMeta meta_;
    StoredState working_;  // sessions and values of the transaction under way; references of all
    std::unordered_map<ClientId, std::set<std::string>> sessions_;  // and whose replays moved on
    std::unordered_map<std::string, std::size_t> topics_;           // size of the value before
    std::unordered_map<Seq, std::size_t> stored_pins_;              // with their size
    std::uint64_t message_bytes_ = 0;
    std::vector<KnownSegment> segments_;
    std::optional<std::vector<KnownSegment>> wanted_;

    Statement select_session_;
    Statement select_subscriptions_;
    Statement upsert_session_;
    Statement delete_session_;
    Statement delete_subscriptions_;
    Statement insert_subscription_;
    Statement update_replay_;
    Statement select_retained_;
    Statement upsert_retained_;
    Statement delete_retained_;
    Statement insert_pin_;
    Statement delete_pin_;
    Statement insert_segment_;
    Statement delete_segment_;
};

/// Looks up single messages in state.db, beside the StateStore.
class HeldMessages {
  public:
    [[nodiscard]] static Result<HeldMessages> open(const std::string& path, const std::string& vfs);
    /// The retained value or pinned message at `seq`, as of the last commit; null if there is none.
    [[nodiscard]] Result<MessagePtr> find(Seq seq);

  private:
    HeldMessages(Database database, Statement select)
        : database_{std::move(database)}, select_{std::move(select)} {}
    Database database_;
    Statement select_;
};

}  // namespace stentor::store
