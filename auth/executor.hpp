#pragma once
// Where slow work of authenticators runs: a few threads of its own, so that no shard ever hashes.
// post() may be called from any thread; jobs run on the workers' threads.
//
// Jobs wait in lanes, one per source (an address), and the lanes are served in turn: however much
// one source asks, another one's first job waits for one of each. No more wait than can be done in
// time, at the speed that has been measured: behind more than that a client would wait in vain, and
// its place be taken by the next who does. At the bound the longest lane's last job is turned away.

#include "base/clock.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace stentor::auth {

class Job {
  public:
    virtual ~Job() = default;
    Job() = default;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;

    /// Whose it is: a good hash of its source.
    [[nodiscard]] virtual std::uint64_t lane() const noexcept { return 0; }
    /// Asked when its turn has come. False: nobody waits for it any more, or it has been answered;
    /// it is destroyed unrun.
    [[nodiscard]] virtual bool is_due() { return true; }
    virtual void run() = 0;
    /// There is no room for it: it is destroyed next. On the thread that posts, this job or
    /// another one.
    virtual void turned_away() = 0;
};

/// What Job::turned_away() says.
inline constexpr const char* kNoRoom = "too many clients are being authenticated";

class Executor {
  public:
    virtual ~Executor() = default;
    Executor() = default;
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    /// Exactly one of run() and turned_away() follows, unless the job is destroyed without.
    virtual void post(std::unique_ptr<Job> job) = 0;
};

struct WorkersOptions {
    /// Also bounds memory: an Argon2id hash takes 19 MiB while it runs.
    unsigned threads = 1;
    std::size_t queue_jobs_max = 1024;
    Duration queue_time_max = std::chrono::seconds{5};  // from post() to run(), about
};

class Workers final : public Executor {
  public:
    explicit Workers(const WorkersOptions& options,
                     std::function<Instant()> clock = &monotonic_now);
    /// Jobs that have not begun are destroyed unrun; those that run are waited for.
    ~Workers() override;

    void post(std::unique_ptr<Job> job) override;

    [[nodiscard]] std::uint64_t turned_away() const;

  private:
    using Lane = std::deque<std::unique_ptr<Job>>;

    void work();
    /// Of the lane whose turn it is. There must be one.
    [[nodiscard]] std::unique_ptr<Job> take_next();
    [[nodiscard]] std::unique_ptr<Job> take_last_of_longest();
    [[nodiscard]] std::size_t jobs_max() const noexcept;
    void has_taken(Duration time) noexcept;

    const WorkersOptions options_;
    const std::function<Instant()> clock_;
    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable ready_;
    std::unordered_map<std::uint64_t, Lane> lanes_;  // none is empty
    std::deque<std::uint64_t> turns_;                // each lane once, the next one in front
    std::size_t queued_ = 0;
    Duration each_takes_{};  // about; nothing is known yet: 0
    std::uint64_t turned_away_ = 0;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace stentor::auth
