#include "protocol/codec/utf8.hpp"

#include "base/bytes.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::mqtt {
namespace {

using std::string_literals::operator""s;

/// UTF-8 by its definition: decode, then judge the number. The reference for the fast code.
bool is_text_by_definition(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
        std::size_t size = 1;
        std::uint32_t code = byte(0);
        std::uint32_t smallest = 1;  // U+0000 is not admitted
        if (code >= 0xF8U || (code >= 0x80U && code < 0xC0U)) return false;
        if (code >= 0xF0U) {
            size = 4, code &= 0x07U, smallest = 0x10000;
        } else if (code >= 0xE0U) {
            size = 3, code &= 0x0FU, smallest = 0x800;
        } else if (code >= 0xC0U) {
            size = 2, code &= 0x1FU, smallest = 0x80;
        }
        if (text.size() - at < size) return false;
        for (std::size_t i = 1; i < size; ++i) {
            if ((byte(i) & 0xC0U) != 0x80U) return false;
            code = code << 6U | (byte(i) & 0x3FU);
        }
        if (code < smallest || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
        at += size;
    }
    return true;
}

TEST(Utf8, AgreesWithTheDefinitionOnAllShortTexts) {
    // Every text of two bytes, and of three and four where the lead byte allows that many; alone
    // and behind seven ASCII characters, where it straddles the eight-byte steps.
    const auto check = [](const std::string& text) {
        const bool expected = is_text_by_definition(text);
        ASSERT_EQ(is_mqtt_text(text), expected) << to_hex(as_bytes(text));
        ASSERT_EQ(is_mqtt_text("1234567" + text + "12345678"), expected) << to_hex(as_bytes(text));
    };
    for (unsigned a = 0; a < 256; ++a) {
        for (unsigned b = 0; b < 256; ++b) {
            const std::string two{static_cast<char>(a), static_cast<char>(b)};
            check(two);
            if (a < 0xE0U) continue;
            for (const unsigned c : {0x00U, 0x7FU, 0x80U, 0xBFU, 0xC0U, 0xFFU}) {
                const std::string three = two + static_cast<char>(c);
                check(three);
                for (const unsigned d : {0x2BU, 0x80U, 0xBFU, 0xC0U}) {
                    check(three + static_cast<char>(d));
                }
            }
        }
    }
}

TEST(Utf8, RefusesZeroAtEveryPosition) {
    for (std::size_t size = 1; size < 40; ++size) {
        EXPECT_TRUE(is_mqtt_text(std::string(size, 'a')));
        for (std::size_t at = 0; at < size; ++at) {
            std::string text(size, 'a');
            text[at] = '\0';
            EXPECT_FALSE(is_mqtt_text(text));
            text[at] = '\x80';
            EXPECT_FALSE(is_mqtt_text(text));
        }
    }
}

TEST(Utf8, AdmitsControlCharactersNoncharactersAndByteOrderMark) {
    EXPECT_TRUE(is_mqtt_text("\x01\x1F\x7F"));
    EXPECT_TRUE(is_mqtt_text("\xC2\x80"));
    EXPECT_TRUE(is_mqtt_text("\xEF\xBF\xBF"));       // U+FFFF
    EXPECT_TRUE(is_mqtt_text("\xEF\xBB\xBF text"));  // U+FEFF [MQTT-1.5.4-3]
    EXPECT_TRUE(is_mqtt_text(""));
}

TEST(TopicName, FindsWildcardsAtEveryPosition) {
    for (std::size_t size = 1; size < 40; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            for (const char wildcard : {'+', '#'}) {
                std::string topic(size, 'a');
                topic[at] = wildcard;
                EXPECT_EQ(scan_topic_name(topic, 10), TopicNameScan::has_wildcard);
                EXPECT_EQ(scan_topic_name("\xC3\xA9" + topic, 10), TopicNameScan::has_wildcard);
            }
            std::string broken(size, 'a');
            broken[at] = '\0';
            EXPECT_EQ(scan_topic_name(broken, 10), TopicNameScan::not_text);
        }
    }
}

TEST(TopicName, CountsLevels) {
    for (std::size_t separators = 0; separators < 40; ++separators) {
        for (const std::string_view level : {"", "a", "\xE2\x82\xAC", "level-with-a-name"}) {
            std::string topic{level};
            for (std::size_t i = 0; i < separators; ++i) topic.append("/").append(level);
            EXPECT_EQ(scan_topic_name(topic, separators + 1), TopicNameScan::ok);
            EXPECT_EQ(scan_topic_name(topic, separators), TopicNameScan::too_many_levels);
        }
    }
}

TEST(TopicName, TellsCharactersNextToTheWildcardsApart) {
    EXPECT_EQ(scan_topic_name("*,\"$.0", 1), TopicNameScan::ok);
    EXPECT_EQ(scan_topic_name("a\0b"s, 1), TopicNameScan::not_text);
    EXPECT_EQ(scan_topic_name("", 1), TopicNameScan::ok);
}

}  // namespace
}  // namespace stentor::mqtt
