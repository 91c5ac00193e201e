#pragma once
// Bounds on how often: new connections of the whole process, messages of one client.

#include "base/clock.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace stentor::server {

/// At most so many a second, counted in whole seconds. Any thread, and whose idea of the time lags
/// behind another's by a turn counts in that one's second.
class SecondlyGate {
  public:
    /// 0: everything passes.
    explicit SecondlyGate(std::uint32_t per_second_max) noexcept : max_{per_second_max} {}

    [[nodiscard]] std::uint32_t max() const noexcept { return max_; }

    [[nodiscard]] bool admit(Instant now) noexcept {
        if (max_ == 0) return true;
        const auto is = static_cast<std::uint32_t>(
            std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
        std::uint64_t seen = state_.load(std::memory_order_relaxed);
        for (;;) {
            const auto counted = static_cast<std::uint32_t>(seen >> 32U);
            const std::uint64_t count = is <= counted ? seen & 0xFFFF'FFFFU : 0U;
            if (count >= max_) return false;
            const std::uint64_t next = std::uint64_t{std::max(is, counted)} << 32U | (count + 1);
            if (state_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return true;
        }
    }

  private:
    const std::uint32_t max_;
    std::atomic<std::uint64_t> state_{0};  // second, count
};

/// So many a second on average, and one second's worth at once. One thread.
class TokenBucket {
  public:
    /// Takes one. Returns how long the owner is to pause before the next; 0 within the rate.
    [[nodiscard]] Duration take(std::uint32_t per_second_max, Instant now) noexcept {
        const Duration each = Duration{std::chrono::seconds{1}} / per_second_max;
        paid_until_ = std::max(paid_until_, now - std::chrono::seconds{1}) + each;
        return std::max(paid_until_ - now, Duration::zero());
    }

  private:
    Instant paid_until_{};  // up to when the rate has been used up
};

}  // namespace stentor::server
