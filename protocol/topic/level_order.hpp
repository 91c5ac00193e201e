#pragma once
// The order of topics by levels: a topic comes first, then all that lies below it, then its
// siblings. What "a/b/#" matches is one range.
// Pure.

#include <compare>
#include <string_view>

namespace stentor::mqtt {

/// Compares level by level, bytes as unsigned; the same as comparing the whole texts with '/'
/// below every other character. For texts without U+0000.
[[nodiscard]] std::strong_ordering level_order(std::string_view a, std::string_view b) noexcept;

/// `parent` + this is after everything below `parent` and not after any of its later siblings.
inline constexpr char kFirstAfterSeparator = '\x01';

}  // namespace stentor::mqtt
