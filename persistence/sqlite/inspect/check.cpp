#include "persistence/sqlite/inspect/check.hpp"

#include "persistence/record_codec.hpp"
#include "persistence/sqlite/inspect/replay.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/topic_index.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <variant>

namespace stentor::store {
namespace {

constexpr const char* kRestore =
    "restore a backup; what is here can still be read with "
    "`stentor store dump`";
// What a stop without the newest records, or a restore, adds to positions (rule 12).
constexpr std::uint64_t kSmallestJump = std::uint64_t{1} << 32U;

class Check {
  public:
    Check(const StoreView& view, CheckReport& report) : view_{view}, report_{report} {}

    [[nodiscard]] Result<void, Trouble> run() {
        STENTOR_TRY_VOID(read_state());
        STENTOR_TRY(const std::vector<LogFile> files, view_.log_files());
        for (const LogFile& file : files) check_segment(file);
        check_names(files);
        check_reach();
        check_end();
        if (state_readable_) compare();
        return {};
    }

  private:
    void find(std::string file, Seq row, Seq position, std::string what, std::string hint) {
        if (report_.findings.size() >= CheckReport::kFindingsMax) {
            ++report_.more;
            return;
        }
        report_.findings.push_back({.file = std::move(file),
                                    .row = row,
                                    .position = position,
                                    .what = std::move(what),
                                    .hint = std::move(hint)});
    }

    void check_pages(Database& database, const std::string& path) {
        auto statement = database.prepare("PRAGMA integrity_check(20)");
        if (!statement) {
            find(path, kNoSeq, kNoSeq, "its pages cannot be read", kRestore);
            return;
        }
        for (;;) {
            const auto step = statement->step();
            if (!step) {
                find(path, kNoSeq, kNoSeq, "its pages cannot be read", kRestore);
                return;
            }
            if (*step == Statement::Step::done) return;
            const std::string_view line = statement->text(0);
            if (line != "ok") find(path, kNoSeq, kNoSeq, std::string{line}, kRestore);
        }
    }

    [[nodiscard]] Result<void, Trouble> read_state() {
        const std::string path = view_.state_path();
        {
            auto pages = Database::open(path, view_.mode(), state_format(), {});
            if (pages && !pages->has_tables()) {
                return Trouble{.what = path + " is empty", .hint = kRestore};
            }
            if (pages) check_pages(*pages, path);
        }
        STENTOR_TRY(StateStore store, view_.state());
        meta_ = store.meta();
        known_ = store.segments();
        report_.applied_through = meta_.applied_through;
        auto loaded = store.load();
        if (!loaded) {
            find(path, kNoSeq, kNoSeq, "its rows cannot be read", kRestore);
            return {};
        }
        const auto damaged = store.damaged_pins();
        if (!damaged) {
            find(path, kNoSeq, kNoSeq, "its pinned messages cannot be read", kRestore);
            return {};
        }
        for (const Seq seq : *damaged) {
            find(path, kNoSeq, seq, "the pinned message is damaged", kRestore);
        }
        state_ = *std::move(loaded);
        state_readable_ = true;
        report_.sessions = state_.sessions().size();
        report_.retained = state_.retained().size();
        check_state();
        return {};
    }

    void beyond(const std::string& whose, Seq position) {
        if (position <= meta_.applied_through) return;
        find(
            view_.state_path(),
            kNoSeq,
            position,
            whose + " lies beyond applied_through " + std::to_string(meta_.applied_through.value()),
            kRestore);
    }

    [[nodiscard]] bool is_held(Seq seq) const {
        return state_.pinned().contains(seq) || state_.held_message(seq) != nullptr;
    }

    void check_state() {
        for (const auto& [client, session] : state_.sessions()) {
            beyond("the position of session " + client, session.sent_through);
            for (const StoredSubscription& subscription : session.subscriptions) {
                beyond("a subscription of session " + client, subscription.since);
                beyond("what waits for session " + client + " with its earlier QoS",
                       subscription.kept.last());
            }
            for (const Unfinished& item : session.unfinished) {
                beyond("an unfinished delivery of session " + client, item.seq);
                // Of one that was never logged the identifier is all there is to keep.
                if (item.seq == kNoSeq) continue;
                if (is_held(item.seq)) continue;
                wanted_.emplace(item.seq, client);
            }
        }
        for (const auto& [topic, value] : state_.retained()) {
            beyond("the retained value of " + topic, value.seq);
        }
    }

