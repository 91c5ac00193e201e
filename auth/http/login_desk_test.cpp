#include "auth/http/login_desk.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stentor::auth {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart = Instant{} + seconds{100};
constexpr std::int64_t kWall = 1'700'000'000'000;
constexpr const char* kAllow = R"({"result": "allow"})";
constexpr const char* kDeny = R"({"result": "deny", "reason": "locked"})";
constexpr const char* kIgnore = R"({"result": "ignore"})";

class Service final : public LoginService {
  public:
    void ask(QuestionId id, std::uint64_t lane, std::size_t /*bytes*/) override {
        if (desk == nullptr) {
            waiting.push_back(id);
            lanes.push_back(lane);
        } else if (const auto question = desk->begin(id)) {
            asked.emplace_back(id, std::string{question->view()});
        }
    }
    LoginDesk* desk = nullptr;  // null: questions wait
    std::vector<QuestionId> waiting;
    std::vector<std::uint64_t> lanes;
    std::vector<std::pair<QuestionId, std::string>> asked;
};

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): final, and never deleted by its base
class Decisions final : public DecisionSink {
  public:
    void decided(Ticket ticket, Decision decision) noexcept override {
        all.emplace_back(ticket, std::move(decision));
    }
    [[nodiscard]] std::optional<Decision> begins(Ticket ticket) noexcept override {
        if (ticket != gone) return std::nullopt;
        return Decision{.outcome = Outcome::unavailable, .principal = {}, .why = "gone"};
    }
    std::vector<std::pair<Ticket, Decision>> all;
    Ticket gone = 0;  // nobody waits for that one
};

/// In the place of the real link, which needs sockets.
class PassesOn final : public Authenticator {
  public:
    [[nodiscard]] std::string_view name() const noexcept override { return "http"; }
    void ask(Request request) const override { std::move(request).pass_on(); }
    [[nodiscard]] std::uint64_t voucher(std::string_view, Locality) const override { return 3; }
};

class LoginDeskTest : public testing::Test {
  protected:
    LoginDeskTest() { service.desk = &desk; }
    static std::vector<std::unique_ptr<const Authenticator>> links() {
        std::vector<std::unique_ptr<const Authenticator>> made;
        made.push_back(std::make_unique<PassesOn>());
        return made;
    }
    void ask(Ticket ticket, const std::string& password = "secret", Instant now = kStart) {
        ConnectCredentials anna{
            .client_id = "c", .user = "anna", .password = password, .peer_address = {}};
        desk.ask({.request = {chain, std::move(anna), ticket, sink}}, now);
    }
    void answer(const std::string& body, Instant now = kStart, unsigned status = 200) {
        desk.answered(service.asked.back().first, HttpReply{status, body}, now, kWall);
    }
    [[nodiscard]] const Decision& last() const { return sink.all.back().second; }

    std::shared_ptr<const Chain> chain =
        std::make_shared<const Chain>(links(), std::vector<std::string>{"http:root"});
    Decisions sink;
    Service service;
    LoginCounters counters;
    LoginDesk desk{{.keeps_accepted = seconds{60}, .keeps_refused = seconds{5}}, service, counters};
};

TEST_F(LoginDeskTest, AsksAndSaysWhatFollows) {
    ask(1);
    ASSERT_EQ(service.asked.size(), 1U);
    EXPECT_NE(service.asked[0].second.find(R"("username":"anna")"), std::string::npos);
    EXPECT_TRUE(sink.all.empty());
    answer(R"({"result": "allow", "expire_at": 1700000010, "acl": {}, "roles": "meter"})");
    ASSERT_EQ(sink.all.size(), 1U);
    EXPECT_EQ(sink.all[0].first, 1U);
    EXPECT_EQ(last().outcome, Outcome::accepted);
    EXPECT_EQ(last().principal.authenticator, "http");
    EXPECT_EQ(last().principal.name, "anna");
    EXPECT_FALSE(last().principal.is_admin);
    EXPECT_EQ(last().principal.terms.valid_for, seconds{10});
    EXPECT_NE(last().principal.terms.grants, nullptr);
    ASSERT_NE(last().principal.terms.roles, nullptr);
    EXPECT_TRUE(last().principal.terms.roles->contains("meter"));
}

TEST_F(LoginDeskTest, AdministratorsAreAppointedByTheAnswerOrByName) {
    ask(1);
    answer(R"({"result": "allow", "admin": true})");
    EXPECT_TRUE(last().principal.is_admin);
    Principal appointed = last().principal;
    ask(2, "other");
    answer(R"({"result": "allow", "username": "root"})");
    EXPECT_TRUE(last().principal.is_admin);
    Principal listed = last().principal;
    const auto later = std::make_shared<const Chain>(links(), std::vector<std::string>{});
    EXPECT_TRUE(later->still_accepts(appointed, Locality::remote));
    EXPECT_TRUE(appointed.is_admin) << "http.admins had nothing to do with it";
    EXPECT_TRUE(later->still_accepts(listed, Locality::remote));
    EXPECT_FALSE(listed.is_admin) << "it is not listed any more";
}

