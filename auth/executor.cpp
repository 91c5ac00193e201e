#include "auth/executor.hpp"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace stentor::auth {

Workers::Workers(const WorkersOptions& options, std::function<Instant()> clock)
    : options_{options}, clock_{std::move(clock)} {
    threads_.reserve(options.threads);
    for (unsigned i = 0; i < options.threads; ++i) {
        threads_.emplace_back([this] { work(); });
        ::pthread_setname_np(threads_.back().native_handle(), "auth");
    }
}

Workers::~Workers() {
    FairQueue<std::unique_ptr<Job>> left;
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
        std::swap(left, queue_);
    }
    ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void Workers::post(std::unique_ptr<Job> job) {
    Jobs excess;
    {
        const std::lock_guard lock{mutex_};
        if (stopping_) return;
        const std::uint64_t lane = job->lane();
        const std::size_t bytes = job->bytes();
        queue_.push(lane, std::move(job), bytes);
        excess = take_excess();
    }
    ready_.notify_one();
    for (const auto& one : excess) one->turned_away();
}

/// More than one after the first jobs, when it becomes known how long they take.
Workers::Jobs Workers::take_excess() {
    Jobs excess;
    while (queue_.size() > jobs_max()) excess.push_back(queue_.take_last_of_longest());
    while (queue_.bytes() > options_.queue_bytes_max) {
        excess.push_back(queue_.take_last_of_heaviest());
    }
    return excess;
}

std::size_t Workers::jobs_max() const noexcept {
    if (each_takes_ <= Duration::zero()) return options_.queue_jobs_max;
    const auto in_time = options_.queue_time_max / each_takes_ * options_.threads;
    // However slow: what all threads begin next waits for nobody else.
    return std::clamp<std::size_t>(
        static_cast<std::size_t>(in_time), options_.threads, options_.queue_jobs_max);
}

/// A moving average: what costs most of the time counts most of the time.
void Workers::has_taken(Duration time) noexcept {
    constexpr int kJobsRemembered = 8;
    time = std::max(time, Duration{1});  // 0: nothing is known
    each_takes_ = each_takes_ == Duration::zero()
                      ? time
                      : each_takes_ + (time - each_takes_) / kJobsRemembered;
}

void Workers::work() {
    std::unique_lock lock{mutex_};
    while (true) {
        ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (stopping_) return;
        std::unique_ptr<Job> job = queue_.take_next();
        lock.unlock();
        const Instant begin = clock_();
        const bool is_due = job->is_due();
        if (is_due) job->run();
        job.reset();
        const Duration took = clock_() - begin;
        lock.lock();
        if (!is_due) continue;
        has_taken(took);
        const Jobs excess = take_excess();
        if (excess.empty()) continue;
        lock.unlock();
        for (const auto& one : excess) one->turned_away();
        lock.lock();
    }
}

}  // namespace stentor::auth
