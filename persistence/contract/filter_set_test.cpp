#include "persistence/contract/filter_set.hpp"

#include "base/random.hpp"
#include "protocol/topic/match.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::store {
namespace {

std::string random_text(Random& random, std::vector<std::string> levels) {
    std::string text;
    for (std::uint64_t i = random.between(1, 4); i != 0; --i) {
        text += levels[random.below(levels.size())];
        if (i != 1) text += '/';
    }
    return text;
}

TEST(FilterSet, TellsTopicsFromWildcardsAndForgetsRepetitions) {
    const FilterSet set{{"b", "a/+", "a", "b", "#", "a/+"}};
    EXPECT_EQ(set.exact(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(set.wildcards(), (std::vector<std::string>{"#", "a/+"}));
    EXPECT_EQ(set.size(), 4U);
    EXPECT_FALSE(set.empty());
    EXPECT_TRUE(FilterSet{{}}.empty());
    EXPECT_FALSE(FilterSet{{}}.matches("a"));
}

TEST(FilterSet, MatchesWhatOneOfItsFiltersMatchesHoweverManyTheyAre) {
    Random random{7};
    for (int round = 0; round < 300; ++round) {
        SCOPED_TRACE(round);
        std::vector<std::string> filters;
        for (std::uint64_t i = random.between(1, 40); i != 0; --i) {
            std::string filter = random_text(random, {"a", "b", "", "$a", "+", "c"});
            if (random.chance(1, 4)) filter += "/#";
            filters.push_back(filter.empty() ? "#" : filter);
        }
        const FilterSet set{filters};
        for (int i = 0; i < 30; ++i) {
            const std::string topic = random_text(random, {"a", "b", "", "$a", "d"});
            const bool expected = std::any_of(filters.begin(), filters.end(), [&](const auto& f) {
                return mqtt::matches(f, topic);
            });
            EXPECT_EQ(set.matches(topic), expected) << topic;
            std::set<std::string_view> all;
            for (const std::string& filter : filters) {
                if (mqtt::matches(filter, topic)) all.insert(filter);
            }
            std::vector<std::string_view> found{"before"};
            set.matching(topic, found);
            EXPECT_EQ(found.front(), "before");
            found.erase(found.begin());
            EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
            EXPECT_EQ(std::set<std::string_view>(found.begin(), found.end()), all);
            EXPECT_EQ(found.size(), all.size());
        }
    }
}

}  // namespace
}  // namespace stentor::store
