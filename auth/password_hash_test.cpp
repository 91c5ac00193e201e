#include "auth/password_hash.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

// Written by mosquitto_passwd 2.0.11.
constexpr std::string_view kMosquitto6 =
    "$6$+YJE8sE3Dcu58HYV$PCkB7VZZJJkHEUeENDy6tNLQjmk8vZ0NqShe2LDY/"
    "LRg0Dt5/bXAPbfgp1+hyaFakkuu8fuiDBnAvPEL4OTKdQ==";
constexpr std::string_view kMosquitto7 =
    "$7$101$/KDmxfcF/vNMqgjA$ygEHPNkbKK8YlSxT1fozXHmLB9VLcPT7ZXwf72FcXF2JRF7RHJEv+"
    "qZcPhupWXNape7gCLeicFGcW0/Hd2dD7w==";
constexpr std::string_view kMosquitto7Utf8 =
    "$7$101$tyEhUsbhPuUURmd2$+By9VWbTtyCRdCQnqlUNj7sgc7WFfHW8ZgSN4HFy/"
    "1px2pcRtBB28dQOP4xYCiM/7oFbpyGC26/HnuzHTJMsXA==";
// The test vector of the reference implementation: "password", "somesalt", t=2, m=64 KiB.
constexpr std::string_view kArgon2 =
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

PasswordHash hash(std::string_view encoded) {
    auto parsed = PasswordHash::parse(encoded);
    EXPECT_TRUE(parsed.has_value()) << encoded;
    return *std::move(parsed);
}

TEST(PasswordHash, VerifiesWhatMosquittoWrote) {
    EXPECT_TRUE(hash(kMosquitto6).verify("correct horse"));
    EXPECT_FALSE(hash(kMosquitto6).verify("correct horsf"));
    EXPECT_FALSE(hash(kMosquitto6).verify(""));
    EXPECT_TRUE(hash(kMosquitto7).verify("correct horse"));
    EXPECT_FALSE(hash(kMosquitto7).verify("Correct horse"));
    EXPECT_TRUE(hash(kMosquitto7Utf8).verify("pässwörd"));
}

TEST(PasswordHash, VerifiesTheReferenceVectorOfArgon2id) {
    EXPECT_TRUE(hash(kArgon2).verify("password"));
    EXPECT_FALSE(hash(kArgon2).verify("passwore"));
}

TEST(PasswordHash, WritesWhatItRead) {
    for (const std::string_view encoded : {kMosquitto6, kMosquitto7, kMosquitto7Utf8, kArgon2}) {
        EXPECT_EQ(hash(encoded).encoded(), encoded);
    }
}

TEST(PasswordHash, MakesArgon2idWithASaltOfItsOwn) {
    const auto one = PasswordHash::make("secret");
    const auto two = PasswordHash::make("secret");
    ASSERT_TRUE(one.has_value());
    ASSERT_TRUE(two.has_value());
    EXPECT_TRUE(one->encoded().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    EXPECT_NE(one->encoded(), two->encoded());
    EXPECT_TRUE(hash(one->encoded()).verify("secret"));
    EXPECT_FALSE(hash(one->encoded()).verify("Secret"));
}

TEST(PasswordHash, HasADecoyOfTheSameCostThatNothingOpens) {
    const PasswordHash original = hash(kArgon2);
    const PasswordHash decoy = original.decoy();
    EXPECT_EQ(decoy.cost(), original.cost());
    EXPECT_EQ(decoy.kind(), original.kind());
    EXPECT_FALSE(decoy.verify("password"));
    EXPECT_GT(original.cost(), hash(kMosquitto7).cost());
    EXPECT_GT(hash(kMosquitto7).cost(), hash(kMosquitto6).cost());
}

TEST(PasswordHash, RefusesDamagedAndExcessiveHashes) {
    const std::string good7{kMosquitto7};
    const std::string good_argon2{kArgon2};
    const auto replaced = [](std::string text, std::string_view from, std::string_view to) {
        text.replace(text.find(from), from.size(), to);
        return text;
    };
    for (const std::string& bad : {
             std::string{},
             std::string{"secret"},
             std::string{"$1$abc$def"},
             std::string{"$7$"},
             std::string{"$6$$"},
             std::string{"$6$AAAA$AAAA"},
             good7.substr(0, good7.size() - 4),
             good7 + "$",
             good7 + "$more",
             replaced(good7, "101", "0"),
             replaced(good7, "101", "99999999"),
             replaced(good7, "101", "-1"),
             replaced(good7, "ygEH", "yg*H"),
             replaced(good_argon2, "m=256", "m=99999999"),
             replaced(good_argon2, "m=256", "m=1"),
             replaced(good_argon2, "t=2", "t=0"),
             replaced(good_argon2, ",p=1", ""),
             replaced(good_argon2, "c29tZXNhbHQ", "c29t"),
             replaced(good_argon2, "v=19", "v=16"),
             good_argon2.substr(0, good_argon2.size() - 30),
         }) {
        EXPECT_TRUE(PasswordHash::parse(bad).has_error()) << bad;
    }
}

}  // namespace
}  // namespace stentor::auth
