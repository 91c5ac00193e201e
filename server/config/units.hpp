#pragma once
// Sizes ("64MiB") and durations ("1h30m") as people write them.
// Pure. Any thread.

#include "base/result.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace stentor::config {

/// What is wrong with a value and what to write instead; both for people.
struct ValueError {
    std::string what;
    std::string hint;
};

/// Reads a whole number with a unit: B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (of
/// 1024), in any case. Of the bare numbers only 0 is accepted.
[[nodiscard]] Result<std::uint64_t, ValueError> parse_size(std::string_view text);

/// Reads whole numbers with the units ms, s, m, h, d, w, the largest unit first: "90d", "1h30m".
/// Of the bare numbers only 0 is accepted.
[[nodiscard]] Result<std::chrono::milliseconds, ValueError> parse_duration(std::string_view text);

/// The shortest text that reads back as the same value: "64MiB", "1500kB", "90d", "1h30m", "0".
[[nodiscard]] std::string format_size(std::uint64_t bytes);
[[nodiscard]] std::string format_duration(std::chrono::milliseconds duration);

}  // namespace stentor::config
