#include "protocol/topic/validate.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace stentor::mqtt {
namespace {

using namespace std::string_view_literals;

TEST(TopicName, AcceptsAnyTextWithoutWildcards) {
    for (const std::string_view name : {"a"sv,
                                        "/"sv,
                                        "//"sv,
                                        "a/"sv,
                                        "/a"sv,
                                        "a b"sv,
                                        "$SYS/x"sv,
                                        "$share/g/t"sv,
                                        "\xC3\xA4"sv}) {
        EXPECT_EQ(check_topic_name(name), TopicCheck::ok) << name;
    }
}

TEST(TopicName, RejectsEmptyNullAndWildcards) {
    for (const std::string_view name : {""sv, "a\0b"sv, "+"sv, "#"sv, "a+"sv, "a/#"sv, "a/+/b"sv}) {
        EXPECT_EQ(check_topic_name(name), TopicCheck::invalid) << name;
    }
}

TEST(TopicName, IsAtMost65535Bytes) {
    EXPECT_EQ(check_topic_name(std::string(65'535, 'x')), TopicCheck::ok);
    EXPECT_EQ(check_topic_name(std::string(65'536, 'x')), TopicCheck::invalid);
}

TEST(TopicName, HasALimitOfLevels) {
    EXPECT_EQ(check_topic_name("a/b/c", {.levels_max = 3}), TopicCheck::ok);
    EXPECT_EQ(check_topic_name("a/b/c/", {.levels_max = 3}), TopicCheck::too_many_levels);
    EXPECT_EQ(check_topic_name(std::string(63, '/')), TopicCheck::ok);
    EXPECT_EQ(check_topic_name(std::string(64, '/')), TopicCheck::too_many_levels);
    EXPECT_EQ(check_topic_name(std::string(64, '/'), {.levels_max = 1000}),
              TopicCheck::too_many_levels);
}

TEST(TopicFilter, AcceptsWildcardsThatAreWholeLevels) {
    for (const std::string_view filter : {"a"sv,
                                          "/"sv,
                                          "+"sv,
                                          "#"sv,
                                          "/#"sv,
                                          "/+"sv,
                                          "+/"sv,
                                          "a/#"sv,
                                          "a/+/b"sv,
                                          "+/+/#"sv,
                                          "$SYS/#"sv}) {
        EXPECT_EQ(check_topic_filter(filter), TopicCheck::ok) << filter;
    }
}

TEST(TopicFilter, RejectsWildcardsInsideLevelsOrAfterHash) {
    for (const std::string_view filter : {""sv,
                                          "a+"sv,
                                          "+a"sv,
                                          "a/b+/c"sv,
                                          "++"sv,
                                          "a#"sv,
                                          "#a"sv,
                                          "##"sv,
                                          "#/"sv,
                                          "a/#/b"sv,
                                          "+#"sv,
                                          "a\0"sv}) {
        EXPECT_EQ(check_topic_filter(filter), TopicCheck::invalid) << filter;
    }
}

TEST(TopicFilter, TellsInvalidFromTooDeep) {
    EXPECT_EQ(check_topic_filter("a/b/#", {.levels_max = 2}), TopicCheck::too_many_levels);
    EXPECT_EQ(check_topic_filter("a/b/c#", {.levels_max = 2}), TopicCheck::invalid);
}

TEST(SharedSubscription, IsTakenApart) {
    const SubscriptionFilter parts = parse_subscription_filter("$share/group/a/+/#");
    EXPECT_EQ(parts.check, TopicCheck::ok);
    EXPECT_TRUE(parts.is_shared());
    EXPECT_EQ(parts.share_name, "group");
    EXPECT_EQ(parts.filter, "a/+/#");
}

TEST(SharedSubscription, FilterMayBeginWithASeparator) {
    const SubscriptionFilter parts = parse_subscription_filter("$share/g//a");
    EXPECT_EQ(parts.check, TopicCheck::ok);
    EXPECT_EQ(parts.filter, "/a");
}

TEST(SharedSubscription, RejectsBadShareNamesAndFilters) {
    for (const std::string_view text : {"$share/"sv,
                                        "$share//a"sv,
                                        "$share/g"sv,
                                        "$share/g/"sv,
                                        "$share/g+/a"sv,
                                        "$share/#/a"sv,
                                        "$share/+/a"sv,
                                        "$share/g/a+"sv,
                                        "$share/g/#/a"sv,
                                        "$share/g\0/a"sv}) {
        const SubscriptionFilter parts = parse_subscription_filter(text);
        EXPECT_EQ(parts.check, TopicCheck::invalid) << text;
        EXPECT_FALSE(parts.is_shared()) << text;
        EXPECT_TRUE(parts.filter.empty()) << text;
    }
}

TEST(SharedSubscription, OthersThatBeginWithDollarAreOrdinary) {
    for (const std::string_view text :
         {"$share"sv, "$shared/x"sv, "$SHARE/g/t"sv, "/$share/g/t"sv}) {
        const SubscriptionFilter parts = parse_subscription_filter(text);
        EXPECT_EQ(parts.check, TopicCheck::ok) << text;
        EXPECT_FALSE(parts.is_shared()) << text;
        EXPECT_EQ(parts.filter, text);
    }
}

TEST(SharedSubscription, LevelsAreThoseOfTheFilter) {
    EXPECT_EQ(parse_subscription_filter("$share/g/a/b", {.levels_max = 2}).check, TopicCheck::ok);
    EXPECT_EQ(parse_subscription_filter("$share/g/a/b/c", {.levels_max = 2}).check,
              TopicCheck::too_many_levels);
}

}  // namespace
}  // namespace stentor::mqtt
