#include "auth/http/service_headers.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

TEST(ServiceHeaders, AreNamesAndValues) {
    const auto headers = parse_service_headers(
        "# for the login service\n\nAuthorization: Bearer abc:def \r\nX-Tenant:7\nX-Empty:");
    ASSERT_TRUE(headers);
    ASSERT_EQ(headers->size(), 3U);
    EXPECT_EQ((*headers)[0].name, "Authorization");
    EXPECT_EQ((*headers)[0].value, "Bearer abc:def");
    EXPECT_EQ((*headers)[1].value, "7");
    EXPECT_EQ((*headers)[2].value, "");
}

TEST(ServiceHeaders, MistakesAreNamedAndSecretsAreNot) {
    const auto headers = parse_service_headers(
        "secret\n secret: x\nHost: secret\ncontent-LENGTH: 3\nX-Y: sec\x01ret\nGood: yes\n");
    ASSERT_FALSE(headers);
    const auto& errors = headers.error();
    ASSERT_EQ(errors.size(), 5U);
    for (std::uint32_t i = 0; i < 5; ++i) {
        EXPECT_EQ(errors[i].line, i + 1);
        EXPECT_EQ(errors[i].what.find("secret"), std::string::npos);
    }
    EXPECT_NE(errors[2].what.find("Host"), std::string::npos);
}

TEST(ServiceHeaders, AreFew) {
    std::string text;
    for (int i = 0; i < 33; ++i) text += "X: y\n";
    EXPECT_FALSE(parse_service_headers(text));
}

}  // namespace
}  // namespace stentor::auth
