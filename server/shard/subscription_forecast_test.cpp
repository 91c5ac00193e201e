#include "server/shard/subscription_forecast.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace stentor::server {
namespace {

using mqtt::QoS;
using Granted = SubscriptionForecast::Granted;

TEST(SubscriptionForecastTest, TheLastChangeOnItsWayCounts) {
    SubscriptionForecast forecast;
    EXPECT_EQ(forecast.find("a"), nullptr);
    forecast.begin("a", std::nullopt, QoS::at_least_once);
    forecast.begin("a", std::nullopt, std::nullopt);
    forecast.begin("a", std::nullopt, QoS::at_most_once);
    ASSERT_NE(forecast.find("a"), nullptr);
    EXPECT_EQ(*forecast.find("a"), QoS::at_most_once);
    EXPECT_EQ(forecast.count(0), 1U);
    forecast.end("a", true);
    forecast.end("a", false);
    EXPECT_EQ(forecast.count(0), 1U);
    forecast.end("a", true);
    EXPECT_EQ(forecast.count(1), 1U);
    EXPECT_TRUE(forecast.empty());
}

TEST(SubscriptionForecastTest, ALongFilterIsSeveral) {
    const std::string filter(65'535, 'x');
    ASSERT_EQ(SubscriptionForecast::weight("a"), 1U);
    ASSERT_EQ(SubscriptionForecast::weight(filter), 64U);
    SubscriptionForecast forecast;
    forecast.begin(filter, std::nullopt, QoS::at_least_once);
    EXPECT_EQ(forecast.count(5), 69U);
    forecast.end(filter, true);
    EXPECT_EQ(forecast.count(69), 69U);
    forecast.begin(filter, QoS::at_least_once, std::nullopt);
    EXPECT_EQ(forecast.count(69), 5U);
    forecast.end(filter, false);
    EXPECT_EQ(forecast.count(5), 5U);
}

TEST(SubscriptionForecastTest, WhatFailedIsForgotten) {
    SubscriptionForecast forecast;
    forecast.begin("a", std::nullopt, QoS::at_least_once);
    forecast.begin("b", QoS::at_least_once, std::nullopt);
    EXPECT_EQ(forecast.count(1), 1U);
    forecast.end("a", false);  // no room in the store
    EXPECT_EQ(forecast.count(1), 0U);
    forecast.end("b", true);
    EXPECT_EQ(forecast.count(1), 1U);
    EXPECT_TRUE(forecast.empty());
}

// Against a model that keeps everything: changes happen in the order they were begun, some fail.
TEST(SubscriptionForecastTest, CountsAsTheModelDoes) {
    struct Change {
        std::string filter;
        Granted after;
    };
    std::mt19937 random{7};  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same each time
    for (int run = 0; run < 200; ++run) {
        const bool failures = run % 2 == 1;
        SubscriptionForecast forecast;
        std::map<std::string, Granted> session;
        std::vector<Change> under_way;
        const auto now = [&](const std::string& filter) {
            const auto at = session.find(filter);
            return at == session.end() ? Granted{} : at->second;
        };
        for (int step = 0; step < 100; ++step) {
            if (random() % 2 == 0) {
                Change change{std::string(1, static_cast<char>('a' + random() % 5)),
                              random() % 2 == 0 ? Granted{QoS::at_least_once} : Granted{}};
                forecast.begin(change.filter, now(change.filter), change.after);
                under_way.push_back(std::move(change));
            } else if (!under_way.empty()) {
                const Change change = under_way.front();
                under_way.erase(under_way.begin());
                if (!failures || random() % 4 != 0) {
                    if (change.after) session[change.filter] = change.after;
                    if (!change.after) session.erase(change.filter);
                }
                forecast.end(change.filter, session.count(change.filter) != 0);
            }
            std::map<std::string, Granted> expected = session;
            for (const Change& change : under_way) {
                if (change.after) expected[change.filter] = change.after;
                if (!change.after) expected.erase(change.filter);
            }
            ASSERT_EQ(forecast.count(session.size()), expected.size()) << "run " << run;
            ASSERT_EQ(forecast.empty(), under_way.empty());
        }
    }
}

}  // namespace
}  // namespace stentor::server
