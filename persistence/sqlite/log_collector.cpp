#include "persistence/sqlite/log_collector.hpp"

#include "base/log.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/store_files.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace stentor::store {
namespace {

// Of the messages: less is needed, and the rest of the file is worth writing it anew.
constexpr std::uint64_t kNearlyDeadParts = 4;

// So many neighbours that are small become one file: each message is copied a few times in its
// life, and there are few files.
constexpr std::size_t kSmallOnes = 8;
constexpr std::uint64_t kSmallParts = 8;  // of a full segment

// A newest segment smaller than this stays: it costs no more than a new one.
constexpr std::uint64_t kNewestBytesMin = std::uint64_t{64} << 10U;
// More topics are not counted while the writer waits.
constexpr std::size_t kTopicsCountedMax = 50'000;

constexpr int kRestPerWork = 20;  // at most a twentieth of the thread's time

/// Says so once of each segment. What may pass is no damage.
[[nodiscard]] boost::system::error_code note_damage(const SegmentView& segment,
                                                    SegmentView::Handle::Part part,
                                                    boost::system::error_code error) {
    if (is_passing(error)) return error;
    if (has_gone(segment)) return make_error_code(StoreErrc::damaged);
    SegmentView::Handle& handle = *segment.handle;
    handle.set_damaged(part);
    STENTOR_LOG(error,
                LogEvent("segment_damaged", {{"file", handle.path()}}),
                "it cannot be read whole ({}) and stays as it is: what is needed of it is not "
                "copied any more",
                error.message());
    return make_error_code(StoreErrc::damaged);
}

/// Copies what is needed of some segments into the rows of a new one.
class Rewriter {
  public:
    Rewriter(const NeedSurvey& needs, std::size_t row_bytes_max, SegmentWriter& writer)
        : needs_{needs}, row_bytes_max_{row_bytes_max}, writer_{writer} {}

    [[nodiscard]] Result<void> add(const LogRow& from) {
        Result<void> failure;
        STENTOR_TRY_VOID(from.for_each([&](Seq seq, ByteView bytes) {
            const auto record = parse_stored(bytes);
            if (!record) {
                failure = record.error();
            } else {
                add(from.header(), seq, *record);
            }
            return failure.has_value();
        }));
        finish_row();
        return failure;
    }
    [[nodiscard]] Result<void> flush_if_much() {
        return pending_bytes_ >= kCommitBytes ? flush() : Result<void>{};
    }
    [[nodiscard]] Result<void> flush() {
        if (pending_.empty()) return {};
        STENTOR_TRY_VOID(writer_.append(pending_));
        pending_.clear();
        pending_bytes_ = 0;
        return {};
    }

    [[nodiscard]] const TopicIndex& index() const noexcept { return index_; }
    [[nodiscard]] SegmentSummary summary() const noexcept { return summary_; }

  private:
    static constexpr std::size_t kCommitBytes = std::size_t{1} << 20U;

    void add(const LogRowHeader& header, Seq seq, const Record& record) {
        const MessageRecord* wanted = wanted_message(record);
        if (wanted == nullptr || !needs_.is_needed(wanted->message->topic(), seq)) return;
        // Positions within a row have no gaps.
        if (row_ && (seq != next_in_row_ || row_->size() >= row_bytes_max_)) finish_row();
        if (!row_) {
            row_.emplace(
                LogRowHeader{.first = seq, .at = header.at, .wall_unix_ms = header.wall_unix_ms});
        }
        row_->add(record);
        next_in_row_ = next(seq);
        index_.add(wanted->message->topic(), seq);
        summary_.newest_message = seq;
        summary_.messages = summary_.messages.value_or(0) + 1;
    }
    void finish_row() {
        if (!row_) return;
        pending_.push_back({.first = row_->first(), .bytes = row_->take()});
        pending_bytes_ += pending_.back().bytes.size();
        summary_.bytes += pending_.back().bytes.size();
        row_.reset();
    }

