#include "tests/sim/disk_store.hpp"

#include "base/assert.hpp"
#include "base/random.hpp"
#include "persistence/sqlite/faulty_vfs.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"
#include "persistence/sqlite/state_facts.hpp"
#include "tests/kit/temp_dir.hpp"

#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace stentor::sim {

namespace {

using store::CommitGroupPtr;
using store::Push;

constexpr std::size_t kRounds = 600;
constexpr std::size_t kHeldMax = 256;                  // batches, and reads, before Push::full
constexpr int kTriesMax = 3;                           // to open it
constexpr auto kPatience = std::chrono::seconds{120};  // with an engine that must answer

/// One call of the sink.
struct Report {
    enum class Kind : std::uint8_t { group, ticket, page, failure } kind;
    CommitGroupPtr group = {};
    ShardId shard = {};
    store::CommitTicket ticket = 0;
    Result<void> result = {};
    std::unique_ptr<store::Page> page = {};
};

/// Collects what the engine's threads report.
class Reports final : public store::CommitSink {
  public:
    void group_committed(CommitGroupPtr group) override {
        const std::lock_guard lock{mutex_};
        Seq seq = group->first;
        for (const store::Record& record : group->records) {
            state_.apply(seq, record);
            seq = next(seq);
        }
        last_ = group->last();
        waiting_.push_back({.kind = Report::Kind::group, .group = std::move(group)});
    }
    void ticket_done(ShardId shard, store::CommitTicket ticket, Result<void> result) override {
        const std::lock_guard lock{mutex_};
        waiting_.push_back(
            {.kind = Report::Kind::ticket, .shard = shard, .ticket = ticket, .result = result});
        ++answers_;
        answered_.notify_all();
    }
    void page_read(ShardId shard, store::Page page) override {
        const std::lock_guard lock{mutex_};
        waiting_.push_back({.kind = Report::Kind::page,
                            .shard = shard,
                            .page = std::make_unique<store::Page>(std::move(page))});
        ++answers_;
        answered_.notify_all();
    }
    void store_failed() override {
        const std::lock_guard lock{mutex_};
        waiting_.push_back({.kind = Report::Kind::failure});
    }

    void wait_for(std::uint64_t answers) {
        std::unique_lock lock{mutex_};
        const bool in_time =
            answered_.wait_for(lock, kPatience, [&] { return answers_ >= answers; });
        STENTOR_ASSERT(in_time, "the engine does not answer");
    }
    /// Null: nothing waits.
    [[nodiscard]] std::unique_ptr<Report> take() {
        const std::lock_guard lock{mutex_};
        if (waiting_.empty()) return nullptr;
        auto report = std::make_unique<Report>(std::move(waiting_.front()));
        waiting_.pop_front();
        return report;
    }
    [[nodiscard]] bool empty() const {
        const std::lock_guard lock{mutex_};
        return waiting_.empty();
    }

    // While the engine has nothing to do.
    [[nodiscard]] Seq last() const noexcept { return last_; }
    [[nodiscard]] const store::StoredState& state() const noexcept { return state_; }
    void restart(const store::Recovered& recovered) {
        waiting_.clear();
        state_ = recovered.state;
        last_ = recovered.last;
    }

  private:
    mutable std::mutex mutex_;
    std::condition_variable answered_;
    std::deque<Report> waiting_;
    std::uint64_t answers_ = 0;
    store::StoredState state_;
    Seq last_;
};

/// Pins depend on when the log lets go of a message.
std::vector<std::string> facts_without_pins(const store::StoredState& state) {
    std::vector<std::string> lines = store::facts(state);
    for (std::string& line : lines) {
        for (;;) {
            const std::size_t at = line.find("pinned ");
            if (at == std::string::npos) break;
            line.erase(at, 7);
        }
    }
    return lines;
}

std::optional<std::string> difference(const store::StoredState& was, const store::StoredState& is) {
    const auto before = facts_without_pins(was);
    const auto after = facts_without_pins(is);
    for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
        const std::string a = i < before.size() ? before[i] : "nothing";
        const std::string b = i < after.size() ? after[i] : "nothing";
        if (a != b) return fmt::format("the store had [{}], and after a recovery [{}]", a, b);
    }
    return std::nullopt;
}

