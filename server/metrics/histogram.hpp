#pragma once
// How often something was how large: one count per stretch between powers of two, so that adding is
// a shift and an increment, whoever adds.
// Histogram: one thread, copied as a value. SharedHistogram: any thread adds, any takes a copy.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace stentor::metrics {

/// Counts of values up to 1, 2, 4, ... 2^(kBounds - 1), and beyond.
struct Histogram {
    static constexpr std::size_t kBounds = 28;  // in microseconds: up to 134 s

    std::array<std::uint64_t, kBounds + 1> counts{};  // the last one: larger than all bounds
    std::uint64_t sum = 0;

    [[nodiscard]] static constexpr std::size_t place_of(std::uint64_t value) noexcept {
        if (value <= 1) return 0;
        const auto place = static_cast<std::size_t>(std::bit_width(value - 1));
        return place < kBounds ? place : kBounds;
    }
    [[nodiscard]] static constexpr std::uint64_t bound(std::size_t place) noexcept {
        return std::uint64_t{1} << place;
    }
    void add(std::uint64_t value) noexcept {
        ++counts[place_of(value)];
        sum += value;
    }
    Histogram& operator+=(const Histogram& other) noexcept {
        for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
        sum += other.sum;
        return *this;
    }
};

class SharedHistogram {
  public:
    void add(std::uint64_t value) noexcept {
        counts_[Histogram::place_of(value)].fetch_add(1, std::memory_order_relaxed);
        sum_.fetch_add(value, std::memory_order_relaxed);
    }
    /// What is added meanwhile may be in it in part.
    [[nodiscard]] Histogram copy() const noexcept {
        Histogram copy;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            copy.counts[i] = counts_[i].load(std::memory_order_relaxed);
        }
        copy.sum = sum_.load(std::memory_order_relaxed);
        return copy;
    }

  private:
    std::array<std::atomic<std::uint64_t>, Histogram::kBounds + 1> counts_{};
    std::atomic<std::uint64_t> sum_{0};
};

}  // namespace stentor::metrics
