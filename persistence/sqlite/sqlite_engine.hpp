#pragma once
// The storage engine on disk: the log as a row of SQLite files, the state in another.
//
// Three threads. The log writer commits all waiting batches of all shards as one group while the
// next one gathers, hands it to the sink and answers its tickets. The reader answers read() from
// connections of its own. The housekeeper applies the log to state.db, seals full segments and
// removes those nobody needs. submit(), read(), needed_from(), survey() and room() may be called
// from any thread between start() and drain_and_close().
//
// A commit the disk has no room for fails (store_full for batches with messages, commit_failed
// otherwise) and the engine goes on; so it does where no file can be opened for want of
// descriptors, and where what lies in a full segment is damaged. After any other failure of a write
// or a sync the disk's state is unknown: the sink is told (store_failed) and every batch fails with
// io_error until the engine has been closed and another one has recovered the store.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/sqlite/housekeeper.hpp"
#include "persistence/sqlite/log_catalog.hpp"
#include "persistence/sqlite/page_reader.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/sqlite_options.hpp"
#include "persistence/sqlite/store_files.hpp"

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

class SqliteEngine final : public StorageEngine {
  public:
    explicit SqliteEngine(const SqliteEngineOptions& options);
    ~SqliteEngine() override;
    SqliteEngine(const SqliteEngine&) = delete;
    SqliteEngine& operator=(const SqliteEngine&) = delete;

    /// Fails with in_use, newer_version, damaged, io_error, no_descriptors, or for a reason
    /// is_of_the_disk(); a log line says more.
    [[nodiscard]] Result<Recovered> recover() override;
    void start(CommitSink& sink) override;
    [[nodiscard]] Push submit(WriteBatch& batch) noexcept override;
    [[nodiscard]] Push read(ReadRequest& request) noexcept override;
    void needed_from(ShardId shard, Seq seq) noexcept override;
    [[nodiscard]] GiveWay give_way() const noexcept override;
    [[nodiscard]] bool wants_survey(ShardId shard) const noexcept override;
    void survey(ShardId shard, NeedSurvey survey) noexcept override;
    [[nodiscard]] Room room() const noexcept override;
    [[nodiscard]] std::uint64_t log_messages() const noexcept override {
        return catalog_.messages();
    }
    void drain_and_close() override;

  private:
    /// What the log writer takes from the queue at a time.
    struct Turn {
        std::vector<WriteBatch> batches;
        bool rolls = false;
        bool closes = false;
    };

    void run_writer(CommitSink& sink);
    void run_reader(CommitSink& sink);
    [[nodiscard]] Turn next_turn();
    void commit(std::vector<WriteBatch>& batches, CommitSink& sink);
    void report_failure(CommitSink& sink);
    [[nodiscard]] bool has_room_for(std::size_t bytes) const noexcept;
    void make_room();
    [[nodiscard]] Result<void> append(const CommitGroupPtr& group, std::size_t record_bytes);
    void pause();
    void roll();
    void request_roll();
    void files_removed();

    const SqliteEngineOptions options_;
    LogCatalog catalog_;
    std::optional<StoreLock> lock_;
    std::optional<Housekeeper> housekeeper_;
    std::atomic<bool> broken_{false};

    // the log writer's, once it runs
    std::optional<SegmentWriter> newest_;
    std::size_t newest_bytes_ = 0;
    Seq last_;
    Instant at_;
    Instant roll_not_before_;  // the last try has failed
    bool failure_reported_ = false;

    std::mutex sink_mutex_;  // the sink is called by one thread at a time

    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::deque<WriteBatch> queue_;
    std::size_t queue_bytes_ = 0;
    bool rolls_ = false;
    bool closes_ = false;

    std::mutex reads_mutex_;  // guards what follows
    std::condition_variable reads_wake_;
    std::deque<ReadRequest> reads_;
    bool files_removed_ = false;  // the reader is to let go of them
    bool reads_close_ = false;

    std::jthread writer_;
    std::jthread reader_;
};

}  // namespace stentor::store
