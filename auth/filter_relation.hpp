#pragma once
// How two topic filters relate: what a rule must cover for a subscription to be granted.
// Pure. Any thread.

#include <string_view>

namespace stentor::auth {

/// Whether `rule` matches every topic that `filter` can match. Both are valid filters.
[[nodiscard]] bool covers(std::string_view rule, std::string_view filter) noexcept;

/// Whether some topic is matched by both. Both are valid filters.
[[nodiscard]] bool overlap(std::string_view a, std::string_view b) noexcept;

}  // namespace stentor::auth
