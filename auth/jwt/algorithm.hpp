#pragma once
// The algorithms of JWS (RFC 7518, section 3.1) that tokens may be signed with. `none` is none of
// them. Pure values. Any thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stentor::auth {

enum class JwtAlgorithm : std::uint8_t {
    hs256,
    hs384,
    hs512,
    rs256,
    rs384,
    rs512,
    ps256,
    ps384,
    ps512,
    es256,
    es384,
    es512,
};

/// In the order of the enumeration.
inline constexpr std::array<std::string_view, 12> kJwtAlgorithmNames{"HS256",
                                                                     "HS384",
                                                                     "HS512",
                                                                     "RS256",
                                                                     "RS384",
                                                                     "RS512",
                                                                     "PS256",
                                                                     "PS384",
                                                                     "PS512",
                                                                     "ES256",
                                                                     "ES384",
                                                                     "ES512"};

/// What kind of key an algorithm wants.
enum class JwtFamily : std::uint8_t { hmac, rsa, rsa_pss, ecdsa };

[[nodiscard]] constexpr JwtFamily family_of(JwtAlgorithm algorithm) noexcept {
    return static_cast<JwtFamily>(static_cast<std::uint8_t>(algorithm) / 3U);
}

/// 32, 48 or 64.
[[nodiscard]] constexpr std::size_t hash_bytes(JwtAlgorithm algorithm) noexcept {
    return 32U + static_cast<std::size_t>(algorithm) % 3U * 16U;
}

[[nodiscard]] constexpr std::string_view name_of(JwtAlgorithm algorithm) noexcept {
    return kJwtAlgorithmNames.at(static_cast<std::size_t>(algorithm));
}

/// Nothing for any other name; upper and lower case differ (RFC 7515, section 4.1.1).
[[nodiscard]] constexpr std::optional<JwtAlgorithm> jwt_algorithm(std::string_view name) noexcept {
    for (std::size_t i = 0; i < kJwtAlgorithmNames.size(); ++i) {
        if (kJwtAlgorithmNames.at(i) == name) return static_cast<JwtAlgorithm>(i);
    }
    return std::nullopt;
}

/// A choice among them.
class JwtAlgorithms {
  public:
    constexpr JwtAlgorithms() noexcept = default;
    [[nodiscard]] static constexpr JwtAlgorithms all() noexcept {
        JwtAlgorithms every;
        every.bits_ = (1U << kJwtAlgorithmNames.size()) - 1U;
        return every;
    }

    constexpr void add(JwtAlgorithm algorithm) noexcept { bits_ |= bit(algorithm); }
    [[nodiscard]] constexpr bool contain(JwtAlgorithm algorithm) const noexcept {
        return (bits_ & bit(algorithm)) != 0;
    }

  private:
    [[nodiscard]] static constexpr std::uint32_t bit(JwtAlgorithm algorithm) noexcept {
        return 1U << static_cast<std::uint32_t>(algorithm);
    }

    std::uint32_t bits_ = 0;
};

}  // namespace stentor::auth
