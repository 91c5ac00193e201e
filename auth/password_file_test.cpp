#include "auth/password_file.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

// mosquitto_passwd 2.0.11: anna "correct horse" ($7$), bob the same ($6$).
constexpr std::string_view kFile =
    "# people\n"
    "anna:$7$101$/KDmxfcF/vNMqgjA$ygEHPNkbKK8YlSxT1fozXHmLB9VLcPT7ZXwf72FcXF2JRF7RHJEv+"
    "qZcPhupWXNape7gCLeicFGcW0/Hd2dD7w==\r\n"
    "\n"
    "bob:$6$+YJE8sE3Dcu58HYV$PCkB7VZZJJkHEUeENDy6tNLQjmk8vZ0NqShe2LDY/"
    "LRg0Dt5/bXAPbfgp1+hyaFakkuu8fuiDBnAvPEL4OTKdQ==";

TEST(PasswordFile, VerifiesItsUsers) {
    const auto file = PasswordFile::parse(kFile);
    ASSERT_TRUE(file.has_value());
    EXPECT_EQ(file->user_names(), (std::vector<std::string>{"anna", "bob"}));
    EXPECT_TRUE(file->verify("anna", "correct horse"));
    EXPECT_TRUE(file->verify("bob", "correct horse"));
    EXPECT_FALSE(file->verify("anna", "wrong"));
    EXPECT_FALSE(file->verify("carol", "correct horse"));
    EXPECT_FALSE(file->verify("", ""));
    EXPECT_FALSE(PasswordFile{}.verify("anna", ""));
}

TEST(PasswordFile, AGuessCostsOneHashOfEachSort) {
    EXPECT_EQ(PasswordFile::parse(kFile)->hashes_per_guess(), 2U);
    const auto slow = PasswordHash::make("new");
    ASSERT_TRUE(slow.has_value());
    const std::string three = with_user(kFile, "carol", *slow);
    EXPECT_EQ(PasswordFile::parse(three)->hashes_per_guess(), 3U);
    EXPECT_EQ(PasswordFile::parse(with_user(three, "dora", *slow))->hashes_per_guess(), 3U);
    EXPECT_EQ(PasswordFile{}.hashes_per_guess(), 0U);
    EXPECT_TRUE(PasswordFile::parse(three)->verify("bob", "correct horse"));
    EXPECT_FALSE(PasswordFile::parse(three)->verify("bob", "wrong"));
}

TEST(PasswordFile, WhoHasNoScramKeysLooksLikeMostWhoHave) {
    const auto line = [](const char* name, const char* iterations) {
        return std::string{name} + ":$scram-sha-256$" + iterations +
               "$W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$"
               "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n";
    };
    const auto file =
        PasswordFile::parse(line("anna", "9000") + line("bob", "4096") + line("carol", "4096"));
    ASSERT_TRUE(file.has_value());
    const ScramUser nobody = file->scram_user("nobody");
    EXPECT_FALSE(nobody.known);
    EXPECT_EQ(nobody.iterations, 4096U);
    EXPECT_EQ(nobody.salt.size(), file->scram_user("anna").salt.size());
    EXPECT_EQ(nobody.salt, file->scram_user("nobody").salt);
    EXPECT_NE(nobody.salt, file->scram_user("somebody").salt);
    EXPECT_EQ(file->scram_user("anna").iterations, 9000U);
}

TEST(PasswordFile, TheVoucherOfAUserChangesWithTheLine) {
    const auto file = PasswordFile::parse(kFile);
    const auto again = PasswordFile::parse(kFile);
    ASSERT_TRUE(file.has_value());
    EXPECT_NE(file->voucher("anna"), 0U);
    EXPECT_EQ(file->voucher("anna"), again->voucher("anna"));
    EXPECT_NE(file->voucher("anna"), file->voucher("bob"));
    EXPECT_EQ(file->voucher("carol"), 0U);
}

TEST(PasswordFile, ReportsEveryMistakeAndNoPassword) {
    const auto file = PasswordFile::parse(
        "anna\n"
        ":$6$AAAA$AAAA\n"
        "carol:hunter2\n"
        "anna b\x01:x\n"
        "dave:$7$101$AAAA$AAAA\n");
    ASSERT_TRUE(file.has_error());
    ASSERT_EQ(file.error().size(), 5U);
    EXPECT_EQ(file.error()[0].what, "a line is user:hash");
    EXPECT_EQ(file.error()[1].what, "a user name must not be empty");
    EXPECT_EQ(file.error()[2].what,
              "not a hash that stentor knows ($argon2id$, $scram-sha-256$, $7$ or $6$)");
    EXPECT_EQ(file.error()[2].column, 7U);
    for (const FileError& error : file.error()) {
        EXPECT_EQ((error.what + error.hint).find("hunter2"), std::string::npos);
    }
    const std::string twice =
        std::string{kFile} + "\nbob:" + std::string{kFile.substr(kFile.rfind(':') + 1)};
    const auto doubled = PasswordFile::parse(twice);
    ASSERT_TRUE(doubled.has_error());
    EXPECT_EQ(doubled.error()[0].what, "the user is listed twice");
    EXPECT_EQ(doubled.error()[0].line, 5U);
}

TEST(PasswordFile, IsEditedWithoutLosingTheRest) {
    const auto hash = PasswordHash::make("new");
    ASSERT_TRUE(hash.has_value());
    const std::string changed = with_user(kFile, "anna", *hash);
    EXPECT_TRUE(changed.starts_with("# people\nanna:$argon2id$"));
    EXPECT_TRUE(changed.ends_with("4OTKdQ=="));
    auto file = PasswordFile::parse(changed);
    ASSERT_TRUE(file.has_value());
    EXPECT_TRUE(file->verify("anna", "new"));
    EXPECT_TRUE(file->verify("bob", "correct horse"));

    file = PasswordFile::parse(with_user(kFile, "carol", *hash));
    ASSERT_TRUE(file.has_value());
    EXPECT_EQ(file->user_names(), (std::vector<std::string>{"anna", "bob", "carol"}));
    EXPECT_EQ(with_user("", "carol", *hash), "carol:" + hash->encoded() + "\n");

    const auto without = without_user(kFile, "bob");
    ASSERT_TRUE(without.has_value());
    EXPECT_TRUE(without->starts_with("# people\nanna:"));
    EXPECT_EQ(without->find("bob"), std::string::npos);
    EXPECT_FALSE(without_user(kFile, "carol").has_value());
    EXPECT_FALSE(without_user("#x:y\n", "#x").has_value());
}

TEST(PasswordFile, KnowsWhichNamesCannotStandInIt) {
    EXPECT_EQ(user_name_error("anna@example.com"), nullptr);
    EXPECT_EQ(user_name_error("größe"), nullptr);
    for (const std::string& bad : {std::string{},
                                   std::string{"a:b"},
                                   std::string{"#a"},
                                   std::string{" a"},
                                   std::string{"a "},
                                   std::string{"a\nb"},
                                   std::string(2000, 'a')}) {
        EXPECT_NE(user_name_error(bad), nullptr) << bad;
    }
}

}  // namespace
}  // namespace stentor::auth
