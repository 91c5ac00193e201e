#include "protocol/topic/match.hpp"

#include <gtest/gtest.h>

namespace stentor::mqtt {
namespace {

TEST(Match, LiteralFiltersMatchTheSameBytes) {  // [MQTT-4.7.3-4]
    EXPECT_TRUE(matches("a/b", "a/b"));
    EXPECT_FALSE(matches("a/b", "a/B"));
    EXPECT_FALSE(matches("a/b", "a/b/"));
    EXPECT_FALSE(matches("a/b/", "a/b"));
    EXPECT_FALSE(matches("a", "/a"));
    EXPECT_FALSE(matches("a/b", "a"));
}

TEST(Match, PlusIsExactlyOneLevel) {
    EXPECT_TRUE(matches("sport/tennis/+", "sport/tennis/player1"));
    EXPECT_FALSE(matches("sport/tennis/+", "sport/tennis/player1/ranking"));
    EXPECT_FALSE(matches("sport/+", "sport"));
    EXPECT_TRUE(matches("sport/+", "sport/"));
    EXPECT_TRUE(matches("+/+", "/finance"));
    EXPECT_TRUE(matches("/+", "/finance"));
    EXPECT_FALSE(matches("+", "/finance"));
    EXPECT_TRUE(matches("+/b/+", "a/b/c"));
}

TEST(Match, HashIsTheParentAndAllBelow) {
    EXPECT_TRUE(matches("#", "a"));
    EXPECT_TRUE(matches("#", "/"));
    EXPECT_TRUE(matches("sport/#", "sport"));
    EXPECT_TRUE(matches("sport/#", "sport/"));
    EXPECT_TRUE(matches("sport/#", "sport/tennis/player1"));
    EXPECT_FALSE(matches("sport/#", "sports"));
    EXPECT_TRUE(matches("/#", "/"));
    EXPECT_TRUE(matches("/#", "/a"));
    EXPECT_FALSE(matches("/#", "a"));
    EXPECT_TRUE(matches("+/#", "a"));
    EXPECT_TRUE(matches("a/+/#", "a/b"));
    EXPECT_FALSE(matches("a/+/#", "a"));
}

TEST(Match, LeadingWildcardsMatchNoDollarTopic) {  // [MQTT-4.7.2-1]
    EXPECT_FALSE(matches("#", "$SYS/uptime"));
    EXPECT_FALSE(matches("+/uptime", "$SYS/uptime"));
    EXPECT_FALSE(matches("+", "$SYS"));
    EXPECT_TRUE(matches("$SYS/#", "$SYS/uptime"));
    EXPECT_TRUE(matches("$SYS/+", "$SYS/uptime"));
    EXPECT_TRUE(matches("$SYS/#", "$SYS"));
    EXPECT_TRUE(matches("a/+", "a/$b"));
    EXPECT_TRUE(matches("/#", "/$a"));
}

}  // namespace
}  // namespace stentor::mqtt
