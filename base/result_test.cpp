#include "base/result.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace stentor {

enum class Problem { none, too_short, too_long };

namespace {

Result<int, Problem> length(const std::string& text) {
    if (text.empty()) return Problem::too_short;
    return static_cast<int>(text.size());
}

Result<std::string, Problem> describe(const std::string& text) {
    STENTOR_TRY(const auto n, length(text));
    return std::to_string(n) + " bytes";
}

Result<void, Problem> check(const std::string& text) {
    STENTOR_TRY_VOID(length(text));
    STENTOR_TRY_VOID(describe(text));
    return {};
}

Result<std::unique_ptr<int>, Problem> boxed(const std::string& text) {
    STENTOR_TRY(auto n, length(text));
    return std::make_unique<int>(n);
}

Result<int, Problem> unboxed(const std::string& text) {
    std::unique_ptr<int> box;
    STENTOR_TRY(box, boxed(text));
    STENTOR_TRY(auto other, boxed(text));
    return *box + *other;
}

Result<bool> with_error_code(bool fail) {
    auto inner = [&]() -> Result<int> {
        if (fail) return boost::system::errc::make_error_code(boost::system::errc::io_error);
        return 7;
    };
    STENTOR_TRY(auto seven, inner());
    return seven == 7;
}

TEST(Result, TryYieldsTheValue) {
    EXPECT_EQ(describe("abc").value(), "3 bytes");
    EXPECT_EQ(unboxed("abc").value(), 6);
    EXPECT_TRUE(check("abc").has_value());
}

TEST(Result, TryPassesTheErrorThroughAnotherValueType) {
    EXPECT_EQ(describe("").error(), Problem::too_short);
    EXPECT_EQ(unboxed("").error(), Problem::too_short);
    EXPECT_EQ(check("").error(), Problem::too_short);
}

TEST(ResultDeathTest, ValueOfAFailureIsOurMistake) {
    EXPECT_DEATH((void)length("").value(), "value\\(\\) of a failed Result");
}

TEST(Result, DefaultsToErrorCode) {
    EXPECT_TRUE(with_error_code(false).value());
    EXPECT_EQ(with_error_code(true).error(), boost::system::errc::io_error);
}

TEST(Result, TryVoidFitsUnbracedIf) {
    auto function = [](bool ask) -> Result<void, Problem> {
        // NOLINTBEGIN(readability-braces-around-statements)
        if (ask)
            STENTOR_TRY_VOID(length(""));
        else
            return Problem::too_long;
        // NOLINTEND(readability-braces-around-statements)
        return {};
    };
    EXPECT_EQ(function(true).error(), Problem::too_short);
    EXPECT_EQ(function(false).error(), Problem::too_long);
}

}  // namespace
}  // namespace stentor
