#include "auth/jwt/jwt_method.hpp"

#include "base/clock.hpp"

#include <openssl/crypto.h>

#include <string>
#include <utility>

namespace stentor::auth {
namespace {

class VerifyTurn final : public Job {
  public:
    VerifyTurn(std::shared_ptr<const JwtPolicy> policy,
               std::shared_ptr<const JwtKeyRing> keys,
               ExchangeClient client,
               std::string_view token,
               Turn turn)
        : policy_{std::move(policy)},
          keys_{std::move(keys)},
          client_{std::move(client)},
          token_{token},
          turn_{std::move(turn)} {}
    ~VerifyTurn() override { OPENSSL_cleanse(token_.data(), token_.size()); }
    VerifyTurn(const VerifyTurn&) = delete;
    VerifyTurn& operator=(const VerifyTurn&) = delete;

    [[nodiscard]] std::uint64_t lane() const noexcept override { return client_.lane; }
    [[nodiscard]] std::size_t bytes() const noexcept override {
        return sizeof(*this) + token_.size();
    }
    [[nodiscard]] bool is_due() override { return turn_.begins(); }
    void turned_away() override { std::move(turn_).deny(Outcome::overloaded, kNoRoom); }
    void run() override {
        auto verdict = verify_jwt(token_,
                                  *policy_,
                                  *keys_->current(),
                                  {.client_id = client_.client_id, .user = client_.user},
                                  wall_clock_unix_ms());
        if (!verdict) {
            std::move(turn_).deny(Outcome::bad_credentials,
                                  "the token is refused: " + verdict.error().why);
            return;
        }
        std::move(turn_).accept("jwt",
                                std::move(verdict->user),
                                {},
                                {.grants = std::move(verdict->grants),
                                 .roles = std::move(verdict->roles),
                                 .valid_for = verdict->valid_for});
    }

  private:
    std::shared_ptr<const JwtPolicy> policy_;
    std::shared_ptr<const JwtKeyRing> keys_;
    ExchangeClient client_;
    std::string token_;
    Turn turn_;
};

class JwtExchange final : public Exchange {
  public:
    JwtExchange(std::shared_ptr<const JwtPolicy> policy,
                std::shared_ptr<const JwtKeyRing> keys,
                Executor& executor,
                ExchangeClient client) noexcept
        : policy_{std::move(policy)},
          keys_{std::move(keys)},
          executor_{executor},
          client_{std::move(client)} {}

    void next(std::string_view data, Turn turn) override {
        if (data.size() > kJwtBytesMax) {  // before it is copied
            std::move(turn).deny(Outcome::bad_credentials, "the token is refused: it is too long");
            return;
        }
        executor_.post(
            std::make_unique<VerifyTurn>(policy_, keys_, client_, data, std::move(turn)));
    }

  private:
    std::shared_ptr<const JwtPolicy> policy_;
    std::shared_ptr<const JwtKeyRing> keys_;
    Executor& executor_;
    ExchangeClient client_;
};

}  // namespace

JwtMethod::JwtMethod(std::shared_ptr<const JwtPolicy> policy,
                     std::shared_ptr<const JwtKeyRing> keys,
                     Executor& executor) noexcept
    : policy_{std::move(policy)}, keys_{std::move(keys)}, executor_{executor} {}

std::unique_ptr<Exchange> JwtMethod::begin(ExchangeClient client) const {
    return std::make_unique<JwtExchange>(policy_, keys_, executor_, std::move(client));
}

}  // namespace stentor::auth
