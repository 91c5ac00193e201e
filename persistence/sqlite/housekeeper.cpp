#include "persistence/sqlite/housekeeper.hpp"

#include "base/assert.hpp"
#include "base/log.hpp"
#include "persistence/sqlite/store_files.hpp"

#include <pthread.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>
#include <variant>

namespace stentor::store {
namespace {

// What bounds are said in.
constexpr std::uint64_t kParts = 100;

// A newest segment that nobody needs is given up for a new one when it has become this large.
constexpr std::uint64_t kRollBytes = std::uint64_t{4} << 20U;
// The same when nothing is being written: an empty log takes next to no space.
constexpr std::uint64_t kIdleRollBytes = std::uint64_t{32} << 10U;

// Below this nothing can be written: SQLite extends its files in pages and its logs in more.
constexpr std::uint64_t kDiskFreeBytesMin = std::uint64_t{1} << 20U;

[[nodiscard]] bool is_needed(const SegmentView& segment, Seq needed) noexcept {
    return needed == kNoSeq || segment.summary.newest_message >= needed;
}

}  // namespace

Housekeeper::Housekeeper(const SqliteEngineOptions& options,
                         LogCatalog& catalog,
                         StateStore state,
                         Calls calls)
    : options_{options},
      catalog_{catalog},
      state_{std::move(state)},
      clock_{state_.meta().at, machine_time()},
      collector_{options, catalog},
      calls_{std::move(calls)},
      message_bytes_{state_.message_bytes()},
      needs_(options.shards),
      surveys_(options.shards) {}

Housekeeper::~Housekeeper() { STENTOR_ASSERT(!thread_.joinable(), "stop() comes before"); }

void Housekeeper::start() {
    thread_ = std::jthread{[this] { run(); }};
}

void Housekeeper::stop(Stop how) {
    {
        const std::lock_guard lock{mutex_};
        next_.closes = true;
        next_.marks_closed = how == Stop::clean;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Housekeeper::add(CommitGroupPtr group, std::size_t bytes, Instant monotonic) {
    const Instant at = group->at;
    bool is_much = false;
    {
        const std::lock_guard lock{mutex_};
        next_.groups.push_back(std::move(group));
        next_.bytes += bytes;
        // Those that follow at the same time by the shards' clocks came later by ours.
        if (next_.at < at) {
            next_.at = at;
            next_.at_monotonic = monotonic;
        }
        lag_bytes_ += bytes;
        is_much = next_.bytes >= options_.apply_chunk_bytes;
    }
    if (is_much) wake_.notify_one();
}

bool Housekeeper::wait_for_lag() {
    std::unique_lock lock{mutex_};
    passed_.wait(lock, [this] {
        return lag_bytes_ <= options_.apply_lag_bytes_max || is_stop_near_ || broken_.load();
    });
    return !broken_.load();
}

void Housekeeper::stop_is_near() {
    {
        const std::lock_guard lock{mutex_};
        is_stop_near_ = true;
    }
    passed_.notify_all();
}

void Housekeeper::retire(SegmentWriter writer) {
    {
        const std::lock_guard lock{mutex_};
        next_.retired.push_back(std::move(writer));
    }
    wake_.notify_one();
}

bool Housekeeper::collect_now() {
    std::unique_lock lock{mutex_};
    const std::uint64_t wanted = needs_version_;
    if (collected_version_ >= wanted) return false;
    is_urgent_ = true;
    wake_.notify_one();
    passed_.wait(lock, [&] { return collected_version_ >= wanted || broken_.load(); });
    return true;
}

void Housekeeper::needed_from(ShardId shard, Seq seq) noexcept {
    const std::lock_guard lock{mutex_};
    STENTOR_ASSERT(shard.value() < needs_.size(), "a shard the engine was not made for");
    std::optional<Seq>& needed = needs_[shard.value()];
    if (needed && *needed >= seq) return;
    needed = seq;
    ++needs_version_;
}

Seq Housekeeper::needed_from() const noexcept {
    const std::lock_guard lock{mutex_};
    // An empty optional is less than any position.
    const auto lowest = std::min_element(needs_.begin(), needs_.end());
    return lowest == needs_.end() ? kNoSeq : lowest->value_or(kNoSeq);
}

GiveWay Housekeeper::give_way() const noexcept {
    const std::lock_guard lock{mutex_};
    return give_way_;
}

bool Housekeeper::wants_survey(ShardId shard) const noexcept {
    const std::lock_guard lock{mutex_};
    return surveys_wanted_ && !surveys_[shard.value()];
}

void Housekeeper::survey(ShardId shard, NeedSurvey survey) noexcept {
    const std::lock_guard lock{mutex_};
    STENTOR_ASSERT(shard.value() < surveys_.size(), "a shard the engine was not made for");
    surveys_[shard.value()] = std::move(survey);
}

void Housekeeper::run() {
    (void)::pthread_setname_np(::pthread_self(), "store-keeper");
    for (;;) {
        Work work = next_work();
        const std::size_t applied = pass(work);
        {
            const std::lock_guard lock{mutex_};
            collected_version_ = std::max(collected_version_, work.needs_version);
            lag_bytes_ -= applied;
        }
        passed_.notify_all();
        if (work.closes) return;
    }
}

Housekeeper::Work Housekeeper::next_work() {
    std::unique_lock lock{mutex_};
    wake_.wait_for(lock, options_.apply_interval, [this] {
        return next_.closes || is_urgent_ || !next_.retired.empty() ||
               next_.bytes >= options_.apply_chunk_bytes;
    });
    is_urgent_ = false;
    Work work = std::exchange(next_, {});
    // Taken together with the groups: what the shards reported is about commits among them or
    // before, so after applying them the rows are as new as the needs.
    const auto lowest = std::min_element(needs_.begin(), needs_.end());
    work.needed = lowest == needs_.end() ? kNoSeq : lowest->value_or(kNoSeq);
    work.needs_version = needs_version_;
    const bool all = std::all_of(
        surveys_.begin(), surveys_.end(), [](const auto& survey) { return survey.has_value(); });
    if (!all || surveys_.empty()) return work;
    // Merged after the lock; the same as above holds for them.
    std::vector<std::optional<NeedSurvey>> surveys(surveys_.size());
    surveys.swap(surveys_);
    surveys_wanted_ = false;
    lock.unlock();
    work.survey = std::move(surveys.front());
    for (std::size_t shard = 1; shard < surveys.size(); ++shard) {
        work.survey->merge(*surveys[shard]);
        surveys[shard].reset();
    }
    return work;
}

std::size_t Housekeeper::pass(Work& work) {
    if (broken_.load()) return 0;
    std::move(work.groups.begin(), work.groups.end(), std::back_inserter(unapplied_));
    unapplied_bytes_ += work.bytes;
    clock_.carry_to(work.at, work.at_monotonic);
    Result<void> result = is_stale_ ? start_over() : Result<void>{};
    const bool is_usable = result && !is_stale_;
    if (is_usable) result = apply();
    work.retired.clear();
    std::size_t applied = 0;
    if (is_usable && result) {
        applied = std::exchange(unapplied_bytes_, 0);
        result = tidy_log(work);
        look_for_surveys(work.needed);
        find_who_gives_way();
        if (result) result = write_clock();
        if (result) result = rest();
    }
    if (is_usable && result && work.marks_closed) result = close();
    if (result) result = state_.check_in_place();
    // Waited for: the groups stay here, and the writer when there are too many.
    if (!result && is_passing(result.error())) result = start_over();
    look_at_values();
    if (std::exchange(removed_files_, false)) calls_.files_removed();
    look_at_disk();
    if (!result) {
        // The rows are behind or in doubt, the log is not: the next start applies it again.
        STENTOR_LOG(error,
                    LogEvent("store_stopped", {{"directory", options_.directory}}),
                    "state.db cannot be written: nothing is committed until it is opened anew");
        broken_.store(true);
        calls_.request_roll();  // wakes the writer, who tells
    }
    return applied;
}

Result<void> Housekeeper::tidy_log(Work& work) {
    Result<void> result;
    look_for_missing();
    const bool tries_files = !files_wait();
    if (tries_files) {
        seal_full_segments(work.needed);
        result = collect(work.needed);
    }
    if (work.survey) {
        collector_.begin(*std::move(work.survey), state_.meta().applied_through, monotonic_now());
    }
    if (tries_files && result) result = collect_by_survey();
    if (tries_files && !files_wait()) files_pause_ = {};
    return result;
}

Result<void> Housekeeper::apply() {
    if (unapplied_.empty()) return {};
    STENTOR_TRY_VOID(sync_log());
    for (const CommitGroupPtr& group : unapplied_) {
        Seq seq = group->first;
        for (const Record& record : group->records) {
            STENTOR_TRY_VOID(state_.apply(seq, record));
            seq = next(seq);
        }
    }
    StateMeta meta = state_.meta();
    meta.applied_through = unapplied_.back()->last();
    STENTOR_TRY_VOID(commit(meta));
    unapplied_.clear();
    return {};
}

/// Where nothing is committed: what the next start reckons from must not grow old, and must be
/// anew when the machine's clock has been set.
Result<void> Housekeeper::write_clock() {
    if (!clock_.is_due(machine_time()) || is_disk_full_.load()) return {};
    STENTOR_TRY_VOID(commit(state_.meta()));
    is_tidy_ = false;
    return {};
}

Result<void> Housekeeper::close() {
    StateMeta meta = state_.meta();
    meta.run_state = RunState::closed;
    return commit(meta);
}

/// With the clocks as they are now.
Result<void> Housekeeper::commit(StateMeta meta) {
    const MachineTime now = machine_time();
    meta.at = clock_.at(now.monotonic);
    meta.wall_unix_ms = now.wall_unix_ms;
    auto known = catalog_.known_segments(known_version_);
    if (known) state_.know_segments(std::move(known->segments));
    STENTOR_TRY_VOID(state_.commit(meta));
    if (known) known_version_ = known->version;
    clock_.written(now);
    unlink_removed();
    return {};
}

MachineTime Housekeeper::machine_time() const noexcept {
    return {.monotonic = options_.monotonic_now(), .wall_unix_ms = options_.wall_clock_unix_ms()};
}

/// After a failed commit: the rows as they are on disk, where unapplied_ goes on. If the file
/// cannot be opened now, the next pass tries again.
Result<void> Housekeeper::start_over() {
    auto opened = StateStore::open(state_path(options_), options_.vfs);
    is_stale_ = !opened;
    if (!opened) return is_passing(opened.error()) ? Result<void>{} : opened.error();
    state_ = *std::move(opened);
    return {};
}

/// Rows and removals must not be ahead of what the log has on disk.
Result<void> Housekeeper::sync_log() const {
    if (options_.acknowledge_after == AcknowledgeAfter::disk) return {};
    for (const SegmentView& segment : catalog_.segments()) {
        if (segment.is_sealed) continue;
        // What has been copied out of it was synced by SQLite.
        STENTOR_TRY_VOID(sync_write_ahead_log(segment.handle->path(), options_.vfs));
    }
    return {};
}

void Housekeeper::seal_full_segments(Seq needed) {
    for (const SegmentView& segment : catalog_.segments()) {
        if (segment.is_newest || segment.is_sealed || !is_needed(segment, needed)) continue;
        if (segment.handle->is_damaged(SegmentView::Handle::Part::index)) continue;
        const auto sealed = seal_segment(
            segment.handle->path(), catalog_.index_of(segment), segment.summary, options_.vfs);
        // Without its index in the file it keeps the one in memory; a later pass tries again.
        if (sealed) {
            catalog_.sealed(segment);
        } else if (is_passing(sealed.error())) {
            return put_off_files(sealed.error());
        } else {
            segment.handle->set_damaged(SegmentView::Handle::Part::index);
        }
    }
}

Result<void> Housekeeper::collect(Seq needed) {
    if (needed == kNoSeq) return {};
    for (const SegmentView& segment : catalog_.segments()) {
        if (is_needed(segment, needed)) continue;
        if (segment.summary.last > state_.meta().applied_through) continue;
        if (segment.is_newest) {
            const bool is_full = bytes() >= options_.log_bytes_max || is_disk_low();
            const std::uint64_t enough = is_full ? 1 : is_idle_ ? kIdleRollBytes : kRollBytes;
            if (segment.summary.bytes >= enough) calls_.request_roll();
            continue;
        }
        STENTOR_TRY(const Pinned pinned, pin_references(segment));
        if (pinned == Pinned::all) remove(segment);
        if (files_wait()) break;
    }
    return removed_.empty() ? Result<void>{} : commit(state_.meta());
}

/// A step of what the surveys have begun; the next one comes with the next pass.
Result<void> Housekeeper::collect_by_survey() {
    if (collector_.is_idle()) return {};
    // A crash between the new file and pins that came after it would leave neither the messages nor
    // their pins: the next start takes the new file for those it replaces.
    for (const SegmentView& segment : collector_.about_to_replace()) {
        if (segment.handle->is_removed()) continue;
        STENTOR_TRY(const Pinned pinned, pin_references(segment));
        if (pinned == Pinned::all) continue;
        collector_.give_up_replacing(monotonic_now());
        return {};
    }
    auto collected = collector_.step(monotonic_now());
    if (!collected) {  // nothing has changed
        put_off_files(collected.error());
        return {};
    }
    for (const SegmentView& segment : collected->dead) {
        STENTOR_TRY(const Pinned pinned, pin_references(segment));
        if (pinned == Pinned::all) remove(segment);
    }
    if (collected->replacement) {
        catalog_.replace(
            collected->replaced, std::move(collected->path), *std::move(collected->replacement));
        for (const SegmentView& segment : collected->replaced) {
            removed_.push_back(segment.handle->path());
        }
    }
    if (collected->newest_is_dead) calls_.request_roll();
    return removed_.empty() ? Result<void>{} : commit(state_.meta());
}

/// In whole segments, and before the bound is reached, so that room has been made before publishes
/// would be refused: first those that hold much, and everybody when that has had its time and has
/// not helped.
void Housekeeper::find_who_gives_way() {
    constexpr std::uint64_t kEverybodyFrom = 95;  // of the bound
    constexpr std::uint64_t kSharesMax = 16;      // less than one of so many shares is little
    const std::vector<SegmentView> segments = catalog_.segments();
    const Instant now = clock_.at(options_.monotonic_now());
    const bool has_age = options_.age_max > Duration::zero();
    const auto began_before = [&](const SegmentView& segment, Duration age) {
        return has_age && saturating_add(segment.handle->began_at(), age) <= now;
    };
    std::uint64_t excess = excess_of_log();
    if (bytes() <= options_.log_bytes_max / kParts * kEverybodyFrom) {
        nearly_full_since_ = kNever;
    } else if (nearly_full_since_ == kNever) {
        nearly_full_since_ = monotonic_now();
    }
    const bool must_all = nearly_full_since_ != kNever &&
                          monotonic_now() - nearly_full_since_ >= options_.give_way_patience;
    if (excess != 0) collector_.hurry(monotonic_now());
    GiveWay result;
    std::uint64_t large = 0;
    for (std::size_t i = 0; i + 1 < segments.size(); ++i) {
        // By its newest: nobody loses what is younger. What follows it may have been removed.
        const bool is_old =
            has_age && saturating_add(segments[i].ended_at, options_.age_max) <= now;
        if (!is_old && excess == 0) break;
        const Seq below = next(segments[i].summary.last);
        if (is_old) result.too_old_below = below;
        if (excess == 0) continue;
        if (must_all) result.everybody_below = below;
        result.large_below = below;
        large += segments[i].summary.bytes;
        excess -= std::min(excess, segments[i].summary.bytes);
    }
    result.large_bytes = large / kSharesMax;
    const SegmentView& newest = segments.back();
    // One that takes long to fill must not keep what is in it for as long.
    if (newest.summary.bytes != 0 && began_before(newest, options_.age_max / 4)) {
        calls_.request_roll();
    }
    const std::lock_guard lock{mutex_};
    give_way_ = result;
}

/// How much of the log has to go. Retained values do not leave when sessions give way: whatever
/// they take, a part of the bound is the log's.
std::uint64_t Housekeeper::excess_of_log() const {
    constexpr std::uint64_t kLargeFrom = 85;  // of the bound
    constexpr std::uint64_t kLogMin = 10;
    const std::uint64_t part = options_.log_bytes_max / kParts;
    const std::uint64_t log = catalog_.bytes();
    const std::uint64_t held = message_bytes_.load();
    const std::uint64_t left = part * kLargeFrom - std::min(held, part * kLargeFrom);
    const std::uint64_t share = std::max(left, part * kLogMin);
    return log > share ? log - share : 0;
}

void Housekeeper::look_at_values() {
    constexpr std::uint64_t kHeldMax = 75;  // of the bound
    const std::uint64_t held = state_.message_bytes();
    message_bytes_.store(held);
    const bool is_too_much = held >= options_.log_bytes_max / kParts * kHeldMax;
    if (holds_too_much_.exchange(is_too_much) || !is_too_much) return;
    static LogEvery every{1, std::chrono::seconds{10}};
    if (const auto pass = every.admit(monotonic_now())) {
        STENTOR_LOG(
            warn,
            LogEvent(
                "retained_full",
                {{"bytes", held}, {"bound", "store.max_bytes"}, {"suppressed", pass.suppressed}}),
            "retained messages take three quarters of the store: more are refused until "
            "some have been cleared");
    }
}

/// Nothing is being written: the files may become as small as they can.
Result<void> Housekeeper::rest() {
    const Seq last = catalog_.last();
    is_idle_ = last == last_seen_;
    last_seen_ = last;
    if (!is_idle_) is_tidy_ = false;
    if (!is_idle_ || is_tidy_ || !collector_.is_idle()) return {};
    is_tidy_ = true;
    return state_.tidy();
}

void Housekeeper::look_for_surveys(Seq needed) {
    const bool wanted = collector_.wants_survey(needed, monotonic_now());
    const bool goes_on = !collector_.is_idle();
    const std::lock_guard lock{mutex_};
    if (goes_on) is_urgent_ = true;
    if (!wanted || surveys_wanted_) return;
    surveys_wanted_ = true;
    collector_.asked();
}

/// That a file cannot be read says nothing about state.db: the segment stays.
Result<Housekeeper::Pinned> Housekeeper::pin_references(const SegmentView& segment) {
    const std::vector<Seq> wanted = state_.unpinned_references(segment.first, segment.summary.last);
    if (wanted.empty()) return Pinned::all;
    if (segment.handle->is_missing()) return Pinned::some;
    if (segment.handle->is_damaged(SegmentView::Handle::Part::rows)) return Pinned::some;
    auto reader = SegmentReader::open(segment.handle->path(), options_.vfs);
    if (!reader) {
        cannot_read(segment, wanted.front(), reader.error());
        return Pinned::some;
    }
    Pinned pinned = Pinned::all;
    for (const Seq seq : wanted) {
        const auto record = reader->record(seq);
        if (!record) {
            pinned = Pinned::some;
            cannot_read(segment, seq, record.error());
            continue;
        }
        const auto* published = *record ? std::get_if<MessageRecord>(&**record) : nullptr;
        if (published != nullptr) state_.pin(seq, published->message);
    }
    STENTOR_TRY_VOID(commit(state_.meta()));
    return pinned;
}

/// Once for a segment, however much of it is damaged.
void Housekeeper::cannot_read(const SegmentView& segment,
                              Seq seq,
                              boost::system::error_code error) {
    constexpr auto kRows = SegmentView::Handle::Part::rows;
    if (is_passing(error)) return put_off_files(error);
    if (segment.handle->is_damaged(kRows) || has_gone(segment)) return;
    segment.handle->set_damaged(kRows);
    ++damaged_segments_;
    STENTOR_LOG(error,
                LogEvent("segment_damaged",
                         {{"file", segment.handle->path()},
                          {"seq", seq.value()},
                          {"segments", damaged_segments_}}),
                "a message that was sent and is not acknowledged cannot be read ({}): the file "
                "stays until nobody refers to it",
                error.message());
}

/// A little longer each time.
void Housekeeper::put_off_files(boost::system::error_code error) {
    constexpr Duration kPauseMin = std::chrono::milliseconds{500};
    constexpr Duration kPauseMax = std::chrono::seconds{5};
    if (!is_passing(error)) return;
    files_pause_ = std::clamp(2 * files_pause_, kPauseMin, kPauseMax);
    files_wait_until_ = saturating_add(monotonic_now(), files_pause_);
}

bool Housekeeper::files_wait() const noexcept { return monotonic_now() < files_wait_until_; }

void Housekeeper::remove(const SegmentView& segment) {
    catalog_.remove(segment);
    removed_.push_back(segment.handle->path());
}

/// After a commit: state.db names nothing that is not in the catalog (KnownSegment).
void Housekeeper::unlink_removed() {
    for (const std::string& path : removed_) remove_segment_files(path);
    removed_files_ = removed_files_ || !removed_.empty();
    removed_.clear();
}

/// So that an operator hears of a file that was removed while it may still be put back, and not
/// only when somebody comes to it.
void Housekeeper::look_for_missing() {
    constexpr Duration kPause = std::chrono::seconds{5};
    const Instant now = monotonic_now();
    if (now - missing_looked_for_at_ < kPause) return;
    missing_looked_for_at_ = now;
    for (const SegmentView& segment : catalog_.segments()) {
        if (!segment.is_newest) (void)has_gone(segment);  // of that one the writer will know
    }
}

void Housekeeper::look_at_disk(std::uint64_t about_to_write) {
    std::error_code error;
    const auto space = std::filesystem::space(options_.directory, error);
    if (error) return;
    // What is written goes into a write-ahead log first and later into the file beside it.
    const std::uint64_t reserve = std::max(options_.disk_free_bytes_min, kDiskFreeBytesMin);
    // Applying and collecting need room themselves: without it nothing would ever be freed.
    constexpr std::uint64_t kHousekeepersShare = 4;
    const bool is_full = space.available < reserve / kHousekeepersShare;
    const bool was_full = is_disk_full_.exchange(is_full);
    // A commit may take half of the reserve: with what it would keep, others' records would fail.
    const bool is_low =
        space.available < reserve || space.available < reserve / 2 + 2 * about_to_write;
    const bool was_low = is_disk_low_.load();
    if (is_low || about_to_write == 0) is_disk_low_.store(is_low);
    if (is_full == was_full && is_disk_low_.load() == was_low) return;
    tell_of_disk(space.available);
}

/// How it is from now on; it goes to and fro where the room is just enough.
void Housekeeper::tell_of_disk(std::uint64_t free_bytes) const {
    static LogEvery every{4, std::chrono::seconds{10}};
    const auto pass = every.admit(monotonic_now());
    if (!pass) return;
    const char* name = "disk_ok";
    const char* text = "there is room on the disk again";
    LogLevel level = LogLevel::info;
    if (is_disk_full_.load()) {
        name = "disk_full";
        text =
            "the disk is full: nothing is stored until there is room; make some, or lower "
            "store.min_free_bytes";
        level = LogLevel::error;
    } else if (is_disk_low_.load()) {
        name = "disk_low";
        text =
            "less than store.min_free_bytes is left on the disk: what publishers want to have "
            "stored is refused until there is room";
        level = LogLevel::warn;
    }
    if (!log_enabled(level)) return;
    log_line(level,
             LogEvent(name,
                      {{"directory", options_.directory},
                       {"free_bytes", free_bytes},
                       {"min_free_bytes", options_.disk_free_bytes_min},
                       {"suppressed", pass.suppressed}}),
             "{}",
             text);
}

}  // namespace stentor::store
