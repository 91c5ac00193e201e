#include "tools/bench/histogram.hpp"

#include <algorithm>
#include <cmath>

namespace stentor::bench {

namespace {

Duration microseconds(std::uint64_t value) { return Duration{static_cast<Duration::rep>(value)}; }

}  // namespace

Histogram::Histogram() : buckets_(bucket_of(kValueMax) + 1) {}

void Histogram::clear() noexcept {
    std::fill(buckets_.begin(), buckets_.end(), 0);
    count_ = 0;
    sum_ = 0;
    max_ = 0;
    min_ = kValueMax;
}

Duration Histogram::min() const noexcept { return microseconds(count_ == 0 ? 0 : min_); }

Duration Histogram::max() const noexcept { return microseconds(max_); }

Duration Histogram::mean() const noexcept {
    return microseconds(count_ == 0 ? 0 : (sum_ + count_ / 2) / count_);
}

std::uint64_t Histogram::middle_of(std::size_t bucket) noexcept {
    if (bucket < kLinear) return bucket;
    const std::size_t shift = (bucket >> kHalfBits) - 1;
    const std::uint64_t lowest = std::uint64_t{bucket - (shift << kHalfBits)} << shift;
    return lowest + (std::uint64_t{1} << shift) / 2;
}

Duration Histogram::percentile(double percent) const noexcept {
    if (count_ == 0) return Duration::zero();
    const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
        seen += buckets_[bucket];
        if (seen >= wanted && seen > 0) {
            return microseconds(std::clamp(middle_of(bucket), min_, max_));
        }
    }
    return max();
}

}  // namespace stentor::bench
