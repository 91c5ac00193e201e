#pragma once
// What stands around authenticators in tests. Tests only.

#include "auth/authenticator.hpp"
#include "auth/executor.hpp"

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace stentor::auth::test {

/// Runs jobs when the test says so, and takes at most `room` of them. One thread.
class ManualExecutor final : public Executor {
  public:
    void post(std::unique_ptr<Job> job) override {
        if (jobs.size() == room) {
            job->turned_away();
        } else {
            jobs.push_back(std::move(job));
        }
    }
    void run_all() {
        for (const auto& job : std::exchange(jobs, {})) {
            if (job->is_due()) job->run();
        }
    }
    std::size_t room = 10;
    std::vector<std::unique_ptr<Job>> jobs;
};

/// Everything that has been decided. Any thread; `all` is read when nobody decides any more.
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): final, and never deleted by its base
class Decisions final : public DecisionSink {
  public:
    void decided(Ticket ticket, Decision decision) noexcept override {
        const std::lock_guard lock{mutex_};
        all.emplace_back(ticket, std::move(decision));
        changed_.notify_all();
    }
    void wait_for(std::size_t count) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return all.size() >= count; });
    }

    std::vector<std::pair<Ticket, Decision>> all;

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
};

}  // namespace stentor::auth::test
