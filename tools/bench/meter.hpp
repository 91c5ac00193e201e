#pragma once
// What a stretch of time cost: our own processor time, the broker's, and its memory.
// Reads /proc. Main thread.

#include "base/clock.hpp"

#include <cstdint>
#include <optional>
#include <sys/types.h>

namespace stentor::bench {

struct Reading {
    Instant at;
    Duration own_cpu{};
    std::optional<Duration> broker_cpu;  // all of its threads
    std::uint64_t broker_resident_bytes = 0;
};

/// `broker` 0: nobody watches the broker. A broker that has gone reads as nothing.
[[nodiscard]] Reading read_meter(pid_t broker) noexcept;

/// Whether `broker` is a process whose figures we may read.
[[nodiscard]] bool can_watch(pid_t broker) noexcept;

/// Puts this process onto one processor. False if there is no such one for us.
[[nodiscard]] bool pin_to_cpu(int cpu) noexcept;

}  // namespace stentor::bench
