#pragma once
// Where slow work of authenticators runs: a few threads of its own, so that no shard ever hashes.
// post() may be called from any thread; jobs run on the workers' threads.
//
// Jobs wait in lanes, one per source (an address), see FairQueue. No more wait than can be done in
// time, at the speed that has been measured: behind more than that a client would wait in vain, and
// its place be taken by the next who does. At the bound the longest lane's last job is turned away.

#include "auth/fair_queue.hpp"
#include "base/clock.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
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
    /// What it holds in memory, about.
    [[nodiscard]] virtual std::size_t bytes() const noexcept { return 0; }
    /// Asked when its turn has come. False: nobody waits for it any more, or it has been answered;
    /// it is destroyed unrun.
    [[nodiscard]] virtual bool is_due() { return true; }
    virtual void run() = 0;
    /// There is no room for it: it is destroyed next. On any thread.
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
    std::size_t queue_bytes_max = std::size_t{16} << 20U;  // by Job::bytes()
    Duration queue_time_max = std::chrono::seconds{5};     // from post() to run(), about
};

class Workers final : public Executor {
  public:
    explicit Workers(const WorkersOptions& options,
                     std::function<Instant()> clock = &monotonic_now);
    /// Jobs that have not begun are destroyed unrun; those that run are waited for.
    ~Workers() override;

    void post(std::unique_ptr<Job> job) override;

  private:
    using Jobs = std::vector<std::unique_ptr<Job>>;

    void work();
    [[nodiscard]] Jobs take_excess();
    [[nodiscard]] std::size_t jobs_max() const noexcept;
    void has_taken(Duration time) noexcept;

    const WorkersOptions options_;
    const std::function<Instant()> clock_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable ready_;
    FairQueue<std::unique_ptr<Job>> queue_;
    Duration each_takes_{};  // about; nothing is known yet: 0
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace stentor::auth
