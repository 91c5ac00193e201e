#include "persistence/sqlite/store_files.hpp"

#include "base/log.hpp"
#include "base/sync_directory.hpp"
#include "persistence/sqlite/clock_anchor.hpp"
#include "persistence/sqlite/leftovers.hpp"
#include "persistence/sqlite/log_row.hpp"
#include "persistence/sqlite/sqlite_error.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <vector>

namespace stentor::store {
namespace {

// Rule 12: more than a broker can have handed out and lost, ...
constexpr std::uint64_t kPositionJump = std::uint64_t{1} << 32U;
// ... and than one can have handed out since a backup that is restored now was made.
constexpr std::uint64_t kRestoreJump = std::uint64_t{1} << 48U;

[[nodiscard]] boost::system::error_code cannot(const char* what,
                                               const std::string& path,
                                               int error) {
    STENTOR_LOG(error,
                LogEvent("store_error", {{"file", path}, {"os_error", error}}),
                "cannot {}: {}",
                what,
                explain_system(error));
    return errc_of_system(error);
}

/// The process that /proc/locks names for a file. Devices are not compared: some file systems
/// (btrfs, overlays) have other numbers there.
[[nodiscard]] std::optional<std::string> owner_of_lock(int descriptor) {
    struct stat status {};
    if (descriptor < 0 || ::fstat(descriptor, &status) != 0) return std::nullopt;
    const std::string inode = ':' + std::to_string(status.st_ino);
    std::ifstream locks{"/proc/locks"};
    for (std::string line; std::getline(locks, line);) {
        // 1: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF
        std::istringstream words{line};
        std::string number;
        std::string kind;
        std::string skipped;
        long pid = 0;  // of another container: 0
        std::string file;
        if (!(words >> number >> kind >> skipped >> skipped >> pid >> file)) continue;
        if (kind == "FLOCK" && pid > 0 && file.ends_with(inode)) return std::to_string(pid);
    }
    return std::nullopt;
}

/// By how much positions go on after a stop, and why.
struct Jump {
    std::uint64_t by = 0;
    const char* why = "";
};

[[nodiscard]] Jump jump_after(const StateMeta& meta,
                              RunState before,
                              std::optional<Seq> seen) noexcept {
    if (before == RunState::restored) {
        return {.by = kRestoreJump, .why = "the store was restored from a backup"};
    }
    if (seen && meta.applied_through < *seen) {
        return {.by = seen->value() - meta.applied_through.value() + kPositionJump,
                .why = "the store ends before what this process had committed"};
    }
    if (before == RunState::open_lossy) {
        return {
            .by = kPositionJump,
            .why = "the last run did not close the store: acknowledged messages may be missing"};
    }
    return {};
}

[[nodiscard]] Result<void> check_still_there(const SqliteEngineOptions& options) {
    std::error_code error;
    if (std::filesystem::exists(state_path(options), error) &&
        std::filesystem::exists(log_directory(options), error)) {
        return {};
    }
    STENTOR_LOG(error,
                LogEvent("store_gone", {{"directory", options.directory}}),
                "the store is not there any more, or not all of it: put it back; where nothing is "
                "left, a restarted broker begins an empty one");
    return StoreErrc::io_error;
}

/// SQLite syncs the directories that its files are in, but not those above them.
[[nodiscard]] Result<void> make_directory(const std::filesystem::path& path) {
    std::error_code error;
    std::vector<std::filesystem::path> parents;
    for (auto missing = path; !std::filesystem::exists(missing, error) && !error;) {
        missing = missing.parent_path();
        parents.push_back(missing);
        if (missing.empty()) break;
    }
    if (!error && std::filesystem::create_directories(path, error)) {
        std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
    }
    if (error) return cannot("make the store's directory", path.string(), error.value());
    for (const auto& parent : parents) {
        const auto synced = sync_directory(parent.empty() ? "." : parent);
        if (!synced) {
            return cannot("sync the directory", parent.string(), synced.error().value());
        }
    }
    return {};
}

[[nodiscard]] Result<void> make_directories(const SqliteEngineOptions& options) {
    for (const std::string& path : {options.directory, log_directory(options)}) {
        std::error_code error;
        const auto absolute = std::filesystem::absolute(path, error);
        if (error) return cannot("find the current directory, for", path, error.value());
        STENTOR_TRY_VOID(make_directory(absolute.lexically_normal()));
    }
    return {};
}

/// That state.db was made, and the directory of the log: SQLite does so, but says nothing when it
/// fails (see SegmentWriter::open()).
[[nodiscard]] Result<void> sync_what_was_made(const SqliteEngineOptions& options) {
    const auto synced = sync_directory(options.directory);
    if (synced) return {};
    return cannot("sync the directory", options.directory, synced.error().value());
}

/// In the order of their first positions; of those with the same one the latest generation first.
[[nodiscard]] Result<std::vector<SegmentId>> list_segments(const std::string& directory) {
    std::vector<SegmentId> found;
    std::error_code error;
    std::filesystem::directory_iterator files{directory, error};
    for (; !error && files != std::filesystem::directory_iterator{}; files.increment(error)) {
        if (const auto id = segment_id(files->path().filename().string())) found.push_back(*id);
    }
    if (error) return cannot("list the log's segments", directory, error.value());
    std::sort(found.begin(), found.end(), [](const SegmentId& a, const SegmentId& b) {
        return a.first != b.first ? a.first < b.first : a.generation > b.generation;
    });
    return found;
}

/// The files cannot be all that there were: going on would lose what was acknowledged, silently.
[[nodiscard]] boost::system::error_code is_incomplete(const std::string& path, const char* what) {
    STENTOR_LOG(error,
                LogEvent("store_incomplete", {{"file", path}}),
                "files of the store are missing ({}): put them back or restore a backup; to begin "
                "an empty store, move the directory away",
                what);
    return StoreErrc::damaged;
}

/// Of a file whose name is all that is left, or that an older one has taken the place of.
constexpr const char* kContentsGone = "records that this file has had are not in it";

/// The newest segment is made, for good, before state.db says that the store was opened, and is
/// never removed while it is the newest.
[[nodiscard]] Result<void> check_beginning(const SqliteEngineOptions& options,
                                           const StateMeta& meta,
                                           const std::vector<SegmentId>& segments) {
    if (segments.empty()) {
        if (meta.is_unused()) return {};
        return is_incomplete(log_directory(options), "the log has no segment");
    }
    // What is removed has been applied.
    if (segments.front().first <= next(meta.applied_through)) return {};
    return is_incomplete(log_directory(options) + '/' + segment_name(segments.front()),
                         meta.applied_through == kNoSeq
                             ? "state.db is empty, or the log's beginning is gone"
                             : "the log begins after what state.db has applied");
}

[[nodiscard]] Result<bool> has_no_rows(SegmentReader& reader, Seq first) {
    bool is_empty = true;
    STENTOR_TRY_VOID(reader.for_each_row(first, [&](const LogRow&) {
        is_empty = false;
        return false;
    }));
    return is_empty;
}

/// A file that never came to be a part of the log: the next one, which could not be made
/// (Recovery::add_segment()), or one that was being written from others.
[[nodiscard]] Result<bool> was_never_used(const SqliteEngineOptions& options, SegmentId id) {
    const std::string path = log_directory(options) + '/' + segment_name(id);
    STENTOR_TRY(SegmentReader reader, SegmentReader::open(path, options.vfs));
    STENTOR_TRY(const std::optional<SegmentReader::Seal> seal, reader.seal());
    if (seal) return false;
    if (id.generation != 0) return true;
    return has_no_rows(reader, id.first);
}

/// The one that is being written has the newest records; another one without which the state cannot
/// be brought up to date is no smaller loss. What is there in place of a part of it is not ours.
[[nodiscard]] Result<bool> may_be_accepted(const SqliteEngineOptions& options,
                                           const KnownSegment& missing,
                                           const StateMeta& meta,
                                           const std::vector<SegmentId>& there) {
    if (missing.last == kNoSeq || missing.last > meta.applied_through) return false;
    for (const SegmentId& other : there) {
        if (other.first < missing.id.first || missing.last < other.first) continue;
        STENTOR_TRY(const bool is_unused, was_never_used(options, other));
        if (!is_unused) return false;
    }
    return true;
}

/// All of them are told of before the store is refused.
[[nodiscard]] Result<void> check_missing(const SqliteEngineOptions& options,
                                         const StateMeta& meta,
                                         const std::vector<SegmentId>& there,
                                         std::vector<KnownSegment>& missing) {
    using Missing = SqliteEngineOptions::MissingSegments;
    Result<void> result;
    for (KnownSegment& segment : missing) {
        const std::string path = log_directory(options) + '/' + segment_name(segment.id);
        STENTOR_TRY(const bool is_acceptable, may_be_accepted(options, segment, meta, there));
        if (!is_acceptable) {
            result = is_incomplete(path, "a file of the log that is needed in any case");
            continue;
        }
        segment.given_up = segment.given_up || options.missing_segments == Missing::accept;
        if (segment.given_up) continue;
        const std::string what =
            "positions " + std::to_string(segment.id.first.value()) + " to " +
            std::to_string(segment.last.value()) + ", " +
            (segment.messages ? std::to_string(*segment.messages) : "an unknown number of") +
            " messages for durable sessions; one start with store.missing_segments = \"accept\" "
            "goes on without it and tells the sessions that wanted them";
        result = is_incomplete(path, what.c_str());
    }
    return result;
}

/// Reads the log into catalog and state, segment by segment.
class Recovery {
  public:
    Recovery(const SqliteEngineOptions& options, LogCatalog& catalog, StateStore& state)
        : options_{options},
          catalog_{catalog},
          state_{state},
          meta_{state.meta()},
          was_unused_{state.meta().is_unused()} {}

