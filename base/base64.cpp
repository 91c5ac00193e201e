#include "base/base64.hpp"

#include <algorithm>
#include <array>

namespace stentor {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

using Values = std::array<std::uint8_t, 256>;
constexpr std::uint8_t kNoDigit = 0xFF;

constexpr Values values_of(std::string_view digits) {
    Values values{};
    for (std::uint8_t& value : values) value = kNoDigit;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        values[static_cast<unsigned char>(digits[i])] = static_cast<std::uint8_t>(i);
    }
    return values;
}
constexpr Values kBase64Values = values_of(kBase64);
constexpr Values kBase64UrlValues = values_of(kBase64Url);

std::string encode(ByteView bytes, std::string_view digits, Padding padding) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            group = group << 8U | (k < have ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0U);
        }
        for (std::size_t k = 0; k <= have; ++k) out += digits[group >> (18U - 6U * k) & 63U];
        if (padding == Padding::required) out.append(3 - have, '=');
    }
    return out;
}

enum class UnusedBits : std::uint8_t { anything, zero };

/// Of text without padding.
std::optional<Bytes> decode(std::string_view text, const Values& values, UnusedBits unused) {
    if (text.size() % 4 == 1) return std::nullopt;
    Bytes out;
    out.reserve(text.size() / 4 * 3 + 2);
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        const std::uint8_t value = values[static_cast<unsigned char>(c)];
        if (value == kNoDigit) return std::nullopt;
        bits = bits << 6U | value;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out.push_back(static_cast<std::byte>(bits >> held & 0xFFU));
    }
    const std::uint32_t left = bits & ((std::uint32_t{1} << held) - 1U);
    if (unused == UnusedBits::zero && left != 0) return std::nullopt;
    return out;
}

}  // namespace

std::string base64(ByteView bytes, Padding padding) { return encode(bytes, kBase64, padding); }

std::string base64url(ByteView bytes) { return encode(bytes, kBase64Url, Padding::absent); }

std::optional<Bytes> from_base64url(std::string_view text) {
    return decode(text, kBase64UrlValues, UnusedBits::zero);
}

std::optional<Bytes> from_base64(std::string_view text,
                                 Padding padding,
                                 std::size_t text_bytes_max) {
    if (text.size() > text_bytes_max) return std::nullopt;
    if (padding == Padding::required) {
        if (text.size() % 4 != 0) return std::nullopt;
        for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
    }
    return decode(text, kBase64Values, UnusedBits::anything);
}

}  // namespace stentor
