#pragma once
// The keys that tokens are verified with, as they stand in files: one PEM or secret, or a JWKS.
// Immutable but for add(); any thread. Bounds: kJwtKeysMax keys.

#include "auth/file_error.hpp"
#include "auth/jwt/jwt_key.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::auth {

inline constexpr std::size_t kJwtKeysMax = 64;
inline constexpr std::size_t kJwtKeyFileBytesMax = std::size_t{1} << 20U;

class JwtKeySet {
  public:
    JwtKeySet() = default;

    /// A JWKS. Keys for other uses and of other kinds are left out with a note (RFC 7517, section
    /// 5); keys that are broken are mistakes, and so is a set without any key that can be used.
    [[nodiscard]] static Result<JwtKeySet, std::vector<FileError>> parse_jwks(
        std::string_view text);

    /// A public key in PEM, or anything else: a secret, less one line end. What looks like a key in
    /// another form is a mistake and no secret.
    [[nodiscard]] static Result<JwtKeySet, std::vector<FileError>> parse_key_file(
        std::string_view text);

    /// Takes the other's keys as well.
    void add(JwtKeySet other);

    [[nodiscard]] const std::vector<JwtKey>& keys() const noexcept { return keys_; }
    /// What was left out and why, for people.
    [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

  private:
    std::vector<JwtKey> keys_;
    std::vector<std::string> notes_;
};

}  // namespace stentor::auth
