#include "auth/jwt/jwt_verify.hpp"

#include "auth/jwt/jwt_rules.hpp"
#include "auth/jwt/rfc_vectors.hpp"
#include "auth/jwt/token_maker.hpp"
#include "base/base64.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::int64_t kNow = 1'700'000'000'000;

/// The keys of the tests: making an RSA key takes long.
struct Keys {
    TestKey rsa = TestKey::rsa();
    TestKey ec = TestKey::ec("P-256");
    TestKey secret = TestKey::secret(std::string(64, 's'));
    JwtKeySet set = *JwtKeySet::parse_jwks("{\"keys\":[" + rsa.jwk(R"(,"kid":"rsa")") + ',' +
                                           ec.jwk(R"(,"kid":"ec")") + ',' +
                                           secret.jwk(R"(,"kid":"secret")") + "]}");
};
Keys& keys() {
    static Keys all;
    return all;
}

JwtPolicy policy() {
    JwtPolicy made;
    made.leeway = 0ms;
    return made;
}

std::string claims(std::string_view more) {
    return R"({"sub":"anna","exp":1700000100)" + std::string{more} + '}';
}

std::string token(std::string_view text, JwtAlgorithm algorithm = JwtAlgorithm::hs256) {
    return make_token(keys().secret, algorithm, text);
}

Result<JwtVerdict, JwtRefusal> verify(std::string_view text, const JwtPolicy& with = policy()) {
    return verify_jwt(text, with, keys().set, {.client_id = "c1", .user = "anna"}, kNow);
}

/// Why it is refused; "accepted" otherwise.
std::string refusal(std::string_view text, const JwtPolicy& with = policy()) {
    const auto verdict = verify(text, with);
    return verdict ? "accepted" : verdict.error().why;
}

std::string grants_of(std::string_view acl) {
    const auto verdict = verify(token(claims(R"(,"acl":)" + std::string{acl})));
    if (!verdict) return verdict.error().why;
    if (verdict->grants == nullptr) return "no rules";
    std::string text;
    for (const Grant& grant : verdict->grants->all()) {
        text += std::string{grant.read ? "r" : ""} + (grant.write ? "w" : "") + ':' + grant.filter +
                ' ';
    }
    return text;
}

TEST(Jwt, EveryAlgorithmIsAccepted) {
    for (const std::string_view name : kJwtAlgorithmNames) {
        const JwtAlgorithm algorithm = *jwt_algorithm(name);
        if (algorithm == JwtAlgorithm::es384 || algorithm == JwtAlgorithm::es512) continue;
        const TestKey& key = name.starts_with("HS")   ? keys().secret
                             : name.starts_with("ES") ? keys().ec
                                                      : keys().rsa;
        const auto verdict = verify(make_token(key, algorithm, claims("")));
        ASSERT_TRUE(verdict) << name << verdict.error().why;
        EXPECT_EQ(verdict->user, "anna");
        EXPECT_EQ(verdict->valid_for, 100s);
        EXPECT_EQ(verdict->grants, nullptr);
    }
}

TEST(Jwt, TheExamplesOfRfc7519AreUnderstood) {
    const RfcVector& vector = kRfcVectors[0];  // the token of section 3.1 is signed like this one
    const auto set = *JwtKeySet::parse_jwks("{\"keys\":[" + std::string{vector.jwk} + "]}");
    JwtPolicy joe = policy();
    joe.user_claim = "iss";
    const auto at = [&](std::int64_t now) {
        return verify_jwt(vector.token, joe, set, {.client_id = "c", .user = {}}, now);
    };
    const auto verdict = at(1'300'819'379'000);
    ASSERT_TRUE(verdict) << verdict.error().why;
    EXPECT_EQ(verdict->user, "joe");
    EXPECT_EQ(verdict->valid_for, 1s);
    EXPECT_THAT(at(1'300'819'380'000).error().why, HasSubstr("it expired 0 s ago"));
    // Section 6.1: a token that nobody has signed.
    EXPECT_THAT(
        verify_jwt("eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9"
                   "leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
                   joe,
                   set,
                   {.client_id = "c", .user = {}},
                   1'300'819'379'000)
            .error()
            .why,
        HasSubstr("\"none\" is none that is accepted"));
}