    /// Rows of one file, as far as they have been read.
    struct Segment {
        TopicIndex index;
        SegmentSummary summary;
        Seq end;               // the last position of the row before
        bool is_lost = false;  // it could not be read
    };

    void check_segment(const LogFile& file) {
        ++report_.segments;
        auto opened = view_.segment(file);
        if (!opened) {
            find(file.path, file.first, kNoSeq, opened.error().what, kRestore);
            replay_.gap();
            return;
        }
        Database& database = **opened;
        if (!database.has_tables()) return;  // a crash came before its first row
        check_pages(database, file.path);
        Segment segment;
        segment.end = Seq{file.first.value() - 1};
        segment.summary.last = segment.end;
        begin_segment(file);
        const auto read = for_each_stored_row(database, kNoSeq, [&](Seq key, ByteView body) {
            check_row(file, segment, key, body);
            return true;
        });
        if (!read) find(file.path, kNoSeq, kNoSeq, "its rows cannot be read to the end", kRestore);
        check_seal(database, file, segment);
        end_ = std::max(end_, segment.end);
        report_.last = end_;
        reached_.emplace_back(SegmentId{.first = file.first, .generation = file.generation},
                              segment.end);
    }

    /// A segment that is not there any more was not needed, if all of it has been applied.
    void begin_segment(const LogFile& file) {
        const Seq expected = next(end_);
        const std::uint32_t before = std::exchange(end_generation_, file.generation);
        if (file.first == expected) return;
        replay_.gap();
        if (file.first < expected) {
            // Behind one that was rewritten from it: removed by now, or at the next start.
            if (file.generation == 0 && before == 0) {
                find(file.path,
                     file.first,
                     kNoSeq,
                     "begins before the segment in front of it ends (" +
                         std::to_string(end_.value()) + ')',
                     kRestore);
            }
        } else if (file.first > next(meta_.applied_through) && is_first_missing(file.first)) {
            find(file.path,
                 file.first,
                 kNoSeq,
                 "the records before it are missing: the log ends at " +
                     std::to_string(end_.value()) + ", state.db has applied through " +
                     std::to_string(meta_.applied_through.value()),
                 kRestore);
        }
    }

    [[nodiscard]] bool is_first_missing(Seq first) const {
        return first.value() - std::max(end_, meta_.applied_through).value() <= kSmallestJump;
    }

    void check_row(const LogFile& file, Segment& segment, Seq key, ByteView body) {
        ++report_.rows;
        const auto row = LogRow::parse(body);
        if (!row) {
            find(file.path, key, kNoSeq, "row: " + row.error().message(), kRestore);
            replay_.gap();
            segment.end = key;
            segment.is_lost = true;
            return;
        }
        const LogRowHeader& header = row->header();
        if (header.first != key) {
            find(file.path, key, header.first, "a row under another's key", kRestore);
        }
        check_order(file, segment, header);
        const auto visited = row->for_each([&](Seq seq, ByteView stored) {
            check_record(file, segment, key, seq, stored);
            return true;
        });
        if (!visited) find(file.path, key, kNoSeq, "lengths do not fit the row", kRestore);
        segment.end = header.last();
        segment.summary.bytes += body.size();
    }

    void check_order(const LogFile& file, Segment& segment, const LogRowHeader& header) {
        if (header.first == next(segment.end)) return;
        replay_.gap();
        if (std::exchange(segment.is_lost, false) && header.first > segment.end) return;
        if (header.first <= segment.end) {
            find(file.path,
                 header.first,
                 header.first,
                 "positions go back: the row before ends at " + std::to_string(segment.end.value()),
                 kRestore);
            return;
        }
        // Rewritten segments hold what was still needed; elsewhere only a jump leaves a gap.
        const std::uint64_t gap = header.first.value() - segment.end.value();
        if (file.generation != 0 || gap > kSmallestJump) return;
        find(file.path,
             header.first,
             header.first,
             "rows are missing: the one before ends at " + std::to_string(segment.end.value()),
             kRestore);
    }

