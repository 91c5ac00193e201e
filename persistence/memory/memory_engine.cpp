#include "persistence/memory/memory_engine.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <utility>

namespace stentor::store {
namespace {

// A turn of the writer does a little of each, so that neither reads nor trimming hold up commits.
constexpr std::size_t kReadsPerTurn = 16;
constexpr std::size_t kTrimmedPerTurn = 1024;

}  // namespace

MemoryEngine::MemoryEngine(const MemoryEngineOptions& options)
    : options_{options}, log_{options.log} {}

MemoryEngine::~MemoryEngine() {
    STENTOR_ASSERT(!writer_.joinable(), "drain_and_close() comes before");
}

Result<Recovered> MemoryEngine::recover() {
    return Recovered{.state = {}, .last = kNoSeq, .at = {}, .clean = true};
}

void MemoryEngine::start(CommitSink& sink) {
    STENTOR_ASSERT(!writer_.joinable(), "started once");
    writer_ = std::jthread{[this, &sink] { run(sink); }};
}

Push MemoryEngine::submit(WriteBatch& batch) noexcept {
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

Push MemoryEngine::read(ReadRequest& request) noexcept {
    {
        const std::lock_guard lock{mutex_};
        STENTOR_ASSERT(!closes_, "asked an engine that closes");
        if (reads_.size() >= options_.reads_max) return Push::full;
        reads_.push_back(std::move(request));
    }
    wake_.notify_one();
    return Push::ok;
}

void MemoryEngine::needed_from(ShardId shard, Seq seq) noexcept {
    {
        const std::lock_guard lock{mutex_};
        STENTOR_ASSERT(shard.value() < options_.log.shards, "a shard the engine was not made for");
        needs_.resize(options_.log.shards);
        std::optional<Seq>& needed = needs_[shard.value()];
        needed = needed ? std::max(*needed, seq) : seq;
    }
    wake_.notify_one();
}

bool MemoryEngine::wants_survey(ShardId shard) const noexcept {
    return (surveys_wanted_.load(std::memory_order_relaxed) >> shard.value() & 1U) != 0;
}

void MemoryEngine::survey(ShardId shard, NeedSurvey survey) noexcept {
    {
        const std::lock_guard lock{mutex_};
        surveys_.emplace_back(shard, std::move(survey));
    }
    wake_.notify_one();
}

Room MemoryEngine::room() const noexcept { return room_.load(std::memory_order_relaxed); }

void MemoryEngine::drain_and_close() {
    {
        const std::lock_guard lock{mutex_};
        closes_ = true;
    }
    wake_.notify_one();
    if (writer_.joinable()) writer_.join();
}

void MemoryEngine::run(CommitSink& sink) {
    auto trimmed = MemoryLog::Trimmed::all;
    while (true) {
        Turn turn = next_turn(trimmed == MemoryLog::Trimmed::all);
        for (std::size_t shard = 0; shard < turn.needs.size(); ++shard) {
            if (!turn.needs[shard]) continue;
            log_.needed_from(ShardId{static_cast<std::uint16_t>(shard)}, *turn.needs[shard]);
        }
        for (auto& [shard, survey] : turn.surveys) log_.survey(shard, std::move(survey));
        if (!turn.batches.empty()) commit(turn.batches, sink);
        for (const ReadRequest& request : turn.reads) {
            sink.page_read(request.shard, log_.read(request, log_.last()));
        }
        if (turn.closes && turn.batches.empty() && turn.reads.empty()) return;
        trimmed = log_.trim(kTrimmedPerTurn);
        publish_hints();
    }
}

void MemoryEngine::publish_hints() noexcept {
    room_.store(log_.room(), std::memory_order_relaxed);
    messages_.store(log_.messages(), std::memory_order_relaxed);
    give_way_below_.store(log_.give_way().everybody_below.value());
    ShardMask wanted = 0;
    for (std::uint16_t shard = 0; shard < options_.log.shards; ++shard) {
        if (log_.wants_survey(ShardId{shard})) wanted |= ShardMask{1} << shard;
    }
    surveys_wanted_.store(wanted, std::memory_order_relaxed);
}

MemoryEngine::Turn MemoryEngine::next_turn(bool waits) {
    Turn turn;
    std::unique_lock lock{mutex_};
    const auto has_work = [this] {
        return !queue_.empty() || !reads_.empty() || !needs_.empty() || !surveys_.empty() ||
               closes_;
    };
    if (waits) wake_.wait(lock, has_work);
    std::size_t group_bytes = 0;
    while (!queue_.empty() && turn.batches.size() < options_.group_batches_max) {
        WriteBatch& batch = queue_.front();
        group_bytes += batch.bytes;
        if (!turn.batches.empty() && group_bytes > options_.group_bytes_max) break;
        queue_bytes_ -= batch.bytes;
        turn.batches.push_back(std::move(batch));
        queue_.pop_front();
    }
    while (!reads_.empty() && turn.reads.size() < kReadsPerTurn) {
        turn.reads.push_back(std::move(reads_.front()));
        reads_.pop_front();
    }
    turn.needs = std::exchange(needs_, {});
    turn.surveys = std::exchange(surveys_, {});
    turn.closes = closes_;
    return turn;
}

/// Commits the batches that there is room for, then answers all of them in order.
void MemoryEngine::commit(std::vector<WriteBatch>& batches, CommitSink& sink) {
    GroupBuilder group{log_.last(), log_.at()};
    std::size_t kept = 0;
    std::vector<Result<void>> results;
    results.reserve(batches.size());
    for (WriteBatch& batch : batches) {
        const std::size_t bytes = kept_bytes(batch);
        if (log_.has_room_for(bytes == 0 ? 0 : kept + 1)) {
            kept += bytes;
            group.add(batch);
            results.emplace_back();
        } else {
            results.emplace_back(make_error_code(StoreErrc::store_full));
        }
    }
    if (!group.is_empty()) {
        CommitGroupPtr committed = group.take();
        log_.append(*committed);
        sink.group_committed(std::move(committed));
    }
    for (std::size_t i = 0; i < batches.size(); ++i) {
        sink.ticket_done(batches[i].shard, batches[i].ticket, results[i]);
    }
}

}  // namespace stentor::store
