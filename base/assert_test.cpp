#include "base/assert.hpp"

#include <gtest/gtest.h>

namespace {

TEST(Assert, EvaluatesItsConditionOnce) {
    int calls = 0;
    STENTOR_ASSERT(++calls == 1);
    STENTOR_ASSERT(++calls == 2, "with a reason");
    EXPECT_EQ(calls, 2);
}

TEST(Assert, IsAnExpressionThatFitsUnbracedIf) {
    bool reached_else = false;
    // NOLINTBEGIN(readability-braces-around-statements)
    if (false)
        STENTOR_ASSERT(false);
    else
        reached_else = true;
    // NOLINTEND(readability-braces-around-statements)
    EXPECT_TRUE(reached_else);
}

TEST(AssertDeathTest, NamesPlaceExpressionAndReason) {
    const int answer = 41;
    EXPECT_DEATH(STENTOR_ASSERT(answer == 42, "the question is unknown"),
                 "base/assert_test.cpp:[0-9]+: assertion failed: answer == 42: the question");
}

TEST(AssertDeathTest, PrintsAStackTrace) { EXPECT_DEATH(STENTOR_ASSERT(false), "base_test"); }

}  // namespace