TEST_F(LoginDeskTest, RefusalsAreWrongPasswords) {
    ask(1);
    answer(kDeny);
    EXPECT_EQ(last().outcome, Outcome::bad_credentials);
    EXPECT_EQ(last().why, "the authentication service refuses: locked");
    ConnectCredentials nobody{.client_id = "c", .user = {}, .password = {}, .peer_address = {}};
    desk.ask({.request = {chain, std::move(nobody), 2, sink}}, kStart);
    answer(kDeny);
    EXPECT_EQ(last().outcome, Outcome::not_authorised) << "there was no password to be wrong";
}

TEST_F(LoginDeskTest, IgnoredClientsGoOnAlongTheChain) {
    ask(1);
    answer(kIgnore);
    EXPECT_EQ(last().outcome, Outcome::bad_credentials);
    EXPECT_EQ(last().why, "unknown user or wrong password") << "the end of the chain says that";
}

TEST_F(LoginDeskTest, AnswersAreRememberedForAWhile) {
    ask(1);
    answer(kAllow);
    ask(2, "secret", kStart + seconds{59});
    ASSERT_EQ(sink.all.size(), 2U);
    EXPECT_EQ(last().outcome, Outcome::accepted);
    EXPECT_EQ(service.asked.size(), 1U);
    ask(3, "secret", kStart + seconds{60});
    EXPECT_EQ(service.asked.size(), 2U);
    answer(kAllow, kStart + seconds{60});
    ask(4, "another", kStart + seconds{60});
    EXPECT_EQ(service.asked.size(), 3U) << "another password is another question";
    EXPECT_EQ(counters.remembered, 1U);
    EXPECT_EQ(counters.asked, 3U);
}

TEST_F(LoginDeskTest, RefusalsAreForgottenSooner) {
    for (const char* body : {kDeny, kIgnore}) {
        const std::string password = body;
        ask(1, password);
        answer(body);
        const std::size_t asked = service.asked.size();
        ask(2, password, kStart + seconds{4});
        EXPECT_EQ(service.asked.size(), asked);
        ask(3, password, kStart + seconds{5});
        EXPECT_EQ(service.asked.size(), asked + 1);
        answer(body, kStart + seconds{5});
    }
}

