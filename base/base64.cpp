#include "base/base64.hpp"

#include <algorithm>

namespace stentor {
namespace {

constexpr std::size_t kTextBytesMax = 1024;
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string base64(ByteView bytes, Padding padding) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t group = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            group = group << 8U | (k < have ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0U);
        }
        for (std::size_t k = 0; k <= have; ++k) out += kBase64[group >> (18U - 6U * k) & 63U];
        if (padding == Padding::required) out.append(3 - have, '=');
    }
    return out;
}

std::optional<Bytes> from_base64(std::string_view text, Padding padding) {
    if (text.size() > kTextBytesMax) return std::nullopt;
    if (padding == Padding::required) {
        if (text.size() % 4 != 0) return std::nullopt;
        for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
    }
    if (text.size() % 4 == 1) return std::nullopt;
    Bytes out;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        const auto value = kBase64.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = bits << 6U | static_cast<std::uint32_t>(value);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out.push_back(static_cast<std::byte>(bits >> held & 0xFFU));
    }
    return out;
}

}  // namespace stentor
