#pragma once
// Tokens as passwords: the link of the chain, and the keys it verifies with.

#include "auth/authenticator.hpp"
#include "auth/executor.hpp"
#include "auth/jwt/jwt_verify.hpp"
#include "auth/jwt/key_set.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>

namespace stentor::auth {

/// The keys in force. They change more often than anything else of the chain, and without it: who
/// issues tokens rotates them. Any thread.
class JwtKeyRing {
  public:
    explicit JwtKeyRing(JwtKeySet keys);

    /// Stays what it is, whatever is put in its place meanwhile.
    [[nodiscard]] std::shared_ptr<const JwtKeySet> current() const;
    /// For tokens shown from now on; who has been accepted stays.
    void replace(JwtKeySet keys);

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const JwtKeySet> keys_;
};

/// Accepts whoever brings a token that the policy and the keys agree to. What is no token is passed
/// on; a token that is refused is denied, with the same answer whatever the reason.
class JwtAuthenticator final : public Authenticator {
  public:
    /// Tokens are verified on `executor`, which must outlive all requests. When its queue is full a
    /// client is told to come back later (Outcome::unavailable).
    JwtAuthenticator(std::shared_ptr<const JwtPolicy> policy,
                     std::shared_ptr<const JwtKeyRing> keys,
                     Executor& executor) noexcept;

    [[nodiscard]] std::string_view name() const noexcept override { return "jwt"; }
    void ask(Request request) const override;
    /// Tokens are not kept: whom one has let in stays as long as tokens are accepted at all.
    [[nodiscard]] std::uint64_t voucher(std::string_view name, Locality locality) const override;

  private:
    class Verify;

    std::shared_ptr<const JwtPolicy> policy_;  // a job under way keeps it past a reload
    std::shared_ptr<const JwtKeyRing> keys_;
    Executor& executor_;
};

}  // namespace stentor::auth
