#pragma once
// The engine's background thread: applies committed groups to state.db, seals full segments, and
// removes those that nobody needs or keeps only what is needed of them.
//
// Runs one pass at a time, at most every so often unless there is much to do. The log writer hands
// it groups and full segments and waits when it falls behind; needed_from() comes from any thread.

#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/sqlite/clock_anchor.hpp"
#include "persistence/sqlite/log_catalog.hpp"
#include "persistence/sqlite/log_collector.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/sqlite_options.hpp"
#include "persistence/sqlite/state_store.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace stentor::store {

class Housekeeper {
  public:
    /// Called on the background thread.
    struct Calls {
        /// The newest segment would be removed if it were not the newest, or is_broken() has become
        /// true.
        std::function<void()> request_roll;
        /// Segments' files have been removed: whoever has them open keeps their space.
        std::function<void()> files_removed;
    };
    Housekeeper(const SqliteEngineOptions& options,
                LogCatalog& catalog,
                StateStore state,
                Calls calls);
    ~Housekeeper();
    Housekeeper(const Housekeeper&) = delete;
    Housekeeper& operator=(const Housekeeper&) = delete;

    void start();
    enum class Stop : std::uint8_t { clean, unclean };
    /// Applies the rest, marks the store as closed if all of it is on disk, ends the thread.
    void stop(Stop how);

    // --- the log writer ---

    /// A committed group, before any shard hears of it.
    void add(CommitGroupPtr group, std::size_t bytes, Instant monotonic);
    /// Waits while too much is not applied, unless stop() is about to come; false: state.db is
    /// broken and never will be.
    [[nodiscard]] bool wait_for_lag();
    /// Any thread: nobody waits for room in state.db any more, which may never come.
    void stop_is_near();
    /// The writer of a full segment, to be closed where that stalls nobody.
    void retire(SegmentWriter writer);
    /// Sets is_disk_low() if there is no room for so many bytes besides what is kept free, and
    /// is_disk_full().
    void look_at_disk(std::uint64_t about_to_write = 0);
    /// If shards have let go of something since the last pass: waits for one. Whether it did.
    bool collect_now();

    // --- any thread ---

    void needed_from(ShardId shard, Seq seq) noexcept;
    [[nodiscard]] GiveWay give_way() const noexcept;
    [[nodiscard]] bool wants_survey(ShardId shard) const noexcept;
    void survey(ShardId shard, NeedSurvey survey) noexcept;
    /// Below this no shard needs messages; kNoSeq until all have spoken.
    [[nodiscard]] Seq needed_from() const noexcept;
    /// Of segments, retained and pinned messages.
    [[nodiscard]] std::uint64_t bytes() const noexcept {
        return catalog_.bytes() + message_bytes_.load();
    }
    /// Retained and pinned messages leave the log too little of the bound.
    [[nodiscard]] bool holds_too_much() const noexcept { return holds_too_much_.load(); }
    [[nodiscard]] bool is_disk_low() const noexcept { return is_disk_low_.load(); }
    /// What is left is for the housekeeper alone.
    [[nodiscard]] bool is_disk_full() const noexcept { return is_disk_full_.load(); }
    /// A commit found no room on the disk; forgotten by a later pass that finds some.
    void set_disk_low() noexcept { is_disk_low_.store(true); }
    [[nodiscard]] bool is_broken() const noexcept { return broken_.load(); }

  private:
    /// What one pass takes.
    struct Work {
        std::vector<CommitGroupPtr> groups;
        std::size_t bytes = 0;
        Instant at;  // the newest groups' and, by the machine's clock, when it came to that
        Instant at_monotonic;
        std::vector<SegmentWriter> retired;
        Seq needed;
        std::uint64_t needs_version = 0;
        std::optional<NeedSurvey> survey;  // of all shards
        bool closes = false;
        bool marks_closed = false;
    };

    void run();
    [[nodiscard]] Work next_work();
    /// Returns how many bytes of groups are in state.db now that were not before.
    [[nodiscard]] std::size_t pass(Work& work);
    void tell_of_disk(std::uint64_t free_bytes) const;
    [[nodiscard]] Result<void> apply();
    [[nodiscard]] Result<void> tidy_log(Work& work);
    [[nodiscard]] Result<void> write_clock();
    [[nodiscard]] Result<void> close();
    [[nodiscard]] Result<void> commit(StateMeta meta);
    [[nodiscard]] MachineTime machine_time() const noexcept;
    [[nodiscard]] Result<void> start_over();
    [[nodiscard]] Result<void> sync_log() const;
    void seal_full_segments(Seq needed);
    [[nodiscard]] Result<void> collect(Seq needed);
    [[nodiscard]] Result<void> collect_by_survey();
    /// Whether all that deliveries refer to in a segment is kept elsewhere now.
    enum class Pinned : std::uint8_t { all, some };
    [[nodiscard]] Result<Pinned> pin_references(const SegmentView& segment);
    void cannot_read(const SegmentView& segment, Seq seq, boost::system::error_code error);
    void put_off_files(boost::system::error_code error);
    [[nodiscard]] bool files_wait() const noexcept;
    void remove(const SegmentView& segment);
    void unlink_removed();
    void look_for_missing();
    void look_for_surveys(Seq needed);
    [[nodiscard]] Result<void> rest();
    void find_who_gives_way();
    [[nodiscard]] std::uint64_t excess_of_log() const;
    void look_at_values();

    const SqliteEngineOptions& options_;
    LogCatalog& catalog_;
    // the background thread's, once it runs
    StateStore state_;
    std::vector<CommitGroupPtr> unapplied_;  // and what of it counts in lag_bytes_
    std::size_t unapplied_bytes_ = 0;
    ClockAnchor clock_;
    LogCollector collector_;
    Seq last_seen_;  // the newest position at the end of the last pass
    Instant nearly_full_since_ = kNever;
    // Of segments that are not in the catalog any more; they go when state.db does not name them.
    std::vector<std::string> removed_;
    bool removed_files_ = false;       // since files_removed was called
    std::uint64_t known_version_ = 0;  // of the segments that state.db names
    Instant missing_looked_for_at_;
    bool is_stale_ = false;     // state_ is to be opened anew before it is used
    Instant files_wait_until_;  // no file can be opened
    Duration files_pause_{};
    std::uint64_t damaged_segments_ = 0;
    bool is_idle_ = false;  // nothing has come since the pass before
    bool is_tidy_ = false;  // nothing has been applied since state.db was tidied

    const Calls calls_;
    std::atomic<std::uint64_t> message_bytes_{0};
    std::atomic<bool> holds_too_much_{false};
    std::atomic<bool> is_disk_low_{false};
    std::atomic<bool> is_disk_full_{false};
    std::atomic<bool> broken_{false};

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::condition_variable passed_;
    Work next_;
    std::size_t lag_bytes_ = 0;  // added and not yet in state.db
    std::vector<std::optional<Seq>> needs_;
    std::uint64_t needs_version_ = 0;
    std::uint64_t collected_version_ = 0;
    bool is_urgent_ = false;
    bool is_stop_near_ = false;
    bool surveys_wanted_ = false;
    std::vector<std::optional<NeedSurvey>> surveys_;
    GiveWay give_way_;

    std::jthread thread_;
};

}  // namespace stentor::store
