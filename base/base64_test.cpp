#include "base/base64.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>

namespace stentor {
namespace {

std::string decoded(std::string_view text, Padding padding = Padding::required) {
    const auto bytes = from_base64(text, padding);
    return bytes ? std::string{as_text(*bytes)} : "nothing";
}

TEST(Base64, IsThatOfRfc4648) {
    for (const auto& [bytes, text] :
         std::initializer_list<std::pair<const char*, const char*>>{{"", ""},
                                                                    {"f", "Zg=="},
                                                                    {"fo", "Zm8="},
                                                                    {"foo", "Zm9v"},
                                                                    {"foob", "Zm9vYg=="},
                                                                    {"foobar", "Zm9vYmFy"}}) {
        EXPECT_EQ(base64(as_bytes(bytes)), text);
        EXPECT_EQ(decoded(text), bytes);
        const std::string bare{text, std::string_view{text}.find_last_not_of('=') + 1};
        EXPECT_EQ(base64(as_bytes(bytes), Padding::absent), bare);
        EXPECT_EQ(decoded(bare, Padding::absent), bytes);
    }
    EXPECT_EQ(base64(as_bytes("\xFB\xFF\xFE")), "+//+");
    EXPECT_EQ(decoded("+//+"), "\xFB\xFF\xFE");
}

TEST(Base64, RefusesWhatIsNone) {
    for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Z g=", "Zm9v\n", "Zm-_"}) {
        EXPECT_EQ(decoded(text), "nothing") << text;
    }
    EXPECT_EQ(decoded("Z", Padding::absent), "nothing");
    EXPECT_EQ(decoded("Zg==", Padding::absent), "nothing");
    EXPECT_EQ(decoded(std::string(1028, 'A')), "nothing");
    EXPECT_EQ(decoded(std::string(1024, 'A')).size(), 768U);
}

TEST(Base64Url, HasOneTextForEachValue) {
    EXPECT_EQ(base64url(as_bytes("\xFB\xFF\xFE")), "-__-");
    EXPECT_EQ(base64url(as_bytes("fo")), "Zm8");
    const auto value = [](std::string_view text) {
        const auto bytes = from_base64url(text);
        return bytes ? std::string{as_text(*bytes)} : "nothing";
    };
    EXPECT_EQ(value("-__-"), "\xFB\xFF\xFE");
    EXPECT_EQ(value(""), "");
    EXPECT_EQ(value("Zm8"), "fo");
    EXPECT_EQ(value("Zg"), "f");
    EXPECT_EQ(value(std::string(4000, 'A')).size(), 3000U);
    for (const char* text : {"Zm8=", "Zm9", "Zh", "Z", "Zm9v\n", "Zm9v ", "+//+", "Zm9vZ"}) {
        EXPECT_EQ(value(text), "nothing") << text;
    }
}

}  // namespace
}  // namespace stentor
