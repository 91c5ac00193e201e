#include "base/address.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <span>
#include <system_error>

namespace stentor {

namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool is_v4(const AddressBytes& address) noexcept {
    return std::equal(kMapped.begin(), kMapped.end(), address.begin());
}

template <class Number>
bool parse_number(std::string_view digits, Number& to, int base) noexcept {
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, to, base);
    return error == std::errc{} && stop == end;
}

/// "192.0.2.1": four numbers without leading zeros, which some take for octal.
bool parse_v4(std::string_view text, std::span<std::uint8_t, 4> to) noexcept {
    for (std::size_t i = 0; i < to.size(); ++i) {
        const std::size_t dot = i + 1 == to.size() ? text.size() : text.find('.');
        if (dot == std::string_view::npos) return false;
        const std::string_view digits = text.substr(0, dot);
        if (digits.size() > 1 && digits.front() == '0') return false;
        if (!parse_number(digits, to[i], 10)) return false;
        text.remove_prefix(std::min(dot + 1, text.size()));
    }
    return true;
}

/// RFC 4291 2.2: eight groups, of which "::" stands for one or more that are 0; the last two may be
/// an IPv4 address.
std::optional<AddressBytes> parse_v6(std::string_view text) noexcept {
    AddressBytes address{};
    std::size_t filled = 0;
    std::optional<std::size_t> gap;
    if (text.starts_with("::")) {
        gap = 0;
        text.remove_prefix(2);
    }
    while (!text.empty()) {
        const std::size_t colon = text.find(':');
        const std::string_view group = text.substr(0, colon);
        if (colon == std::string_view::npos && group.find('.') != std::string_view::npos) {
            if (filled > 12) return std::nullopt;
            const std::span<std::uint8_t, 4> four{address.data() + filled, 4};
            if (!parse_v4(group, four)) return std::nullopt;
            filled += 4;
            break;
        }
        std::uint16_t value = 0;
        if (filled == address.size() || group.size() > 4 || !parse_number(group, value, 16)) {
            return std::nullopt;
        }
        address[filled++] = static_cast<std::uint8_t>(value >> 8U);
        address[filled++] = static_cast<std::uint8_t>(value & 0xFFU);
        if (colon == std::string_view::npos) break;
        text.remove_prefix(colon + 1);
        if (text.empty()) return std::nullopt;  // ends with one colon
        if (text.front() != ':') continue;
        if (gap) return std::nullopt;
        gap = filled;
        text.remove_prefix(1);
    }
    if (!gap) return filled == address.size() ? std::optional{address} : std::nullopt;
    if (filled == address.size()) return std::nullopt;
    std::rotate(address.begin() + static_cast<std::ptrdiff_t>(*gap),
                address.begin() + static_cast<std::ptrdiff_t>(filled),
                address.end());
    return address;
}

}  // namespace

std::optional<AddressBytes> parse_address(std::string_view text) noexcept {
    AddressBytes address{};
    if (text.find(':') == std::string_view::npos) {
        std::copy(kMapped.begin(), kMapped.end(), address.begin());
        if (!parse_v4(text, std::span{address}.last<4>())) return std::nullopt;
        return address;
    }
    return parse_v6(text);
}

std::optional<Network> parse_network(std::string_view text) noexcept {
    const std::size_t slash = text.find('/');
    const std::string_view host = text.substr(0, slash);
    const auto address = parse_address(host);
    if (!address) return std::nullopt;
    const bool v4 = host.find(':') == std::string_view::npos;
    const unsigned most = v4 ? 32 : 128;
    unsigned bits = most;
    if (slash != std::string_view::npos) {
        const std::string_view length = text.substr(slash + 1);
        const auto [end, error] =
            std::from_chars(length.data(), length.data() + length.size(), bits);
        if (error != std::errc{} || end != length.data() + length.size() || bits > most) {
            return std::nullopt;
        }
    }
    return Network{.address = *address, .bits = bits + (v4 ? 96U : 0U)};
}

AddressBytes masked(AddressBytes address, unsigned bits) noexcept {
    unsigned first = 0;
    for (std::uint8_t& octet : address) {
        const unsigned kept = std::clamp(bits, first, first + 8) - first;
        octet = static_cast<std::uint8_t>(octet & (0xFF00U >> kept));
        first += 8;
    }
    return address;
}

std::optional<AddressKey> AddressKey::of(std::string_view numeric) noexcept {
    const auto address = parse_address(numeric);
    if (!address) return std::nullopt;
    AddressKey key;
    key.bytes_ = *address;
    if (is_v4(*address)) {
        key.is_loopback_ = (*address)[12] == 127;
        return key;
    }
    AddressBytes loopback{};
    loopback.back() = 1;
    key.is_loopback_ = *address == loopback;
    if (!key.is_loopback_) key.bytes_ = masked(key.bytes_, 64);
    return key;
}

std::string_view AddressKey::text() const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
}

}  // namespace stentor
