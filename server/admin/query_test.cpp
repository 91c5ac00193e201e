#include "server/admin/query.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace stentor::admin {
namespace {

using testing::HasSubstr;

constexpr std::array<std::string_view, 4> kKnown{"filter", "limit", "after", "connected"};

TEST(Query, ValuesAreDecodedAndPlusIsItself) {
    const auto query = Query::of("/x?filter=a/+/%23&after=%2B%20&&connected=true", kKnown);
    ASSERT_TRUE(query);
    EXPECT_EQ(query->text("filter"), "a/+/#");
    EXPECT_EQ(query->text("after"), "+ ");
    EXPECT_EQ(*query->flag("connected"), std::optional{true});
    EXPECT_EQ(query->text("limit"), std::nullopt);
    EXPECT_EQ(*Query::of("/x", kKnown)->flag("connected"), std::nullopt);
}

TEST(Query, WhatMakesNoSenseIsAMistake) {
    const auto why = [](std::string_view target) {
        const auto query = Query::of(target, kKnown);
        return query ? std::string{} : query.error().error + ' ' + query.error().hint;
    };
    EXPECT_THAT(why("/x?filtr=a"), HasSubstr("did you mean \"filter\"?"));
    EXPECT_THAT(why("/x?zzzzzzzzzzzzz"), HasSubstr("known: filter, limit"));
    EXPECT_THAT(why("/x?filter=%"), HasSubstr("percent-encoded"));
    EXPECT_THAT(why("/x?filter=a&filter=b"), HasSubstr("twice"));
    EXPECT_THAT(Query::of("/x?a", {}).error().error, HasSubstr("no query"));
}

TEST(Query, NumbersHaveBounds) {
    const auto limit = [](std::string_view target) {
        const auto query = Query::of(target, kKnown);
        const auto number = query->number("limit", 100, 1, 1000);
        return number ? *number : std::size_t{0};
    };
    EXPECT_EQ(limit("/x"), 100U);
    EXPECT_EQ(limit("/x?limit=1000"), 1000U);
    for (const char* bad : {"/x?limit=1001", "/x?limit=0", "/x?limit=", "/x?limit=1x"}) {
        EXPECT_EQ(limit(bad), 0U) << bad;
    }
    EXPECT_FALSE(Query::of("/x?connected=maybe", kKnown)->flag("connected"));
}

TEST(Query, PercentEncodingComesBack) {
    const std::string text{"a/b +#%\xC3\xA4\x01~", 11};
    EXPECT_EQ(percent_encoded(text), "a%2Fb%20%2B%23%25%C3%A4%01~");
    EXPECT_EQ(percent_decoded(percent_encoded(text)), text);
    EXPECT_EQ(percent_decoded("%e4%E4"), "\xE4\xE4");
    for (const char* bad : {"%", "%1", "a%", "%g1", "%1g", "%-1", "%+1"}) {
        EXPECT_EQ(percent_decoded(bad), std::nullopt) << bad;
    }
}

}  // namespace
}  // namespace stentor::admin
