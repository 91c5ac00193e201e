#include "auth/jwt/jwt_authenticator.hpp"

#include "auth/request_job.hpp"
#include "base/clock.hpp"

#include <utility>

namespace stentor::auth {

JwtKeyRing::JwtKeyRing(JwtKeySet keys)
    : keys_{std::make_shared<const JwtKeySet>(std::move(keys))} {}

std::shared_ptr<const JwtKeySet> JwtKeyRing::current() const {
    const std::lock_guard lock{mutex_};
    return keys_;
}

void JwtKeyRing::replace(JwtKeySet keys) {
    auto fresh = std::make_shared<const JwtKeySet>(std::move(keys));
    const std::lock_guard lock{mutex_};
    keys_.swap(fresh);
}

class JwtAuthenticator::Verify final : public RequestJob {
  public:
    Verify(std::shared_ptr<const JwtPolicy> policy,
           std::shared_ptr<const JwtKeyRing> keys,
           Request request) noexcept
        : RequestJob{std::move(request)}, policy_{std::move(policy)}, keys_{std::move(keys)} {}

    void run() override {
        const ConnectCredentials& from = request().credentials();
        auto verdict = verify_jwt(*from.password,
                                  *policy_,
                                  *keys_->current(),
                                  {.client_id = from.client_id, .user = from.user},
                                  wall_clock_unix_ms());
        if (!verdict) {
            std::move(request()).deny(Outcome::bad_credentials,
                                      "the token is refused: " + verdict.error().why);
            return;
        }
        std::move(request()).accept("jwt",
                                    std::move(verdict->user),
                                    {.grants = std::move(verdict->grants),
                                     .roles = std::move(verdict->roles),
                                     .valid_for = verdict->valid_for});
    }

  private:
    std::shared_ptr<const JwtPolicy> policy_;
    std::shared_ptr<const JwtKeyRing> keys_;
};

JwtAuthenticator::JwtAuthenticator(std::shared_ptr<const JwtPolicy> policy,
                                   std::shared_ptr<const JwtKeyRing> keys,
                                   Executor& executor) noexcept
    : policy_{std::move(policy)}, keys_{std::move(keys)}, executor_{executor} {}

std::uint64_t JwtAuthenticator::voucher(std::string_view /*name*/, Locality /*locality*/) const {
    constexpr std::uint64_t kToken = 2;
    return kToken;
}

void JwtAuthenticator::ask(Request request) const {
    const auto& password = request.credentials().password;
    if (!password || !looks_like_jwt(*password)) {
        std::move(request).pass_on();
        return;
    }
    executor_.post(std::make_unique<Verify>(policy_, keys_, std::move(request)));
}

}  // namespace stentor::auth
