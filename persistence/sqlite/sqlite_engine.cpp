#include "persistence/sqlite/sqlite_engine.hpp"

#include "base/assert.hpp"
#include "base/log.hpp"
#include "persistence/memory/memory_log.hpp"
#include "persistence/sqlite/log_row.hpp"

#include <pthread.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace stentor::store {
namespace {

/// The group's records in rows of about `row_bytes_max`.
[[nodiscard]] std::vector<EncodedRow> encode(const CommitGroup& group,
                                             std::size_t row_bytes_max,
                                             std::int64_t wall_unix_ms) {
    std::vector<EncodedRow> rows;
    std::optional<LogRowWriter> row;
    Seq seq = group.first;
    for (const Record& record : group.records) {
        if (!row) {
            row.emplace(LogRowHeader{.first = seq, .at = group.at, .wall_unix_ms = wall_unix_ms});
        }
        row->add(record);
        seq = next(seq);
        if (row->size() < row_bytes_max) continue;
        rows.push_back({.first = row->first(), .bytes = row->take()});
        row.reset();
    }
    if (row) rows.push_back({.first = row->first(), .bytes = row->take()});
    return rows;
}

[[nodiscard]] std::size_t total_bytes(const std::vector<EncodedRow>& rows) noexcept {
    std::size_t bytes = 0;
    for (const EncodedRow& row : rows) bytes += row.bytes.size();
    return bytes;
}

/// What a batch is told when its group found no room on the disk.
[[nodiscard]] StoreErrc refusal(std::size_t kept_bytes) noexcept {
    return kept_bytes != 0 ? StoreErrc::store_full : StoreErrc::commit_failed;
}

/// The log gives way in whole segments: a small one has small ones.
[[nodiscard]] SqliteEngineOptions with_fitting_segments(SqliteEngineOptions options) {
    constexpr std::uint64_t kSegmentsMin = 16;
    const auto fitting = static_cast<std::size_t>(options.log_bytes_max / kSegmentsMin);
    options.segment_bytes_max =
        std::min(options.segment_bytes_max, std::max(fitting, std::size_t{1}));
    return options;
}

void name_thread(const char* name) { (void)::pthread_setname_np(::pthread_self(), name); }

}  // namespace

SqliteEngine::SqliteEngine(const SqliteEngineOptions& options)
    : options_{with_fitting_segments(options)}, catalog_{options.tail_bytes_max} {}

SqliteEngine::~SqliteEngine() {
    STENTOR_ASSERT(!writer_.joinable() && !reader_.joinable(), "drain_and_close() comes before");
}

Result<Recovered> SqliteEngine::recover() {
    STENTOR_ASSERT(!newest_, "recovered once");
    STENTOR_TRY(OpenedStore store, open_store(options_, catalog_));
    lock_.emplace(std::move(store.lock));
    newest_.emplace(std::move(store.newest));
    newest_bytes_ = static_cast<std::size_t>(catalog_.segments().back().summary.bytes);
    last_ = store.recovered.last;
    at_ = store.recovered.at;
    housekeeper_.emplace(options_,
                         catalog_,
                         std::move(store.state),
                         Housekeeper::Calls{.request_roll = [this] { request_roll(); },
                                            .files_removed = [this] { files_removed(); }});
    return std::move(store.recovered);
}

void SqliteEngine::start(CommitSink& sink) {
    STENTOR_ASSERT(newest_ && !writer_.joinable(), "recovered, started once");
    housekeeper_->start();
    writer_ = std::jthread{[this, &sink] { run_writer(sink); }};
    reader_ = std::jthread{[this, &sink] { run_reader(sink); }};
}

Push SqliteEngine::submit(WriteBatch& batch) noexcept {
    STENTOR_ASSERT(!batch.records.empty(), "an empty batch has nothing to commit");
    {
        const std::lock_guard lock{mutex_};
        STENTOR_ASSERT(!closes_, "submitted to an engine that closes");
        if (queue_.size() >= options_.queue_batches_max) return Push::full;
        if (!queue_.empty() && queue_bytes_ + batch.bytes > options_.queue_bytes_max) {
            return Push::full;
        }
        queue_bytes_ += batch.bytes;
        queue_.push_back(std::move(batch));
    }
    wake_.notify_one();
    return Push::ok;
}

Push SqliteEngine::read(ReadRequest& request) noexcept {
    {
        const std::lock_guard lock{reads_mutex_};
        STENTOR_ASSERT(!reads_close_, "asked an engine that closes");
        if (reads_.size() >= options_.reads_max) return Push::full;
        reads_.push_back(std::move(request));
    }
    reads_wake_.notify_one();
    return Push::ok;
}

void SqliteEngine::needed_from(ShardId shard, Seq seq) noexcept {
    housekeeper_->needed_from(shard, seq);
}