TEST(Jwt, WhatTheRfcsSignThatIsNoClaimsIsRefusedAfterItsSignature) {
    for (const RfcVector& vector : kRfcVectors) {
        if (vector.name.starts_with("RFC 7515 A.1")) continue;
        const auto set = *JwtKeySet::parse_jwks("{\"keys\":[" + std::string{vector.jwk} + "]}");
        const auto verdict =
            verify_jwt(vector.token, policy(), set, {.client_id = "c", .user = {}}, kNow);
        ASSERT_FALSE(verdict);
        EXPECT_THAT(verdict.error().why,
                    testing::AnyOf(HasSubstr("claims are no JSON object"), HasSubstr("expired")))
            << vector.name;
    }
}

TEST(Jwt, NoChangedByteGoesUnnoticed) {
    const std::string good = make_token(keys().ec, JwtAlgorithm::es256, claims(""));
    ASSERT_EQ(refusal(good), "accepted");
    for (std::size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] = bad[i] == 'A' ? 'B' : 'A';
        EXPECT_NE(refusal(bad), "accepted") << i;
        EXPECT_NE(refusal(good.substr(0, i)), "accepted") << i;
    }
    for (const char* more : {"=", "A", ".", ".x", " ", "\n"}) {
        EXPECT_NE(refusal(good + more), "accepted") << more;
    }
}

TEST(Jwt, ThePublicKeyIsNoSecret) {
    // The classic attack: sign with HMAC, and the published key as the secret.
    for (const std::string& secret : {keys().rsa.public_pem(), keys().ec.public_pem()}) {
        const TestKey forger = TestKey::secret(secret);
        EXPECT_THAT(refusal(make_token(forger, JwtAlgorithm::hs256, claims(""))),
                    HasSubstr("its signature is wrong"));
        EXPECT_THAT(refusal(make_token(
                        forger, JwtAlgorithm::hs256, R"({"alg":"HS256","kid":"rsa"})", claims(""))),
                    HasSubstr("no key for its algorithm HS256"));
    }
}

TEST(Jwt, TheConfigurationAndTheKeyPinTheAlgorithm) {
    JwtPolicy only_es = policy();
    only_es.algorithms = {};
    only_es.algorithms.add(JwtAlgorithm::es256);
    EXPECT_THAT(refusal(token(claims("")), only_es), HasSubstr("not among auth.jwt.algorithms"));
    EXPECT_EQ(refusal(make_token(keys().ec, JwtAlgorithm::es256, claims("")), only_es), "accepted");
    // The right key, and a header that lies about the algorithm.
    for (const char* name : {"RS384", "PS256", "ES256", "HS256"}) {
        const std::string header = R"({"alg":")" + std::string{name} + "\"}";
        EXPECT_THAT(refusal(make_token(keys().rsa, JwtAlgorithm::rs256, header, claims(""))),
                    HasSubstr("its signature is wrong"))
            << name;
    }
    // P-521 signs ES512 and nothing else; that key is not there.
    EXPECT_THAT(refusal(make_token(TestKey::ec("P-521"), JwtAlgorithm::es512, claims(""))),
                HasSubstr("no key for its algorithm ES512"));
    for (const char* name : {"none", "None", "hs256", "HS1", "", "ES256K", "EdDSA"}) {
        const std::string header = R"({"alg":")" + std::string{name} + "\"}";
        EXPECT_THAT(refusal(make_token(keys().secret, JwtAlgorithm::hs256, header, claims(""))),
                    HasSubstr("is none that is accepted"))
            << name;
    }
}

TEST(Jwt, KidChoosesTheKey) {
    const auto with = [](std::string_view kid) {
        const std::string header = R"({"alg":"HS256","kid":)" + std::string{kid} + '}';
        return refusal(make_token(keys().secret, JwtAlgorithm::hs256, header, claims("")));
    };
    EXPECT_EQ(with(R"("secret")"), "accepted");
    EXPECT_THAT(with(R"("ec")"), HasSubstr("no key for its algorithm"));
    EXPECT_THAT(with(R"("other")"), HasSubstr("no key with its kid \"other\""));
    EXPECT_THAT(with("5"), HasSubstr("kid is not a string"));
}