    /// In place of a file that is not there.
    void add_missing(const KnownSegment& missing) {
        catalog_.add_missing(log_directory(options_) + '/' + segment_name(missing.id), missing);
        end_ = std::max(end_, missing.last);
    }

    [[nodiscard]] Result<void> add_segment(SegmentId id) {
        const Seq first = id.first;
        const std::string path = log_directory(options_) + '/' + segment_name(id);
        // A crash came between the file written from this one and its removal ...
        if (first <= rewritten_through_) {
            remove_segment_files(path);
            return {};
        }
        STENTOR_TRY(SegmentReader reader, SegmentReader::open(path, options_.vfs));
        STENTOR_TRY(std::optional<SegmentReader::Seal> seal, reader.seal());
        const KnownSegment* known = known_of(id);
        // Once it is full: its newest message, which was on the disk before state.db said so.
        const Seq newest_message = known == nullptr ? kNoSeq : known->newest_message;
        if (id.generation != 0) {
            if (!seal && known != nullptr) return is_incomplete(path, kContentsGone);
            if (!seal) {  // ... or before it was complete
                remove_segment_files(path);
                return {};
            }
            // What it replaces may go once it is on the disk, not just in the system's cache.
            STENTOR_TRY_VOID(reader.checkpoint());
            rewritten_through_ = seal->summary.last;
        }
        if (!seal && first <= catalog_.last()) {
            // It was to be the next one and could not be made: the log went on in the one before.
            // Among segments that are found by where they end, it would hide that one. It stays
            // until those are gone: removing one that may be half written is not safe everywhere.
            STENTOR_TRY(const bool is_empty, has_no_rows(reader, first));
            if (is_empty) return {};
        }
        newest_ = path;
        newest_is_sealed_ = seal.has_value();
        end_ = std::max(end_, seal ? seal->summary.last : Seq{first.value() - 1});
        auto began_at = clock_at_begin(reader, first);
        // Of a sealed one only those who need its rows are concerned.
        if (!began_at && (!seal || began_at.error() != StoreErrc::damaged)) return began_at.error();
        if (!began_at) began_at = meta_.at;
        if (seal) {
            const Seq last = seal->summary.last;
            if (last < newest_message) return is_incomplete(path, kContentsGone);
            seal->summary.messages = known == nullptr ? std::nullopt : known->messages;
            if (!seal->summary.messages) {
                const auto counted = reader.count_messages();
                if (counted) seal->summary.messages = *counted;
            }
            const auto row = reader.last_row();
            // Where it cannot be read: by what no segment is written for longer than.
            const Instant ended_at =
                row && *row ? (*row)->at : saturating_add(*began_at, options_.age_max / 4);
            const LogCatalog::Written written{.began_at = *began_at, .ended_at = ended_at};
            catalog_.add_sealed(path, first, written, *std::move(seal));
            if (last <= meta_.applied_through) return {};
            STENTOR_TRY_VOID(read_rows(reader, next(meta_.applied_through), false));
        } else {
            // A process that died between write and sync left rows that only the system has. State
            // built on them must not reach the disk before they do.
            STENTOR_TRY_VOID(reader.checkpoint());
            catalog_.add_segment(path, first, *began_at);
            read_through_ = kNoSeq;
            STENTOR_TRY_VOID(read_rows(reader, first, true));
            if (read_through_ < newest_message) return is_incomplete(path, kContentsGone);
        }
        // One transaction per segment bounds the sessions held in memory.
        return state_.commit(meta_);
    }

