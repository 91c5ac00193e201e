#pragma once
// UTF-8, a character at a time: for whoever copies texts of unknown origin to where they must be
// well-formed. Pure. Any thread.

#include <cstddef>
#include <string_view>

namespace stentor {

/// The bytes of the character at the front of `text`: well-formed as in table 3-7 of Unicode
/// (nothing overlong, no surrogates, nothing above U+10FFFF). 0: there is none.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) noexcept {
    if (text.empty()) return 0;
    const auto at = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto continues = [&](std::size_t i) { return (at(i) & 0xC0U) == 0x80U; };
    const unsigned char first = at(0);
    if (first < 0x80U) return 1;
    if (first < 0xC2U || first > 0xF4U) return 0;  // continuation, overlong, above U+10FFFF
    const std::size_t size = first < 0xE0U ? 2 : first < 0xF0U ? 3 : 4;
    if (text.size() < size || !continues(1)) return 0;
    const unsigned char second = at(1);
    if (first == 0xE0U && second < 0xA0U) return 0;  // overlong
    if (first == 0xEDU && second > 0x9FU) return 0;  // surrogates U+D800 .. U+DFFF
    if (first == 0xF0U && second < 0x90U) return 0;  // overlong
    if (first == 0xF4U && second > 0x8FU) return 0;  // above U+10FFFF
    if (size > 2 && !continues(2)) return 0;
    if (size > 3 && !continues(3)) return 0;
    return size;
}

/// Whether a terminal may obey the character at the front of `text` instead of showing it: U+0000
/// to U+001F, U+007F to U+009F. `text` begins with a character.
[[nodiscard]] inline bool begins_with_control(std::string_view text) noexcept {
    const auto first = static_cast<unsigned char>(text.front());
    if (first == 0xC2U) return text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xA0U;
    return first < 0x20U || first == 0x7FU;
}

}  // namespace stentor
