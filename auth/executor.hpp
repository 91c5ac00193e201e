#pragma once
// Where slow work of authenticators runs: a few threads of its own, so that no shard ever hashes.
// post() may be called from any thread; jobs run on the workers' threads, in no particular order.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
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
    virtual void run() = 0;
};

class Executor {
  public:
    virtual ~Executor() = default;
    Executor() = default;
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    /// Takes the job, or hands it back when the queue is full.
    [[nodiscard]] virtual std::unique_ptr<Job> post(std::unique_ptr<Job> job) = 0;
};

class Workers final : public Executor {
  public:
    /// `threads` also bounds memory: an Argon2id hash takes 19 MiB while it runs.
    Workers(unsigned threads, std::size_t queue_jobs_max);
    /// Jobs that have not begun are destroyed unrun; those that run are waited for.
    ~Workers() override;

    [[nodiscard]] std::unique_ptr<Job> post(std::unique_ptr<Job> job) override;

  private:
    void work();

    const std::size_t queue_jobs_max_;
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<std::unique_ptr<Job>> queue_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace stentor::auth
