// /metrics and $SYS, as texts made of figures.

#include "server/admin/metrics_page.hpp"
#include "server/admin/sys_topics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <map>
#include <string>

namespace stentor::admin {
namespace {

using testing::HasSubstr;

template <class Array, class Index>
auto& at(Array& counts, Index index) {
    return counts[static_cast<std::size_t>(index)];
}

TEST(MetricsPage, ShowsEveryReasonByItsName) {
    MetricsInput input;
    server::Counters& counters = input.figures.all.counters;
    at(counters.messages_dropped, mqtt::DropReason::backlog_full) = 3;
    at(counters.messages_refused, server::RefusedMessage::quota_exceeded) = 16;
    input.figures.all.log_messages = 17;
    at(counters.refused_at_door, server::RefusedAtDoor::banned) = 4;
    at(input.http.refused_at_door, server::RefusedAtDoor::banned) = 1;
    at(counters.connects_refused, mqtt::ReasonCode::connection_rate_exceeded) = 5;
    at(counters.reading_pauses, server::ReadingPause::congested) = 6;
    at(input.auth_decisions, auth::Outcome::bad_credentials) = 7;
    counters.messages_without_reader[0] = 8;
    counters.authentications_shed = 9;
    input.store_reopened = 10;
    input.logins = {.requests = 11, .failures = 12, .remembered = 13, .joined = 14};
    input.figures.all.inflight_messages = 15;
    counters.delivery_microseconds.add(3);
    counters.delivery_microseconds.add(1'000'000);
    const std::string page = metrics_page(input);
    for (const char* line : {"\nstentor_messages_dropped_total{reason=\"backlog_full\"} 3\n",
                             "\nstentor_messages_dropped_total{reason=\"queue_full\"} 0\n",
                             "\nstentor_messages_dropped_total{reason=\"packet_too_large\"} 0\n",
                             "\nstentor_messages_refused_total{reason=\"quota_exceeded\"} 16\n",
                             "\nstentor_messages_refused_total{reason=\"not_committed\"} 0\n",
                             "\nstentor_log_messages 17\n",
                             "\nstentor_connections_refused_total{reason=\"address_banned\"} 5\n",
                             "{reason=\"connection_rate_exceeded\"} 5\n",
                             "\nstentor_reading_pauses_total{reason=\"congested\"} 6\n",
                             "\nstentor_auth_decisions_total{result=\"bad_credentials\"} 7\n",
                             "\nstentor_messages_without_reader_total{qos=\"0\"} 8\n",
                             "_refused_total{reason=\"authentication_shed\"} 9\n",
                             "\nstentor_store_reopened_total 10\n",
                             "\nstentor_auth_http_requests_total 11\n",
                             "\nstentor_auth_http_failures_total 12\n",
                             "\nstentor_auth_http_cache_hits_total 13\n",
                             "\nstentor_auth_http_joined_total 14\n",
                             "\nstentor_inflight_messages 15\n",
                             "\nstentor_delivery_latency_seconds_bucket{le=\"4e-06\"} 1\n",
                             "\nstentor_delivery_latency_seconds_count 2\n"}) {
        EXPECT_THAT(page, HasSubstr(line));
    }
}

TEST(MetricsPage, TellsListenersApartAndWhenTheirCertificatesEnd) {
    MetricsInput input;
    input.listeners.push_back({.url = "mqtt://h:1", .connections = 2});
    input.listeners.push_back(
        {.url = "mqtts://h:2", .connections = 3, .certificate_ends = 1700000000.0});
    const std::string page = metrics_page(input);
    EXPECT_THAT(page, HasSubstr("stentor_connections{listener=\"mqtt://h:1\"} 2\n"));
    EXPECT_THAT(page, HasSubstr("expiry_timestamp_seconds{listener=\"mqtts://h:2\"} 1700000000\n"));
    EXPECT_THAT(page, testing::Not(HasSubstr("seconds{listener=\"mqtt://h:1\"}")));
}

class SysTopicsTest : public testing::Test {
  public:
    std::map<std::string, std::string> round(std::chrono::seconds at) {
        std::map<std::string, std::string> said;
        const auto seconds = static_cast<std::uint64_t>(at.count());
        for (auto& value : topics.round(input, Instant{} + at, seconds)) {
            said.emplace(value.topic, value.text);
        }
        return said;
    }

    MetricsInput input;
    SysTopics topics;
};

TEST_F(SysTopicsTest, SaysAllOnceAndThenWhatHasChanged) {
    input.figures.all.sessions_connected = 2;
    input.figures.all.sessions_away = 1;
    auto said = round(std::chrono::seconds{0});
    EXPECT_EQ(said.at("$SYS/broker/clients/connected"), "2");
    EXPECT_EQ(said.at("$SYS/broker/clients/total"), "3");
    EXPECT_EQ(said.at("$SYS/broker/dropped/queue_full"), "0");
    EXPECT_EQ(said.at("$SYS/broker/uptime"), "0 seconds");
    input.figures.all.sessions_connected = 1;
    said = round(std::chrono::seconds{10});
    EXPECT_EQ(said.at("$SYS/broker/clients/connected"), "1");
    EXPECT_EQ(said.at("$SYS/broker/uptime"), "10 seconds");
    EXPECT_EQ(said.count("$SYS/broker/dropped/queue_full"), 0U);
    EXPECT_EQ(said.count("$SYS/broker/clients/maximum"), 0U);
    topics.forget();
    EXPECT_EQ(round(std::chrono::seconds{20}).count("$SYS/broker/clients/maximum"), 1U);
}

TEST_F(SysTopicsTest, LoadIsAnAverageThatFollows) {
    (void)round(std::chrono::seconds{0});
    input.figures.all.counters.messages_received[0] = 600;  // in a minute
    auto said = round(std::chrono::seconds{60});
    const double first = std::stod(said.at("$SYS/broker/load/publish/received/1min"));
    EXPECT_NEAR(first, 600 * (1 - std::exp(-1.0)), 0.01);
    EXPECT_LT(std::stod(said.at("$SYS/broker/load/publish/received/15min")), first);
    said = round(std::chrono::seconds{120});  // nothing more has come
    EXPECT_LT(std::stod(said.at("$SYS/broker/load/publish/received/1min")), first);
}

}  // namespace
}  // namespace stentor::admin
