#include "auth/ban_list.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

constexpr std::int64_t kBefore = 1'798'675'200'000 - 1;  // 2026-12-31 00:00 UTC, less a moment

TEST(BanList, BansByClientUserAndAddress) {
    const auto bans = BanList::parse(
        "# who\r\n"
        "client sensor 17\r\n"
        "\tuser  mallory\n"
        "address 192.0.2.7\n"
        "address 10.0.0.0/8\n"
        "address 2001:db8::/32\n");
    ASSERT_TRUE(bans.has_value());
    EXPECT_EQ(bans->size(), 5U);
    EXPECT_TRUE(bans->bans_client("sensor 17", 0));
    EXPECT_FALSE(bans->bans_client("sensor", 0));
    EXPECT_FALSE(bans->bans_client("mallory", 0));
    EXPECT_TRUE(bans->bans_user("mallory", 0));
    EXPECT_FALSE(bans->bans_user("", 0));
    for (const char* address : {"192.0.2.7", "::ffff:192.0.2.7", "10.255.0.1", "2001:db8:1::1"}) {
        EXPECT_TRUE(bans->bans_address(address, 0)) << address;
    }
    for (const char* address : {"192.0.2.8", "11.0.0.1", "2001:db9::1", "", "host"}) {
        EXPECT_FALSE(bans->bans_address(address, 0)) << address;
    }
}

TEST(BanList, EndsWhenItSays) {
    const auto good = BanList::parse(
        "client a until 2026-12-31\n"
        "user u until 2026-12-31T00:00:00Z\n"
        "address 192.0.2.0/24 until 2026-12-31\n"
        "client b until 2026-12-31\n"
        "client b until 2025-01-01\n");
    ASSERT_TRUE(good.has_value());
    EXPECT_TRUE(good->bans_client("a", kBefore));
    EXPECT_FALSE(good->bans_client("a", kBefore + 1));
    EXPECT_TRUE(good->bans_client("b", kBefore));
    EXPECT_TRUE(good->bans_user("u", kBefore));
    EXPECT_FALSE(good->bans_user("u", kBefore + 1));
    EXPECT_TRUE(good->bans_address("192.0.2.9", kBefore));
    EXPECT_FALSE(good->bans_address("192.0.2.9", kBefore + 1));
}

TEST(BanList, NamesEveryMistake) {
    const auto bans = BanList::parse(
        "klient a\n"
        "client\n"
        "address 10.0.0.0/33\n"
        "user u until tomorrow\n"
        "user u until 2026-02-30\n"
        "user u until 2026-02-03T24:00:00Z\n");
    ASSERT_TRUE(bans.has_error());
    const auto& errors = bans.error();
    ASSERT_EQ(errors.size(), 6U);
    for (std::uint32_t i = 0; i < 6; ++i) {
        EXPECT_EQ(errors[i].line, i + 1);
        EXPECT_FALSE(errors[i].hint.empty());
    }
    EXPECT_EQ(errors[2].column, 9U);
    EXPECT_EQ(errors[2].length, 11U);
    EXPECT_EQ(errors[3].what, "not a date");
    EXPECT_EQ(errors[3].column, 14U);
}

}  // namespace
}  // namespace stentor::auth
