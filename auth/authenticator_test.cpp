#include "auth/authenticators.hpp"
#include "auth/test_doubles.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace stentor::auth {
namespace {

using test::Decisions;
using test::ManualExecutor;

std::shared_ptr<const PasswordFile> users() {
    // mosquitto_passwd 2.0.11, password "correct horse"
    return std::make_shared<const PasswordFile>(*PasswordFile::parse(
        "anna:$7$101$/KDmxfcF/vNMqgjA$ygEHPNkbKK8YlSxT1fozXHmLB9VLcPT7ZXwf72FcXF2JRF7RHJEv+"
        "qZcPhupWXNape7gCLeicFGcW0/Hd2dD7w==\n"));
}

std::shared_ptr<const Chain> chain_of(Anonymous policy,
                                      Executor* executor,
                                      std::vector<std::string> admins = {}) {
    std::vector<std::unique_ptr<const Authenticator>> links;
    if (executor != nullptr) {
        links.push_back(std::make_unique<PasswordAuthenticator>(users(), *executor));
    }
    links.push_back(std::make_unique<AnonymousAuthenticator>(
        policy, executor != nullptr ? UnverifiedNames::refused : UnverifiedNames::ignored));
    return std::make_shared<const Chain>(std::move(links), std::move(admins));
}

ConnectCredentials anna(std::string password = "correct horse") {
    return {.client_id = "c", .user = "anna", .password = std::move(password), .peer_address = {}};
}

ConnectCredentials nobody(Locality locality) {
    return {.client_id = "c", .user = {}, .password = {}, .locality = locality, .peer_address = {}};
}

Outcome outcome_of(const std::shared_ptr<const Chain>& chain,
                   ConnectCredentials credentials,
                   ManualExecutor* executor = nullptr) {
    Decisions decisions;
    authenticate(chain, std::move(credentials), 1, decisions);
    if (executor != nullptr) executor->run_all();
    EXPECT_EQ(decisions.all.size(), 1U);
    return decisions.all.at(0).second.outcome;
}

TEST(Chain, AcceptsAUserOfTheFileOffTheCallersThread) {
    ManualExecutor executor;
    const auto chain = chain_of(Anonymous::never, &executor, {"password:anna"});
    Decisions decisions;
    authenticate(chain, anna(), 7, decisions);
    EXPECT_TRUE(decisions.all.empty());
    executor.run_all();
    ASSERT_EQ(decisions.all.size(), 1U);
    EXPECT_EQ(decisions.all[0].first, 7U);
    const Decision& decision = decisions.all[0].second;
    EXPECT_EQ(decision.outcome, Outcome::accepted);
    EXPECT_EQ(decision.principal.authenticator, "password");
    EXPECT_EQ(decision.principal.name, "anna");
    EXPECT_TRUE(decision.principal.is_admin);
}

TEST(Chain, SaysWhetherAnEarlierOneWouldStillBeRight) {
    ManualExecutor executor;
    const auto chain = chain_of(Anonymous::loopback, &executor, {"password:anna"});
    Decisions decisions;
    authenticate(chain, anna(), 1, decisions);
    executor.run_all();
    authenticate(chain, nobody(Locality::loopback), 2, decisions);
    ASSERT_EQ(decisions.all.size(), 2U);
    Principal user = decisions.all[0].second.principal;
    Principal anonymous = decisions.all[1].second.principal;
    EXPECT_TRUE(chain->still_accepts(user, Locality::remote));
    EXPECT_TRUE(chain->still_accepts(anonymous, Locality::loopback));

    const auto no_admins = chain_of(Anonymous::never, &executor);
    EXPECT_TRUE(no_admins->still_accepts(user, Locality::remote));
    EXPECT_FALSE(user.is_admin);
    EXPECT_FALSE(no_admins->still_accepts(anonymous, Locality::loopback));

    const auto no_users = chain_of(Anonymous::always, nullptr);
    EXPECT_FALSE(no_users->still_accepts(user, Locality::remote));
    EXPECT_TRUE(no_users->still_accepts(anonymous, Locality::loopback));
    Principal other = {.authenticator = "certificate", .name = "x"};
    EXPECT_TRUE(no_users->still_accepts(other, Locality::remote));
}

TEST(Chain, RefusesWrongPasswordsAndUnknownUsersAlike) {
    ManualExecutor executor;
    const auto chain = chain_of(Anonymous::always, &executor);
    EXPECT_EQ(outcome_of(chain, anna("wrong"), &executor), Outcome::bad_credentials);
    ConnectCredentials unknown = anna();
    unknown.user = "carol";
    EXPECT_EQ(outcome_of(chain, unknown, &executor), Outcome::bad_credentials);
    ConnectCredentials without_password = anna();
    without_password.password.reset();
    EXPECT_EQ(outcome_of(chain, without_password, &executor), Outcome::bad_credentials);
}

TEST(Chain, AppliesTheAnonymousPolicy) {
    const std::pair<Anonymous, std::pair<Outcome, Outcome>> table[] = {
        {Anonymous::never, {Outcome::not_authorised, Outcome::not_authorised}},
        {Anonymous::loopback, {Outcome::accepted, Outcome::not_authorised}},
        {Anonymous::always, {Outcome::accepted, Outcome::accepted}},
    };
    for (const auto& [policy, expected] : table) {
        for (ManualExecutor executor; Executor * users_too : {static_cast<Executor*>(nullptr),
                                                              static_cast<Executor*>(&executor)}) {
            const auto chain = chain_of(policy, users_too);
            EXPECT_EQ(outcome_of(chain, nobody(Locality::loopback)), expected.first);
            EXPECT_EQ(outcome_of(chain, nobody(Locality::remote)), expected.second);
        }
    }
}

TEST(Chain, DoesNotBelieveANameThatNobodyVerified) {
    const auto chain = chain_of(Anonymous::always, nullptr, {"password:anna", "anonymous:anna"});
    Decisions decisions;
    authenticate(chain, anna("anything"), 1, decisions);
    ASSERT_EQ(decisions.all.size(), 1U);
    EXPECT_EQ(decisions.all[0].second.outcome, Outcome::accepted);
    EXPECT_EQ(decisions.all[0].second.principal.name, "");
    EXPECT_FALSE(decisions.all[0].second.principal.is_admin);
}

TEST(Chain, HasNoAnswerForClientsThatThereIsNoRoomFor) {
    ManualExecutor executor;
    executor.room = 0;
    EXPECT_EQ(outcome_of(chain_of(Anonymous::never, &executor), anna()), Outcome::overloaded);
}

TEST(Chain, AnswersRequestsThatWereDropped) {
    Decisions decisions;
    {
        ManualExecutor executor;
        authenticate(chain_of(Anonymous::never, &executor), anna(), 1, decisions);
        EXPECT_TRUE(decisions.all.empty());
    }
    ASSERT_EQ(decisions.all.size(), 1U);
    EXPECT_EQ(decisions.all[0].second.outcome, Outcome::unavailable);
}

TEST(Chain, MatchesAdminsByAuthenticatorAndName) {
    const Chain chain{{}, {"password:admin", "jwt:x:y"}};
    EXPECT_TRUE(chain.is_admin("password", "admin"));
    EXPECT_TRUE(chain.is_admin("jwt", "x:y"));
    EXPECT_FALSE(chain.is_admin("certificate", "admin"));
    EXPECT_FALSE(chain.is_admin("password", "admi"));
    EXPECT_FALSE(chain.is_admin("pass", "word:admin"));
    EXPECT_FALSE(chain.is_admin("", ""));
}

/// http.admins is the same question for all who are connected.
TEST(Chain, WhoCameByACertificateIsAnAdministratorAsLongAsHeIsListed) {
    const auto with = [](std::vector<std::string> admins) {
        std::vector<std::unique_ptr<const Authenticator>> links;
        links.push_back(std::make_unique<CertificateAuthenticator>());
        return std::make_shared<const Chain>(std::move(links), std::move(admins));
    };
    ConnectCredentials root = nobody(Locality::remote);
    root.certificate_name = "root";
    Decisions decisions;
    authenticate(with({"certificate:root"}), root, 1, decisions);
    ASSERT_EQ(decisions.all.size(), 1U);
    Principal principal = decisions.all[0].second.principal;
    EXPECT_TRUE(principal.is_admin);
    EXPECT_TRUE(with({})->still_accepts(principal, Locality::remote));
    EXPECT_FALSE(principal.is_admin) << "not listed any more";
    EXPECT_TRUE(with({"password:root"})->still_accepts(principal, Locality::remote));
    EXPECT_FALSE(principal.is_admin) << "somebody else of that name";
    EXPECT_TRUE(with({"certificate:root"})->still_accepts(principal, Locality::remote));
    EXPECT_TRUE(principal.is_admin);
}

TEST(Workers, DecideManyRequestsOnTheirThreads) {
    constexpr std::size_t kRequests = 200;
    Decisions decisions;
    Workers workers{{.threads = 2, .queue_time_max = std::chrono::hours{1}}};
    const auto chain = chain_of(Anonymous::never, &workers);
    for (std::size_t i = 0; i < kRequests; ++i) {
        authenticate(chain, anna(i % 2 == 0 ? "correct horse" : "wrong"), i, decisions);
    }
    decisions.wait_for(kRequests);
    for (const auto& [ticket, decision] : decisions.all) {
        EXPECT_EQ(decision.outcome, ticket % 2 == 0 ? Outcome::accepted : Outcome::bad_credentials);
    }
}

TEST(Workers, AnswerWhatTheyNoLongerRun) {
    constexpr std::size_t kRequests = 100;
    Decisions decisions;
    {
        Workers workers{{.threads = 1, .queue_time_max = std::chrono::hours{1}}};
        const auto chain = chain_of(Anonymous::never, &workers);
        for (std::size_t i = 0; i < kRequests; ++i) authenticate(chain, anna(), i, decisions);
    }
    EXPECT_EQ(decisions.all.size(), kRequests);
}

}  // namespace
}  // namespace stentor::auth
