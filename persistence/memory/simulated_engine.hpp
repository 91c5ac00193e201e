#pragma once
// The storage engine of the simulator: keeps the contract and nothing beyond it. From a seed it
// delays batches, groups them at random, answers tickets long after their groups and pages from an
// older snapshot, fails commits and reads, is full, crashes.
//
// Single-threaded and deterministic: the same calls with the same seed give the same answers. The
// simulator calls step(); the sink is called from there (and from drain_and_close()) only. The
// store outlives a crash() or drain_and_close(): recover() and start() may be called again after
// either.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/random.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/memory/memory_log.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace stentor::store {

/// Each in 0 .. 1000.
struct SimulatedFaults {
    unsigned full_per_mille = 0;         // submit() and read() answer Push::full
    unsigned fail_commit_per_mille = 0;  // of groups: all batches of one fail together
    unsigned fail_read_per_mille = 0;    // of pages
};

struct SimulatedEngineOptions {
    std::uint64_t seed = 0;
    MemoryLogOptions log = {};
    AcknowledgeAfter acknowledge_after = AcknowledgeAfter::disk;  // what crash() may take back
    SimulatedFaults faults = {};
    Duration commit_delay_max{5'000};  // from the first batch of a group to its commit
    Duration report_delay_max{2'000};  // of each group and each ticket
    Duration page_delay_max{5'000};    // to the snapshot, and again from it to the answer
    std::size_t queue_batches_max = 256;
    std::size_t reads_max = 256;
    std::size_t group_batches_max = 16;
};

class SimulatedEngine final : public StorageEngine {
  public:
    explicit SimulatedEngine(const SimulatedEngineOptions& options);
    ~SimulatedEngine() override;
    SimulatedEngine(const SimulatedEngine&) = delete;
    SimulatedEngine& operator=(const SimulatedEngine&) = delete;

    [[nodiscard]] Result<Recovered> recover() override;
    void start(CommitSink& sink) override;
    [[nodiscard]] Push submit(WriteBatch& batch) noexcept override;
    [[nodiscard]] Push read(ReadRequest& request) noexcept override;
    void needed_from(ShardId shard, Seq seq) noexcept override;
    /// Nobody gives way: the oracle insists on every message.
    [[nodiscard]] GiveWay give_way() const noexcept override { return {}; }
    [[nodiscard]] bool wants_survey(ShardId shard) const noexcept override;
    void survey(ShardId shard, NeedSurvey survey) noexcept override;
    [[nodiscard]] Room room() const noexcept override;
    [[nodiscard]] std::uint64_t log_messages() const noexcept override { return log_.messages(); }
    void drain_and_close() override;

    /// Does what is due at `now`, in an order the seed chooses where several things are. Time that
    /// goes back counts as standing still.
    void step(Instant now);
    /// When step() has something to do next; nothing when all is answered.
    [[nodiscard]] std::optional<Instant> next_due() const noexcept;

    /// The process dies and, unless acknowledge_after is disk, the machine with it: everything not
    /// committed is gone, and of the commits any number of the newest that the disk did not have.
    /// The group being written may or may not be there afterwards. Nobody is told; the sink is
    /// forgotten.
    void crash();

    void set_faults(const SimulatedFaults& faults) noexcept { options_.faults = faults; }

    /// For the oracle: what is committed now, told or not.
    [[nodiscard]] const MemoryLog& log() const noexcept { return log_; }

  private:
    struct Writing {
        Instant due;
        std::vector<WriteBatch> batches;
    };
    struct Handover {
        Instant due;
        CommitGroupPtr group;
    };
    struct Answer {
        Instant due;
        CommitTicket ticket = 0;
        Result<void> result;
        Seq follows;  // the group it waits for
    };
    struct Asked {
        Instant due;  // of the page, or before there is one, of its snapshot
        ReadRequest request;
        std::optional<Page> page;
    };
    /// One thing that can happen next.
    struct Event {
        enum class Kind : std::uint8_t { commit, handover, ticket, page } kind = Kind::commit;
        std::uint16_t shard = 0;
        Instant due;
    };

    void begin_group();
    void commit();
    void hand_over();
    void answer_ticket(std::uint16_t shard);
    void answer_read(std::uint16_t shard);
    void append(const CommitGroupPtr& group);
    void sync();
    void happen(const Event& event);
    void forget_everything_told();
    [[nodiscard]] std::vector<Event> possible_events() const;
    [[nodiscard]] Instant after_up_to(Duration delay_max) noexcept;
    [[nodiscard]] bool strikes(unsigned per_mille) noexcept;

    SimulatedEngineOptions options_;
    Random random_;
    Instant now_;
    CommitSink* sink_ = nullptr;

    // What survives.
    MemoryLog log_;
    bool clean_ = true;
    // With acknowledge_after other than disk: the log the disk has, and what came after.
    MemoryLog disk_;
    std::vector<CommitGroupPtr> unsynced_;
    std::vector<std::pair<ShardId, Seq>> unsynced_needs_;
    std::vector<std::pair<ShardId, NeedSurvey>> unsynced_surveys_;

    // What a crash forgets.
    std::deque<WriteBatch> queue_;
    std::optional<Writing> writing_;
    std::deque<Handover> handovers_;
    Seq handed_over_;
    std::vector<std::deque<Answer>> answers_;  // by shard
    std::vector<std::deque<Asked>> reads_;     // by shard
    std::size_t reads_count_ = 0;
};

}  // namespace stentor::store
