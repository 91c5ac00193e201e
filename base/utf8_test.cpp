#include "base/utf8.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace stentor {
namespace {

TEST(Utf8, MeasuresTheFirstCharacter) {
    EXPECT_EQ(utf8_length(""), 0U);
    EXPECT_EQ(utf8_length(std::string_view{"\0", 1}), 1U);
    EXPECT_EQ(utf8_length("ab"), 1U);
    EXPECT_EQ(utf8_length("\x7F"), 1U);
    EXPECT_EQ(utf8_length("\xC2\x80"), 2U);
    EXPECT_EQ(utf8_length("\xDF\xBF!"), 2U);
    EXPECT_EQ(utf8_length("\xE0\xA0\x80"), 3U);
    EXPECT_EQ(utf8_length("\xED\x9F\xBF"), 3U);
    EXPECT_EQ(utf8_length("\xEF\xBF\xBF"), 3U);
    EXPECT_EQ(utf8_length("\xF0\x90\x80\x80"), 4U);
    EXPECT_EQ(utf8_length("\xF4\x8F\xBF\xBF"), 4U);
}

TEST(Utf8, KnowsWhatIsNoCharacter) {
    for (const std::string_view text : {"\x80",
                                        "\xBF",
                                        "\xC0\x80",
                                        "\xC1\xBF",
                                        "\xC2",
                                        "\xC2\x41",
                                        "\xE0\x9F\xBF",
                                        "\xE2\x82",
                                        "\xE2\x82\x41",
                                        "\xED\xA0\x80",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xF0\x9F\x98",
                                        "\xF0\x9F\x98\x41",
                                        "\xF4\x90\x80\x80",
                                        "\xF5\x80\x80\x80",
                                        "\xFF"}) {
        EXPECT_EQ(utf8_length(text), 0U) << testing::PrintToString(text);
    }
}

/// Every code point, encoded by the book.
TEST(Utf8, TakesEveryCodePointAndNoSurrogate) {
    for (unsigned code = 0; code <= 0x10FFFF; ++code) {
        std::string text;
        if (code < 0x80) {
            text = {static_cast<char>(code)};
        } else {
            const unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
            constexpr std::array kLead{0U, 0xC0U, 0xE0U, 0xF0U};
            text += static_cast<char>(kLead.at(more) | code >> 6 * more);
            for (unsigned i = more; i-- != 0;) {
                text += static_cast<char>(0x80U | (code >> 6 * i & 0x3FU));
            }
        }
        const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
        ASSERT_EQ(utf8_length(text), surrogate ? 0 : text.size()) << code;
    }
}

TEST(Utf8, KnowsWhatATerminalObeys) {
    for (const std::string_view text : {"\x1B[31m", "\n", "\x7F", "\xC2\x80", "\xC2\x9B"}) {
        EXPECT_TRUE(begins_with_control(text));
    }
    for (const std::string_view text : {" ", "~", "\xC2\xA0", "\xC3\x9B", "\xE2\x82\xAC"}) {
        EXPECT_FALSE(begins_with_control(text));
    }
}

}  // namespace
}  // namespace stentor
