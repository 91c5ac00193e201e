#include "tools/client/arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stentor::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Fixture {
    std::string host = "localhost";
    std::optional<std::string> message;
    std::vector<std::string> topics;
    bool retain = false;
    int qos = 0;
    std::optional<std::uint32_t> expiry;
    std::vector<std::string> triple;

    ArgumentParser parser{
        {{"Connection", {{"-h", "--host", "HOST", "where to connect to", take(host)}}},
         {"Message",
          {{"-m", "--message", "TEXT", "what to send", take(message)},
           {"-t", "--topic", "TOPIC", "may be repeated", collect(topics)},
           {"-r", "--retain", "", "keep it", set(retain)},
           {"-q", "--qos", "0|1|2", "quality", take_number(qos, 0, 2)},
           {"-x", "", "SECONDS", "expiry", take_number(expiry, 0, 4294967295)},
           {"-D",
            "--property",
            "A B",
            "two words",
            [this](ArgumentValues& values) -> Usage {
                STENTOR_TRY(const auto a, values.next("the packet"));
                STENTOR_TRY(const auto b, values.next("the name"));
                triple = {std::string{a}, std::string{b}};
                return {};
            }}}}},
        {{"--proxy", "SOCKS is left to others"}}};

    Usage parse(std::vector<std::string_view> words) const { return parser.parse(words); }
    [[nodiscard]] std::string error(std::vector<std::string_view> words) const {
        const auto result = parse(std::move(words));
        return result ? "" : result.error().what + " | " + result.error().hint;
    }
};

TEST(Arguments, ApplyFromLeftToRight) {
    Fixture f;
    ASSERT_TRUE(f.parse({"-h", "a", "-t", "x", "--topic", "y", "-r", "-q", "2", "--host", "b"}));
    EXPECT_EQ(f.host, "b");
    EXPECT_THAT(f.topics, ElementsAre("x", "y"));
    EXPECT_TRUE(f.retain);
    EXPECT_EQ(f.qos, 2);
}

TEST(Arguments, AValueMayLookLikeAnOption) {
    Fixture f;
    ASSERT_TRUE(f.parse({"-m", "-5", "-t", "--host"}));
    EXPECT_EQ(f.message, "-5");
    EXPECT_THAT(f.topics, ElementsAre("--host"));
}

TEST(Arguments, EqualsSignAttachesTheFirstValue) {
    Fixture f;
    ASSERT_TRUE(f.parse({"--message=a=b", "--property=one", "two", "--qos=1"}));
    EXPECT_EQ(f.message, "a=b");
    EXPECT_THAT(f.triple, ElementsAre("one", "two"));
    EXPECT_EQ(f.qos, 1);
    EXPECT_THAT(f.error({"--retain=1"}), HasSubstr("takes no value"));
}

TEST(Arguments, NumbersKeepTheirBounds) {
    Fixture f;
    EXPECT_THAT(f.error({"-q", "3"}), HasSubstr("-q: '3' is not a whole number from 0 to 2"));
    EXPECT_THAT(f.error({"-q", "1x"}), HasSubstr("'1x'"));
    EXPECT_THAT(f.error({"-q", ""}), HasSubstr("whole number"));
    ASSERT_TRUE(f.parse({"-x", "4294967295"}));
    EXPECT_EQ(f.expiry, 4294967295U);
}

TEST(Arguments, AMistakeGetsASuggestion) {
    const Fixture f;
    EXPECT_THAT(f.error({"--hsot", "x"}), HasSubstr("did you mean --host?"));
    EXPECT_THAT(f.error({"--mesage", "x"}), HasSubstr("did you mean --message?"));
    EXPECT_THAT(f.error({"-host", "x"}), HasSubstr("did you mean --host?"));
    EXPECT_THAT(f.error({"-q1"}), HasSubstr("did you mean -q 1?"));
    EXPECT_THAT(f.error({"--prop"}), HasSubstr("did you mean --property?"));
    EXPECT_THAT(f.error({"--zzzzzzzz"}), HasSubstr("--help"));
    EXPECT_THAT(f.error({"topic"}), HasSubstr("'topic' is not an option"));
    EXPECT_THAT(f.error({""}), HasSubstr("'' is not an option"));
    EXPECT_THAT(f.error({"--proxy", "x"}), HasSubstr("SOCKS is left to others"));
    EXPECT_THAT(f.error({"-m"}), HasSubstr("-m: its value is missing"));
    EXPECT_THAT(f.error({"-D", "one"}), HasSubstr("-D: the name is missing"));
}

TEST(Arguments, HelpComesFromTheSameTable) {
    const Fixture f;
    const auto help = f.parser.help();
    EXPECT_THAT(help, HasSubstr("\nConnection:\n  -h, --host HOST             where to connect"));
    EXPECT_THAT(help, HasSubstr("  -x SECONDS                  expiry"));
    for (std::size_t start = 0; start < help.size();) {
        const auto end = help.find('\n', start);
        EXPECT_LE(end - start, 80U);
        start = end + 1;
    }
}

TEST(Arguments, Seconds) {
    EXPECT_DOUBLE_EQ(*parse_seconds("0.5"), 0.5);
    EXPECT_FALSE(parse_seconds("-1"));
    EXPECT_FALSE(parse_seconds("nan"));
    EXPECT_FALSE(parse_seconds("1s"));
}

}  // namespace
}  // namespace stentor::tools
