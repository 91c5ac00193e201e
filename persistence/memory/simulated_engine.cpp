#include "persistence/memory/simulated_engine.hpp"

#include "base/assert.hpp"

#include <algorithm>

namespace stentor::store {
namespace {

// More than a crash can take back.
constexpr std::uint64_t kUncleanJump = 1'000'000;
// With acknowledge_after other than disk: one commit in so many reaches the disk at once.
constexpr std::uint64_t kCommitsPerSync = 4;
// Few, so that a trim that is not finished is met often.
constexpr std::size_t kTrimmedPerStep = 8;

}  // namespace

SimulatedEngine::SimulatedEngine(const SimulatedEngineOptions& options)
    : options_{options},
      random_{options.seed},
      log_{options.log},
      disk_{options.log},
      answers_(options.log.shards),
      reads_(options.log.shards) {}

SimulatedEngine::~SimulatedEngine() {
    STENTOR_ASSERT(sink_ == nullptr, "drain_and_close() or crash() comes before");
}

Result<Recovered> SimulatedEngine::recover() {
    STENTOR_ASSERT(sink_ == nullptr, "recovered while it runs");
    if (!clean_ && options_.acknowledge_after != AcknowledgeAfter::disk) {
        log_.jump_to(Seq{log_.last().value() + kUncleanJump});
    }
    log_.forget_needs();
    if (options_.acknowledge_after != AcknowledgeAfter::disk) disk_ = log_;
    handed_over_ = log_.last();
    return Recovered{.state = log_.state(), .last = log_.last(), .at = log_.at(), .clean = clean_};
}

void SimulatedEngine::start(CommitSink& sink) {
    STENTOR_ASSERT(sink_ == nullptr, "started once");
    sink_ = &sink;
    clean_ = false;
}

Push SimulatedEngine::submit(WriteBatch& batch) noexcept {
    STENTOR_ASSERT(sink_ != nullptr, "submitted before start()");
    STENTOR_ASSERT(!batch.records.empty(), "an empty batch has nothing to commit");
    if (queue_.size() >= options_.queue_batches_max) return Push::full;
    if (strikes(options_.faults.full_per_mille)) return Push::full;
    queue_.push_back(std::move(batch));
    return Push::ok;
}

Push SimulatedEngine::read(ReadRequest& request) noexcept {
    STENTOR_ASSERT(sink_ != nullptr, "asked before start()");
    if (reads_count_ >= options_.reads_max) return Push::full;
    if (strikes(options_.faults.full_per_mille)) return Push::full;
    const std::size_t shard = request.shard.value();
    reads_[shard].push_back({.due = after_up_to(options_.page_delay_max),
                             .request = std::move(request),
                             .page = std::nullopt});
    ++reads_count_;
    return Push::ok;
}

void SimulatedEngine::needed_from(ShardId shard, Seq seq) noexcept {
    STENTOR_ASSERT(sink_ != nullptr, "called before start()");
    log_.needed_from(shard, seq);
    if (options_.acknowledge_after == AcknowledgeAfter::disk) return;
    unsynced_needs_.emplace_back(shard, seq);
}

bool SimulatedEngine::wants_survey(ShardId shard) const noexcept {
    return log_.wants_survey(shard);
}

void SimulatedEngine::survey(ShardId shard, NeedSurvey survey) noexcept {
    STENTOR_ASSERT(sink_ != nullptr, "called before start()");
    if (options_.acknowledge_after != AcknowledgeAfter::disk) {
        unsynced_surveys_.emplace_back(shard, survey);
    }
    log_.survey(shard, std::move(survey));
}

Room SimulatedEngine::room() const noexcept { return log_.room(); }

void SimulatedEngine::drain_and_close() {
    const Instant before = now_;
    step(kNever);
    STENTOR_ASSERT(possible_events().empty() && queue_.empty());
    now_ = before;
    sync();
    forget_everything_told();
    sink_ = nullptr;
    clean_ = true;
}

void SimulatedEngine::step(Instant now) {
    if (sink_ == nullptr) return;
    now_ = std::max(now_, now);
    while (true) {
        begin_group();
        std::vector<Event> events = possible_events();
        std::erase_if(events, [this](const Event& event) { return event.due > now_; });
        if (events.empty()) break;
        happen(events[random_.below(events.size())]);
    }
    (void)log_.trim(kTrimmedPerStep);
}

std::optional<Instant> SimulatedEngine::next_due() const noexcept {
    if (!queue_.empty() && !writing_) return now_;
    const std::vector<Event> events = possible_events();
    const auto first = std::min_element(
        events.begin(), events.end(), [](const Event& a, const Event& b) { return a.due < b.due; });
    return first == events.end() ? std::nullopt : std::optional{first->due};
}

void SimulatedEngine::crash() {
    if (writing_ && random_.chance(1, 2)) commit();
    if (options_.acknowledge_after != AcknowledgeAfter::disk) {
        log_ = disk_;
        const std::uint64_t kept = random_.between(0, unsynced_.size());
        for (std::size_t i = 0; i < kept; ++i) log_.append(*unsynced_[i]);
    }
    unsynced_.clear();
    unsynced_needs_.clear();
    unsynced_surveys_.clear();
    forget_everything_told();
    sink_ = nullptr;
}

void SimulatedEngine::begin_group() {
    if (writing_ || queue_.empty()) return;
    writing_.emplace();
    writing_->due = after_up_to(options_.commit_delay_max);
    const std::size_t available = std::min(queue_.size(), options_.group_batches_max);
    for (std::uint64_t count = random_.between(1, available); count != 0; --count) {
        writing_->batches.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
}

void SimulatedEngine::commit() {
    Writing writing = std::move(*writing_);
    writing_.reset();
    const bool fails = strikes(options_.faults.fail_commit_per_mille);
    GroupBuilder group{log_.last(), log_.at()};
    std::size_t kept = 0;
    std::vector<Result<void>> results;
    for (WriteBatch& batch : writing.batches) {
        const std::size_t bytes = kept_bytes(batch);
        if (fails) {
            results.emplace_back(make_error_code(StoreErrc::commit_failed));
        } else if (!log_.has_room_for(bytes == 0 ? 0 : kept + 1)) {
            results.emplace_back(make_error_code(StoreErrc::store_full));
        } else {
            kept += bytes;
            group.add(batch);
            results.emplace_back();
        }
    }
    if (!group.is_empty()) append(group.take());
    for (std::size_t i = 0; i < writing.batches.size(); ++i) {
        const WriteBatch& batch = writing.batches[i];
        const Seq follows = results[i].has_value() ? log_.last() : kNoSeq;
        answers_[batch.shard.value()].push_back({.due = after_up_to(options_.report_delay_max),
                                                 .ticket = batch.ticket,
                                                 .result = results[i],
                                                 .follows = follows});
    }
}

void SimulatedEngine::append(const CommitGroupPtr& group) {
    log_.append(*group);
    handovers_.push_back({.due = after_up_to(options_.report_delay_max), .group = group});
    if (options_.acknowledge_after == AcknowledgeAfter::disk) return;
    unsynced_.push_back(group);
    if (random_.chance(1, kCommitsPerSync)) sync();
}

/// The disk catches up. What shards do not need any more by commits that might still be taken back
/// must stay until then.
void SimulatedEngine::sync() {
    for (const CommitGroupPtr& group : unsynced_) disk_.append(*group);
    unsynced_.clear();
    for (const auto& [shard, seq] : unsynced_needs_) disk_.needed_from(shard, seq);
    unsynced_needs_.clear();
    for (auto& [shard, survey] : unsynced_surveys_) disk_.survey(shard, std::move(survey));
    unsynced_surveys_.clear();
    while (disk_.trim(kTrimmedPerStep) == MemoryLog::Trimmed::more_to_do) {
    }
}

void SimulatedEngine::hand_over() {
    CommitGroupPtr group = std::move(handovers_.front().group);
    handovers_.pop_front();
    handed_over_ = group->last();
    sink_->group_committed(std::move(group));
}

void SimulatedEngine::answer_ticket(std::uint16_t shard) {
    const Answer answer = answers_[shard].front();
    answers_[shard].pop_front();
    sink_->ticket_done(ShardId{shard}, answer.ticket, answer.result);
}

void SimulatedEngine::answer_read(std::uint16_t shard) {
    Asked& asked = reads_[shard].front();
    if (!asked.page) {
        asked.page = log_.read(asked.request, handed_over_);
        if (strikes(options_.faults.fail_read_per_mille)) {
            asked.page->result = make_error_code(StoreErrc::io_error);
        }
        asked.due = after_up_to(options_.page_delay_max);
        return;
    }
    Page page = std::move(*asked.page);
    reads_[shard].pop_front();
    --reads_count_;
    sink_->page_read(ShardId{shard}, std::move(page));
}

void SimulatedEngine::happen(const Event& event) {
    switch (event.kind) {
        case Event::Kind::commit:
            commit();
            return;
        case Event::Kind::handover:
            hand_over();
            return;
        case Event::Kind::ticket:
            answer_ticket(event.shard);
            return;
        case Event::Kind::page:
            answer_read(event.shard);
            return;
    }
}

void SimulatedEngine::forget_everything_told() {
    queue_.clear();
    writing_.reset();
    handovers_.clear();
    for (auto& answers : answers_) answers.clear();
    for (auto& reads : reads_) reads.clear();
    reads_count_ = 0;
}

std::vector<SimulatedEngine::Event> SimulatedEngine::possible_events() const {
    std::vector<Event> events;
    if (writing_) events.push_back({.kind = Event::Kind::commit, .shard = 0, .due = writing_->due});
    if (!handovers_.empty()) {
        events.push_back(
            {.kind = Event::Kind::handover, .shard = 0, .due = handovers_.front().due});
    }
    for (std::uint16_t shard = 0; shard < options_.log.shards; ++shard) {
        if (!answers_[shard].empty() && answers_[shard].front().follows <= handed_over_) {
            events.push_back(
                {.kind = Event::Kind::ticket, .shard = shard, .due = answers_[shard].front().due});
        }
        if (!reads_[shard].empty()) {
            events.push_back(
                {.kind = Event::Kind::page, .shard = shard, .due = reads_[shard].front().due});
        }
    }
    return events;
}

Instant SimulatedEngine::after_up_to(Duration delay_max) noexcept {
    const auto most = static_cast<std::uint64_t>(delay_max.count());
    return saturating_add(now_, Duration{static_cast<Duration::rep>(random_.between(0, most))});
}

bool SimulatedEngine::strikes(unsigned per_mille) noexcept {
    return random_.chance(per_mille, 1000);
}

}  // namespace stentor::store
