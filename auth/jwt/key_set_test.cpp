#include "auth/jwt/key_set.hpp"

#include "auth/jwt/json.hpp"
#include "auth/jwt/rfc_vectors.hpp"
#include "auth/jwt/token_maker.hpp"
#include "base/base64.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace stentor::auth {
namespace {

using testing::HasSubstr;

std::string of_set(std::string_view keys) { return "{\"keys\":[" + std::string{keys} + "]}"; }

std::string mistakes(const Result<JwtKeySet, std::vector<FileError>>& read) {
    if (read) return "none";
    std::string all;
    for (const FileError& error : read.error()) {
        all += std::to_string(error.line) + ':' + std::to_string(error.column) + ": " + error.what +
               " (" + error.hint + ")\n";
    }
    return all;
}

std::string in_set(std::string_view keys) { return mistakes(JwtKeySet::parse_jwks(of_set(keys))); }
std::string in_file(std::string_view text) { return mistakes(JwtKeySet::parse_key_file(text)); }

std::string algorithms_of(const JwtKey& key) {
    std::string names;
    for (const std::string_view name : kJwtAlgorithmNames) {
        if (key.fits(*jwt_algorithm(name))) names += std::string{name} + ' ';
    }
    return names;
}

TEST(JwtKeySet, ReadsTheKeysOfTheRfcsAndTheyVerifyTheirSignatures) {
    for (const RfcVector& vector : kRfcVectors) {
        const auto set = JwtKeySet::parse_jwks(of_set(vector.jwk));
        ASSERT_TRUE(set) << vector.name << mistakes(set);
        const JwtKey& key = set->keys().at(0);
        ASSERT_TRUE(key.fits(vector.algorithm)) << vector.name;
        const auto dot = vector.token.rfind('.');
        const std::string_view text = vector.token.substr(0, dot);
        Bytes signature = *from_base64url(vector.token.substr(dot + 1));
        EXPECT_TRUE(key.verify(vector.algorithm, text, signature)) << vector.name;
        EXPECT_FALSE(key.verify(vector.algorithm, text.substr(1), signature)) << vector.name;
        signature.back() ^= std::byte{1};
        EXPECT_FALSE(key.verify(vector.algorithm, text, signature)) << vector.name;
        signature.pop_back();
        EXPECT_FALSE(key.verify(vector.algorithm, text, signature)) << vector.name;
        EXPECT_FALSE(key.verify(vector.algorithm, text, {})) << vector.name;
    }
}

TEST(JwtKeySet, TheKindOfAKeyPinsItsAlgorithms) {
    const TestKey rsa = TestKey::rsa();
    const auto set = JwtKeySet::parse_jwks(of_set(
        rsa.jwk() + ',' + rsa.jwk(R"(,"alg":"PS256")") + ',' + TestKey::ec("P-384").jwk() + ',' +
        TestKey::secret(std::string(48, 'x')).jwk() + ',' +
        TestKey::secret(std::string(64, 'x')).jwk(R"(,"alg":"HS256","key_ops":["verify"])")));
    ASSERT_TRUE(set) << mistakes(set);
    EXPECT_EQ(algorithms_of(set->keys()[0]), "RS256 RS384 RS512 PS256 PS384 PS512 ");
    EXPECT_EQ(algorithms_of(set->keys()[1]), "PS256 ");
    EXPECT_EQ(algorithms_of(set->keys()[2]), "ES384 ");
    EXPECT_EQ(algorithms_of(set->keys()[3]), "HS256 HS384 ");
    EXPECT_EQ(algorithms_of(set->keys()[4]), "HS256 ");
}

TEST(JwtKeySet, AFileHoldsAPublicKeyOrASecret) {
    const auto algorithms = [](std::string_view text) {
        const auto set = JwtKeySet::parse_key_file(text);
        return set ? algorithms_of(set->keys().at(0)) : mistakes(set);
    };
    EXPECT_EQ(algorithms(TestKey::rsa().public_pem()), "RS256 RS384 RS512 PS256 PS384 PS512 ");
    EXPECT_EQ(algorithms(TestKey::ec("P-256").public_pem()), "ES256 ");
    EXPECT_EQ(algorithms(std::string(32, 's') + '\n'), "HS256 ");
    EXPECT_THAT(in_file(std::string(31, 's') + '\n'), HasSubstr("the secret has 31 bytes"));
    EXPECT_THAT(in_file(""), HasSubstr("the secret has 0 bytes"));
}

TEST(JwtKeySet, NoKeyIsEverTakenForASecret) {
    const TestKey key = TestKey::ec("P-256");
    EXPECT_THAT(in_file(key.private_pem()), HasSubstr("private key"));
    std::string broken = key.public_pem();
    broken.insert(broken.size() / 2, "?");
    EXPECT_THAT(in_file(broken), HasSubstr("no public key"));
    EXPECT_THAT(in_file(key.public_pem() + key.public_pem()), HasSubstr("more than one key"));
    EXPECT_THAT(in_file(of_set(key.jwk())), HasSubstr("auth.jwt.jwks_file"));
    EXPECT_THAT(in_file("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0 anna@home\n"),
                HasSubstr("OpenSSH"));
    EXPECT_THAT(in_file(std::string("\x30\x82\x01\x22") + std::string(290, 'x')), HasSubstr("DER"));
    EXPECT_THAT(in_file(TestKey::rsa(1024).public_pem()), HasSubstr("1024 bits"));
    EXPECT_THAT(in_file(TestKey::ec("secp256k1").public_pem()), HasSubstr("secp256k1"));
}

TEST(JwtKeySet, NamesMistakesWithTheirPlaceAndARemedy) {
    EXPECT_THAT(mistakes(JwtKeySet::parse_jwks("{\"keys\":\n [{]}")), HasSubstr("2:4: "));
    EXPECT_THAT(mistakes(JwtKeySet::parse_jwks(TestKey::ec("P-256").jwk())),
                HasSubstr("put it into"));
    EXPECT_THAT(in_set(""), HasSubstr("no key in it"));
    EXPECT_THAT(in_set("\n5,\n {\"kty\":\"RSA\"},\n\n {}"),
                testing::AllOf(HasSubstr("2:1: key 1: not an object"),
                               HasSubstr("3:2: key 2: \"n\" is missing (see RFC 7518"),
                               HasSubstr("5:2: key 3: \"kty\" is missing")));
    EXPECT_THAT(in_set(R"({"kty":"RSA","n":"AQ==","e":"AQAB"})"), HasSubstr("not base64url"));
    EXPECT_THAT(in_set(R"({"kty":"RSA","n":"AQ","e":"Ag"})"), HasSubstr("not those of an RSA"));
    EXPECT_THAT(in_set(R"({"kty":"RSA","n":"AQ","e":"AQAB"})"), HasSubstr("bits"));
    EXPECT_THAT(in_set(R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})"),
                HasSubstr("32 bytes each"));
    const std::string zeros(43, 'A');
    EXPECT_THAT(in_set(R"({"kty":"EC","crv":"P-256","x":")" + zeros + R"(","y":")" + zeros + "\"}"),
                HasSubstr("not on the curve"));
    EXPECT_THAT(in_set(R"({"kty":"oct","k":"c2hvcnQ"})"), HasSubstr("the secret has 5 bytes"));
    EXPECT_THAT(in_set(TestKey::rsa().jwk(R"(,"alg":"ES256")")), HasSubstr("it says \"ES256\""));
    EXPECT_THAT(in_set(TestKey::ec("P-256").jwk(R"(,"d":"AQ")")), HasSubstr("private key"));
    EXPECT_THAT(in_set(TestKey::ec("P-256").jwk(R"(,"kid":7)")), HasSubstr("\"kid\" is not"));
}

