#pragma once
// Latencies in log-linear buckets: 1.6 % wide, exact below 128 us, whatever the range.
// Pure, no allocation after construction. One thread at a time.

#include "base/clock.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stentor::bench {

class Histogram {
  public:
    Histogram();

    /// Negative durations count as 0, those past 2^40 us (twelve days) as that.
    void record(Duration latency) noexcept {
        const auto value = clamped(latency);
        ++buckets_[bucket_of(value)];
        ++count_;
        sum_ += value;
        if (value > max_) max_ = value;
        if (value < min_) min_ = value;
    }

    void clear() noexcept;

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    /// Of nothing, these are 0.
    [[nodiscard]] Duration min() const noexcept;
    [[nodiscard]] Duration max() const noexcept;
    [[nodiscard]] Duration mean() const noexcept;
    /// The middle of the bucket that `percent` (0 to 100) of all values do not exceed, and never
    /// more than max().
    [[nodiscard]] Duration percentile(double percent) const noexcept;

  private:
    static constexpr unsigned kHalfBits = 6;  // 64 buckets per octave
    static constexpr std::uint64_t kLinear = std::uint64_t{2} << kHalfBits;
    static constexpr std::uint64_t kValueMax = std::uint64_t{1} << 40U;

    [[nodiscard]] static std::uint64_t clamped(Duration latency) noexcept {
        if (latency.count() < 0) return 0;
        const auto value = static_cast<std::uint64_t>(latency.count());
        return value < kValueMax ? value : kValueMax;
    }
    [[nodiscard]] static std::size_t bucket_of(std::uint64_t value) noexcept;
    [[nodiscard]] static std::uint64_t middle_of(std::size_t bucket) noexcept;

    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    std::uint64_t sum_ = 0;
    std::uint64_t max_ = 0;
    std::uint64_t min_ = kValueMax;
};

inline std::size_t Histogram::bucket_of(std::uint64_t value) noexcept {
    if (value < kLinear) return value;
    // The highest kHalfBits + 1 bits; the first of them is always set.
    const unsigned shift = static_cast<unsigned>(63 - __builtin_clzll(value)) - kHalfBits;
    return (std::size_t{shift} << kHalfBits) + (value >> shift);
}

}  // namespace stentor::bench
