#include "auth/jwt/jwt_authenticator.hpp"

#include "auth/authenticators.hpp"
#include "auth/jwt/jwt_method.hpp"
#include "auth/jwt/token_maker.hpp"
#include "auth/test_doubles.hpp"
#include "base/clock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stentor::auth {
namespace {

using test::ManualExecutor;
using testing::HasSubstr;

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): final, and never deleted by its base
class LastDecision final : public DecisionSink {
  public:
    void decided(Ticket /*ticket*/, Decision decision) noexcept override {
        EXPECT_FALSE(given);
        given = std::move(decision);
    }
    std::optional<Decision> given;
};

class JwtChain : public testing::Test {
  protected:
    [[nodiscard]] static JwtKeySet keys_of(const TestKey& key) {
        return *JwtKeySet::parse_jwks("{\"keys\":[" + key.jwk() + "]}");
    }

    void ask(std::string password, std::optional<std::string> user = "whoever") {
        authenticate(chain_,
                     {.client_id = "c",
                      .user = std::move(user),
                      .password = std::move(password),
                      .peer_address = {}},
                     1,
                     decision_);
    }
    Decision answer_to(std::string password) {
        ask(std::move(password));
        executor_.run_all();
        return *std::exchange(decision_.given, std::nullopt);
    }
    /// By the method; the exchange is gone before its answer.
    void converse(std::string client_id, std::string_view token) {
        chain_->method("OAUTH2-JWT")
            ->begin({.client_id = std::move(client_id), .user = {}})
            ->next(token, Turn{chain_, 1, decision_});
    }
    [[nodiscard]] static std::string token(const TestKey& key, std::string_view more = "") {
        const std::int64_t exp = wall_clock_unix_ms() / 1000 + 1000;
        return make_token(
            key,
            JwtAlgorithm::hs256,
            R"({"sub":"anna","exp":)" + std::to_string(exp) + std::string{more} + '}');
    }

    const TestKey old_ = TestKey::secret(std::string(32, 'o'));
    const TestKey fresh_ = TestKey::secret(std::string(32, 'n'));
    ManualExecutor executor_;
    LastDecision decision_;
    std::shared_ptr<JwtKeyRing> ring_ = std::make_shared<JwtKeyRing>(keys_of(old_));
    std::shared_ptr<const Chain> chain_ = [this] {
        std::vector<std::unique_ptr<const Authenticator>> links;
        const auto policy = std::make_shared<const JwtPolicy>();
        links.push_back(std::make_unique<JwtAuthenticator>(policy, ring_, executor_));
        std::vector<std::unique_ptr<const Method>> methods;
        methods.push_back(std::make_unique<JwtMethod>(policy, ring_, executor_));
        links.push_back(
            std::make_unique<AnonymousAuthenticator>(Anonymous::always, UnverifiedNames::refused));
        return std::make_shared<const Chain>(
            std::move(links), std::vector<std::string>{"jwt:anna"}, std::move(methods));
    }();
};

TEST_F(JwtChain, ATokenSaysWhoItsBearerIsAndOnWhatTerms) {
    const Decision decision = answer_to(token(old_, R"(,"acl":{"pub":["x"]})"));
    EXPECT_EQ(decision.outcome, Outcome::accepted);
    EXPECT_EQ(decision.principal.authenticator, "jwt");
    EXPECT_EQ(decision.principal.name, "anna");
    EXPECT_TRUE(decision.principal.is_admin) << "the configuration says so";
    ASSERT_TRUE(decision.principal.terms.grants);
    ASSERT_TRUE(decision.principal.terms.valid_for);
    EXPECT_LE(*decision.principal.terms.valid_for, std::chrono::seconds{1005});
    EXPECT_GT(*decision.principal.terms.valid_for, std::chrono::seconds{900});
}

TEST_F(JwtChain, EveryRefusalIsTheSameAnswer) {
    for (const std::string& text : {token(fresh_),
                                    token(old_, R"(,"nbf":99999999999)"),
                                    token(old_, R"(,"acl":1)"),
                                    std::string{"eyJhbGciOiJub25lIn0.e30."},
                                    "eyJ" + std::string(60'000, 'x') + ".x.x"}) {
        const Decision decision = answer_to(text);
        EXPECT_EQ(decision.outcome, Outcome::bad_credentials);
        EXPECT_THAT(decision.why, HasSubstr("the token is refused: "));
        EXPECT_EQ(decision.why.find(text.substr(0, 20)), std::string::npos) << "no tokens in logs";
        EXPECT_LT(decision.why.size(), 200U);
    }
}

TEST_F(JwtChain, WhatIsNoTokenIsForTheOthers) {
    ask("correct horse");
    EXPECT_EQ(decision_.given->outcome, Outcome::bad_credentials);
    EXPECT_EQ(decision_.given->why, "unknown user or wrong password");
}

TEST_F(JwtChain, TheUserNameOfConnectMayBeMissing) {
    ask(token(old_), std::nullopt);
    executor_.run_all();
    EXPECT_EQ(decision_.given->principal.name, "anna");
}

TEST_F(JwtChain, KeysAreReplacedWhileTokensWait) {
    ask(token(fresh_));
    ring_->replace(keys_of(fresh_));
    executor_.run_all();
    EXPECT_EQ(decision_.given->outcome, Outcome::accepted);
    decision_.given.reset();
    EXPECT_EQ(answer_to(token(old_)).outcome, Outcome::bad_credentials);
}

TEST_F(JwtChain, AFullQueueIsNoVerdict) {
    executor_.room = 0;
    ask(token(old_));
    EXPECT_EQ(decision_.given->outcome, Outcome::overloaded);
    decision_.given.reset();
    converse("c", token(old_));
    EXPECT_EQ(decision_.given->outcome, Outcome::overloaded);
}

TEST_F(JwtChain, WhomATokenHasLetInStaysAsLongAsTokensAreAccepted) {
    Principal anna = answer_to(token(old_)).principal;
    ring_->replace(keys_of(fresh_));
    EXPECT_TRUE(chain_->still_accepts(anna, Locality::remote));
    std::vector<std::unique_ptr<const Authenticator>> links;
    links.push_back(
        std::make_unique<AnonymousAuthenticator>(Anonymous::always, UnverifiedNames::refused));
    EXPECT_FALSE(Chain(std::move(links), {}).still_accepts(anna, Locality::remote));
}

TEST_F(JwtChain, TheMethodIsTheSameInOneWord) {
    converse("c7", token(old_, R"(,"acl":{"pub":["x/%c"]})"));
    executor_.run_all();
    const Decision decision = *std::exchange(decision_.given, std::nullopt);
    EXPECT_EQ(decision.outcome, Outcome::accepted);
    EXPECT_EQ(decision.principal.authenticator, "jwt");
    EXPECT_EQ(decision.principal.name, "anna");
    EXPECT_EQ(decision.data, "");
    ASSERT_TRUE(decision.principal.terms.grants);
    EXPECT_EQ(decision.principal.terms.grants->all().at(0).filter, "x/c7");
    EXPECT_TRUE(decision.principal.terms.valid_for);
    for (const std::string& text : {token(fresh_), std::string{}, std::string(60'000, 'x')}) {
        converse("c7", text);
        executor_.run_all();
        EXPECT_EQ(decision_.given->outcome, Outcome::bad_credentials);
        EXPECT_LT(decision_.given->why.size(), 200U);
        decision_.given.reset();
    }
}

}  // namespace
}  // namespace stentor::auth