    void check_record(const LogFile& file, Segment& segment, Seq row, Seq seq, ByteView stored) {
        ++report_.records;
        const auto record = parse_record(stored);
        if (!record) {
            find(file.path, row, seq, "record: " + to_string(record.error()), kRestore);
            replay_.gap();
            return;
        }
        segment.summary.last = seq;
        if (const MessageRecord* wanted = wanted_message(*record)) {
            segment.index.add(wanted->message->topic(), seq);
            segment.summary.newest_message = seq;
        }
        if (std::holds_alternative<MessageRecord>(*record)) wanted_.erase(seq);
        if (seq <= meta_.applied_through) replay_.apply(seq, *record);
    }

    void check_seal(Database& database, const LogFile& file, const Segment& segment) {
        constexpr const char* kHint = "sessions that catch up may miss messages: restore a backup";
        auto statement = database.prepare("SELECT last, newest_message, bytes, filter FROM seal");
        const auto step = statement ? statement->step()
                                    : Result<Statement::Step>{make_error_code(StoreErrc::damaged)};
        if (!step) {
            find(file.path, kNoSeq, kNoSeq, "its seal cannot be read", kHint);
            return;
        }
        if (*step == Statement::Step::done) return;
        sealed_.push_back(
            {.first = file.first, .last = statement->seq(0), .generation = file.generation});
        const auto differs = [&](const char* what) {
            find(file.path,
                 kNoSeq,
                 kNoSeq,
                 std::string{"the seal's "} + what + " is not that of the rows",
                 kHint);
        };
        // Rewritten segments reach as far as those they replaced.
        const Seq last = statement->seq(0);
        const bool reaches =
            file.generation == 0 ? last == segment.summary.last : last >= segment.summary.last;
        if (!reaches) differs("last position");
        if (statement->seq(1) != segment.summary.newest_message) differs("newest message");
        // Rewritten segments keep their own account of bytes.
        const auto bytes = static_cast<std::uint64_t>(statement->integer(2));
        if (file.generation == 0 && bytes > segment.summary.bytes) differs("size");
        const TopicFilter filter{segment.index};
        if (!equal(filter.bytes(), statement->blob(3))) differs("topic filter");
        check_index(database, file, segment);
    }

    void check_index(Database& database, const LogFile& file, const Segment& segment) {
        constexpr const char* kHint = "sessions that catch up may miss messages: restore a backup";
        auto statement =
            database.prepare("SELECT topic, positions FROM topic_index ORDER BY topic, first");
        std::map<std::string, std::vector<Seq>, std::less<>> stored;
        for (;;) {
            const auto step = statement
                                  ? statement->step()
                                  : Result<Statement::Step>{make_error_code(StoreErrc::damaged)};
            if (!step) {
                find(file.path, kNoSeq, kNoSeq, "its topic index cannot be read", kHint);
                return;
            }
            if (*step == Statement::Step::done) break;
            std::vector<Seq>& positions = stored[std::string{statement->text(0)}];
            for (ByteView packed = statement->blob(1); packed.size() >= sizeof(std::uint64_t);
                 packed = packed.subspan(sizeof(std::uint64_t))) {
                positions.emplace_back(load_u64(packed));
            }
        }
        for (const TopicIndex::Entry& entry : segment.index.sorted()) {
            const auto found = stored.find(entry.topic);
            if (found == stored.end() || found->second != *entry.positions) {
                find(file.path,
                     kNoSeq,
                     entry.positions->front(),
                     "the index of topic " + std::string{entry.topic} + " is not that of the rows",
                     kHint);
            }
            if (found != stored.end()) stored.erase(found);
        }
        for (const auto& [topic, positions] : stored) {
            find(file.path,
                 kNoSeq,
                 positions.empty() ? kNoSeq : positions.front(),
                 "the index has a topic that no row has: " + topic,
                 kHint);
        }
    }

    /// What state.db names is there, or what has taken its place.
    void check_names(const std::vector<LogFile>& files) {
        std::vector<SegmentId> there;
        for (const LogFile& file : files) {
            there.push_back({.first = file.first, .generation = file.generation});
        }
        for (const KnownSegment& known : known_) {
            if (std::find(there.begin(), there.end(), known.id) != there.end()) {
                check_contents(known);
                continue;
            }
            const auto covers = [&](const Covering& other) {
                return other.generation > known.id.generation && other.first <= known.id.first &&
                       known.id.first <= other.last;
            };
            if (std::any_of(sealed_.begin(), sealed_.end(), covers)) continue;
            ++report_.segments_missing;
            const std::string path = view_.log_path() + '/' + segment_name(known.id);
            find(path, kNoSeq, known.id.first, description_of(known), hint_about(known));
        }
    }

