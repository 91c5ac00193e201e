#include "auth/jwt/json.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

std::string mistake(std::string_view text) {
    const auto object = parse_json_object(text);
    if (object) return "none";
    return std::to_string(object.error().at) + ": " + object.error().what;
}

TEST(JwtJson, IsOneObjectAndNothingElse) {
    EXPECT_EQ(mistake(R"( {"a": [1, 2.5, null, true, "x"], "b": {}} )"), "none");
    for (const char* text : {"",
                             "[]",
                             "1",
                             "null",
                             "{",
                             "{}x",
                             "{} {}",
                             R"({"a":1,})",
                             R"({'a':1})",
                             R"({"a":01})",
                             R"({"a":NaN})",
                             "{\"a\":\"\xFF\"}",
                             "{/* */}",
                             "\xEF\xBB\xBF{}"}) {
        EXPECT_NE(mistake(text), "none") << text;
    }
}

TEST(JwtJson, NamesStandOnceInEachObject) {
    EXPECT_EQ(mistake(R"({"a":{"b":1},"c":{"b":1}})"), "none");
    EXPECT_NE(mistake(R"({"sub":"anna","sub":"bob"})").find("\"sub\" stands twice"),
              std::string::npos);
    EXPECT_NE(mistake(R"({"x":[{"a":1,"\u0061":2}]})").find("\"a\" stands twice"),
              std::string::npos);
}

TEST(JwtJson, NestsSoFar) {
    const auto nested = [](std::size_t depth) {
        return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + '}';
    };
    EXPECT_EQ(mistake(nested(kJsonDepthMax)), "none");
    EXPECT_NE(mistake(nested(kJsonDepthMax + 1)), "none");
}

TEST(JwtJson, FindsWhereElementsBegin) {
    const std::string text =
        "{\"x\":[9],\"keys\" : [ {\"a\":[1,2],\"b\":\"],\\\"{\"},\n 5 ,{}],"
        "\"keys2\":[7]}";
    const auto places = element_places(text, "keys");
    ASSERT_EQ(places.size(), 3U);
    EXPECT_EQ(text.substr(places[0], 5), "{\"a\":");
    EXPECT_EQ(text[places[1]], '5');
    EXPECT_EQ(text.substr(places[2], 2), "{}");
    EXPECT_TRUE(element_places(R"({"keys":[]})", "keys").empty());
    EXPECT_TRUE(element_places(R"({"a":{"keys":[1]}})", "keys").empty());
}

}  // namespace
}  // namespace stentor::auth
