#include "persistence/contract/need_survey.hpp"

#include "base/random.hpp"
#include "protocol/topic/match.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stentor::store {
namespace {

TEST(NeedSurvey, NobodyNeedsWhatNoFilterMatches) {
    NeedSurvey survey{Seq{100}};
    EXPECT_EQ(survey.needed_from("a"), kNobodyNeeds);
    survey.add("a/+/c", Seq{7});
    survey.add("a/b", Seq{3});
    EXPECT_EQ(survey.needed_from("a/x/c"), Seq{7});
    EXPECT_EQ(survey.needed_from("a/b"), Seq{3});
    EXPECT_EQ(survey.needed_from("a/b/d"), kNobodyNeeds);
    EXPECT_FALSE(survey.is_needed("a/b", Seq{2}));
    EXPECT_TRUE(survey.is_needed("a/b", Seq{3}));
}

TEST(NeedSurvey, TheLowestPositionOfAllCounts) {
    NeedSurvey survey{Seq{100}};
    survey.add("a", Seq{7});
    survey.add("a", Seq{5});
    survey.add("a", Seq{9});
    survey.add("#", Seq{50});
    EXPECT_EQ(survey.needed_from("a"), Seq{5});
    EXPECT_EQ(survey.needed_from("b"), Seq{50});
    EXPECT_EQ(survey.needed_from("$SYS/b"), kNobodyNeeds);
}

TEST(NeedSurvey, SaysNothingAboutWhatCameLater) {
    NeedSurvey survey{Seq{100}};
    EXPECT_FALSE(survey.is_needed("a", Seq{100}));
    EXPECT_TRUE(survey.is_needed("a", Seq{101}));
    survey.merge(NeedSurvey{Seq{90}});
    EXPECT_TRUE(survey.is_needed("a", Seq{91}));
}

TEST(NeedSurvey, SomebodyMayNeedEverythingFromSomewhereOn) {
    NeedSurvey survey{Seq{100}};
    survey.add("a", Seq{3});
    NeedSurvey other{Seq{100}};
    other.add_everything(Seq{50});
    survey.merge(other);
    EXPECT_EQ(survey.needed_from("a"), Seq{3});
    EXPECT_EQ(survey.needed_from("$SYS/x"), Seq{50});
}

TEST(NeedSurvey, MergesWhatShardsNeed) {
    NeedSurvey one{Seq{100}};
    one.add("a", Seq{7});
    one.add("b", Seq{7});
    NeedSurvey two{Seq{100}};
    two.add("a", Seq{3});
    two.add("+/c", Seq{9});
    one.merge(two);
    EXPECT_EQ(one.needed_from("a"), Seq{3});
    EXPECT_EQ(one.needed_from("b"), Seq{7});
    EXPECT_EQ(one.needed_from("x/c"), Seq{9});
}

// Against the naive matcher, with more shapes than are kept apart.
TEST(NeedSurvey, NeverForgetsANeed) {
    Random random{4711};
    for (int round = 0; round < 20; ++round) {
        NeedSurvey survey{Seq{1000}};
        std::vector<std::pair<std::string, Seq>> needs;
        const auto level = [&](bool may_be_wild) -> std::string {
            if (may_be_wild && random.chance(1, 3)) return "+";
            return std::string(1, static_cast<char>('a' + random.below(3)));
        };
        for (int i = 0; i < 200; ++i) {
            std::string filter = level(true);
            for (auto more = random.below(9); more != 0; --more) filter += '/' + level(true);
            if (random.chance(1, 4)) filter += "/#";
            const Seq from{random.between(1, 1000)};
            survey.add(filter, from);
            needs.emplace_back(std::move(filter), from);
        }
        for (int i = 0; i < 200; ++i) {
            std::string topic = level(false);
            for (auto more = random.below(9); more != 0; --more) topic += '/' + level(false);
            Seq lowest = kNobodyNeeds;
            for (const auto& [filter, from] : needs) {
                if (mqtt::matches(filter, topic)) lowest = std::min(lowest, from);
            }
            EXPECT_LE(survey.needed_from(topic), lowest) << topic;
        }
    }
}

}  // namespace
}  // namespace stentor::store
