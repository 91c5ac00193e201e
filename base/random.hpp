#pragma once
// Numbers that look random from a seed (pure, repeatable: tests, simulation, jitter), and the one
// place that asks the operating system for real randomness (keys, tokens, assigned client ids).
// A generator belongs to one thread; the functions may be called from any.

#include "base/bytes.hpp"
#include "base/hash.hpp"

#include <array>
#include <cstdint>
#include <limits>

namespace stentor {

/// SplitMix64 (Steele, Lea, Flood 2014): spreads a seed; every seed is as good as any other.
class SplitMix64 {
  public:
    explicit constexpr SplitMix64(std::uint64_t seed) noexcept : state_{seed} {}

    [[nodiscard]] constexpr std::uint64_t next() noexcept {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }

  private:
    std::uint64_t state_;
};

/// xoshiro256** (Blackman, Vigna 2018). The same seed gives the same sequence on every machine and
/// in every version: a failed simulation is replayed from its seed alone. Not for secrets.
/// Satisfies UniformRandomBitGenerator; prefer below(), as the std distributions differ by library.
class Random {
  public:
    using result_type = std::uint64_t;

    explicit Random(std::uint64_t seed) noexcept;

    [[nodiscard]] std::uint64_t next() noexcept;
    /// Uniform in 0 .. bound - 1; `bound` must not be 0.
    [[nodiscard]] std::uint64_t below(std::uint64_t bound) noexcept;
    /// Uniform in first .. last, both included.
    [[nodiscard]] std::uint64_t between(std::uint64_t first, std::uint64_t last) noexcept;
    /// True `part` times in `whole`.
    [[nodiscard]] bool chance(std::uint64_t part, std::uint64_t whole) noexcept;
    /// A generator with a sequence of its own: what one part of a test draws does not shift what
    /// the others get.
    [[nodiscard]] Random split() noexcept;

    [[nodiscard]] static constexpr std::uint64_t min() noexcept { return 0; }
    [[nodiscard]] static constexpr std::uint64_t max() noexcept {
        return std::numeric_limits<std::uint64_t>::max();
    }
    std::uint64_t operator()() noexcept { return next(); }

  private:
    std::array<std::uint64_t, 4> state_{};
};

/// Fills `out` from the kernel's generator: good enough for keys. Blocks only in the first moments
/// after boot; aborts if the kernel refuses, because nothing that needs a key can go on.
void random_bytes(MutableByteView out) noexcept;

/// 64 bits of random_bytes().
[[nodiscard]] std::uint64_t random_seed() noexcept;
[[nodiscard]] HashKey random_hash_key() noexcept;

}  // namespace stentor
