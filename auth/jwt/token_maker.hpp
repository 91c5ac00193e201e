#pragma once
// Keys and signed tokens for tests. The signatures are OpenSSL's; the rest is put together by hand,
// so that it may be wrong in every way.

#include "auth/jwt/algorithm.hpp"
#include "base/bytes.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace stentor::auth {

class TestKey {
  public:
    [[nodiscard]] static TestKey rsa(unsigned bits = 2048);
    [[nodiscard]] static TestKey ec(const char* curve);  // "P-256"
    [[nodiscard]] static TestKey secret(std::string bytes);

    [[nodiscard]] std::string public_pem() const;
    [[nodiscard]] std::string private_pem() const;
    /// Members of a JWK; `more` is put behind them (", \"kid\": ...").
    [[nodiscard]] std::string jwk(std::string_view more = "") const;
    /// As a JWS has it: r and s of EC side by side.
    [[nodiscard]] Bytes sign(JwtAlgorithm algorithm, std::string_view text) const;

  private:
    TestKey() = default;

    std::shared_ptr<void> key_;  // an EVP_PKEY
    std::string secret_;
    std::string curve_;
};

/// A token with that header and these claims, whatever they are.
[[nodiscard]] std::string make_token(const TestKey& key,
                                     JwtAlgorithm algorithm,
                                     std::string_view header,
                                     std::string_view claims);
/// With the header that belongs to the algorithm.
[[nodiscard]] std::string make_token(const TestKey& key,
                                     JwtAlgorithm algorithm,
                                     std::string_view claims);

}  // namespace stentor::auth