GiveWay SqliteEngine::give_way() const noexcept { return housekeeper_->give_way(); }

bool SqliteEngine::wants_survey(ShardId shard) const noexcept {
    return housekeeper_->wants_survey(shard);
}

void SqliteEngine::survey(ShardId shard, NeedSurvey survey) noexcept {
    housekeeper_->survey(shard, std::move(survey));
}

Room SqliteEngine::room() const noexcept {
    if (!has_room_for(1)) return Room::none_for_messages;
    return housekeeper_->holds_too_much() ? Room::none_for_retained : Room::enough;
}

bool SqliteEngine::has_room_for(std::size_t bytes) const noexcept {
    if (bytes == 0) return true;
    return !housekeeper_->is_disk_low() && !broken_.load() && !housekeeper_->is_broken() &&
           housekeeper_->bytes() + bytes <= options_.log_bytes_max;
}

void SqliteEngine::drain_and_close() {
    if (!housekeeper_) return;
    {
        const std::lock_guard lock{mutex_};
        closes_ = true;
    }
    wake_.notify_one();
    housekeeper_->stop_is_near();
    if (writer_.joinable()) writer_.join();
    {
        const std::lock_guard lock{reads_mutex_};
        reads_close_ = true;
    }
    reads_wake_.notify_one();
    if (reader_.joinable()) reader_.join();
    newest_.reset();
    housekeeper_->stop(broken_.load() ? Housekeeper::Stop::unclean : Housekeeper::Stop::clean);
    housekeeper_.reset();
    lock_.reset();
}

void SqliteEngine::run_writer(CommitSink& sink) {
    name_thread("store-log");
    for (;;) {
        Turn turn = next_turn();
        if (turn.rolls) roll();
        if (!turn.batches.empty()) commit(turn.batches, sink);
        if (newest_bytes_ >= options_.segment_bytes_max) roll();
        report_failure(sink);
        if (turn.closes && turn.batches.empty()) return;
    }
}

SqliteEngine::Turn SqliteEngine::next_turn() {
    Turn turn;
    std::unique_lock lock{mutex_};
    wake_.wait(lock, [this] { return !queue_.empty() || rolls_ || closes_; });
    std::size_t group_bytes = 0;
    while (!queue_.empty() && turn.batches.size() < options_.group_batches_max) {
        WriteBatch& batch = queue_.front();
        group_bytes += batch.bytes;
        if (!turn.batches.empty() && group_bytes > options_.group_bytes_max) break;
        queue_bytes_ -= batch.bytes;
        turn.batches.push_back(std::move(batch));
        queue_.pop_front();
    }
    turn.rolls = std::exchange(rolls_, false);
    turn.closes = closes_;
    return turn;
}

/// Commits the batches that there is room for, then answers all of them in order.
void SqliteEngine::commit(std::vector<WriteBatch>& batches, CommitSink& sink) {
    if (!housekeeper_->wait_for_lag()) broken_.store(true);
    GroupBuilder builder{last_, at_};
    std::vector<Result<void>> results;
    std::vector<std::size_t> kept(batches.size());
    std::size_t kept_in_all = 0;
    std::size_t record_bytes = 0;
    std::transform(batches.begin(), batches.end(), kept.begin(), kept_bytes);
    // A busy broker fills what is left between two passes of the housekeeper.
    const std::size_t all = std::accumulate(kept.begin(), kept.end(), std::size_t{0});
    housekeeper_->look_at_disk(all);
    for (std::size_t i = 0; i < batches.size(); ++i) {
        // The one that uses up the room is let in whole: others' records are in it, too.
        const std::size_t wanted = kept[i] == 0 ? 0 : kept_in_all + 1;
        if (!has_room_for(wanted)) make_room();
        if (has_room_for(wanted) || broken_.load()) {
            kept_in_all += kept[i];
            record_bytes += batches[i].bytes;
            builder.add(batches[i]);
            results.emplace_back();
        } else {
            results.emplace_back(make_error_code(StoreErrc::store_full));
        }
    }
    CommitGroupPtr group = builder.is_empty() ? CommitGroupPtr{} : builder.take();
    const Result<void> written = group == nullptr ? Result<void>{} : append(group, record_bytes);
    const std::lock_guard lock{sink_mutex_};
    if (group != nullptr && written) {
        const Seq last = group->last();
        sink.group_committed(std::move(group));
        catalog_.handed_over(last);
    }
    for (std::size_t i = 0; i < batches.size(); ++i) {
        if (results[i] && !written) {
            const bool is_full = written.error() == StoreErrc::store_full;
            results[i] = is_full ? make_error_code(refusal(kept[i])) : written.error();
        }
        sink.ticket_done(batches[i].shard, batches[i].ticket, results[i]);
    }
}

