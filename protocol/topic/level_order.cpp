#include "protocol/topic/level_order.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stentor::mqtt {

namespace {

std::uint64_t load(const char* from) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, from, sizeof word);
    return word;
}

// The first position where the texts differ, or the length of the shorter one. Topics share long
// prefixes, so eight bytes at a time.
std::size_t common_prefix(std::string_view a, std::string_view b) noexcept {
    static_assert(std::endian::native == std::endian::little);
    const std::size_t length = std::min(a.size(), b.size());
    std::size_t i = 0;
    for (; i + sizeof(std::uint64_t) <= length; i += sizeof(std::uint64_t)) {
        const std::uint64_t difference = load(a.data() + i) ^ load(b.data() + i);
        if (difference != 0) return i + static_cast<std::size_t>(std::countr_zero(difference)) / 8;
    }
    while (i < length && a[i] == b[i]) ++i;
    return i;
}

unsigned rank(char c) noexcept { return c == '/' ? 0U : static_cast<unsigned char>(c); }

}  // namespace

std::strong_ordering level_order(std::string_view a, std::string_view b) noexcept {
    const std::size_t i = common_prefix(a, b);
    if (i == a.size() || i == b.size()) return a.size() <=> b.size();
    return rank(a[i]) <=> rank(b[i]);
}

}  // namespace stentor::mqtt
