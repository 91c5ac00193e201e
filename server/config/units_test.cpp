#include "server/config/units.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::config {
namespace {

using namespace std::chrono_literals;

TEST(Units, ReadsSizesOfBothFamilies) {
    EXPECT_EQ(*parse_size("64MiB"), 64ULL << 20U);
    EXPECT_EQ(*parse_size("1MB"), 1'000'000U);
    EXPECT_EQ(*parse_size("500kB"), 500'000U);
    EXPECT_EQ(*parse_size("10GiB"), 10ULL << 30U);
    EXPECT_EQ(*parse_size("1TiB"), 1ULL << 40U);
    EXPECT_EQ(*parse_size("17B"), 17U);
    EXPECT_EQ(*parse_size(" 4 KiB "), 4096U);
    EXPECT_EQ(*parse_size("10gib"), 10ULL << 30U);
    EXPECT_EQ(*parse_size("0"), 0U);
}

TEST(Units, SaysHowToWriteASizeWithoutUnit) {
    const auto error = parse_size("1048576").error();
    EXPECT_EQ(error.what, "the number 1048576 has no unit");
    EXPECT_EQ(error.hint, R"(write "1048576B" for bytes, or "1048576KiB", "1048576MiB")");
}

TEST(Units, DoesNotGuessWhatASingleLetterMeans) {
    EXPECT_EQ(parse_size("10M").error().hint,
              R"(write "10MiB" (powers of 1024) or "10MB" (powers of 1000))");
    EXPECT_EQ(parse_size("10k").error().hint,
              R"(write "10KiB" (powers of 1024) or "10kB" (powers of 1000))");
}

TEST(Units, RefusesWhatIsNoSize) {
    for (const char* text : {"", "MiB", "-1MiB", "1.5MiB", "1MiB2KiB", "1 MiB x", "ten", "1PB"}) {
        EXPECT_TRUE(parse_size(text).has_error()) << text;
    }
    EXPECT_EQ(parse_size("99999999TiB").error().what, R"("99999999TiB" is too large)");
    EXPECT_TRUE(parse_size("99999999999999999999999B").has_error());
}

TEST(Units, ReadsDurations) {
    EXPECT_EQ(*parse_duration("90d"), 24h * 90);
    EXPECT_EQ(*parse_duration("10s"), 10s);
    EXPECT_EQ(*parse_duration("1h30m"), 90min);
    EXPECT_EQ(*parse_duration("1h 30m"), 90min);
    EXPECT_EQ(*parse_duration("250ms"), 250ms);
    EXPECT_EQ(*parse_duration("1m500ms"), 60'500ms);
    EXPECT_EQ(*parse_duration("2w"), 24h * 14);
    EXPECT_EQ(*parse_duration("0"), 0ms);
}

TEST(Units, SaysHowToWriteADurationWithoutUnit) {
    const auto error = parse_duration("30").error();
    EXPECT_EQ(error.what, "the number 30 has no unit");
    EXPECT_EQ(error.hint, R"(write "30s" for seconds, or "30ms", "30m", "30h")");
}

TEST(Units, RefusesWhatIsNoDuration) {
    for (const char* text : {"", "s", "-1s", "1.5h", "10S", "10 years", "1m1h", "1h1h", "1h30"}) {
        EXPECT_TRUE(parse_duration(text).has_error()) << text;
    }
    EXPECT_TRUE(parse_duration("99999999999999999w").has_error());
    EXPECT_EQ(parse_duration("1m1h").error().hint, R"(each unit once, the largest first: "1h30m")");
}

TEST(Units, WritesTheShortestTextThatReadsBackTheSame) {
    EXPECT_EQ(format_size(64ULL << 20U), "64MiB");
    EXPECT_EQ(format_size(1'500'000), "1500kB");
    EXPECT_EQ(format_size(0), "0");
    EXPECT_EQ(format_size(17), "17B");
    EXPECT_EQ(format_duration(24h * 90), "90d");
    EXPECT_EQ(format_duration(90min), "1h30m");
    EXPECT_EQ(format_duration(0ms), "0");
    for (const std::uint64_t bytes : {1ULL, 999ULL, 1000ULL, 1024ULL, 1'048'577ULL, 1ULL << 60U}) {
        EXPECT_EQ(*parse_size(format_size(bytes)), bytes);
    }
    for (const auto duration : {1ms, 999ms, 61'001ms, 90'061'001ms}) {
        EXPECT_EQ(*parse_duration(format_duration(duration)), duration);
    }
}

}  // namespace
}  // namespace stentor::config