    /// A name is not enough.
    void check_contents(const KnownSegment& known) {
        const auto at = std::find_if(reached_.begin(), reached_.end(), [&](const auto& each) {
            return each.first == known.id;
        });
        if (at != reached_.end() && at->second >= known.newest_message) return;
        if (known.newest_message == kNoSeq) return;
        ++report_.segments_missing;
        find(view_.log_path() + '/' + segment_name(known.id),
             kNoSeq,
             known.newest_message,
             "the file is there, and records that it has had are not",
             kRestore);
    }

    [[nodiscard]] static std::string description_of(const KnownSegment& missing) {
        if (missing.last == kNoSeq) return "the file that was being written is missing";
        return "the file is missing, with positions " + std::to_string(missing.id.first.value()) +
               " to " + std::to_string(missing.last.value()) + ": " +
               (missing.messages ? std::to_string(*missing.messages) : "an unknown number of") +
               " messages for durable sessions";
    }

    [[nodiscard]] static const char* hint_about(const KnownSegment& missing) {
        if (missing.last == kNoSeq) return kRestore;
        if (missing.given_up) {
            return "this has been accepted: sessions that wanted them are told when they are back";
        }
        return "put it back, or restore a backup; one start with store.missing_segments = "
               "\"accept\" goes on without it and tells the sessions that wanted them";
    }

    /// The log has all that has been applied; only a jump goes on ahead of it, or a power cut takes
    /// the end of a log that was not synced.
    void check_reach() {
        const Seq applied = meta_.applied_through;
        if (report_.segments == 0 && !meta_.is_unused()) {
            find(view_.log_path(), kNoSeq, kNoSeq, "the log has no segment", kRestore);
            return;
        }
        if (applied <= end_ || applied.value() - end_.value() >= kSmallestJump) return;
        if (report_.segments != 0 && meta_.run_state == RunState::open_lossy) return;
        find(view_.log_path(),
             kNoSeq,
             kNoSeq,
             "segments are missing: the log ends at " + std::to_string(end_.value()) +
                 ", state.db has applied through " + std::to_string(applied.value()),
             kRestore);
    }

    void check_end() {
        for (const auto& [seq, client] : wanted_) {
            find(view_.state_path(),
                 kNoSeq,
                 seq,
                 "session " + client + " has this delivery unfinished, but the message is nowhere",
                 "it will not be repeated; the rest of the session is not affected");
        }
    }

    void compare() {
        // What the log does not have through applied_through cannot be compared.
        if (replay_.last() < std::min(end_, meta_.applied_through)) return;
        const Replay::Difference difference = replay_.compare(state_);
        report_.sessions_replayed = difference.sessions;
        report_.retained_replayed = difference.retained;
        for (const std::string& what : difference.lines) {
            find(view_.state_path(), kNoSeq, kNoSeq, what, kRestore);
        }
    }

    /// A sealed file takes the place of those of lower generations in what it covers.
    struct Covering {
        Seq first;
        Seq last;
        std::uint32_t generation = 0;
    };

    const StoreView& view_;
    CheckReport& report_;
    StateMeta meta_;
    std::vector<KnownSegment> known_;
    std::vector<Covering> sealed_;
    std::vector<std::pair<SegmentId, Seq>> reached_;  // files, and the last position in each
    StoredState state_;
    bool state_readable_ = false;
    std::map<Seq, ClientId> wanted_;  // unfinished deliveries whose message was not seen yet
    Replay replay_;
    Seq end_;
    std::uint32_t end_generation_ = 0;
};

}  // namespace

Fields Finding::fields() const {
    Fields fields;
    fields.add("file", file);
    if (row != kNoSeq) fields.add("row", row.value());
    if (position != kNoSeq) fields.add("position", position.value());
    fields.add("problem", what).add("hint", hint);
    return fields;
}

Result<CheckReport, Trouble> check_store(const std::string& directory) {
    STENTOR_TRY(const StoreView view, StoreView::open(directory, WhileRunning::refused));
    CheckReport report;
    STENTOR_TRY_VOID(Check(view, report).run());
    return report;
}

}  // namespace stentor::store
