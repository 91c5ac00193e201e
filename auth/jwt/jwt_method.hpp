#pragma once
// Tokens by enhanced authentication (MQTT 5.0 section 4.12), so that a client can bring the next
// one before the last one ends, and stay connected: the method OAUTH2-JWT, as other brokers name
// it. The token is the Authentication Data of CONNECT, and of the AUTH that begins a
// re-authentication; there is nothing to ask.
// Any thread calls begin(); an exchange is its connection's. Signatures are checked on the
// executor's threads, whose queue is the bound: full, it refuses at once.

#include "auth/exchange.hpp"
#include "auth/executor.hpp"
#include "auth/jwt/jwt_authenticator.hpp"

#include <memory>
#include <string_view>

namespace stentor::auth {

class JwtMethod final : public Method {
  public:
    /// As JwtAuthenticator.
    JwtMethod(std::shared_ptr<const JwtPolicy> policy,
              std::shared_ptr<const JwtKeyRing> keys,
              Executor& executor) noexcept;

    [[nodiscard]] std::string_view name() const noexcept override { return "OAUTH2-JWT"; }
    [[nodiscard]] std::unique_ptr<Exchange> begin(ExchangeClient client) const override;

  private:
    std::shared_ptr<const JwtPolicy> policy_;  // a job under way keeps it past a reload
    std::shared_ptr<const JwtKeyRing> keys_;
    Executor& executor_;
};

}  // namespace stentor::auth
