#include "auth/filter_relation.hpp"

#include "protocol/topic/match.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace stentor::auth {
namespace {

TEST(FilterRelation, Covers) {
    for (const auto& [rule, filter] : std::vector<std::pair<const char*, const char*>>{
             {"a/b", "a/b"},
             {"a/+", "a/b"},
             {"a/+", "a/+"},
             {"a/#", "a"},
             {"a/#", "a/#"},
             {"a/#", "a/+/c/#"},
             {"#", "+/+"},
             {"+/#", "#"},
             {"$SYS/#", "$SYS/broker/+"},
         }) {
        EXPECT_TRUE(covers(rule, filter)) << rule << " " << filter;
    }
    for (const auto& [rule, filter] : std::vector<std::pair<const char*, const char*>>{
             {"a/b", "a/+"},
             {"a/+", "a/#"},
             {"a/+", "a"},
             {"a/+/#", "a/#"},
             {"a", "a/#"},
             {"+/b", "#"},
             {"#", "$SYS/#"},
             {"+/broker", "$SYS/broker"},
             {"$SYS/#", "#"},
         }) {
        EXPECT_FALSE(covers(rule, filter)) << rule << " " << filter;
    }
}

TEST(FilterRelation, Overlap) {
    for (const auto& [a, b] : std::vector<std::pair<const char*, const char*>>{
             {"a/+/c", "a/b/+"}, {"a/#", "a"}, {"#", "a/b"}, {"+/#", "a"}, {"a/b/#", "+/b"}}) {
        EXPECT_TRUE(overlap(a, b)) << a << " " << b;
        EXPECT_TRUE(overlap(b, a)) << a << " " << b;
    }
    for (const auto& [a, b] : std::vector<std::pair<const char*, const char*>>{
             {"a/+", "a"}, {"a/b", "a/c"}, {"#", "$SYS"}, {"+/x", "$SYS/x"}, {"a/+/c", "a/b/d"}}) {
        EXPECT_FALSE(overlap(a, b)) << a << " " << b;
        EXPECT_FALSE(overlap(b, a)) << a << " " << b;
    }
}

/// All texts of up to three levels from the given ones.
std::vector<std::string> paths(const std::vector<std::string>& levels, bool filters) {
    std::vector<std::string> all;
    for (const std::string& a : levels) {
        all.push_back(a);
        for (const std::string& b : levels) {
            all.emplace_back(a).append("/").append(b);
            const std::string two = all.back();
            for (const std::string& c : levels) all.emplace_back(two).append("/").append(c);
        }
    }
    if (filters) {
        std::vector<std::string> open{"#"};
        for (const std::string& path : all) open.push_back(path + "/#");
        all.insert(all.end(), open.begin(), open.end());
    }
    return all;
}

// Both relations, decided by looking at every topic of a small world.
TEST(FilterRelation, AgreesWithMatchingAllTopics) {
    const auto filters = paths({"a", "$b", "+"}, true);
    std::vector<std::string> topics = paths({"a", "$b", "other"}, false);
    // Deeper ones, for what "#" leaves open beyond the filters' own levels.
    const std::size_t shallow = topics.size();
    for (std::size_t i = 0; i < shallow; ++i) topics.push_back(topics[i] + "/other/other");
    for (const std::string& a : filters) {
        for (const std::string& b : filters) {
            bool all = true;
            bool any = false;
            for (const std::string& topic : topics) {
                const bool by_a = mqtt::matches(a, topic);
                const bool by_b = mqtt::matches(b, topic);
                any = any || (by_a && by_b);
                all = all && (by_a || !by_b);
            }
            ASSERT_EQ(overlap(a, b), any) << a << " " << b;
            ASSERT_EQ(covers(a, b), all) << a << " " << b;
        }
    }
}

}  // namespace
}  // namespace stentor::auth
