#pragma once
// The storage contract: append batches of records, be told in order when each is committed and
// where, read them back, trim. memory, sqlite and (later) jetstream engines pass one suite,
// persistence/contract/contract_suite_test.cpp.
//
// Threads: a shard calls submit(), read(), needed_from() and survey() for itself, from its own
// thread; the engine calls CommitSink on threads of its own, never from inside submit() or read().
// Everything that crosses is a value or an immutable, counted object.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/intrusive.hpp"
#include "base/result.hpp"
#include "persistence/contract/filter_set.hpp"
#include "persistence/contract/need_survey.hpp"
#include "persistence/record.hpp"
#include "persistence/state/stored_state.hpp"
#include "persistence/store_error.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {

/// Names one submitted batch of one shard; counted up by the shard.
using CommitTicket = std::uint64_t;

/// What a commit survives: the death of the machine, of the process, of neither. What was committed
/// later than the disk knows may be lost then, newest first, and positions jump ahead (rule 12).
enum class AcknowledgeAfter : std::uint8_t { disk, os, memory };

enum class Push : std::uint8_t { ok, full };

/// What one shard wants committed together: all of it or, if the engine fails, nothing of it.
struct WriteBatch {
    ShardId shard;
    CommitTicket ticket = 0;
    Instant at;                   // the shard's clock when it submitted (rule 11)
    std::vector<Record> records;  // at least one when submitted
    std::size_t bytes = 0;        // sum of record_bytes()

    void add(Record record) {
        bytes += record_bytes(record);
        records.push_back(std::move(record));
    }
};

/// The part of a group that came from one batch: records [begin, begin + count).
struct CommitSlice {
    ShardId shard;
    CommitTicket ticket = 0;
    std::uint32_t begin = 0;
    std::uint32_t count = 0;
};

/// One commit: records in order; record i has position first + i. Never empty. Immutable once
/// handed over; shared by all shards.
struct CommitGroup : Counted<CommitGroup> {
    Seq first;
    Instant at;  // the store's clock: the latest `at` of any batch so far
    std::vector<Record> records;
    std::vector<CommitSlice> slices;  // in order, without gaps: they cover all records

    [[nodiscard]] Seq last() const noexcept { return Seq{first.value() + records.size() - 1}; }
};
using CommitGroupPtr = IntrusivePtr<const CommitGroup>;

/// Which messages a reader wants: with `filters`, those with `for_durable_sessions` whose topic
/// matches; with `only`, exactly these.
struct ReadRequest {
    ShardId shard;
    std::uint64_t cookie = 0;  // comes back in the page
    Seq after;                 // read (after, ...]; ignored with `only`
    /// Plain filters ($share prefix removed), at least one; null with `only`.
    FilterSetPtr filters;
    /// Not empty: these positions, ascending: the unfinished messages of a session, retained values
    /// among them.
    std::vector<Seq> only;
    std::size_t messages_max = 128;                   // at least 1
    std::size_t bytes_max = std::size_t{256} * 1024;  // a page with one message may exceed it
};

struct PageEntry {
    Seq seq;
    MessagePtr message;
};

/// The answer. May be empty, but `complete_through` always advances past `after` unless `after` is
/// the newest commit: every wanted message at or below `complete_through` is in `entries` (in
/// order) or no longer in the log. With `only` it is the last wanted position that was looked at;
/// those after it are to be asked for again. Never ahead of what CommitSink::group_committed() has
/// handed over before this page.
///
/// `lost_messages` is not 0 where the store has lost a part of the log that this page comes to: at
/// least so many messages at or below `complete_through` were wanted and will never be read. With
/// filters such a page has no entries: nobody knows which messages they were.
struct Page {
    std::uint64_t cookie = 0;
    Result<void> result;  // on failure the rest means nothing
    std::vector<PageEntry> entries;
    Seq complete_through;
    std::uint64_t lost_messages = 0;
};

/// Where an engine reports. Called on the engine's threads, one call at a time; must not block or
/// fail, and must not call the engine.
class CommitSink {
  public:
    virtual ~CommitSink() = default;
    /// Every position once and in order: each group begins where the last one ended, the first one
    /// after Recovered::last. The receiver hands the group to every shard before it returns.
    virtual void group_committed(CommitGroupPtr group) = 0;
    /// Exactly once per submitted batch, in the shard's order, and for a committed batch after
    /// group_committed() of the group that holds it. On failure nothing of the batch is in the log,
    /// which says nothing about later batches: where they hold changes relative to the lost ones
    /// (delivery deltas), the shard commits the whole state anew.
    virtual void ticket_done(ShardId shard, CommitTicket ticket, Result<void> result) = 0;
    /// Answers read(). Pages of one shard arrive in the order of their requests.
    virtual void page_read(ShardId shard, Page page) = 0;
    /// At most once: the engine does not know any more what its disk holds. What it is asked from
    /// now on fails with io_error, until it has been closed and the store is opened anew.
    virtual void store_failed() {}
};

