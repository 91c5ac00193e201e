#include "protocol/topic/topic_levels.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::mqtt {
namespace {

using ::testing::ElementsAre;

static_assert(std::forward_iterator<TopicLevels::Iterator>);

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> levels;
    for (const std::string_view level : TopicLevels{text}) levels.emplace_back(level);
    EXPECT_EQ(levels.size(), count_levels(text));
    return levels;
}

TEST(TopicLevels, AreWhatStandsBetweenSeparators) {
    EXPECT_THAT(split("a"), ElementsAre("a"));
    EXPECT_THAT(split("a/bc/d"), ElementsAre("a", "bc", "d"));
}

TEST(TopicLevels, KeepEmptyOnes) {
    EXPECT_THAT(split(""), ElementsAre(""));
    EXPECT_THAT(split(std::string_view{}), ElementsAre(""));
    EXPECT_THAT(split("/"), ElementsAre("", ""));
    EXPECT_THAT(split("a//b/"), ElementsAre("a", "", "b", ""));
}

TEST(TopicLevels, KnowTheLastOneAndTheRest) {
    auto level = TopicLevels{"a/b"}.begin();
    EXPECT_FALSE(level.is_last());
    EXPECT_EQ(level.rest(), "a/b");
    ++level;
    EXPECT_TRUE(level.is_last());
    EXPECT_EQ(level.rest(), "b");
    ++level;
    EXPECT_TRUE(level == TopicLevels::end());
}

}  // namespace
}  // namespace stentor::mqtt
