#include "auth/http/answer_cache.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::auth {
namespace {

using std::chrono::seconds;

constexpr Instant kStart = Instant{} + seconds{100};

Fingerprint number(std::uint8_t of) {
    Fingerprint made{};
    made[0] = std::byte{of};
    return made;
}

LoginVerdict allow(std::string user) {
    return {.answer = {.result = LoginResult::allow, .user = std::move(user)}};
}

TEST(AnswerCache, RemembersUntilItsTime) {
    AnswerCache cache{10'000};
    cache.put(number(1), allow("anna"), kStart + seconds{60});
    ASSERT_NE(cache.find(number(1), kStart), nullptr);
    EXPECT_EQ(cache.find(number(1), kStart)->answer.user, "anna");
    EXPECT_EQ(cache.find(number(2), kStart), nullptr);
    EXPECT_NE(cache.find(number(1), kStart + seconds{60} - Duration{1}), nullptr);
    EXPECT_EQ(cache.find(number(1), kStart + seconds{60}), nullptr);
    EXPECT_EQ(cache.size(), 0U);
    EXPECT_EQ(cache.bytes(), 0U);
}

TEST(AnswerCache, ANewerAnswerTakesThePlace) {
    AnswerCache cache{10'000};
    cache.put(number(1), allow("anna"), kStart + seconds{60});
    const std::size_t bytes = cache.bytes();
    cache.put(number(1), allow("bert"), kStart + seconds{90});
    EXPECT_EQ(cache.find(number(1), kStart + seconds{60})->answer.user, "bert");
    EXPECT_EQ(cache.bytes(), bytes);
}

TEST(AnswerCache, WhatWasUsedLongestAgoGivesWay) {
    AnswerCache measure{10'000};
    measure.put(number(0), allow("anna"), kNever);
    AnswerCache cache{3 * measure.bytes()};
    for (std::uint8_t i = 1; i <= 3; ++i) cache.put(number(i), allow("anna"), kNever);
    ASSERT_NE(cache.find(number(1), kStart), nullptr);
    cache.put(number(4), allow("anna"), kNever);
    EXPECT_EQ(cache.size(), 3U);
    EXPECT_EQ(cache.find(number(2), kStart), nullptr);
    EXPECT_NE(cache.find(number(1), kStart), nullptr);
    EXPECT_NE(cache.find(number(4), kStart), nullptr);
}

TEST(AnswerCache, RulesCountAndWhatIsTooLargeIsNotKept) {
    AnswerCache cache{5'000};
    cache.put(number(1), allow("anna"), kNever);
    LoginVerdict wide = allow("wide");
    std::vector<Grant> grants;
    for (int i = 0; i < 100; ++i) {
        grants.push_back({.filter = std::string(100, 'x'), .read = true, .write = false});
    }
    wide.answer.grants = make_intrusive<Grants>(std::move(grants));
    cache.put(number(2), wide, kNever);
    EXPECT_EQ(cache.find(number(2), kStart), nullptr);
    EXPECT_NE(cache.find(number(1), kStart), nullptr) << "nobody had to go for it";
    AnswerCache none{0};
    none.put(number(1), allow("anna"), kNever);
    EXPECT_EQ(none.size(), 0U);
}

}  // namespace
}  // namespace stentor::auth