TEST(JwtKeySet, LeavesOutWhatIsNotMeantForUs) {
    const std::string good = TestKey::ec("P-256").jwk(R"(,"kid":"mine")");
    const auto set = JwtKeySet::parse_jwks(
        of_set(R"({"kty":"OKP","crv":"Ed25519","x":"AQ"},{"kty":"EC","crv":"secp256k1"},)" +
               TestKey::ec("P-256").jwk(R"(,"use":"enc")") + ',' +
               TestKey::ec("P-256").jwk(R"(,"key_ops":["deriveKey"])") + ',' +
               TestKey::rsa().jwk(R"(,"alg":"RSA-OAEP")") + ',' + good));
    ASSERT_TRUE(set) << mistakes(set);
    ASSERT_EQ(set->keys().size(), 1U);
    EXPECT_EQ(set->keys()[0].id(), "mine");
    EXPECT_EQ(set->keys()[0].description(), "EC P-256");
    EXPECT_EQ(set->notes().size(), 5U);
}

TEST(JwtKeySet, HasABound) {
    const std::string key = TestKey::secret(std::string(32, 's')).jwk();
    std::string many = key;
    for (std::size_t i = 1; i < kJwtKeysMax; ++i) many += ",\n" + key;
    EXPECT_EQ(in_set(many), "none");
    EXPECT_THAT(in_set(many + ",\n" + key), HasSubstr("65:1: more than 64 keys"));
}

}  // namespace
}  // namespace stentor::auth
