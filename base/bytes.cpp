#include "base/bytes.hpp"

namespace stentor {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr unsigned kNoDigit = 16;

unsigned digit_value(char c) noexcept {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10U;
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10U;
    return kNoDigit;
}

bool is_separator(char c) noexcept {
    return std::string_view{" \t\r\n_:"}.find(c) != std::string_view::npos;
}

}  // namespace

std::string to_hex(ByteView bytes, std::string_view separator) {
    std::string text;
    text.reserve(bytes.size() * (2 + separator.size()));
    for (const std::byte byte : bytes) {
        if (!text.empty()) text += separator;
        text += kDigits[std::to_integer<unsigned>(byte) >> 4U];
        text += kDigits[std::to_integer<unsigned>(byte) & 15U];
    }
    return text;
}

std::optional<Bytes> from_hex(std::string_view text) {
    Bytes bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_separator(text[i])) continue;
        if (i + 1 == text.size()) return std::nullopt;
        const unsigned high = digit_value(text[i]);
        const unsigned low = digit_value(text[++i]);
        if (high == kNoDigit || low == kNoDigit) return std::nullopt;
        bytes.push_back(static_cast<std::byte>(high << 4U | low));
    }
    return bytes;
}

}  // namespace stentor