    /// After all segments. All that has been applied was in the log before, on the disk; only where
    /// acknowledgements do not wait for that may a power cut take the end of it. A jump moves
    /// applied_through ahead of the log as well, but further than any log is long.
    [[nodiscard]] Result<void> check_end() const {
        const Seq applied = meta_.applied_through;
        if (meta_.run_state == RunState::open_lossy || applied <= end_) return {};
        if (applied.value() - end_.value() >= kPositionJump) return {};
        return is_incomplete(newest_, "the log ends before what state.db has applied");
    }

    /// As state.db names it, or null. Until that is changed.
    [[nodiscard]] const KnownSegment* known_of(SegmentId id) const {
        const auto& known = state_.segments();
        const auto found = std::lower_bound(
            known.begin(), known.end(), id, [](const KnownSegment& segment, SegmentId wanted) {
                return segment.id < wanted;
            });
        return found == known.end() || found->id != id ? nullptr : &*found;
    }

    [[nodiscard]] Result<SegmentWriter> open_newest() {
        if (newest_.empty() || newest_is_sealed_) {
            const Seq first = next(meta_.applied_through);
            newest_ = log_directory(options_) + '/' + segment_name({.first = first});
            catalog_.add_segment(newest_, first, meta_.at);
        }
        return SegmentWriter::open(newest_, options_.acknowledge_after, options_.vfs);
    }

