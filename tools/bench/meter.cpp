#include "tools/bench/meter.hpp"

#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <system_error>

namespace stentor::bench {
namespace {

Duration duration(const timeval& time) {
    return std::chrono::seconds{time.tv_sec} + std::chrono::microseconds{time.tv_usec};
}

constexpr Duration kTick = std::chrono::milliseconds{10};

/// In ticks, of all threads there have been.
std::optional<Duration> coarse_cpu_of(pid_t process) {
    std::ifstream file{"/proc/" + std::to_string(process) + "/stat"};
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    // The name, in parentheses, may hold anything.
    const auto end = line.rfind(')');
    if (end == std::string::npos) return std::nullopt;
    std::istringstream rest{line.substr(end + 1)};
    std::string skipped;
    for (int field = 3; field < 14; ++field) rest >> skipped;
    std::int64_t user = 0;
    std::int64_t system = 0;
    if (!(rest >> user >> system)) return std::nullopt;
    return Duration{(user + system) * 1'000'000 / ::sysconf(_SC_CLK_TCK)};
}

/// To the microsecond, of the threads that are still there.
Duration fine_cpu_of(pid_t process) {
    std::chrono::nanoseconds sum{};
    std::error_code error;
    const std::filesystem::path tasks = "/proc/" + std::to_string(process) + "/task";
    for (std::filesystem::directory_iterator at{tasks, error}, end; !error && at != end;
         at.increment(error)) {
        std::ifstream file{at->path() / "schedstat"};
        std::int64_t nanoseconds = 0;
        if (file >> nanoseconds) sum += std::chrono::nanoseconds{nanoseconds};
    }
    return std::chrono::duration_cast<Duration>(sum);
}

std::optional<Duration> cpu_of(pid_t process) {
    const auto coarse = coarse_cpu_of(process);
    if (!coarse) return coarse;
    const Duration fine = fine_cpu_of(process);
    // Threads that have ended are in the first alone; kernels may leave out the second.
    return fine + kTick * 2 < *coarse ? *coarse : fine;
}

std::uint64_t resident_bytes_of(pid_t process) {
    std::ifstream file{"/proc/" + std::to_string(process) + "/statm"};
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    if (!(file >> total >> resident)) return 0;
    return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

Reading read_meter(pid_t broker) noexcept {
    Reading reading;
    rusage usage{};
    (void)::getrusage(RUSAGE_SELF, &usage);
    reading.own_cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    if (broker > 0) {
        reading.broker_cpu = cpu_of(broker);
        reading.broker_resident_bytes = resident_bytes_of(broker);
    }
    reading.at = monotonic_now();
    return reading;
}

bool can_watch(pid_t broker) noexcept { return cpu_of(broker).has_value(); }

bool pin_to_cpu(int cpu) noexcept {
    if (cpu < 0 || cpu >= CPU_SETSIZE) return false;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

}  // namespace stentor::bench