    const NeedSurvey& needs_;
    const std::size_t row_bytes_max_;
    SegmentWriter& writer_;
    std::optional<LogRowWriter> row_;
    Seq next_in_row_;
    std::vector<EncodedRow> pending_;
    std::size_t pending_bytes_ = 0;
    TopicIndex index_;
    SegmentSummary summary_;
};

/// Adds what is needed of `source`. A source that cannot be read is left alone from then on.
[[nodiscard]] Result<void> copy_needed(const SqliteEngineOptions& options,
                                       const SegmentView& source,
                                       Rewriter& rewriter) {
    const auto failed = [&](boost::system::error_code error) {
        return note_damage(source, SegmentView::Handle::Part::rows, error);
    };
    auto reader = SegmentReader::open(source.handle->path(), options.vfs);
    if (!reader) return failed(reader.error());
    Result<void> written;
    Result<void> parsed;
    const auto read = reader->for_each_row(source.first, [&](const LogRow& row) {
        parsed = rewriter.add(row);
        if (parsed) written = rewriter.flush_if_much();
        return parsed.has_value() && written.has_value();
    });
    if (!read) return failed(read.error());
    if (!parsed) return failed(parsed.error());
    return written;
}

[[nodiscard]] Result<SegmentSummary> write_segment(const SqliteEngineOptions& options,
                                                   const NeedSurvey& needs,
                                                   const std::vector<SegmentView>& sources,
                                                   const std::string& path) {
    // Sealed at the end, in one commit that is on disk before the sources go; unsealed, it is not
    // looked at after a crash.
    STENTOR_TRY(SegmentWriter writer, SegmentWriter::open(path, AcknowledgeAfter::os, options.vfs));
    Rewriter rewriter{needs, options.row_bytes_max, writer};
    for (const SegmentView& source : sources) {
        STENTOR_TRY_VOID(copy_needed(options, source, rewriter));
    }
    STENTOR_TRY_VOID(rewriter.flush());
    SegmentSummary summary = rewriter.summary();
    summary.last = sources.back().summary.last;
    STENTOR_TRY_VOID(seal_segment(path, rewriter.index(), summary, options.vfs));
    return summary;
}

}  // namespace

bool LogCollector::Candidate::is_nearly_dead() const noexcept {
    return needed * kNearlyDeadParts <= messages;
}

std::uint64_t LogCollector::Candidate::needed_bytes() const noexcept {
    return messages == 0 ? 0 : view.summary.bytes * needed / messages;
}

bool LogCollector::wants_survey(Seq needed, Instant now) const {
    if (!is_idle() || now < next_at_ || needed == kNoSeq) return false;
    if (catalog_.last() == asked_at_) return false;
    const std::vector<SegmentView> segments = catalog_.segments();
    return std::any_of(segments.begin(), segments.end(), [&](const SegmentView& segment) {
        if (segment.summary.newest_message < needed) return false;
        return !segment.is_newest || segment.summary.bytes >= kNewestBytesMin;
    });
}

void LogCollector::begin(NeedSurvey needs, Seq applied_through, Instant now) {
    needs_ = std::move(needs);
    candidates_.clear();
    examined_ = 0;
    rewrites_.clear();
    freed_something_ = false;
    began_at_ = now;
    for (SegmentView& view : catalog_.segments()) {
        if (!view.is_newest && (!view.is_sealed || view.summary.last > applied_through)) continue;
        candidates_.push_back({.view = std::move(view)});
    }
}

std::span<const SegmentView> LogCollector::about_to_replace() const noexcept {
    if (is_idle() || examined_ < candidates_.size() || rewrites_.empty()) return {};
    return rewrites_.back();
}

Result<Collected> LogCollector::step(Instant now) {
    Collected collected;
    if (examined_ < candidates_.size()) {
        Candidate& candidate = candidates_[examined_++];
        if (candidate.view.is_newest) {
            collected.newest_is_dead = examine_newest(candidate.view);
            freed_something_ = freed_something_ || collected.newest_is_dead;
            // It can go when it is not the newest any more.
            if (collected.newest_is_dead) asked_at_ = kNoSeq;
        } else if (const auto examined = examine(candidate); !examined) {
            candidate.is_known = false;
            if (is_passing(examined.error())) {
                finish(now);
                return examined.error();
            }
        } else if (candidate.needed == 0) {
            collected.dead.push_back(candidate.view);
            freed_something_ = true;
        }
        if (examined_ == candidates_.size()) plan();
        if (examined_ == candidates_.size() && rewrites_.empty()) finish(now);
        return collected;
    }
    const std::vector<SegmentView> sources = std::move(rewrites_.back());
    rewrites_.pop_back();
    auto rewritten = rewrite(sources);
    freed_something_ = freed_something_ || rewritten.has_value();
    const bool goes_on = rewritten || rewritten.error() == StoreErrc::damaged;
    if (!goes_on || rewrites_.empty()) finish(now);
    if (!rewritten && goes_on) {
        asked_at_ = kNoSeq;  // its neighbours are planned for without it
        return collected;
    }
    return rewritten;
}

void LogCollector::give_up_replacing(Instant now) {
    if (about_to_replace().empty()) return;
    rewrites_.pop_back();
    asked_at_ = kNoSeq;
    if (rewrites_.empty()) finish(now);
}

/// Counts, by the segment's topic index.
Result<void> LogCollector::examine(Candidate& candidate) const {
    SegmentView::Handle& handle = *candidate.view.handle;
    constexpr auto kIndex = SegmentView::Handle::Part::index;
    if (handle.is_removed()) return {};
    if (handle.is_damaged(kIndex)) return StoreErrc::damaged;
    auto reader = SegmentReader::open(handle.path(), options_.vfs);
    if (!reader) return note_damage(candidate.view, kIndex, reader.error());
    std::string topic;
    Seq from;
    const auto counted =
        reader->for_each_topic([&](std::string_view name, std::span<const Seq> positions) {
            if (name != topic || candidate.messages == 0) {  // long lists come in parts
                topic = name;
                from = needs_->needed_from(topic);
            }
            candidate.messages += positions.size();
            const auto kept = std::find_if(positions.begin(), positions.end(), [&](Seq seq) {
                return seq >= from || seq > needs_->taken_at();
            });
            candidate.needed += static_cast<std::uint64_t>(positions.end() - kept);
        });
    if (!counted) return note_damage(candidate.view, kIndex, counted.error());
    return {};
}