    /// What has been read: all of it is applied.
    [[nodiscard]] StateMeta& meta() noexcept { return meta_; }

  private:
    [[nodiscard]] Result<Instant> clock_at_begin(SegmentReader& reader, Seq first) const {
        Instant at = meta_.at;
        STENTOR_TRY_VOID(reader.for_each_row(first, [&](const LogRow& row) {
            at = row.header().at;
            return false;
        }));
        return at;
    }

    [[nodiscard]] Result<void> read_rows(SegmentReader& reader, Seq from, bool indexes) {
        Result<void> failure;
        STENTOR_TRY_VOID(reader.for_each_row(from, [&](const LogRow& row) {
            failure = read_row(row, indexes);
            return failure.has_value();
        }));
        return failure;
    }

    [[nodiscard]] Result<void> read_row(const LogRow& row, bool indexes) {
        // Nothing is removed before it is applied, and a jump is in state.db before the next row.
        if (was_unused_) return is_incomplete(state_path(options_), "state.db is empty");
        if (row.header().first > next(meta_.applied_through)) {
            return is_incomplete(newest_, "records before those in this file are gone");
        }
        end_ = std::max(end_, row.header().last());
        read_through_ = row.header().last();
        Result<void> failure;
        std::size_t bytes = 0;
        STENTOR_TRY_VOID(row.for_each([&](Seq seq, ByteView stored) {
            bytes += stored.size();
            const bool is_news = seq > meta_.applied_through;
            if (!is_news && !indexes) return true;
            const auto record = parse_stored(stored);
            if (!record) {
                failure = record.error();
                return false;
            }
            if (indexes) catalog_.add_recovered(seq, *record);
            if (is_news) failure = state_.apply(seq, *record);
            return failure.has_value();
        }));
        STENTOR_TRY_VOID(failure);
        if (indexes) catalog_.add_recovered_bytes(bytes, row.header().at);
        if (row.header().last() > meta_.applied_through) {
            meta_.applied_through = row.header().last();
            meta_.at = row.header().at;
            meta_.wall_unix_ms = row.header().wall_unix_ms;
        }
        return {};
    }