TEST(Jwt, HeadersAreUnderstoodOrRefused) {
    const auto with = [](std::string_view header) {
        return refusal(make_token(keys().secret, JwtAlgorithm::hs256, header, claims("")));
    };
    EXPECT_EQ(with(R"({"alg":"HS256","typ":"anything","x5u":"https://x/"})"), "accepted");
    EXPECT_THAT(with(R"({"alg":"HS256","crit":["exp"]})"), HasSubstr("critical extensions"));
    EXPECT_THAT(with(R"({"alg":"HS256","b64":false})"), HasSubstr("critical extensions"));
    EXPECT_THAT(with(R"({"alg":"none","alg":"HS256"})"), HasSubstr("stands twice"));
    EXPECT_THAT(with(R"({"typ":"JWT"})"), HasSubstr("names no algorithm"));
    EXPECT_THAT(with(R"({"alg":["HS256"]})"), HasSubstr("names no algorithm"));
    EXPECT_THAT(with(R"(["HS256"])"), HasSubstr("no JSON object"));
    EXPECT_THAT(with(R"({"alg":"HS256")"), HasSubstr("no JSON object"));
}

TEST(Jwt, LivesFromItsBeginningToItsEnd) {
    const auto with = [](std::string_view times, std::chrono::milliseconds leeway = 0ms) {
        JwtPolicy lenient = policy();
        lenient.leeway = leeway;
        return refusal(token(R"({"sub":"anna",)" + std::string{times} + '}'), lenient);
    };
    EXPECT_EQ(with(R"("exp":1700000001)"), "accepted");
    EXPECT_THAT(with(R"("exp":1700000000)"), HasSubstr("expired 0 s ago"));
    EXPECT_THAT(with(R"("exp":1699999000)"), HasSubstr("expired 1000 s ago"));
    EXPECT_EQ(with(R"("exp":1699999998)", 3s), "accepted");
    EXPECT_THAT(with(R"("exp":1699999997)", 3s), HasSubstr("expired 3 s ago"));
    EXPECT_EQ(with(R"("exp":1700000000.5)"), "accepted");
    EXPECT_EQ(with(R"("exp":1e300)"), "accepted");
    EXPECT_THAT(with(R"("exp":-1e300)"), HasSubstr("expired"));
    EXPECT_THAT(with(R"("exp":"1700000001")"), HasSubstr("exp is not a number"));
    EXPECT_THAT(with(R"("exp":null)"), HasSubstr("exp is not a number"));
    EXPECT_EQ(with(R"("exp":1700000001,"nbf":1700000000,"iat":1700000000)"), "accepted");
    EXPECT_THAT(with(R"("exp":1700000100,"nbf":1700000010)"), HasSubstr("for another 10 s"));
    EXPECT_THAT(with(R"("exp":1700000100,"iat":1700000010)"), HasSubstr("for another 10 s"));
    EXPECT_EQ(with(R"("exp":1700000100,"nbf":1700000010,"iat":1700000010)", 10s), "accepted");
    EXPECT_THAT(with(R"("iat":1700000000)"), HasSubstr("never expires"));
    JwtPolicy for_ever = policy();
    for_ever.expiry_required = false;
    const auto verdict = verify(token(R"({"sub":"anna"})"), for_ever);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->valid_for, std::nullopt);
}

TEST(Jwt, ValidityIncludesTheLeeway) {
    JwtPolicy lenient = policy();
    lenient.leeway = 7s;
    EXPECT_EQ(verify(token(claims("")), lenient)->valid_for, 107s);
}

TEST(Jwt, IsFromAndForTheRightParties) {
    JwtPolicy strict = policy();
    strict.issuer = "https://id.example";
    strict.audience = "mqtt";
    const auto with = [&](std::string_view parties) {
        return refusal(token(claims(parties)), strict);
    };
    EXPECT_EQ(with(R"(,"iss":"https://id.example","aud":"mqtt")"), "accepted");
    EXPECT_EQ(with(R"(,"iss":"https://id.example","aud":["x","mqtt"])"), "accepted");
    EXPECT_THAT(with(R"(,"aud":"mqtt")"), HasSubstr("its iss is not"));
    EXPECT_THAT(with(R"(,"iss":["https://id.example"],"aud":"mqtt")"), HasSubstr("its iss is not"));
    EXPECT_THAT(with(R"(,"iss":"https://id.example")"), HasSubstr("its aud does not"));
    EXPECT_THAT(with(R"(,"iss":"https://id.example","aud":["MQTT",5])"),
                HasSubstr("its aud does not"));
    EXPECT_EQ(refusal(token(claims(R"(,"iss":"any","aud":"any")"))), "accepted");
}

TEST(Jwt, NamesTheUser) {
    EXPECT_THAT(refusal(token(R"({"exp":1700000100})")), HasSubstr("it names no user (claim sub)"));
    for (const char* name : {"5", "null", R"("")", R"(["anna"])", R"("a\u0000b")", R"("a\nb")"}) {
        EXPECT_THAT(refusal(token(R"({"exp":1700000100,"sub":)" + std::string{name} + '}')),
                    HasSubstr("names no user"))
            << name;
    }
    JwtPolicy by_name = policy();
    by_name.user_claim = "preferred_username";
    EXPECT_EQ(verify(token(claims(R"(,"preferred_username":"Änna")")), by_name)->user, "Änna");
}

TEST(Jwt, MayHaveToMatchWhatConnectSays) {
    JwtPolicy strict = policy();
    strict.user_must_match = true;
    EXPECT_EQ(refusal(token(claims("")), strict), "accepted");
    EXPECT_THAT(refusal(token(R"({"exp":1700000100,"sub":"bob"})"), strict),
                HasSubstr("it is for the user \"bob\""));
    strict.client_id_claim = "client";
    EXPECT_EQ(refusal(token(claims(R"(,"client":"c1")")), strict), "accepted");
    EXPECT_THAT(refusal(token(claims(R"(,"client":"c2")")), strict),
                HasSubstr("not for this client identifier"));
    EXPECT_THAT(refusal(token(claims("")), strict), HasSubstr("not for this client identifier"));
}

TEST(Jwt, RulesAreReadFromTheAclClaim) {
    EXPECT_EQ(grants_of(R"({"pub":["a/%c","b/%u/x"],"sub":"n/#","all":["z/+"]})"),
              "w:a/c1 w:b/anna/x r:n/# rw:z/+ ");
    EXPECT_EQ(grants_of(R"({"publish":["${clientid}/${username}"],"subscribe":["x"]})"),
              "w:c1/anna r:x ");
    EXPECT_EQ(grants_of("{}"), "");
    EXPECT_THAT(grants_of("null"), HasSubstr("rules are not a JSON object"));
    EXPECT_THAT(grants_of("[]"), HasSubstr("rules are not a JSON object"));
    EXPECT_THAT(grants_of(R"({"deny":["x"]})"), HasSubstr("\"deny\" that is none of"));
    EXPECT_THAT(grants_of(R"({"pub":[5]})"), HasSubstr("no topic filters below \"pub\""));
    EXPECT_THAT(grants_of(R"({"pub":{}})"), HasSubstr("no topic filters below \"pub\""));
    EXPECT_THAT(grants_of(R"({"pub":["a/#/b"]})"), HasSubstr("is not a topic filter"));
    EXPECT_THAT(grants_of(R"({"pub":[""]})"), HasSubstr("is not a topic filter"));
    JwtPolicy without = policy();
    without.acl_claim.clear();
    EXPECT_EQ(verify(token(claims(R"(,"acl":{"deny":1})")), without)->grants, nullptr);
}

std::string roles_of(const RoleNamesPtr& roles) {
    std::string text;
    if (roles == nullptr) return text;
    (void)roles->all_of([&](std::string_view name) {
        text += std::string{name} + ';';
        return true;
    });
    return text;
}

std::string roles_of(std::string_view claim, const JwtPolicy& with = policy()) {
    const auto verdict = verify(token(claims(R"(,"roles":)" + std::string{claim})), with);
    return verdict ? roles_of(verdict->roles) : verdict.error().why;
}

TEST(Jwt, RolesAreNamedByAClaim) {
    EXPECT_EQ(roles_of(R"(["meter","a reader","meter"])"), "meter;a reader;");
    EXPECT_EQ(roles_of(R"(" meter  reader ")"), "meter;reader;");
    EXPECT_EQ(roles_of("[]"), "");
    EXPECT_EQ(roles_of(R"("")"), "");
    EXPECT_EQ(roles_of(verify(token(claims("")))->roles), "");
    JwtPolicy scope = policy();
    scope.roles_claim = "scope";
    EXPECT_EQ(roles_of("17", scope), "") << "another claim is meant";
    EXPECT_EQ(roles_of(verify(token(claims(R"(,"scope":"a b")")), scope)->roles), "a;b;");
    scope.roles_claim.clear();
    EXPECT_EQ(roles_of("17", scope), "");
}

TEST(Jwt, RolesThatAreNotUnderstoodAreARefusal) {
    for (const char* claim : {"null", "{}", "17", "true"}) {
        EXPECT_THAT(roles_of(claim), HasSubstr("roles are neither an array nor a text")) << claim;
    }
    EXPECT_THAT(roles_of(R"(["a",17])"), HasSubstr("roles are not all texts"));
    EXPECT_THAT(roles_of(R"([""])"), HasSubstr("one of its roles is no name"));
    EXPECT_THAT(roles_of(R"(["a\nb"])"), HasSubstr("one of its roles is no name"));
    EXPECT_THAT(roles_of("[\"" + std::string(kRoleNameBytesMax + 1, 'r') + "\"]"),
                HasSubstr("one of its roles is no name"));
    const auto many = [](std::size_t count) {
        std::string text = "\"";
        for (std::size_t i = 0; i < count; ++i) text += std::to_string(i) + ' ';
        return text + '"';
    };
    EXPECT_THAT(roles_of(many(kRolesMax)), HasSubstr("63;"));
    EXPECT_THAT(roles_of(many(kRolesMax + 1)), HasSubstr("more than 64 roles"));
}

TEST(Jwt, NamesThatReachIntoOtherTopicsGrantNothing) {
    const std::string text = token(claims(R"(,"acl":{"pub":["a/%c/#","b/%u","c"]})"));
    for (const char* client : {"+", "#", "x/y", "x/#", ""}) {
        const auto verdict = verify_jwt(
            text, policy(), keys().set, {.client_id = client, .user = std::nullopt}, kNow);
        ASSERT_TRUE(verdict);
        ASSERT_EQ(verdict->grants->all().size(), 2U) << client;
        EXPECT_EQ(verdict->grants->all()[0].filter, "b/anna");
    }
}

TEST(Jwt, HasBounds) {
    const auto rules = [](std::size_t count) {
        std::string all = R"("x")";
        for (std::size_t i = 1; i < count; ++i) all += R"(,"x")";
        return "{\"pub\":[" + all + "]}";
    };
    EXPECT_EQ(grants_of(rules(kJwtRulesMax)).size(), 4 * kJwtRulesMax);
    EXPECT_THAT(grants_of(rules(kJwtRulesMax + 1)), HasSubstr("more than 256 topic filters"));
    EXPECT_THAT(refusal(token(claims(R"(,"x":")" + std::string(kJwtBytesMax, 'x') + '"'))),
                HasSubstr("more than 16384"));
    EXPECT_THAT(refusal(token(claims(",\"x\":" + std::string(100, '[') + std::string(100, ']')))),
                HasSubstr("no JSON object"));
    EXPECT_THAT(refusal(token(R"({"exp":1700000100,"sub":")" + std::string(1025, 'x') + "\"}")),
                HasSubstr("names no user"));
}

TEST(Jwt, LooksUnlikeAPassword) {
    EXPECT_TRUE(looks_like_jwt(token(claims(""))));
    EXPECT_TRUE(looks_like_jwt("eyJhbGciOiJub25lIn0.e30."));
    EXPECT_TRUE(looks_like_jwt(make_token(keys().secret, JwtAlgorithm::hs256, "{ }", "{}")));
    for (const char* text :
         {"", "e", "correct horse", "e.e.e", "eyJ.x", "eyJ.x.y.z", "eyJ.x.y=", "a.b.c", "eA.b.c"}) {
        EXPECT_FALSE(looks_like_jwt(text)) << text;
    }
}

}  // namespace
}  // namespace stentor::auth
