#pragma once
// A key that tokens are verified with: an RSA or EC public key, or a secret for HMAC. What it may
// be used for is decided when it is read, from its kind and size, not by the token: a public key is
// never a secret, and a curve has one algorithm.
// Immutable; any thread, several at a time. Secrets are overwritten when the key goes.

#include "auth/jwt/algorithm.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

#include <boost/json/object.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

// NOLINTNEXTLINE(readability-identifier-naming): OpenSSL's name for its EVP_PKEY
struct evp_pkey_st;

namespace stentor::auth {

inline constexpr std::size_t kRsaBitsMin = 2048;    // RFC 7518, section 3.3
inline constexpr std::size_t kRsaBitsMax = 8192;    // what a forged signature costs grows with it
inline constexpr std::size_t kSecretBytesMin = 32;  // of HS256; RFC 7518, section 3.2
inline constexpr std::size_t kSecretBytesMax = 4096;

/// Why a text holds no key, for people.
struct KeyMistake {
    std::string what;
    std::string hint;
    /// A key of a set that RFC 7517 wants ignored: of a kind or for a use that is not ours.
    bool is_foreign = false;
};

class JwtKey {
  public:
    /// One "PUBLIC KEY", "RSA PUBLIC KEY" or "CERTIFICATE" in PEM. Private keys are refused: they
    /// do not belong on the broker.
    [[nodiscard]] static Result<JwtKey, KeyMistake> from_pem(std::string_view text);
    [[nodiscard]] static Result<JwtKey, KeyMistake> from_secret(std::string_view secret);
    /// One key of a JWKS (RFC 7517).
    [[nodiscard]] static Result<JwtKey, KeyMistake> from_jwk(const boost::json::object& jwk);

    JwtKey(JwtKey&&) noexcept;
    JwtKey& operator=(JwtKey&&) noexcept;
    JwtKey(const JwtKey&) = delete;
    JwtKey& operator=(const JwtKey&) = delete;
    ~JwtKey();

    /// `kid`; empty: it has none, and any token may mean it.
    [[nodiscard]] const std::string& id() const noexcept { return id_; }
    [[nodiscard]] bool fits(JwtAlgorithm algorithm) const noexcept {
        return algorithms_.contain(algorithm);
    }
    /// "RSA, 2048 bits", "EC P-256", "secret of 48 bytes".
    [[nodiscard]] const std::string& description() const noexcept { return description_; }

    /// Whether `signature` is that of `signed_text`; needs fits(algorithm). HMAC: in constant time.
    /// RSA and EC take up to a millisecond.
    [[nodiscard]] bool verify(JwtAlgorithm algorithm,
                              std::string_view signed_text,
                              ByteView signature) const;

  private:
    struct FreeKey {
        void operator()(evp_pkey_st* key) const noexcept;
    };
    using PublicKey = std::unique_ptr<evp_pkey_st, FreeKey>;

    JwtKey() = default;
    [[nodiscard]] static Result<JwtKey, KeyMistake> from_public(PublicKey key);
    [[nodiscard]] static Result<PublicKey, KeyMistake> rsa_of(const boost::json::object& jwk);
    [[nodiscard]] static Result<PublicKey, KeyMistake> ec_of(const boost::json::object& jwk);
    [[nodiscard]] bool verify_hmac(JwtAlgorithm algorithm,
                                   std::string_view signed_text,
                                   ByteView signature) const;
    [[nodiscard]] bool verify_public(JwtAlgorithm algorithm,
                                     std::string_view signed_text,
                                     ByteView signature) const;

    std::string id_;
    std::string description_;
    JwtAlgorithms algorithms_;
    Bytes secret_;
    PublicKey key_;  // null: it is a secret
};

}  // namespace stentor::auth
