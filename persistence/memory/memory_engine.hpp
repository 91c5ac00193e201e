#pragma once
// The storage engine that keeps nothing across processes: acknowledgements mean "in memory".
//
// One writer thread owns the log and calls the sink: it commits all waiting batches of all shards
// as one group, while the next one gathers, and answers reads in between. submit(), read(),
// needed_from() and room() may be called from any thread between start() and drain_and_close().

#include "persistence/contract/engine.hpp"
#include "persistence/memory/memory_log.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace stentor::store {

struct MemoryEngineOptions {
    MemoryLogOptions log = {};
    std::size_t queue_batches_max = 4096;  // submitted and not yet committed; then Push::full
    std::size_t queue_bytes_max = std::size_t{64} << 20U;  // one batch above it fits an empty queue
    std::size_t reads_max = 4096;                          // asked and not yet answered
    std::size_t group_batches_max = 4096;
    std::size_t group_bytes_max = std::size_t{4} << 20U;  // a group has at least one batch
};

class MemoryEngine final : public StorageEngine {
  public:
    explicit MemoryEngine(const MemoryEngineOptions& options);
    ~MemoryEngine() override;
    MemoryEngine(const MemoryEngine&) = delete;
    MemoryEngine& operator=(const MemoryEngine&) = delete;

    /// Always an empty store.
    [[nodiscard]] Result<Recovered> recover() override;
    void start(CommitSink& sink) override;
    [[nodiscard]] Push submit(WriteBatch& batch) noexcept override;
    [[nodiscard]] Push read(ReadRequest& request) noexcept override;
    void needed_from(ShardId shard, Seq seq) noexcept override;
    [[nodiscard]] GiveWay give_way() const noexcept override {
        GiveWay result;
        result.everybody_below = Seq{give_way_below_.load()};
        return result;
    }
    [[nodiscard]] bool wants_survey(ShardId shard) const noexcept override;
    void survey(ShardId shard, NeedSurvey survey) noexcept override;
    [[nodiscard]] Room room() const noexcept override;
    [[nodiscard]] std::uint64_t log_messages() const noexcept override { return messages_.load(); }
    void drain_and_close() override;

  private:
    /// What the writer thread takes from the queues at a time.
    struct Turn {
        std::vector<WriteBatch> batches;
        std::vector<ReadRequest> reads;
        std::vector<std::optional<Seq>> needs;  // by shard; empty: nothing new
        std::vector<std::pair<ShardId, NeedSurvey>> surveys;
        bool closes = false;
    };

    void run(CommitSink& sink);
    [[nodiscard]] Turn next_turn(bool waits);
    void commit(std::vector<WriteBatch>& batches, CommitSink& sink);
    void publish_hints() noexcept;

    const MemoryEngineOptions options_;
    MemoryLog log_;  // the writer thread's, once it runs
    std::atomic<Room> room_{Room::enough};
    std::atomic<std::uint64_t> messages_{0};
    std::atomic<ShardMask> surveys_wanted_{0};
    std::atomic<std::uint64_t> give_way_below_{0};

    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::deque<WriteBatch> queue_;
    std::size_t queue_bytes_ = 0;
    std::deque<ReadRequest> reads_;
    std::vector<std::optional<Seq>> needs_;
    std::vector<std::pair<ShardId, NeedSurvey>> surveys_;
    bool closes_ = false;

    std::jthread writer_;
};

}  // namespace stentor::store
