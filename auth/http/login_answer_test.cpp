#include "auth/http/login_answer.hpp"

#include "auth/http/login_question.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000;

Result<LoginAnswer, HttpFailure> read(std::string body, unsigned status = 200) {
    return read_login_answer(
        {.status = status, .body = std::move(body)}, {.client_id = "c1", .user = "anna"}, kNow);
}

std::string why(std::string body, unsigned status = 200) {
    const auto answer = read(std::move(body), status);
    return answer ? "understood" : answer.error().why;
}

TEST(LoginAnswer, LetsInUnderTheNameThatConnectGave) {
    const auto answer = read(R"({"result": "allow"})");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->result, LoginResult::allow);
    EXPECT_EQ(answer->user, "anna");
    EXPECT_EQ(answer->grants, nullptr);
    EXPECT_FALSE(answer->is_admin);
    EXPECT_FALSE(answer->valid_for);
}

TEST(LoginAnswer, SaysWhatForAndUntilWhen) {
    const auto answer = read(R"({"result": "allow", "username": "tenant-7", "admin": true,
        "expire_at": 1700000001.5, "acl": {"pub": ["up/%c/#"], "sub": "of/%u"},
        "roles": ["meter", "reader"]})");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->user, "tenant-7");
    EXPECT_TRUE(answer->is_admin);
    EXPECT_EQ(answer->valid_for, std::chrono::milliseconds{1500});
    ASSERT_NE(answer->grants, nullptr);
    ASSERT_EQ(answer->grants->all().size(), 2U);
    EXPECT_EQ(answer->grants->all()[0].filter, "up/c1/#");
    EXPECT_EQ(answer->grants->all()[1].filter, "of/tenant-7") << "the name that it gives itself";
    ASSERT_NE(answer->roles, nullptr);
    EXPECT_TRUE(answer->roles->contains("meter"));
    EXPECT_TRUE(answer->roles->contains("reader"));
}

TEST(LoginAnswer, NullIsAsGoodAsMissing) {
    const auto answer = read(
        R"({"result": "allow", "username": null, "admin": null, "expire_at": null, "acl": null,
            "roles": null})");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->user, "anna");
    EXPECT_EQ(answer->grants, nullptr);
    EXPECT_EQ(answer->roles, nullptr);
}

TEST(LoginAnswer, RefusesAndPassesOn) {
    const auto deny = read(R"({"result": "deny", "reason": "locked"})");
    ASSERT_TRUE(deny);
    EXPECT_EQ(deny->result, LoginResult::deny);
    EXPECT_EQ(deny->reason, "locked");
    const auto ignore = read(R"({"result": "ignore"})");
    ASSERT_TRUE(ignore);
    EXPECT_EQ(ignore->result, LoginResult::ignore);
}

TEST(LoginAnswer, WhatHasExpiredIsARefusal) {
    const auto answer = read(R"({"result": "allow", "expire_at": 1700000000})");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->result, LoginResult::deny);
    EXPECT_NE(answer->reason.find("expire_at"), std::string::npos);
}

TEST(LoginAnswer, ReasonsAreCutBetweenCharacters) {
    std::string text = "x";
    for (int i = 0; i < 150; ++i) text += "é";
    const auto answer = read(R"({"result": "deny", "reason": ")" + text + "\"}");
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->reason.size(), 199U);
}