TEST_F(LoginDeskTest, WhatIsRememberedEndsWhenTheAnswerDoes) {
    ask(1);
    answer(R"({"result": "allow", "expire_at": 1700000010})");
    ask(2, "secret", kStart + milliseconds{9'500});
    EXPECT_EQ(last().principal.terms.valid_for, milliseconds{500}) << "not ten seconds again";
    ask(3, "secret", kStart + seconds{10});
    EXPECT_EQ(service.asked.size(), 2U);
}

TEST_F(LoginDeskTest, NothingIsRememberedWhereThatIsConfigured) {
    LoginDesk forgetful{
        {.keeps_accepted = seconds{0}, .keeps_refused = seconds{5}}, service, counters};
    service.desk = &forgetful;
    for (const char* body : {kAllow, kDeny}) {
        ConnectCredentials anna{
            .client_id = "c", .user = "anna", .password = body, .peer_address = {}};
        forgetful.ask({.request = {chain, std::move(anna), 1, sink}}, kStart);
        forgetful.answered(service.asked.back().first, HttpReply{200, body}, kStart, kWall);
    }
    EXPECT_EQ(forgetful.remembered(), 0U);
}

TEST_F(LoginDeskTest, MadeUpNamesDoNotDriveOutThoseWhoAreKnown) {
    LoginDesk small{{.cache_bytes_max = 4'000}, service, counters};
    service.desk = &small;
    const auto visit = [&](const std::string& password, const char* body) {
        ConnectCredentials anna{
            .client_id = "c", .user = "anna", .password = password, .peer_address = {}};
        const std::size_t asked = service.asked.size();
        small.ask({.request = {chain, std::move(anna), 1, sink}}, kStart);
        if (service.asked.size() == asked) return false;
        small.answered(service.asked.back().first, HttpReply{200, body}, kStart, kWall);
        return true;
    };
    EXPECT_TRUE(visit("right", kAllow));
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(visit("wrong" + std::to_string(i), kDeny));
    EXPECT_FALSE(visit("right", kAllow)) << "still known";
    EXPECT_LT(small.remembered(), 10U);
}

TEST_F(LoginDeskTest, ManyWhoSayTheSameAreOneQuestion) {
    ask(1);
    ask(2);
    ask(3, "other");
    ask(4);
    ASSERT_EQ(service.asked.size(), 2U);
    desk.answered(service.asked[0].first, HttpReply{200, kAllow}, kStart, kWall);
    ASSERT_EQ(sink.all.size(), 3U);
    for (const auto& [ticket, decision] : sink.all) {
        EXPECT_NE(ticket, 3U);
        EXPECT_EQ(decision.outcome, Outcome::accepted);
    }
    desk.answered(service.asked[1].first, HttpReply{200, kDeny}, kStart, kWall);
    EXPECT_EQ(sink.all.back().first, 3U);
    EXPECT_EQ(last().outcome, Outcome::bad_credentials);
    EXPECT_EQ(counters.joined, 2U);
}

TEST_F(LoginDeskTest, NobodyIsAskedAboutWhoHasGoneBeforeItsTurn) {
    service.desk = nullptr;
    sink.gone = 1;
    ask(1);
    ask(2, "other");
    EXPECT_TRUE(sink.all.empty()) << "what waits is not looked at";
    ASSERT_EQ(service.waiting.size(), 2U);
    EXPECT_FALSE(desk.begin(service.waiting[0]).has_value());
    ASSERT_EQ(sink.all.size(), 1U);
    EXPECT_EQ(last().why, "gone");
    EXPECT_TRUE(desk.begin(service.waiting[1]).has_value());
    EXPECT_EQ(counters.asked, 1U);
    ask(1, "other");
    EXPECT_EQ(sink.all.size(), 2U) << "that question has begun";
    desk.answered(service.waiting[1], HttpReply{200, kAllow}, kStart, kWall);
    EXPECT_EQ(sink.all.size(), 3U);
    ask(3);
    EXPECT_EQ(service.waiting.size(), 3U) << "a question of its own";
}

TEST_F(LoginDeskTest, WhoIsTurnedAwayComesAgain) {
    service.desk = nullptr;
    ask(1);
    ask(2);
    desk.turned_away(service.waiting.at(0));
    ASSERT_EQ(sink.all.size(), 2U);
    EXPECT_EQ(last().outcome, Outcome::overloaded);
    EXPECT_FALSE(desk.begin(service.waiting[0]).has_value());
    ask(3);
    EXPECT_EQ(service.waiting.size(), 2U);
}

TEST_F(LoginDeskTest, WhoWaitsForOneAnswerTakesBoundedMemory) {
    const std::string password(std::size_t{1} << 20U, 'x');
    for (Ticket ticket = 1; ticket <= 40; ++ticket) ask(ticket, password);
    EXPECT_EQ(sink.all.size(), 24U);
    EXPECT_EQ(last().outcome, Outcome::overloaded);
    answer(kAllow);
    EXPECT_EQ(sink.all.size(), 40U);
    for (Ticket ticket = 41; ticket <= 56; ++ticket) ask(ticket, password + "other");
    EXPECT_EQ(sink.all.size(), 40U) << "they have given their places back";
}

TEST_F(LoginDeskTest, FailuresAreNobodysFaultAndNotRemembered) {
    ask(1);
    ask(2);
    desk.answered(service.asked[0].first, HttpFailure{"cannot connect"}, kStart, kWall);
    ASSERT_EQ(sink.all.size(), 2U);
    for (const auto& [ticket, decision] : sink.all) {
        EXPECT_EQ(decision.outcome, Outcome::unavailable);
        EXPECT_EQ(decision.why, "the authentication service cannot be asked: cannot connect");
    }
    ask(3);
    EXPECT_EQ(service.asked.size(), 2U);
    answer("garbage");
    EXPECT_EQ(last().outcome, Outcome::unavailable);
    ask(4);
    answer(kAllow, kStart, 500);
    EXPECT_EQ(last().outcome, Outcome::unavailable);
    EXPECT_EQ(counters.failures, 3U);
    ask(5);
    answer(kAllow);
    EXPECT_EQ(last().outcome, Outcome::accepted);
}

TEST_F(LoginDeskTest, SendsEverybodyAwayAtTheEnd) {
    std::atomic<std::size_t> waiting{0};
    for (Ticket ticket = 1; ticket <= 3; ++ticket) {
        WaitingPlace place{waiting};
        ++waiting;
        ConnectCredentials anna{.client_id = "c",
                                .user = "anna",
                                .password = std::to_string(ticket / 2),
                                .peer_address = {}};
        desk.ask({.request = {chain, std::move(anna), ticket, sink}, .place = std::move(place)},
                 kStart);
    }
    EXPECT_EQ(waiting, 3U);
    desk.send_all_away();
    EXPECT_EQ(sink.all.size(), 3U);
    EXPECT_EQ(last().outcome, Outcome::unavailable);
    EXPECT_EQ(waiting, 0U);
    answer(kAllow);  // too late, and nobody there
    EXPECT_EQ(sink.all.size(), 3U);
}

TEST_F(LoginDeskTest, ACertificateIsANameWhereTheServiceGivesNone) {
    ConnectCredentials device{.client_id = "c",
                              .user = "whatever",
                              .password = {},
                              .peer_address = {},
                              .certificate_name = "device-7"};
    desk.ask({.request = {chain, std::move(device), 1, sink}}, kStart);
    answer(kAllow);
    EXPECT_EQ(last().principal.name, "device-7");
}

}  // namespace
}  // namespace stentor::auth
