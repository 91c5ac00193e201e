#pragma once
// A keyed 64-bit hash (SipHash, Aumasson and Bernstein 2012): topics and client ids come from
// strangers, who must not be able to choose keys that collide in our tables.
// Pure: the key is handed in and there is no global state. Any thread.

#include "base/bytes.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stentor {

/// Drawn at random once per process (base/random.hpp), fixed in tests and the simulator.
struct HashKey {
    std::uint64_t k0 = 0;
    std::uint64_t k1 = 0;
};

/// SipHash-<compress>-<finish>. Use keyed_hash(); the template is public so that the published test
/// vectors of SipHash-2-4 check the code that 1-3 runs.
template <int kCompress, int kFinish>
[[nodiscard]] inline std::uint64_t sip_hash(const HashKey& key, ByteView bytes) noexcept {
    static_assert(std::endian::native == std::endian::little, "words are loaded as they lie");
    std::uint64_t v0 = key.k0 ^ 0x736f6d6570736575U;
    std::uint64_t v1 = key.k1 ^ 0x646f72616e646f6dU;
    std::uint64_t v2 = key.k0 ^ 0x6c7967656e657261U;
    std::uint64_t v3 = key.k1 ^ 0x7465646279746573U;
    const auto round = [&] {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    };
    const auto absorb = [&](std::uint64_t word) {
        v3 ^= word;
        for (int i = 0; i < kCompress; ++i) round();
        v0 ^= word;
    };

    const std::size_t size = bytes.size();
    const std::byte* at = bytes.data();
    for (std::size_t left = size / 8; left != 0; --left, at += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, at, 8);
        absorb(word);
    }
    std::uint64_t last = std::uint64_t{size} << 56U;
    for (std::size_t i = 0; i < size % 8; ++i) {
        last |= std::to_integer<std::uint64_t>(at[i]) << (8 * i);
    }
    absorb(last);

    v2 ^= 0xffU;
    for (int i = 0; i < kFinish; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
}

/// The hash of our tables: SipHash-1-3. Stable for a key within one version of the program; never
/// stored.
[[nodiscard]] inline std::uint64_t keyed_hash(const HashKey& key, ByteView bytes) noexcept {
    return sip_hash<1, 3>(key, bytes);
}
[[nodiscard]] inline std::uint64_t keyed_hash(const HashKey& key, std::string_view text) noexcept {
    return keyed_hash(key, as_bytes(text));
}

}  // namespace stentor
