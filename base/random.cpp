#include "base/random.hpp"

#include "base/assert.hpp"

#include <bit>
#include <cerrno>
#include <sys/random.h>

namespace stentor {

Random::Random(std::uint64_t seed) noexcept {
    SplitMix64 spread{seed};
    for (std::uint64_t& word : state_) word = spread.next();
}

std::uint64_t Random::next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
}

std::uint64_t Random::below(std::uint64_t bound) noexcept {
    STENTOR_ASSERT(bound != 0);
    // The lowest values of a full period are drawn again: what is left is a multiple of `bound`.
    const std::uint64_t biased = (0 - bound) % bound;
    std::uint64_t value = next();
    while (value < biased) value = next();
    return value % bound;
}

std::uint64_t Random::between(std::uint64_t first, std::uint64_t last) noexcept {
    STENTOR_ASSERT(first <= last);
    const std::uint64_t span = last - first;
    return span == max() ? next() : first + below(span + 1);
}

bool Random::chance(std::uint64_t part, std::uint64_t whole) noexcept {
    return below(whole) < part;
}

Random Random::split() noexcept { return Random{next()}; }

void random_bytes(MutableByteView out) noexcept {
    while (!out.empty()) {
        const auto got = ::getrandom(out.data(), out.size(), 0);
        if (got < 0) {
            STENTOR_ASSERT(errno == EINTR, "the kernel gives no randomness");
            continue;
        }
        out = out.subspan(static_cast<std::size_t>(got));
    }
}

std::uint64_t random_seed() noexcept {
    std::array<std::byte, 8> bytes{};
    random_bytes(bytes);
    return load_u64(bytes);
}

HashKey random_hash_key() noexcept { return {.k0 = random_seed(), .k1 = random_seed()}; }

}  // namespace stentor
