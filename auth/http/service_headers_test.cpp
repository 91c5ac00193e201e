#include "auth/http/service_headers.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

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
        "secret\n secret: x\nHost: secret\ncontent-LENGTH: 3\nX-Y: sec\x01ret\nGood: yes\n"
        "good: secret\n");
    ASSERT_FALSE(headers);
    const auto& errors = headers.error();
    const std::vector<std::uint32_t> lines{1, 2, 3, 4, 5, 7};
    ASSERT_EQ(errors.size(), lines.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
        EXPECT_EQ(errors[i].line, lines[i]);
        EXPECT_EQ(errors[i].what.find("secret"), std::string::npos);
    }
    EXPECT_NE(errors[2].what.find("Host"), std::string::npos);
}

TEST(ServiceHeaders, AreFew) {
    std::string text;
    const auto add = [&](std::size_t number) { text += 'X' + std::to_string(number) + ": y\n"; };
    for (std::size_t i = 0; i < kServiceHeadersMax; ++i) add(i);
    EXPECT_TRUE(parse_service_headers(text));
    add(kServiceHeadersMax);
    EXPECT_FALSE(parse_service_headers(text));
}

}  // namespace
}  // namespace stentor::auth
