#include "protocol/session/session_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stentor::mqtt {
namespace {

using test::Script;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kQos1 = QoS::at_least_once;
constexpr auto kQos2 = QoS::exactly_once;
constexpr SessionLimits kOne{.inflight_maximum = 1};

TEST(OnAcks, Qos1EndsWithPuback) {
    Script script{test::transient()};
    EXPECT_THAT(script.deliver({}), ElementsAre("PUBLISH q1 #1 t=m"));
    EXPECT_EQ(script.session().inflight_count(), 1U);
    EXPECT_THAT(script.puback(1), IsEmpty());
    EXPECT_EQ(script.session().inflight_count(), 0U);
    EXPECT_THAT(script.puback(1), IsEmpty());  // unknown now: ignored
}

TEST(OnAcks, Qos1EndsWithAnErrorToo) {
    Script script{test::transient()};
    (void)script.deliver({});
    EXPECT_THAT(script.puback(1, ReasonCode::quota_exceeded), IsEmpty());
    EXPECT_EQ(script.session().inflight_count(), 0U);
}

TEST(OnAcks, Qos2HoldsItsSlotUntilPubcomp) {
    for (const auto version : {ProtocolVersion::v3_1_1, ProtocolVersion::v5}) {
        Script script{test::transient(version), kOne};
        EXPECT_THAT(script.deliver({.payload = "a", .qos = kQos2}),
                    ElementsAre("PUBLISH q2 #1 t=a"));
        EXPECT_THAT(script.deliver({.payload = "b", .qos = kQos2}), IsEmpty());
        EXPECT_THAT(script.pubrec(1), ElementsAre("PUBREL 1"));
        EXPECT_THAT(script.pubrec(1), ElementsAre("PUBREL 1"));  // repeated: so is the answer
        EXPECT_THAT(script.pubcomp(1), ElementsAre("PUBLISH q2 #2 t=b"));
    }
}

TEST(OnAcks, PubrecWithAnErrorEndsIt) {
    Script script{test::transient(), kOne};
    (void)script.deliver({.payload = "a", .qos = kQos2});
    (void)script.deliver({.payload = "b", .qos = kQos1});
    EXPECT_THAT(script.pubrec(1, ReasonCode::not_authorized), ElementsAre("PUBLISH q1 #2 t=b"));
    EXPECT_THAT(script.pubcomp(1), IsEmpty());
}

TEST(OnAcks, UnknownPubrecIsAnsweredSoThatTheClientForgets) {
    Script five{test::transient()};
    EXPECT_THAT(five.pubrec(9), ElementsAre("PUBREL 9 92"));
    EXPECT_THAT(five.pubrec(9, ReasonCode::unspecified_error), IsEmpty());
    EXPECT_THAT(five.pubcomp(9), IsEmpty());
    EXPECT_THAT(five.puback(9), IsEmpty());
    Script three{test::transient(ProtocolVersion::v3_1_1)};
    EXPECT_THAT(three.pubrec(9), ElementsAre("PUBREL 9"));
    EXPECT_THAT(three.pubcomp(9), IsEmpty());
}

TEST(OnAcks, WrongPacketForTheQosCloses) {
    const auto script_with = [](QoS qos, auto then) {
        Script script{test::transient()};
        (void)script.connack();
        (void)script.deliver({.qos = qos});
        EXPECT_THAT(then(script), ElementsAre("close 82 disconnect"));
    };
    script_with(kQos2, [](Script& script) { return script.puback(1); });
    script_with(kQos1, [](Script& script) { return script.pubrec(1); });
    script_with(kQos1, [](Script& script) { return script.pubcomp(1); });
    script_with(kQos2, [](Script& script) { return script.pubcomp(1); });
}

TEST(OnAcks, DurableQos2WaitsForEachCommit) {
    Script script{test::durable()};
    EXPECT_THAT(script.logged(10, {.qos = kQos2}), IsEmpty());
    EXPECT_EQ(script.session().commit_need(), CommitNeed::now);
    // The PUBLISH has not left, so the client cannot know the identifier.
    EXPECT_THAT(script.pubrec(1), ElementsAre("PUBREL 1 92"));
    EXPECT_THAT(script.pubcomp(1), IsEmpty());
    EXPECT_THAT(script.puback(1), IsEmpty());
    EXPECT_EQ(script.take(), "through 10 sent 1=q2@10");
    EXPECT_EQ(script.session().commit_need(), CommitNeed::none);
    EXPECT_THAT(script.commit(), ElementsAre("PUBLISH q2 #1 t=m"));

    EXPECT_THAT(script.pubrec(1), IsEmpty());
    EXPECT_EQ(script.session().commit_need(), CommitNeed::now);
    EXPECT_THAT(script.pubrec(1), IsEmpty());   // PUBREL is coming
    EXPECT_THAT(script.pubcomp(1), IsEmpty());  // to a PUBREL that has not left
    EXPECT_EQ(script.take(), "through 10 received 1=q2@10");
    EXPECT_THAT(script.commit(), ElementsAre("PUBREL 1"));

    EXPECT_THAT(script.pubcomp(1), IsEmpty());
    EXPECT_EQ(script.session().commit_need(), CommitNeed::lazy);
    EXPECT_EQ(script.session().inflight_count(), 0U);
    EXPECT_EQ(script.take(), "through 10 free 1");
    EXPECT_THAT(script.commit(), IsEmpty());
}

TEST(OnAcks, DurablePubrecErrorIsCommittedBeforeTheIdentifierIsFree) {
    Script script{test::durable()};
    (void)script.logged(10, {.qos = kQos2});
    (void)script.take();
    (void)script.commit();
    EXPECT_THAT(script.pubrec(1, ReasonCode::quota_exceeded), IsEmpty());
    EXPECT_EQ(script.take(), "through 10 free 1");
}

TEST(OnAcks, PubrelsLeaveInTheOrderOfPubrecs) {
    Script script{test::durable()};
    for (const std::uint64_t seq : {1, 2, 3}) (void)script.logged(seq, {.qos = kQos2});
    (void)script.take();
    EXPECT_THAT(script.commit(),
                ElementsAre("PUBLISH q2 #1 t=m", "PUBLISH q2 #2 t=m", "PUBLISH q2 #3 t=m"));
    (void)script.pubrec(3);
    (void)script.pubrec(1);
    EXPECT_EQ(script.take(), "through 3 received 1=q2@1 received 3=q2@3");
    (void)script.pubrec(2);
    EXPECT_EQ(script.take(), "through 3 received 2=q2@2");
    EXPECT_THAT(script.commit(), ElementsAre("PUBREL 3", "PUBREL 1"));  // [MQTT-4.6.0-4]
    EXPECT_THAT(script.commit(), ElementsAre("PUBREL 2"));
}

TEST(OnAcks, AnAnswerThatComesBeforeTheRepetitionCounts) {
    SessionParts parts{.sent_through = Seq{9}};
    parts.inflight.push_back({.seq = Seq{7}, .packet_id = PacketId{5}, .qos = kQos1});
    parts.inflight.push_back({.seq = Seq{8}, .packet_id = PacketId{6}, .qos = kQos2});
    Script script{test::durable(), {}, std::move(parts)};
    EXPECT_THAT(script.connack(true), ::testing::SizeIs(1));
    EXPECT_THAT(script.puback(5), IsEmpty());
    EXPECT_THAT(script.pubrec(6), IsEmpty());
    EXPECT_EQ(script.take(), "through 9 free 5 received 6=q2@8");
    EXPECT_THAT(script.inflight_again(), IsEmpty());
    EXPECT_THAT(script.commit(), ElementsAre("PUBREL 6"));
    EXPECT_THAT(script.pubcomp(6), IsEmpty());
    EXPECT_EQ(script.session().inflight_count(), 0U);
}

TEST(OnAcks, WhoAsksForRoomInAFullWindowIsTold) {
    Script script{test::transient(), kOne};
    EXPECT_TRUE(script.session().request_room());
    (void)script.deliver({});
    EXPECT_FALSE(script.session().request_room());
    EXPECT_THAT(script.puback(1), ElementsAre("wants more"));
}

}  // namespace
}  // namespace stentor::mqtt