struct Recovered {
    StoredState state;  // what shards rebuild their sessions and retained values from
    Seq last;           // positions continue after this one (rule 12: it may have jumped)
    Instant at;         // the store's clock at the last commit; the clock continues from here
    bool clean = true;  // false: the last run did not close the store
};

/// Whether messages are welcome. Acknowledgements, sessions and whatever else frees room always
/// are, within a reserve.
enum class Room : std::uint8_t {
    enough,
    none_for_retained,  // values take so much of it that the log would have too little
    none_for_messages,
};

/// Which sessions' oldest messages stand against the bounds of the log. One that holds little is
/// spared while others hold much: what is needed of old segments can be copied.
struct GiveWay {
    Seq too_old_below;    // kNoSeq: nothing is too old
    Seq everybody_below;  // the log is about to be full; kNoSeq: it is not
    Seq large_below;      // those for whom `large_bytes` wait below it; kNoSeq: nobody
    std::uint64_t large_bytes = 0;

    [[nodiscard]] Seq highest() const noexcept {
        return std::max({too_old_below, everybody_below, large_below});
    }
};

class StorageEngine {
  public:
    virtual ~StorageEngine() = default;

    /// Opens the store and rebuilds the state. Once, before start().
    [[nodiscard]] virtual Result<Recovered> recover() = 0;

    /// From here on the calls below are allowed and `sink` is called. `sink` outlives
    /// drain_and_close().
    virtual void start(CommitSink& sink) = 0;

    /// Never blocks. Push::ok: `batch` was taken (moved from) and ticket_done() follows exactly
    /// once. Push::full: it is untouched; keep it, stop reading from publishers, try again next
    /// tick. A batch with messages is failed with store_full, whole, once there is no room; the
    /// one that uses up the room goes past the bound. Ask room() first and refuse the PUBLISH
    /// instead.
    [[nodiscard]] virtual Push submit(WriteBatch& batch) noexcept = 0;

    /// Never blocks. Push::ok: `request` was taken and page_read() follows exactly once.
    /// Push::full: it is untouched; try again next tick.
    [[nodiscard]] virtual Push read(ReadRequest& request) noexcept = 0;

    /// The lowest position that any durable session of `shard` still needs if the broker died now,
    /// that is, by its *committed* delivery state (see needed_from(const StoredSession&)); when no
    /// session needs any, the newest position the shard has applied, plus 1. The engine may forget
    /// messages below the minimum over all shards; until every shard has called it forgets nothing.
    /// It always keeps retained values and unfinished messages. Values that go back are ignored.
    virtual void needed_from(ShardId shard, Seq seq) noexcept = 0;

    /// Any thread; a hint: which sessions are to give way, so that the log stays within its bounds.
    [[nodiscard]] virtual GiveWay give_way() const noexcept = 0;

    /// Any thread; a hint: whether a survey from each shard might free what needed_from() holds up.
    /// The shard then takes one in its own time.
    [[nodiscard]] virtual bool wants_survey(ShardId shard) const noexcept = 0;

    /// What the durable sessions of `shard` need by filter, in the sense of needed_from(). Once
    /// each shard has given one the engine may forget messages that none of them says is needed.
    virtual void survey(ShardId shard, NeedSurvey survey) noexcept = 0;

    /// Any thread; a hint, true a moment ago.
    [[nodiscard]] virtual Room room() const noexcept = 0;

    /// Any thread, from recover() on and after drain_and_close(), too: how many messages for
    /// durable sessions were in the log a moment ago, from their commit on until the log lets go
    /// of them, which is some time after nobody needs them.
    [[nodiscard]] virtual std::uint64_t log_messages() const noexcept = 0;

    /// Commits what was submitted, answers what was asked, stops its threads, closes. The shards
    /// have stopped calling before; afterwards nothing is called. Must have happened before
    /// destruction if start() has.
    virtual void drain_and_close() = 0;
};

}  // namespace stentor::store
