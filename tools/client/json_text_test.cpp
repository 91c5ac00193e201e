#include "tools/client/json_text.hpp"

#include <gtest/gtest.h>

namespace stentor::tools {
namespace {

std::string quoted(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

TEST(JsonText, EscapesWhatMustBeEscaped) {
    EXPECT_EQ(quoted("a\"b\\c/d\n\x01"), R"("a\"b\\c/d\n\u0001")");
    EXPECT_EQ(quoted("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"),
              "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    EXPECT_EQ(quoted("\xff\xC3"), R"("\ufffd\ufffd")");
    EXPECT_EQ(quoted("\xED\xA0\x80"), R"("\ufffd\ufffd\ufffd")");  // a surrogate
}

TEST(JsonText, MinifiesWithoutTouchingTokens) {
    EXPECT_EQ(minified_json(" { \"a b\" : [ 1 , -2.50e+3 , \"x\\u00e4 y\" ] , \"n\":null } "),
              "{\"a b\":[1,-2.50e+3,\"x\\u00e4 y\"],\"n\":null}");
    EXPECT_EQ(minified_json("[]"), "[]");
    EXPECT_EQ(minified_json(" {} "), "{}");
    EXPECT_EQ(minified_json("true"), "true");
    EXPECT_EQ(minified_json("0"), "0");
}

TEST(JsonText, RefusesWhatIsNotJson) {
    for (const auto* text : {"",
                             "{",
                             "[1,]",
                             "{\"a\"}",
                             "{a:1}",
                             "01",
                             "1.",
                             "-",
                             "\"\\x\"",
                             "\"\\u12g4\"",
                             "tru",
                             "1 2",
                             "\"\x01\"",
                             "\"open",
                             "[1 2]",
                             "{\"a\":}",
                             "\"\xff\"",
                             "nul"}) {
        EXPECT_FALSE(minified_json(text)) << text;
    }
    EXPECT_FALSE(minified_json(std::string(10'000, '[')));
    EXPECT_TRUE(minified_json(std::string(200, '[') + std::string(200, ']')));
}

}  // namespace
}  // namespace stentor::tools
