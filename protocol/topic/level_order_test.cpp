#include "protocol/topic/level_order.hpp"

#include "protocol/topic/random_topics.hpp"
#include "protocol/topic/topic_levels.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::mqtt {
namespace {

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> levels;
    for (const std::string_view level : TopicLevels{text}) levels.emplace_back(level);
    return levels;
}

TEST(LevelOrder, PutsChildrenBetweenTheTopicAndItsSiblings) {
    const std::vector<std::string_view> ordered{
        "/", "/a", "a", "a/", "a//b", "a/b", "a/b/c", "a/b!", "a ", "a!", "b", "\xC3\xA4"};
    for (std::size_t i = 0; i < ordered.size(); ++i) {
        for (std::size_t j = 0; j < ordered.size(); ++j) {
            EXPECT_EQ(level_order(ordered[i], ordered[j]), i <=> j) << ordered[i] << ordered[j];
        }
    }
}

TEST(LevelOrder, IsThatOfTheListsOfLevels) {
    for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
        RandomTopics random{seed};
        const std::string a = random.name();
        const std::string b = random.name();
        ASSERT_EQ(level_order(a, b), split(a) <=> split(b)) << a << " and " << b;
    }
}

TEST(LevelOrder, NothingBelowATopicIsPastItsEnd) {
    const std::string past = std::string{"a/b"} + kFirstAfterSeparator;
    EXPECT_TRUE(level_order("a/b", past) < 0);
    EXPECT_TRUE(level_order("a/b/\xFF/\xFF", past) < 0);
    EXPECT_TRUE(level_order("a/b\x01", past) == 0);
    EXPECT_TRUE(level_order("a/b ", past) > 0);
}

}  // namespace
}  // namespace stentor::mqtt
