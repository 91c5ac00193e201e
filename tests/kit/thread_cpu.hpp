#pragma once
// Processor time, for benchmarks on machines that have other work as well.
// Any thread, about itself.

#include "base/clock.hpp"

#include <chrono>
#include <ctime>

namespace stentor::kit {

/// What the calling thread has used so far.
[[nodiscard]] inline Duration thread_cpu() {
    timespec spent{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return std::chrono::duration_cast<Duration>(std::chrono::seconds{spent.tv_sec} +
                                                std::chrono::nanoseconds{spent.tv_nsec});
}

}  // namespace stentor::kit