TEST(LoginAnswer, IsVoidWhenItIsNotUnderstood) {
    struct {
        const char* body;
        const char* said;
    } const kVoid[] = {
        {"", "no JSON object"},
        {"<html>", "no JSON object"},
        {"[]", "not a JSON object"},
        {R"({"result": "allow"} x)", "no JSON object"},
        {R"({"result": "allow", "result": "deny"})", "stands twice"},
        {"{}", "no \"result\""},
        {R"({"result": true})", "no \"result\""},
        {R"({"result": "yes"})", "none of allow, deny and ignore"},
        {R"({"result": "allow", "is_superuser": true})", "a member \"is_superuser\""},
        {R"({"result": "deny", "expires": 1})", "a member \"expires\""},
        {R"({"result": "allow", "admin": "yes"})", "\"admin\""},
        {R"({"result": "allow", "username": ""})", "\"username\""},
        {R"({"result": "allow", "username": "a\u0000b"})", "\"username\""},
        {R"({"result": "allow", "username": 7})", "\"username\""},
        {R"({"result": "allow", "expire_at": "soon"})", "\"expire_at\""},
        {R"({"result": "allow", "acl": []})", "not a JSON object"},
        {R"({"result": "allow", "roles": {"meter": true}})", "neither an array nor a text"},
        {R"({"result": "allow", "roles": ["a", null]})", "not all texts"},
        {R"({"result": "allow", "acl": {"deny": ["x"]}})", "\"deny\""},
        {R"({"result": "allow", "acl": {"pub": ["a/#/b"]}})", "not a topic filter"},
    };
    for (const auto& [body, said] : kVoid) {
        EXPECT_NE(why(body).find(said), std::string::npos) << body << " -> " << why(body);
    }
}

TEST(LoginAnswer, OnlyStatus200IsAnAnswer) {
    const std::string good = R"({"result": "allow"})";
    for (const unsigned status : {100U, 201U, 204U, 400U, 500U, 503U}) {
        EXPECT_NE(why(good, status).find("status " + std::to_string(status)), std::string::npos);
    }
    EXPECT_NE(why(good, 302).find("redirect"), std::string::npos);
    EXPECT_NE(why(good, 403).find("headers_file"), std::string::npos);
    EXPECT_NE(why(good, 404).find("auth.http.url"), std::string::npos);
}

ConnectCredentials client() {
    return {.client_id = "c1",
            .user = "an\"na",
            .password = "pass",
            .peer_address = "192.0.2.1",
            .certificate_name = {},
            .listener = "mqtt://127.0.0.1:1883"};
}

TEST(LoginQuestion, IsJson) {
    EXPECT_EQ(login_question(client()).view(),
              R"({"clientid":"c1","username":"an\"na","password":"pass","address":"192.0.2.1",)"
              R"("listener":"mqtt://127.0.0.1:1883","certificate":null})");
    ConnectCredentials bare = client();
    bare.user.reset();
    bare.password.reset();
    bare.certificate_name = "device-7";
    EXPECT_EQ(login_question(bare).view(),
              R"({"clientid":"c1","username":null,"password":null,"address":"192.0.2.1",)"
              R"("listener":"mqtt://127.0.0.1:1883","certificate":"device-7"})");
    ConnectCredentials empty = client();
    empty.password = "";
    EXPECT_NE(login_question(empty).view().find(R"("password":"")"), std::string_view::npos);
}

TEST(LoginQuestion, PasswordsAreAnyBytes) {
    ConnectCredentials binary = client();
    binary.password = "\xFF\x00";
    EXPECT_NE(login_question(binary).view().find(R"("password_base64":"/w==")"),
              std::string_view::npos)
        << login_question(binary).view();
    binary.password = std::string(60'000, '\x01');
    EXPECT_GT(login_question(binary).view().size(), 6U * 60'000U);
    binary.password = std::string(60'000, '\xFF');
    EXPECT_GT(login_question(binary).view().size(), 80'000U);
}

TEST(LoginQuestion, FingerprintsDifferWhereAnythingDoes) {
    const FingerprintMaker maker;
    const Fingerprint first = maker.of(login_question(client()));
    EXPECT_EQ(first, maker.of(login_question(client())));
    EXPECT_NE(first, FingerprintMaker{}.of(login_question(client()))) << "another key";
    for (auto member : {&ConnectCredentials::client_id,
                        &ConnectCredentials::peer_address,
                        &ConnectCredentials::listener,
                        &ConnectCredentials::certificate_name}) {
        ConnectCredentials other = client();
        other.*member += 'x';
        EXPECT_NE(first, maker.of(login_question(other)));
    }
    for (auto member : {&ConnectCredentials::user, &ConnectCredentials::password}) {
        ConnectCredentials other = client();
        other.*member = "other";
        EXPECT_NE(first, maker.of(login_question(other)));
        (other.*member).reset();
        EXPECT_NE(first, maker.of(login_question(other)));
    }
}

TEST(SecretText, LeavesNothingBehind) {
    SecretText from{"short"};
    const SecretText to{std::move(from)};
    EXPECT_EQ(to.view(), "short");
    EXPECT_EQ(from.view(), "");  // NOLINT(bugprone-use-after-move): that is the question
}

}  // namespace
}  // namespace stentor::auth
