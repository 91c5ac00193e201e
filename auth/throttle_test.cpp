#include "auth/throttle.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace stentor::auth {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

class ThrottleTest : public testing::Test {
  protected:
    static constexpr ThrottleOptions kOptions{
        .failures_per_address_max = 3, .failures_per_user_max = 5, .forgets_one_after = 10s};

    bool refuses(std::string_view address, std::string_view user) {
        return throttle.refuses(throttle.attempt(address, user), now);
    }
    void fail(std::string_view address, std::string_view user, int times = 1) {
        for (int i = 0; i < times; ++i) throttle.failed(throttle.attempt(address, user), now);
    }
    void succeed(std::string_view address, std::string_view user) {
        throttle.succeeded(throttle.attempt(address, user), now);
    }

    Throttle throttle{kOptions, HashKey{1, 2}, 1024};
    Instant now{std::chrono::hours{1}};
};

TEST_F(ThrottleTest, AnAddressIsRefusedAfterItsFailuresWhateverNamesItTries) {
    fail("192.0.2.1", "anna");
    fail("192.0.2.1", "bob");
    EXPECT_FALSE(refuses("192.0.2.1", "carol"));
    fail("192.0.2.1", "");
    EXPECT_TRUE(refuses("192.0.2.1", "carol"));
    EXPECT_TRUE(refuses("192.0.2.1", ""));
    EXPECT_FALSE(refuses("192.0.2.2", "carol"));
    EXPECT_EQ(throttle.refused(), 2U);
}

TEST_F(ThrottleTest, FailuresAreForgottenOneAtATime) {
    fail("192.0.2.1", "anna", 100);
    EXPECT_TRUE(refuses("192.0.2.1", "anna"));
    now += 1s;  // no more has been remembered than the bound
    EXPECT_FALSE(refuses("192.0.2.1", "bob"));
    EXPECT_TRUE(refuses("192.0.2.1", "anna"));
    now += 9s;
    EXPECT_FALSE(refuses("192.0.2.1", "anna"));
    fail("192.0.2.1", "anna");
    EXPECT_TRUE(refuses("192.0.2.1", "anna"));
    now += 50s;
    fail("192.0.2.1", "anna", 2);
    EXPECT_FALSE(refuses("192.0.2.1", "anna"));
}

TEST_F(ThrottleTest, AUserUnderAttackComesInFromElsewhere) {
    for (int host = 1; host <= 9; ++host) fail("192.0.2." + std::to_string(host), "anna");
    // Each of the attackers has failed once and may not try that name again, but others.
    EXPECT_TRUE(refuses("192.0.2.1", "anna"));
    EXPECT_FALSE(refuses("192.0.2.1", "bob"));
    EXPECT_FALSE(refuses("198.51.100.1", "anna"));
    now += 60s;
    EXPECT_FALSE(refuses("192.0.2.1", "anna"));
}

TEST_F(ThrottleTest, AWrongPasswordSomewhereDoesNotShutOutItsNeighbours) {
    // A phone that tries for ever, behind the address of many.
    for (int second = 0; second < 1000; ++second, now += 1s) {
        if (!refuses("192.0.2.1", "anna")) fail("192.0.2.1", "anna");
        EXPECT_FALSE(second > 10 && refuses("192.0.2.1", "bob")) << second;
    }
    EXPECT_GT(throttle.refused(), 800U);
}

TEST_F(ThrottleTest, WhoHasComeInFromAnAddressIsLetInWhateverItsNeighboursDo) {
    succeed("192.0.2.1", "anna");
    fail("192.0.2.1", "bob", 3);
    EXPECT_TRUE(refuses("192.0.2.1", "bob"));
    EXPECT_FALSE(refuses("192.0.2.1", "anna"));
    fail("192.0.2.1", "anna");
    EXPECT_TRUE(refuses("192.0.2.1", "anna"));
    succeed("192.0.2.1", "anna");
    now += std::chrono::hours{25};
    fail("192.0.2.1", "bob", 3);
    EXPECT_TRUE(refuses("192.0.2.1", "anna"));
}

TEST_F(ThrottleTest, OneSuccessDoesNotClearAnAddress) {
    fail("192.0.2.1", "anna", 3);
    succeed("192.0.2.1", "mallory");
    EXPECT_TRUE(refuses("192.0.2.1", "anna"));
}

TEST_F(ThrottleTest, AnIpv6CustomerIsOne) {
    fail("2001:db8::1", "anna", 2);
    fail("2001:db8::2:1", "anna");
    EXPECT_TRUE(refuses("2001:db8::3", "bob"));
    EXPECT_FALSE(refuses("2001:db8:0:1::1", "bob"));
    fail("::ffff:192.0.2.1", "anna", 3);
    EXPECT_TRUE(refuses("192.0.2.1", "bob"));
}