/// The housekeeper wakes the writer when it has failed, so that this is seen without a commit.
void SqliteEngine::report_failure(CommitSink& sink) {
    if (housekeeper_->is_broken()) broken_.store(true);
    if (!broken_.load() || std::exchange(failure_reported_, true)) return;
    const std::lock_guard lock{sink_mutex_};
    sink.store_failed();
}

/// Waits for the housekeeper if that may free something; a stall, but only of a full store.
void SqliteEngine::make_room() {
    const Seq needed = housekeeper_->needed_from();
    const SegmentSummary newest = catalog_.segments().back().summary;
    if (needed != kNoSeq && newest.newest_message < needed) roll();
    (void)housekeeper_->collect_now();
}

Result<void> SqliteEngine::append(const CommitGroupPtr& group, std::size_t record_bytes) {
    if (broken_.load()) return StoreErrc::io_error;
    if (housekeeper_->is_disk_full()) {
        pause();
        return StoreErrc::store_full;
    }
    const std::int64_t wall = options_.wall_clock_unix_ms();
    const std::vector<EncodedRow> rows = encode(*group, options_.row_bytes_max, wall);
    if (const auto written = newest_->append(rows); !written) {
        if (is_passing(written.error())) {
            if (written.error() == StoreErrc::store_full) housekeeper_->set_disk_low();
            pause();
            return StoreErrc::store_full;
        }
        broken_.store(true);
        STENTOR_LOG(error,
                    LogEvent("store_stopped", {{"directory", options_.directory}}),
                    "the log cannot be written: nothing is committed until it is opened anew");
        return StoreErrc::io_error;
    }
    const std::size_t bytes = total_bytes(rows);
    newest_bytes_ += bytes;
    last_ = group->last();
    at_ = group->at;
    catalog_.add_group(group, record_bytes, bytes);
    housekeeper_->add(group, record_bytes, options_.monotonic_now());
    return {};
}

/// Some of what a full disk refuses comes back at once: not as fast as it can be refused.
void SqliteEngine::pause() {
    constexpr std::chrono::milliseconds kPause{10};
    std::unique_lock lock{mutex_};
    wake_.wait_for(lock, kPause, [this] { return closes_; });
}

/// Begins a new segment; without success the old one goes on.
void SqliteEngine::roll() {
    if (newest_bytes_ == 0 || broken_.load() || monotonic_now() < roll_not_before_) return;
    constexpr Duration kPause = std::chrono::seconds{1};
    // A power cut takes the newest records only: not the end of this segment with some of the next
    // one there. The housekeeper has synced all but the last moments.
    if (options_.acknowledge_after != AcknowledgeAfter::disk) {
        const auto synced =
            sync_write_ahead_log(catalog_.segments().back().handle->path(), options_.vfs);
        if (!synced && is_passing(synced.error())) {
            roll_not_before_ = saturating_add(monotonic_now(), kPause);
            return;
        }
        if (!synced) {
            broken_.store(true);
            return;
        }
    }
    const std::string path = log_directory(options_) + '/' + segment_name({.first = next(last_)});
    auto writer = SegmentWriter::open(path, options_.acknowledge_after, options_.vfs);
    if (!writer) {  // a full disk: the one there is goes on, see Recovery::add_segment()
        roll_not_before_ = saturating_add(monotonic_now(), kPause);
        return;
    }
    catalog_.add_segment(path, next(last_), at_);
    housekeeper_->retire(std::exchange(*newest_, *std::move(writer)));
    newest_bytes_ = 0;
}

void SqliteEngine::request_roll() {
    {
        const std::lock_guard lock{mutex_};
        rolls_ = true;
    }
    wake_.notify_one();
}

void SqliteEngine::files_removed() {
    {
        const std::lock_guard lock{reads_mutex_};
        files_removed_ = true;
    }
    reads_wake_.notify_one();
}

void SqliteEngine::run_reader(CommitSink& sink) {
    name_thread("store-reader");
    PageReader reader{{.state_path = state_path(options_),
                       .vfs = options_.vfs,
                       .scanned_per_page_max = options_.scanned_per_page_max,
                       .row_cache_bytes_max = options_.row_cache_bytes_max},
                      catalog_};
    for (;;) {
        std::optional<ReadRequest> request;
        bool removed = false;
        {
            std::unique_lock lock{reads_mutex_};
            reads_wake_.wait(lock,
                             [this] { return !reads_.empty() || files_removed_ || reads_close_; });
            removed = std::exchange(files_removed_, false);
            if (!reads_.empty()) {
                request = std::move(reads_.front());
                reads_.pop_front();
            } else if (reads_close_) {
                return;
            }
        }
        if (removed) reader.forget_removed();
        if (!request) continue;
        Page page = reader.read(*request);
        const std::lock_guard lock{sink_mutex_};
        sink.page_read(request->shard, std::move(page));
    }
}

}  // namespace stentor::store