class DiskStore final : public Store {
  public:
    explicit DiskStore(const StoreOptions& options)
        : random_{options.seed},
          vfs_{options.seed},
          faults_{options.faults},
          acknowledge_after_{options.acknowledge_after} {
        engine_options_.directory = directory_.path().string();
        engine_options_.shards = options.shards;
        engine_options_.acknowledge_after = options.acknowledge_after;
        engine_options_.vfs = vfs_.name();
        engine_options_.wall_clock_unix_ms = []() noexcept { return std::int64_t{1}; };
        engine_options_.monotonic_now = []() noexcept { return Instant{}; };
        // Everything that happens to a store happens in minutes.
        engine_options_.segment_bytes_max = random_.between(400, 6'000);
        engine_options_.row_bytes_max = random_.between(100, 2'000);
        engine_options_.tail_bytes_max = random_.between(200, 5'000);
        engine_options_.apply_chunk_bytes = random_.between(200, 5'000);
        engine_options_.apply_interval = std::chrono::milliseconds{2};
        engine_options_.scanned_per_page_max = random_.between(8, 100);
        engine_options_.survey_pause_min = std::chrono::milliseconds{1};
        engine_options_.survey_pause_max = std::chrono::milliseconds{5};
    }
    ~DiskStore() override { close(); }
    DiskStore(const DiskStore&) = delete;
    DiskStore& operator=(const DiskStore&) = delete;

    Result<store::Recovered> recover() override {
        auto recovered = open();
        // A sync may fail here as anywhere: whoever started the process tries again.
        for (int tries = 1; !recovered && tries < kTriesMax; ++tries) recovered = open();
        if (!recovered) return recovered;
        if (acknowledge_after_ == store::AcknowledgeAfter::disk && ever_opened_) {
            judge_recovery(*recovered);
        }
        ever_opened_ = true;
        reports_.restart(*recovered);
        return recovered;
    }
    void start(store::CommitSink& sink) override {
        sink_ = &sink;
        engine_->start(reports_);
    }

    Push submit(store::WriteBatch& batch) noexcept override {
        if (held_.size() >= kHeldMax || strikes(faults_.full_per_mille)) return Push::full;
        held_.push_back(std::move(batch));
        return Push::ok;
    }
    Push read(store::ReadRequest& request) noexcept override {
        if (reads_.size() >= kHeldMax || strikes(faults_.full_per_mille)) return Push::full;
        reads_.push_back(std::move(request));
        return Push::ok;
    }
    void needed_from(ShardId shard, Seq seq) noexcept override { engine_->needed_from(shard, seq); }
    store::GiveWay give_way() const noexcept override { return engine_->give_way(); }
    bool wants_survey(ShardId shard) const noexcept override {
        return engine_->wants_survey(shard);
    }
    void survey(ShardId shard, store::NeedSurvey survey) noexcept override {
        engine_->survey(shard, std::move(survey));
    }
    store::Room room() const noexcept override { return engine_->room(); }
    std::uint64_t log_messages() const noexcept override { return engine_->log_messages(); }

    void drain_and_close() override {
        while (!idle()) step({});
        close();
    }

    void step(Instant /*now*/) override {
        misfortune();
        // There is room again, but when the housekeeper sees it is up to its thread.
        if (gentle_ && engine_->room() == store::Room::none_for_messages) failed_ = true;
        if (gentle_ || random_.chance(1, 3)) commit(gentle_ ? kHeldMax : random_.between(1, 8));
        if (gentle_ || random_.chance(1, 3)) answer_reads();
        for (std::uint64_t most = gentle_ ? 1000 : random_.below(8); most != 0; --most) {
            if (!report_one()) break;
        }
    }
    bool idle() const override { return held_.empty() && reads_.empty() && reports_.empty(); }
    void be_gentle() override {
        gentle_ = true;
        faults_ = {};
        vfs_.be_healthy();
    }

    /// The power goes or the process is killed, now or in the middle of the next commit. A store
    /// that has failed may also be opened anew by the process that has it.
    void crash() override {
        engine_options_.reopens_after.reset();
        if (failed_ && random_.chance(1, 2)) {
            close();
            engine_options_.reopens_after = reports_.last();
        } else {
            vfs_.cut_power_after(random_.below(6));
            commit(random_.between(1, 8));
            vfs_.cut_power_after(0);
            close();
            random_.chance(1, 3) ? vfs_.restart_process() : vfs_.power_up();
        }
        vfs_.be_healthy();
        held_.clear();
        reads_.clear();
        failed_ = false;
        sink_ = nullptr;
    }
    bool has_failed() const override { return failed_; }

    Seq last() const override { return reports_.last(); }
    const store::StoredState& state() const override { return reports_.state(); }
    std::optional<std::string> leftover() const override { return complaint_; }
    std::optional<std::string> lost_when_closed() override {
        const store::StoredState before = reports_.state();
        auto recovered = recover();
        if (!recovered) return "the store cannot be opened again";
        close();
        if (complaint_) return complaint_;
        return difference(before, recovered->state);
    }

  private:
    [[nodiscard]] bool strikes(unsigned per_mille) noexcept {
        return per_mille != 0 && random_.chance(per_mille, 1000);
    }

    [[nodiscard]] Result<store::Recovered> open() {
        engine_ = std::make_unique<store::SqliteEngine>(engine_options_);
        auto recovered = engine_->recover();
        if (!recovered) engine_.reset();
        return recovered;
    }

    void close() {
        if (engine_ == nullptr) return;
        engine_->drain_and_close();
        engine_.reset();
    }

    /// A disk that is full for a while, a sync that fails once.
    void misfortune() {
        if (faults_.fail_commit_per_mille == 0) return;
        if (random_.chance(1, 100)) vfs_.set_space(store::FaultyVfs::Space::none);
        if (random_.chance(1, 10)) vfs_.set_space(store::FaultyVfs::Space::enough);
        if (random_.chance(1, 500)) vfs_.fail_next_sync();
    }

    /// Gives the engine so many batches and waits until it has answered them.
    void commit(std::size_t batches) {
        for (; batches != 0 && !held_.empty(); --batches) {
            if (engine_->submit(held_.front()) == Push::full) break;
            held_.pop_front();
            ++asked_;
            // One at a time makes groups of one; together, of however many the writer finds.
            if (random_.chance(1, 2)) reports_.wait_for(asked_);
        }
        reports_.wait_for(asked_);
    }

    void answer_reads() {
        for (; !reads_.empty(); reads_.pop_front()) {
            if (engine_->read(reads_.front()) == Push::full) break;
            ++asked_;
        }
        reports_.wait_for(asked_);
    }

    [[nodiscard]] bool report_one() {
        const auto report = reports_.take();
        if (report == nullptr) return false;
        switch (report->kind) {
            case Report::Kind::group:
                sink_->group_committed(std::move(report->group));
                break;
            case Report::Kind::ticket:
                sink_->ticket_done(report->shard, report->ticket, report->result);
                break;
            case Report::Kind::page:
                sink_->page_read(report->shard, std::move(*report->page));
                break;
            case Report::Kind::failure:
                failed_ = true;
                break;
        }
        return true;
    }

    /// With acknowledge_after "disk": everything that was reported is there, and of what was not,
    /// whole groups at the end.
    void judge_recovery(const store::Recovered& recovered) {
        if (recovered.last < reports_.last()) {
            complaint_ = fmt::format("the store ended at {}, and after a recovery at {}",
                                     reports_.last().value(),
                                     recovered.last.value());
        } else if (recovered.last == reports_.last()) {
            complaint_ = difference(reports_.state(), recovered.state);
        }
    }

    Random random_;
    kit::TempDir directory_;
    store::FaultyVfs vfs_;
    store::SimulatedFaults faults_;
    store::AcknowledgeAfter acknowledge_after_;
    store::SqliteEngineOptions engine_options_;
    std::unique_ptr<store::SqliteEngine> engine_;
    Reports reports_;
    store::CommitSink* sink_ = nullptr;
    std::deque<store::WriteBatch> held_;
    std::deque<store::ReadRequest> reads_;
    std::uint64_t asked_ = 0;
    bool gentle_ = false;
    bool failed_ = false;
    bool ever_opened_ = false;
    std::optional<std::string> complaint_;
};

}  // namespace

std::unique_ptr<Store> make_disk_store(const StoreOptions& options) {
    return std::make_unique<DiskStore>(options);
}

Seeds on_disk(Seeds seeds) {
    seeds.store = make_disk_store;
    if (seeds.rounds == 0) seeds.rounds = kRounds;
    seeds.repeatable = false;
    seeds.chosen_by = "sim_disk_nightly --gtest_filter=SimDisk.Chosen";
    return seeds;
}

}  // namespace stentor::sim
