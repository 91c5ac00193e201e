#include "base/clock.hpp"

#include "base/wall_clock.hpp"

namespace stentor {

Instant monotonic_now() noexcept {
    const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
    return Instant{std::chrono::duration_cast<Duration>(since_boot)};
}

std::int64_t wall_clock_unix_ms() noexcept {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(since_1970).count();
}

std::int64_t wall_clock_unix_us() noexcept {
    const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(since_1970).count();
}

}  // namespace stentor