bool LogCollector::examine_newest(const SegmentView& newest) const {
    if (newest.summary.bytes < kNewestBytesMin) return false;
    std::uint64_t messages = 0;
    std::uint64_t needed = 0;
    const bool counted = catalog_.for_each_topic_of_newest(
        kTopicsCountedMax, [&](std::string_view topic, const std::vector<Seq>& positions) {
            const Seq from = std::min(needs_->needed_from(topic), next(needs_->taken_at()));
            messages += positions.size();
            needed += static_cast<std::uint64_t>(
                positions.end() - std::lower_bound(positions.begin(), positions.end(), from));
        });
    return counted && needed * kNearlyDeadParts <= messages;
}

bool LogCollector::may_be_rewritten(const Candidate& candidate) const noexcept {
    if (!candidate.is_known) return false;
    if (candidate.view.handle->is_damaged(SegmentView::Handle::Part::rows)) return false;
    return candidate.is_nearly_dead() ||
           candidate.view.summary.bytes < options_.segment_bytes_max / kSmallParts;
}

/// Neighbours that are nearly dead become one file, the small ones among them, and many small ones
/// as well; in reverse, as they are taken from the end.
void LogCollector::plan() {
    std::vector<SegmentView> run;
    std::uint64_t run_bytes = 0;
    bool has_nearly_dead = false;
    const auto end_run = [&] {
        if (has_nearly_dead || run.size() >= kSmallOnes) rewrites_.push_back(run);
        run.clear();
        run_bytes = 0;
        has_nearly_dead = false;
    };
    for (const Candidate& candidate : candidates_) {
        if (candidate.view.is_newest) break;
        if (candidate.is_known && candidate.needed == 0) {
            // It could not go, because something in it cannot be read now: no file may take the
            // place of what surrounds it, or the next start would take it for replaced, too.
            if (!candidate.view.handle->is_removed()) end_run();
            continue;
        }
        if (!may_be_rewritten(candidate)) {
            end_run();
            continue;
        }
        // A file gives way to store.max_age as a whole: what is copied must not keep what is older.
        const bool spans_too_much =
            options_.age_max > Duration::zero() && !run.empty() &&
            candidate.view.ended_at - run.front().handle->began_at() > options_.age_max / 4;
        if (spans_too_much || run_bytes + candidate.needed_bytes() > options_.segment_bytes_max) {
            end_run();
        }
        run.push_back(candidate.view);
        run_bytes += candidate.needed_bytes();
        has_nearly_dead = has_nearly_dead || candidate.is_nearly_dead();
    }
    end_run();
}

Result<Collected> LogCollector::rewrite(const std::vector<SegmentView>& sources) const {
    std::uint32_t generation = 0;
    for (const SegmentView& source : sources) {
        const auto name = std::filesystem::path{source.handle->path()}.filename().string();
        const auto id = segment_id(name);
        generation = std::max(generation, id ? id->generation : 0U);
    }
    const SegmentId id{.first = sources.front().first, .generation = generation + 1};
    const std::string path = log_directory(options_) + '/' + segment_name(id);
    remove_segment_files(path);  // what an earlier try has left
    const auto summary = write_segment(options_, *needs_, sources, path);
    if (!summary) {
        remove_segment_files(path);
        return summary.error();
    }
    Collected collected;
    collected.replaced = sources;
    collected.path = path;
    STENTOR_TRY(SegmentReader reader, SegmentReader::open(path, options_.vfs));
    STENTOR_TRY(collected.replacement, reader.seal());
    if (collected.replacement) collected.replacement->summary.messages = summary->messages;
    STENTOR_LOG(debug,
                LogEvent("log_rewritten",
                         {{"file", path}, {"segments", sources.size()}, {"bytes", summary->bytes}}),
                "what is needed of nearly dead segments has been copied");
    return collected;
}

/// The next survey comes soon after one that helped, later after one that did not, and never so
/// soon that looking takes more than a small part of the time.
void LogCollector::finish(Instant now) {
    needs_.reset();
    candidates_.clear();
    pause_ = freed_something_
                 ? options_.survey_pause_min
                 : std::clamp(2 * pause_, options_.survey_pause_min, options_.survey_pause_max);
    pause_ = std::max(pause_, kRestPerWork * (now - began_at_));
    next_at_ = saturating_add(now, pause_);
}

}  // namespace stentor::store
