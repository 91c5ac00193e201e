#include "base/hash.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>

namespace stentor {
namespace {

HashKey paper_key() { return {.k0 = 0x0706050403020100U, .k1 = 0x0f0e0d0c0b0a0908U}; }

std::array<std::byte, 64> counting_bytes() {
    std::array<std::byte, 64> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    return bytes;
}

TEST(Hash, MatchesThePublishedVectorsOfSipHash24) {
    const auto bytes = counting_bytes();
    const auto hash = [&](std::size_t n) {
        return sip_hash<2, 4>(paper_key(), ByteView{bytes}.first(n));
    };
    EXPECT_EQ(hash(0), 0x726fdb47dd0e0e31U);
    EXPECT_EQ(hash(1), 0x74f839c593dc67fdU);
    EXPECT_EQ(hash(8), 0x93f5f5799a932462U);
    EXPECT_EQ(hash(15), 0xa129ca6149be45e5U);  // appendix A of the paper
}

TEST(Hash, EveryByteAndTheLengthCount) {
    auto bytes = counting_bytes();
    std::set<std::uint64_t> seen;
    for (std::size_t n = 0; n <= bytes.size(); ++n) {
        seen.insert(keyed_hash(paper_key(), ByteView{bytes}.first(n)));
    }
    for (std::byte& byte : bytes) {
        byte ^= std::byte{1};
        seen.insert(keyed_hash(paper_key(), ByteView{bytes}));
        byte ^= std::byte{1};
    }
    EXPECT_EQ(seen.size(), 65U + 64U);
}

TEST(Hash, BothHalvesOfTheKeyCount) {
    const std::string_view topic = "a/b";
    EXPECT_NE(keyed_hash({.k0 = 1, .k1 = 0}, topic), keyed_hash({.k0 = 0, .k1 = 0}, topic));
    EXPECT_NE(keyed_hash({.k0 = 0, .k1 = 1}, topic), keyed_hash({.k0 = 0, .k1 = 0}, topic));
    EXPECT_EQ(keyed_hash({.k0 = 3, .k1 = 4}, topic), keyed_hash({.k0 = 3, .k1 = 4}, topic));
}

TEST(Hash, LowBitsSpreadOverATable) {
    constexpr std::size_t kSlots = 64;
    std::array<int, kSlots> slots{};
    for (int i = 0; i < 6400; ++i) {
        ++slots[keyed_hash(paper_key(), "devices/" + std::to_string(i)) % kSlots];
    }
    for (const int count : slots) {
        EXPECT_GT(count, 50);
        EXPECT_LT(count, 160);
    }
}

}  // namespace
}  // namespace stentor
