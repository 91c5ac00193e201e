#include "auth/executor.hpp"

#include <pthread.h>

#include <utility>

namespace stentor::auth {

Workers::Workers(unsigned threads, std::size_t queue_jobs_max) : queue_jobs_max_{queue_jobs_max} {
    threads_.reserve(threads);
    for (unsigned i = 0; i < threads; ++i) {
        threads_.emplace_back([this] { work(); });
        ::pthread_setname_np(threads_.back().native_handle(), "auth");
    }
}

Workers::~Workers() {
    std::deque<std::unique_ptr<Job>> left;
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
        left.swap(queue_);
    }
    ready_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

std::unique_ptr<Job> Workers::post(std::unique_ptr<Job> job) {
    {
        const std::lock_guard lock{mutex_};
        if (stopping_ || queue_.size() >= queue_jobs_max_) return job;
        queue_.push_back(std::move(job));
    }
    ready_.notify_one();
    return nullptr;
}

void Workers::work() {
    while (true) {
        std::unique_ptr<Job> job;
        {
            std::unique_lock lock{mutex_};
            ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (stopping_) return;
            job = std::move(queue_.front());
            queue_.pop_front();
        }
        job->run();
    }
}

}  // namespace stentor::auth
