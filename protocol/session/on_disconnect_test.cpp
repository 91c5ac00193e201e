#include "protocol/session/session_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stentor::mqtt {
namespace {

using test::Script;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(OnDisconnect, NormalOneForgetsTheWill) {
    for (const auto version : {ProtocolVersion::v3_1_1, ProtocolVersion::v5}) {
        Script script{test::durable(version)};
        (void)script.connack();
        EXPECT_THAT(script.disconnect(), ElementsAre("close 00 forget will"));
        EXPECT_EQ(script.session().session_expiry_seconds(), 3600U);
    }
}

TEST(OnDisconnect, AnyOtherReasonPublishesTheWill) {
    for (const auto reason :
         {ReasonCode::disconnect_with_will_message, ReasonCode::unspecified_error}) {
        Script script{test::durable()};
        EXPECT_THAT(script.disconnect(reason),
                    ElementsAre(reason == ReasonCode::unspecified_error ? "close 80" : "close 04"));
    }
}

TEST(OnDisconnect, ChangesTheSessionExpiry) {
    Script script{test::durable(), {.session_expiry_seconds_max = 5000}};
    EXPECT_THAT(script.disconnect({}, 100), ElementsAre("close 00 forget will"));
    EXPECT_EQ(script.session().session_expiry_seconds(), 100U);
    Script ended{test::durable()};
    (void)ended.disconnect({}, 0);
    EXPECT_EQ(ended.session().session_expiry_seconds(), 0U);
    Script capped{test::durable(), {.session_expiry_seconds_max = 5000}};
    (void)capped.disconnect({}, 0xFFFFFFFF);
    EXPECT_EQ(capped.session().session_expiry_seconds(), 5000U);
}

TEST(OnDisconnect, ExpiryStaysZeroIfItWas) {
    Script script{test::transient()};
    (void)script.connack();
    EXPECT_THAT(script.disconnect({}, 100), ElementsAre("close 82 disconnect"));
    Script zero{test::transient()};
    EXPECT_THAT(zero.disconnect({}, 0), ElementsAre("close 00 forget will"));
    ConnectRequest capped = test::transient();  // it asked for more and got 0
    capped.session_expiry_overridden = true;
    Script blameless{capped};
    EXPECT_THAT(blameless.disconnect({}, 100), ElementsAre("close 00 forget will"));
    EXPECT_EQ(blameless.session().session_expiry_seconds(), 0U);
}

TEST(OnDisconnect, NothingIsTakenAfterwards) {
    Script script{test::transient()};
    (void)script.deliver({});
    (void)script.disconnect();
    EXPECT_THAT(script.deliver({}), IsEmpty());
    EXPECT_THAT(script.publish({.id = 1}), IsEmpty());
    EXPECT_THAT(script.puback(1), IsEmpty());
    EXPECT_THAT(script.pubrec(9), IsEmpty());
    EXPECT_THAT(script.pubrel(9), IsEmpty());
    EXPECT_THAT(script.ping(), IsEmpty());
    EXPECT_THAT(script.disconnect(), IsEmpty());
    EXPECT_THAT(script.suback(1, {ReasonCode::granted_qos_0}), IsEmpty());
}

TEST(SendDisconnect, OnlyToA5ClientThatHasHadItsConnack) {
    Script three{test::transient(ProtocolVersion::v3_1_1)};
    (void)three.connack();
    EXPECT_THAT(three.server_disconnect(ReasonCode::session_taken_over), IsEmpty());
    Script early{test::transient()};
    EXPECT_THAT(early.server_disconnect(ReasonCode::session_taken_over), IsEmpty());
    Script five{test::transient()};
    (void)five.connack();
    EXPECT_THAT(five.server_disconnect(ReasonCode::use_another_server, "moved", "other:1883"),
                ElementsAre("DISCONNECT 9c 1c=other:1883 1f=moved"));
}

TEST(SendDisconnect, LeavesOutWhatDoesNotFit) {
    ConnectRequest request = test::transient();
    request.packet_bytes_max = 19;
    const std::string long_text(100, 'x');
    Script script{request};
    (void)script.connack();
    EXPECT_THAT(script.server_disconnect(ReasonCode::server_moved, long_text, "other:1883"),
                ElementsAre("DISCONNECT 9d 1c=other:1883"));
    Script reference{request};
    (void)reference.connack();
    EXPECT_THAT(reference.server_disconnect(ReasonCode::server_moved, {}, long_text),
                ElementsAre("DISCONNECT 9d"));
}

TEST(Answers, SubackAndUnsuback) {
    const std::vector<ReasonCode> codes = {ReasonCode::granted_qos_1, ReasonCode::not_authorized};
    Script five{test::transient()};
    EXPECT_THAT(five.suback(3, codes), ElementsAre("SUBACK 3 01 87 1f=a filter is not allowed"));
    EXPECT_THAT(five.unsuback(3, {ReasonCode::no_subscription_existed}),
                ElementsAre("UNSUBACK 3 11"));
    Script three{test::transient(ProtocolVersion::v3_1_1)};
    EXPECT_THAT(three.suback(3, codes), ElementsAre("SUBACK 3 01 80"));
    EXPECT_THAT(three.unsuback(3, {ReasonCode::success}), ElementsAre("UNSUBACK 3"));
}

TEST(Answers, ARefusedFilterIsExplained) {
    Script script{test::transient()};
    EXPECT_THAT(script.suback(1, {ReasonCode::granted_qos_2}), ElementsAre("SUBACK 1 02"));
    EXPECT_THAT(script.suback(1, {ReasonCode::topic_filter_invalid, ReasonCode::not_authorized}),
                ElementsAre("SUBACK 1 8f 87 1f=a filter is not well-formed [MQTT 4.7.1]"));
    EXPECT_THAT(script.suback(1, {ReasonCode::quota_exceeded}),
                ElementsAre(testing::StartsWith("SUBACK 1 97 1f=a limit")));
}

TEST(Answers, ReasonsAreForThoseWhoWantThem) {  // [MQTT-3.1.2-29], [MQTT-3.9.2-1]
    const std::vector<ReasonCode> codes = {ReasonCode::not_authorized};
    ConnectRequest request = test::transient();
    request.request_problem_information = false;
    Script without{request};
    EXPECT_THAT(without.suback(3, codes), ElementsAre("SUBACK 3 87"));
    request = test::transient();
    request.packet_bytes_max = 20;
    Script small{request};
    EXPECT_THAT(small.suback(3, codes), ElementsAre("SUBACK 3 87"));
}

TEST(Answers, CloseWhereTheyExceedTheClientsMaximumPacketSize) {
    ConnectRequest request = test::transient();
    request.packet_bytes_max = 16;
    const auto after = [&request](auto act) {
        Script script{request};
        (void)script.connack();
        EXPECT_THAT(act(script), ElementsAre("close 95 disconnect"));
    };
    const std::vector<ReasonCode> many(20, ReasonCode::granted_qos_0);
    after([&many](Script& script) { return script.suback(1, many); });
    after([&many](Script& script) { return script.unsuback(1, many); });
}

TEST(Answers, ClientThatDoesNotReadThemIsNotReadFrom) {
    Script script{test::transient(), {.outbox_bytes_max = 10}};
    script.stop_reading();
    EXPECT_THAT(script.ping(), IsEmpty());
    EXPECT_THAT(script.publish({.id = 1}), ElementsAre("route t", "release m to 3"));
    EXPECT_THAT(script.publish({.id = 2}), ElementsAre("route t", "release m to 3", "pause"));
    EXPECT_THAT(script.read(), ElementsAre("PINGRESP", "PUBACK 1", "PUBACK 2", "resume"));
}

}  // namespace
}  // namespace stentor::mqtt
