#include "auth/executor.hpp"

#include "base/assert.hpp"

#include <pthread.h>

#include <algorithm>
#include <iterator>
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
    std::unordered_map<std::uint64_t, Lane> left;
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
        left.swap(lanes_);
    }
    ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void Workers::post(std::unique_ptr<Job> job) {
    std::unique_ptr<Job> one_too_many;
    {
        const std::lock_guard lock{mutex_};
        if (stopping_) return;
        const std::uint64_t lane = job->lane();
        Lane& jobs = lanes_[lane];
        if (jobs.empty()) turns_.push_back(lane);
        jobs.push_back(std::move(job));
        ++queued_;
        if (queued_ > jobs_max()) {
            one_too_many = take_last_of_longest();
            ++turned_away_;
        }
    }
    ready_.notify_one();
    if (one_too_many) one_too_many->turned_away();
}

std::size_t Workers::jobs_max() const noexcept {
    if (each_takes_ <= Duration::zero()) return options_.queue_jobs_max;
    const auto in_time = options_.queue_time_max / each_takes_ * options_.threads;
    // However slow: what all threads begin next waits for nobody else.
    return std::clamp<std::size_t>(
        static_cast<std::size_t>(in_time), options_.threads, options_.queue_jobs_max);
}

std::unique_ptr<Job> Workers::take_next() {
    const std::uint64_t lane = turns_.front();
    turns_.pop_front();
    const auto at = lanes_.find(lane);
    std::unique_ptr<Job> job = std::move(at->second.front());
    at->second.pop_front();
    if (at->second.empty()) {
        lanes_.erase(at);
    } else {
        turns_.push_back(lane);
    }
    --queued_;
    return job;
}

/// A look at each lane: at most queue_jobs_max of them, and only under overload.
std::unique_ptr<Job> Workers::take_last_of_longest() {
    // Among equals the one that would wait longest.
    const auto longest =
        std::max_element(turns_.rbegin(), turns_.rend(), [this](std::uint64_t a, std::uint64_t b) {
            return lanes_.find(a)->second.size() < lanes_.find(b)->second.size();
        });
    STENTOR_ASSERT(longest != turns_.rend());
    const auto at = lanes_.find(*longest);
    std::unique_ptr<Job> job = std::move(at->second.back());
    at->second.pop_back();
    if (at->second.empty()) {
        lanes_.erase(at);
        turns_.erase(std::next(longest).base());
    }
    --queued_;
    return job;
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
        ready_.wait(lock, [this] { return stopping_ || queued_ != 0; });
        if (stopping_) return;
        std::unique_ptr<Job> job = take_next();
        lock.unlock();
        const Instant begin = clock_();
        const bool is_due = job->is_due();
        if (is_due) job->run();
        job.reset();
        const Duration took = clock_() - begin;
        lock.lock();
        if (is_due) has_taken(took);
    }
}

std::uint64_t Workers::turned_away() const {
    const std::lock_guard lock{mutex_};
    return turned_away_;
}

}  // namespace stentor::auth