TEST_F(ThrottleTest, AnIpv6NetworkIsRefusedAfterSixteenAddressesFailures) {
    const auto customer = [](int number) { return "2001:db8:0:" + std::to_string(number) + "::1"; };
    for (int i = 0; i < 23; ++i) fail(customer(i), "anna", 2);
    EXPECT_FALSE(refuses(customer(30), "bob"));
    fail(customer(24), "anna", 2);
    EXPECT_TRUE(refuses(customer(30), "bob"));
    EXPECT_FALSE(refuses("2001:db8:1::1", "bob"));
    for (int i = 0; i < 100; ++i) fail("192.0.2." + std::to_string(i), "carol", 2);
    EXPECT_FALSE(refuses("192.0.2.200", "bob"));
}

TEST_F(ThrottleTest, NoMoreAreLookedAtTogetherThanMayFail) {
    using Start = Throttle::Start;
    const auto of = [&](const char* user) { return throttle.attempt("192.0.2.1", user); };
    for (const char* user : {"anna", "bob", "carol"}) {
        EXPECT_EQ(throttle.begin(of(user), now), Start::begins);
    }
    EXPECT_EQ(throttle.begin(of("dora"), now), Start::too_many_undecided);
    EXPECT_FALSE(refuses("192.0.2.1", "dora")) << "nobody has failed";
    throttle.failed(of("anna"), now);
    throttle.end(of("anna"));
    EXPECT_EQ(throttle.begin(of("dora"), now), Start::too_many_undecided);
    throttle.end(of("bob"));  // nothing was learned
    EXPECT_EQ(throttle.begin(of("dora"), now), Start::begins);
    throttle.succeeded(of("carol"), now);
    throttle.end(of("carol"));
    throttle.failed(of("dora"), now);
    throttle.end(of("dora"));
    EXPECT_EQ(throttle.begin(of("emma"), now), Start::begins);
    throttle.failed(of("emma"), now);
    throttle.end(of("emma"));
    EXPECT_EQ(throttle.begin(of("fay"), now), Start::refused);
    EXPECT_EQ(throttle.begin(of("carol"), now), Start::begins) << "known";
}

TEST_F(ThrottleTest, WhatTurnedOutWellLeavesOthersFailuresAsTheyAre) {
    const auto slow = throttle.attempt("192.0.2.1", "anna");
    EXPECT_EQ(throttle.begin(slow, now), Throttle::Start::begins);
    now += 900ms;
    fail("192.0.2.1", "bob", 3);
    throttle.succeeded(slow, now);
    throttle.end(slow);
    EXPECT_TRUE(refuses("192.0.2.1", "bob"));
}

TEST_F(ThrottleTest, GuessesSideBySideAreCounted) {
    int begun = 0;
    for (int i = 0; i < 20; ++i) {
        const auto guess = throttle.attempt("2001:db8::1", "anna");
        if (throttle.begin(guess, now) == Throttle::Start::begins) ++begun;
    }
    EXPECT_EQ(begun, 3);
}

TEST_F(ThrottleTest, LoopbackAndNoAddressAreOnePlaceWithoutABoundOfItsOwn) {
    constexpr std::array kPlaces{"127.0.0.1", "127.1.2.3", "::1", ""};
    for (const char* place : kPlaces) fail(place, "anna");
    EXPECT_FALSE(refuses("", "anna"));
    fail("", "anna");
    for (const char* place : kPlaces) {
        fail(place, "", 100);
        EXPECT_TRUE(refuses(place, "anna")) << place;
        EXPECT_FALSE(refuses(place, "bob")) << place;
        EXPECT_FALSE(refuses(place, "")) << place;
    }
    EXPECT_FALSE(refuses("192.0.2.1", "anna"));
    now += 60s;
    EXPECT_FALSE(refuses("", "anna"));
}

TEST_F(ThrottleTest, GuessesOnLoopbackLockNobodyOutElsewhere) {
    succeed("192.0.2.1", "anna");
    fail("127.0.0.1", "anna", 100);
    EXPECT_TRUE(refuses("127.0.0.1", "anna"));
    EXPECT_FALSE(refuses("192.0.2.1", "anna"));
    EXPECT_FALSE(refuses("192.0.2.2", "anna"));
}

TEST_F(ThrottleTest, GuessesSideBySideOnLoopbackAreCounted) {
    int begun = 0;
    for (int i = 0; i < 20; ++i) {
        const auto guess = throttle.attempt("", "anna");
        if (throttle.begin(guess, now) == Throttle::Start::begins) ++begun;
    }
    EXPECT_EQ(begun, 5);
}

TEST_F(ThrottleTest, BoundsCanBeTakenAway) {
    fail("192.0.2.1", "anna", 9);
    throttle.set_options({.failures_per_address_max = 0, .failures_per_user_max = 0});
    EXPECT_FALSE(refuses("192.0.2.1", "anna"));
}

TEST_F(ThrottleTest, StrangersDoNotWashOutWhoHasFailedMost) {
    fail("192.0.2.1", "anna", 3);
    for (int i = 0; i < 100'000; ++i) {
        fail("10." + std::to_string(i >> 16) + '.' + std::to_string(i >> 8 & 255) + '.' +
                 std::to_string(i & 255),
             "");
    }
    EXPECT_TRUE(refuses("192.0.2.1", "bob"));
}

}  // namespace
}  // namespace stentor::auth
