#pragma once
// Names of users as tokens and web services give them. Pure. Any thread.

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace stentor::auth {

inline constexpr std::size_t kUserNameBytesMax = 1024;

/// Not empty, not too long, no control characters.
[[nodiscard]] inline bool is_user_name(std::string_view text) noexcept {
    return !text.empty() && text.size() <= kUserNameBytesMax &&
           std::none_of(text.begin(), text.end(), [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return byte < 0x20U || byte == 0x7FU;
           });
}

}  // namespace stentor::auth