    const SqliteEngineOptions& options_;
    LogCatalog& catalog_;
    StateStore& state_;
    StateMeta meta_;
    std::string newest_;
    bool newest_is_sealed_ = false;
    Seq rewritten_through_;
    Seq end_;           // the last position that the log has had
    Seq read_through_;  // of the file that is being read
    bool was_unused_;
};

}  // namespace

/// The directory comes first: where another process has it, no `lock` of ours is to be left there.
Result<StoreLock> StoreLock::take(const std::string& directory) {
    const std::string path = directory + "/lock";
    StoreLock lock;
    const bool is_free = lock.lock_directory(directory);
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open(2) is what it is
    lock.file_ =
        Descriptor{::open(path.c_str(), O_RDWR | (is_free ? O_CREAT : 0) | O_CLOEXEC, 0600)};
    if (is_free && !lock.file_) return cannot("write to the store's directory", path, errno);
    if (!is_free || !lock.lock_file()) {
        const std::string pid = lock.process();
        STENTOR_LOG(error,
                    LogEvent("store_in_use", {{"directory", directory}, {"pid", pid}}),
                    "another process uses this store: {}",
                    pid);
        return StoreErrc::in_use;
    }
    if (!lock.sign()) return cannot("write the store's lock", path, errno);
    return lock;
}

std::optional<StoreLock> StoreLock::take_if_free(const std::string& directory,
                                                 std::string& holder) {
    const std::string path = directory + "/lock";
    StoreLock lock;
    const bool is_free = lock.lock_directory(directory);
    for (const int flags : {O_RDWR, O_RDONLY}) {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
        if (!lock.file_) lock.file_ = Descriptor{::open(path.c_str(), flags | O_CLOEXEC)};
    }
    if (!is_free || (lock.file_ && !lock.lock_file())) {
        holder = lock.process();
        return std::nullopt;
    }
    if (!lock.file_ && !lock.directory_) return std::nullopt;
    if (lock.file_) (void)lock.sign();  // of a directory that is only read nobody is kept
    return lock;
}

/// False: another process has it. Not every file system can lock a directory.
bool StoreLock::lock_directory(const std::string& directory) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg)
    directory_ = Descriptor{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!directory_ || ::flock(directory_.get(), LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    directory_.reset();
    return true;
}

bool StoreLock::lock_file() const { return ::flock(file_.get(), LOCK_EX | LOCK_NB) == 0; }

/// Who has it: as the file says, or else the system.
std::string StoreLock::process() const {
    std::array<char, 32> text{};
    const auto size = ::pread(file_.get(), text.data(), text.size() - 1, 0);
    if (size > 0) return {text.data(), static_cast<std::size_t>(size)};
    return owner_of_lock(directory_.get()).value_or("unknown");
}

/// Over what is there, whose place on the disk a full one would not give back. Where it cannot be
/// said who has it, the system may know.
bool StoreLock::sign() const {
    const std::string pid = std::to_string(::getpid());
    const auto size = static_cast<ssize_t>(pid.size());
    if (::pwrite(file_.get(), pid.data(), pid.size(), 0) == size) {
        return ::ftruncate(file_.get(), size) == 0;
    }
    const bool is_full = errno == ENOSPC || errno == EDQUOT;
    return ::ftruncate(file_.get(), 0) == 0 && is_full;
}

std::string log_directory(const SqliteEngineOptions& options) { return options.directory + "/log"; }
std::string state_path(const SqliteEngineOptions& options) {
    return options.directory + "/state.db";
}

Result<std::vector<KnownSegment>> missing_segments(const SqliteEngineOptions& options,
                                                   const std::vector<KnownSegment>& known,
                                                   const std::vector<SegmentId>& there) {
    const std::set<SegmentId> names{there.begin(), there.end()};
    std::vector<KnownSegment> missing;
    for (const KnownSegment& segment : known) {
        bool is_there = names.contains(segment.id);
        for (const SegmentId& other : there) {
            if (is_there) break;
            if (other.generation <= segment.id.generation) continue;
            if (other.first > segment.id.first) break;
            const std::string path = log_directory(options) + '/' + segment_name(other);
            STENTOR_TRY(SegmentReader reader, SegmentReader::open(path, options.vfs));
            STENTOR_TRY(const std::optional<SegmentReader::Seal> seal, reader.seal());
            is_there = seal && segment.id.first <= seal->summary.last;
        }
        if (!is_there) missing.push_back(segment);
    }
    return missing;
}

Result<OpenedStore> open_store(const SqliteEngineOptions& options, LogCatalog& catalog) {
    if (options.must_exist || options.reopens_after) STENTOR_TRY_VOID(check_still_there(options));
    STENTOR_TRY_VOID(make_directories(options));
    STENTOR_TRY(StoreLock lock, StoreLock::take(options.directory));
    STENTOR_TRY(const std::vector<SegmentId> segments, list_segments(log_directory(options)));
    std::error_code unknown;
    if (!segments.empty() && !std::filesystem::exists(state_path(options), unknown)) {
        return is_incomplete(state_path(options), "there is a log, but no state.db");
    }
    STENTOR_TRY(StateStore state, StateStore::open(state_path(options), options.vfs));
    STENTOR_TRY_VOID(check_beginning(options, state.meta(), segments));
    // After a failed sync the system may show what the disk does not have: the whole of it is
    // written again before anything is built on it. Without a write-ahead log there is none.
    STENTOR_TRY_VOID(state.checkpoint());
    const RunState before = state.meta().run_state;
    const bool is_new = state.meta().is_unused();
    STENTOR_TRY(std::vector<KnownSegment> missing,
                missing_segments(options, state.segments(), segments));
    STENTOR_TRY_VOID(check_missing(options, state.meta(), segments, missing));
    Recovery recovery{options, catalog, state};
    auto next_missing = missing.cbegin();
    for (const SegmentId& id : segments) {
        for (; next_missing != missing.cend() && next_missing->id.first < id.first;
             ++next_missing) {
            recovery.add_missing(*next_missing);
        }
        STENTOR_TRY_VOID(recovery.add_segment(id));
    }
    STENTOR_TRY_VOID(recovery.check_end());
    state.finish_recovery();

    StateMeta& meta = recovery.meta();
    if (const Jump jump = jump_after(meta, before, options.reopens_after); jump.by != 0) {
        meta.applied_through = Seq{meta.applied_through.value() + jump.by};
        STENTOR_LOG(warn,
                    LogEvent("store_positions_jump", {{"seq", meta.applied_through.value()}}),
                    "positions jump ahead: {}",
                    jump.why);
    }
    const std::int64_t wall = options.wall_clock_unix_ms();
    // Opened again: the process's own clock has gone on meanwhile, and nobody was away.
    if (meta.wall_unix_ms != 0 && !options.reopens_after) {
        meta.at = clock_after_pause(meta.at, meta.wall_unix_ms, wall);
    }
    meta.wall_unix_ms = wall;
    meta.run_state = options.acknowledge_after == AcknowledgeAfter::disk ? RunState::open_disk
                                                                         : RunState::open_lossy;
    STENTOR_TRY(SegmentWriter newest, recovery.open_newest());
    if (is_new) STENTOR_TRY_VOID(sync_what_was_made(options));
    if (auto known = catalog.known_segments(0)) state.know_segments(std::move(known->segments));
    STENTOR_TRY_VOID(state.commit(meta));
    remove_leftovers(options, meta.applied_through, missing);
    catalog.start_after(meta.applied_through);
    STENTOR_TRY(StoredState loaded, state.load());
    return OpenedStore{.lock = std::move(lock),
                       .state = std::move(state),
                       .newest = std::move(newest),
                       .recovered = {.state = std::move(loaded),
                                     .last = meta.applied_through,
                                     .at = meta.at,
                                     .clean = before == RunState::closed}};
}

}  // namespace stentor::store
