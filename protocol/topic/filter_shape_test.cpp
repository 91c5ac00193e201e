#include "protocol/topic/filter_shape.hpp"

#include "protocol/topic/match.hpp"
#include "protocol/topic/random_topics.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>

namespace stentor::mqtt {
namespace {

constexpr HashKey kKey{.k0 = 1, .k1 = 2};

TEST(FilterShape, SaysWhichLevelsAreOpen) {
    EXPECT_EQ(shape_of("a/b"), (FilterShape{.plus_levels = 0, .levels = 2, .multi_level = false}));
    EXPECT_EQ(shape_of("a/+/b/+"),
              (FilterShape{.plus_levels = 0b1010, .levels = 4, .multi_level = false}));
    EXPECT_EQ(shape_of("#"), (FilterShape{.plus_levels = 0, .levels = 0, .multi_level = true}));
    EXPECT_EQ(shape_of("+/#"), (FilterShape{.plus_levels = 1, .levels = 1, .multi_level = true}));
    EXPECT_TRUE(shape_of("a//b").is_exact());
    EXPECT_FALSE(shape_of("a/#").is_exact());
}

TEST(FilterShape, KnowsItsLiteralPrefix) {
    EXPECT_EQ(shape_of("a/b/c").literal_prefix_levels(), 3);
    EXPECT_EQ(shape_of("a/b/#").literal_prefix_levels(), 2);
    EXPECT_EQ(shape_of("a/+/c/#").literal_prefix_levels(), 1);
    EXPECT_EQ(shape_of("#").literal_prefix_levels(), 0);
    EXPECT_EQ(shape_of(std::string(63, '/')).literal_prefix_levels(), 64);
}

TEST(FilterShape, TheLastLevelMayBeOpen) {
    std::string filter;
    for (int i = 0; i < 63; ++i) filter += "a/";
    filter += "+";
    const FilterShape shape = shape_of(filter);
    EXPECT_EQ(shape.plus_levels, std::uint64_t{1} << 63U);
    EXPECT_EQ(shape.levels, 64);
}

TEST(FilterShape, BeginsWithAWildcard) {
    EXPECT_TRUE(shape_of("#").begins_with_wildcard());
    EXPECT_TRUE(shape_of("+/a").begins_with_wildcard());
    EXPECT_FALSE(shape_of("a/#").begins_with_wildcard());
    EXPECT_FALSE(shape_of("$a/+").begins_with_wildcard());
}

// The hash finds what the matcher finds, and (but for one in 2^64) nothing else.
TEST(FilterShape, HashAgreesWithTheMatcher) {
    for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
        RandomTopics random{seed};
        const std::string filter = random.filter();
        const std::string topic = random.name();
        const FilterShape shape = shape_of(filter);
        const LevelHashes filter_levels{kKey, filter};
        const LevelHashes topic_levels{kKey, topic};
        const bool dollar_rule = topic.starts_with('$') && shape.begins_with_wildcard();
        const bool found = !dollar_rule && shape.admits(topic_levels.size()) &&
                           literal_hash(shape, filter_levels) == literal_hash(shape, topic_levels);
        ASSERT_EQ(found, matches(filter, topic)) << filter << " and " << topic;
    }
}

TEST(FilterShape, WidenedMatchesAllThatItDid) {
    for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
        RandomTopics random{seed};
        const std::string filter = random.filter();
        const std::string topic = random.name();
        if (!matches(filter, topic)) continue;
        const FilterShape shape = shape_of(filter);
        for (std::uint8_t prefix = 0; prefix <= shape.literal_prefix_levels(); ++prefix) {
            const FilterShape wide = shape.widened(prefix);
            const LevelHashes topic_levels{kKey, topic};
            ASSERT_TRUE(wide.admits(topic_levels.size()));
            ASSERT_EQ(literal_hash(wide, LevelHashes{kKey, filter}),
                      literal_hash(wide, topic_levels));
        }
    }
}

TEST(FilterShape, DifferentShapesHaveDifferentHashes) {
    std::set<std::uint64_t> hashes;
    std::size_t shapes = 0;
    for (std::uint8_t levels = 0; levels <= 10; ++levels) {
        for (std::uint64_t plus = 0; plus < std::uint64_t{1} << levels; ++plus) {
            for (const bool multi : {false, true}) {
                ++shapes;
                hashes.insert(hash_value(
                    FilterShape{.plus_levels = plus, .levels = levels, .multi_level = multi}));
            }
        }
    }
    EXPECT_EQ(hashes.size(), shapes);
}

TEST(FilterShape, HashDependsOnTheKeyAndTheOrderOfLevels) {
    const FilterShape shape = shape_of("a/b/#");
    const auto hash = [&](std::string_view text, const HashKey& key) {
        return literal_hash(shape, LevelHashes{key, text});
    };
    EXPECT_NE(hash("a/b/#", kKey), hash("b/a/#", kKey));
    EXPECT_NE(hash("a/b/#", kKey), hash("a/b/#", HashKey{.k0 = 3, .k1 = 4}));
}

}  // namespace
}  // namespace stentor::mqtt
