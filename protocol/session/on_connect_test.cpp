#include "protocol/session/session_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <string>

namespace stentor::mqtt {
namespace {

using test::Script;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr Instant kNow{std::chrono::hours{5}};
constexpr SessionLimits kLimits{.session_expiry_seconds_max = 1000, .keep_alive_seconds_max = 0};

struct Connect {
    ConnectView view;
    PropertyWriter properties;
    PropertyWriter will_properties;

    Connect() {
        view.clean_start = true;
        view.client_id = "c1";
    }

    ProtocolResult<ConnectRequest> judge(const SessionLimits& limits = kLimits) {
        view.properties = *parse_properties(properties.bytes(), PropertyContext::connect);
        if (view.will) {
            view.will->properties =
                *parse_properties(will_properties.bytes(), PropertyContext::will);
        }
        return judge_connect(view, limits, kNow);
    }
};

ReasonCode refusal(const ProtocolResult<ConnectRequest>& result) {
    return result.has_error() ? result.error().reason : ReasonCode::success;
}

TEST(JudgeConnect, TakesWhatThePacketSays) {
    Connect connect;
    connect.view.keep_alive_seconds = 60;
    connect.view.user_name = "user";
    connect.view.password = as_bytes("secret");
    connect.properties.number(Property::session_expiry_interval, 100);
    connect.properties.number(Property::receive_maximum, 7);
    connect.properties.number(Property::maximum_packet_size, 5000);
    connect.properties.number(Property::topic_alias_maximum, 9);
    connect.properties.number(Property::request_problem_information, 0);
    connect.properties.number(Property::request_response_information, 1);
    connect.properties.text(Property::authentication_method, "SCRAM");
    connect.properties.binary(Property::authentication_data, as_bytes("first"));
    const ConnectRequest request = *connect.judge();
    EXPECT_EQ(request.client_id, "c1");
    EXPECT_FALSE(request.client_id_assigned);
    EXPECT_EQ(request.keep_alive_seconds, 60);
    EXPECT_FALSE(request.keep_alive_overridden);
    EXPECT_EQ(request.user_name, "user");
    EXPECT_EQ(request.password, "secret");
    EXPECT_EQ(request.session_expiry_seconds, 100U);
    EXPECT_FALSE(request.session_expiry_overridden);
    EXPECT_EQ(request.receive_maximum, 7);
    EXPECT_EQ(request.packet_bytes_max, 5000U);
    EXPECT_EQ(request.topic_alias_maximum, 9);
    EXPECT_FALSE(request.request_problem_information);
    EXPECT_TRUE(request.request_response_information);
    EXPECT_EQ(request.authentication_method, "SCRAM");
    EXPECT_EQ(request.authentication_data, "first");
    EXPECT_TRUE(request.durable());
}

TEST(JudgeConnect, AbsentPropertiesMeanTheirDefaults) {
    Connect connect;
    const ConnectRequest request = *connect.judge();
    EXPECT_EQ(request.session_expiry_seconds, 0U);
    EXPECT_EQ(request.receive_maximum, 65'535);
    EXPECT_EQ(request.packet_bytes_max, 0xFFFFFFFFU);
    EXPECT_EQ(request.topic_alias_maximum, 0);
    EXPECT_TRUE(request.request_problem_information);
    EXPECT_FALSE(request.will);
    EXPECT_FALSE(request.durable());
}

TEST(JudgeConnect, CapsTheSessionExpiryInterval) {
    Connect connect;
    connect.properties.number(Property::session_expiry_interval, 1001);
    EXPECT_EQ(connect.judge()->session_expiry_seconds, 1000U);
    EXPECT_TRUE(connect.judge()->session_expiry_overridden);
    connect.properties.clear();
    connect.properties.number(Property::session_expiry_interval, 0xFFFFFFFF);
    const SessionLimits forever{.session_expiry_seconds_max = 0xFFFFFFFF};
    EXPECT_EQ(connect.judge(forever)->session_expiry_seconds, 0xFFFFFFFFU);
    EXPECT_FALSE(connect.judge(forever)->session_expiry_overridden);
}

TEST(JudgeConnect, CleanSessionDecidesTheExpiryIn311) {
    Connect connect;
    connect.view.version = ProtocolVersion::v3_1_1;
    EXPECT_EQ(connect.judge()->session_expiry_seconds, 0U);
    connect.view.clean_start = false;
    EXPECT_EQ(connect.judge()->session_expiry_seconds, 1000U);
    EXPECT_FALSE(connect.judge()->session_expiry_overridden);
    EXPECT_TRUE(connect.judge()->durable());
}

TEST(JudgeConnect, ShortensKeepAliveWhereTheClientCanBeTold) {
    const SessionLimits limits{.keep_alive_seconds_max = 100};
    for (const auto& [asked, in_force] :
         {std::pair{0, 100}, std::pair{101, 100}, std::pair{100, 100}, std::pair{5, 5}}) {
        Connect connect;
        connect.view.keep_alive_seconds = static_cast<std::uint16_t>(asked);
        EXPECT_EQ(connect.judge(limits)->keep_alive_seconds, in_force);
        EXPECT_EQ(connect.judge(limits)->keep_alive_overridden, asked != in_force);
        connect.view.version = ProtocolVersion::v3_1_1;
        EXPECT_EQ(connect.judge(limits)->keep_alive_seconds, asked);
        EXPECT_FALSE(connect.judge(limits)->keep_alive_overridden);
    }
}

TEST(JudgeConnect, EmptyClientIdentifier) {
    Connect connect;
    connect.view.client_id = "";
    for (const bool clean : {true, false}) {  // 5.0 assigns one in both cases [MQTT-3.1.3-6]
        connect.view.clean_start = clean;
        EXPECT_EQ(connect.judge()->client_id, "");
    }
    connect.view.version = ProtocolVersion::v3_1_1;
    EXPECT_EQ(refusal(connect.judge()), ReasonCode::client_identifier_not_valid);
    connect.view.clean_start = true;
    EXPECT_EQ(connect.judge()->client_id, "");
}

TEST(JudgeConnect, MakesTheWillAMessageOfTheClient) {
    Connect connect;
    connect.view.will = WillView{.topic = "gone",
                                 .payload = as_bytes("c1 is gone"),
                                 .qos = QoS::exactly_once,
                                 .retain = true,
                                 .properties = {}};
    connect.will_properties.number(Property::will_delay_interval, 30);
    connect.will_properties.number(Property::payload_format_indicator, 1);
    connect.will_properties.number(Property::message_expiry_interval, 60);
    connect.will_properties.text(Property::content_type, "text/plain");
    connect.will_properties.text(Property::response_topic, "answers");
    connect.will_properties.binary(Property::correlation_data, as_bytes("id"));
    connect.will_properties.user("name", "value");
    const ConnectRequest request = *connect.judge();
    ASSERT_TRUE(request.will);
    EXPECT_EQ(request.will->delay_seconds, 30U);
    const Message& will = *request.will->message;
    EXPECT_EQ(will.topic(), "gone");
    EXPECT_EQ(as_text(will.payload()), "c1 is gone");
    EXPECT_EQ(will.publisher(), "c1");
    EXPECT_EQ(will.qos(), QoS::exactly_once);
    EXPECT_TRUE(will.retain());
    EXPECT_EQ(will.arrival(), kNow);
    EXPECT_EQ(will.message_expiry_seconds(), 60U);
    EXPECT_TRUE(will.properties().payload_is_utf8());
    EXPECT_EQ(will.properties().content_type(), "text/plain");
    EXPECT_EQ(will.properties().response_topic(), "answers");
    EXPECT_EQ(as_text(*will.properties().correlation_data()), "id");
    EXPECT_FALSE(will.properties().user_properties().empty());
}

TEST(JudgeConnect, RefusesAWillTopicThatIsNoTopicName) {
    for (const std::string& topic :
         {std::string{"a/+"}, std::string{"#"}, std::string{}, std::string(64, '/')}) {
        for (const auto version : {ProtocolVersion::v3_1_1, ProtocolVersion::v5}) {
            Connect connect;
            connect.view.version = version;
            connect.view.will = WillView{.topic = topic,
                                         .payload = {},
                                         .qos = QoS::at_most_once,
                                         .retain = false,
                                         .properties = {}};
            EXPECT_EQ(refusal(connect.judge()), ReasonCode::topic_name_invalid) << topic;
        }
    }
}

TEST(AssignClientId, MakesTheClientThePublisherOfItsWill) {
    Connect connect;
    connect.view.client_id = "";
    connect.view.will = WillView{.topic = "gone",
                                 .payload = as_bytes("x"),
                                 .qos = QoS::at_least_once,
                                 .retain = false,
                                 .properties = {}};
    ConnectRequest request = *connect.judge();
    assign_client_id(request, "given");
    EXPECT_EQ(request.client_id, "given");
    EXPECT_TRUE(request.client_id_assigned);
    EXPECT_EQ(request.will->message->publisher(), "given");
    EXPECT_EQ(request.will->message->topic(), "gone");
    EXPECT_EQ(request.will->message->arrival(), kNow);
}

TEST(PublishedAt, ChangesTheArrivalOnly) {
    const MessagePtr will =
        test::message({.topic = "gone", .payload = "x", .expiry_seconds = 10}, kNow);
    const Instant later = kNow + std::chrono::hours{1};
    const MessagePtr now = published_at(*will, later);
    EXPECT_EQ(now->arrival(), later);
    EXPECT_EQ(now->topic(), "gone");
    EXPECT_EQ(now->publisher(), will->publisher());
    EXPECT_EQ(now->expiry_left_seconds(later), 10U);
}

TEST(SendConnack, AnnouncesOurLimits) {
    Script script{test::durable()};
    EXPECT_THAT(script.connack(true),
                ElementsAre("CONNACK present=true 00 21=100 27=1048576 22=32"));
}

TEST(SendConnack, SaysWhatTheServerDecidedOtherwise) {
    ConnectRequest request = test::durable();
    request.session_expiry_overridden = true;
    request.keep_alive_seconds = 60;
    request.keep_alive_overridden = true;
    request.authentication_method = "SCRAM";
    assign_client_id(request, "given");
    Script script{request};
    EXPECT_THAT(script.connack(),
                ElementsAre("CONNACK present=false 00 11=3600 21=100 27=1048576 12=given 22=32 "
                            "13=60 15=SCRAM"));
}

TEST(SendConnack, IsBareIn311) {
    ConnectRequest request = test::durable(ProtocolVersion::v3_1_1);
    assign_client_id(request, "given");
    Script script{request};
    EXPECT_THAT(script.connack(true), ElementsAre("CONNACK present=true 00"));
}

TEST(SendConnack, LeavesOutUserPropertiesThatDoNotFit) {
    std::array<UserProperty, 2> properties;
    properties[0].name = "lost";
    properties[0].value = "12 messages";
    properties[1].name = "why";
    properties[1].value = "full";
    ConnectRequest request = test::transient();
    // 16 bytes without user properties, 20 more for one of them, 12 for the other.
    for (const std::uint32_t bytes : {20U, 36U, 47U}) {
        request.packet_bytes_max = bytes;
        Script small{request};
        EXPECT_THAT(small.connack(false, properties),
                    ElementsAre("CONNACK present=false 00 21=100 27=1048576 22=32",
                                "user properties left out"));
    }
    request.packet_bytes_max = 48;
    Script large{request};
    EXPECT_THAT(large.connack(false, properties),
                ElementsAre("CONNACK present=false 00 21=100 27=1048576 22=32 "
                            "lost:12 messages why:full"));
}

TEST(SendConnack, SaysThat311HasNoUserProperties) {
    UserProperty property;
    property.name = "lost";
    Script script{test::durable(ProtocolVersion::v3_1_1)};
    EXPECT_THAT(script.connack(true, {&property, 1}),
                ElementsAre("CONNACK present=true 00", "user properties left out"));
}

TEST(SendConnack, RefusesWhereItDoesNotFit) {
    ConnectRequest request = test::transient();
    for (const std::uint32_t bytes : {5U, 10U}) {
        request.packet_bytes_max = bytes;
        Script script{request};
        EXPECT_THAT(script.connack(true), ElementsAre("CONNACK present=false 95", "close 95"));
        EXPECT_THAT(script.server_disconnect(ReasonCode::packet_too_large), IsEmpty());
    }
    request.packet_bytes_max = 4;
    Script script{request};
    EXPECT_THAT(script.connack(), ElementsAre("close 95"));
    EXPECT_THAT(script.server_disconnect(ReasonCode::packet_too_large), IsEmpty());
}

TEST(Session, WipesThePassword) {
    ConnectRequest request = test::transient();
    request.password = "secret";
    Script script{request};
    EXPECT_FALSE(script.session().request().password);
}

}  // namespace
}  // namespace stentor::mqtt
