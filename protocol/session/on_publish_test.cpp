#include "protocol/session/session_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

namespace stentor::mqtt {
namespace {

using test::Lines;
using test::Script;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kQos0 = QoS::at_most_once;
constexpr auto kQos1 = QoS::at_least_once;
constexpr auto kQos2 = QoS::exactly_once;
constexpr SessionLimits kTwo{.receive_maximum = 2};

void open(Script& script) { EXPECT_THAT(script.connack(), ::testing::SizeIs(1)); }

TEST(OnPublish, Qos0IsReleasedAndNotAnswered) {
    Script script{test::transient()};
    EXPECT_THAT(script.publish({.qos = kQos0}), ElementsAre("route t", "release m to 3"));
    EXPECT_THAT(script.publish({.qos = kQos0, .outcome = Ingress::no_subscribers}),
                ElementsAre("route t"));
}

TEST(OnPublish, Qos1IsReleasedAndAcknowledged) {
    Script script{test::transient()};
    EXPECT_THAT(script.publish({.id = 7}), ElementsAre("route t", "PUBACK 7", "release m to 3"));
    // A QoS 1 identifier is free again after its PUBACK: this is a new message [MQTT-4.3.2-5].
    EXPECT_THAT(script.publish({.id = 7, .dup = true}),
                ElementsAre("route t", "PUBACK 7", "release m to 3"));
}

// 5.0 section 4.9: Receive Maximum and what counts against it are of one connection.
TEST(OnPublish, ReceiveMaximumDoesNotCountWhatAnEarlierConnectionLeft) {
    Script script{test::durable(), kTwo, {.inbound_qos2 = {8, 9}}};
    open(script);
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 1}), Contains("PUBREC 1"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 2}), Contains("PUBREC 2"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 3}), Contains(::testing::HasSubstr("93")));
}

TEST(OnPublish, ReceiveMaximumCountsWhatThisConnectionRepeats) {
    Script script{test::durable(), kTwo, {.inbound_qos2 = {8, 9, 10}}};
    open(script);
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 8, .dup = true}), ElementsAre("PUBREC 8"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 8, .dup = true}), ElementsAre("PUBREC 8"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 9, .dup = true}), ElementsAre("PUBREC 9"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 10, .dup = true}),
                Contains(::testing::HasSubstr("93")));
}

TEST(OnPublish, IdentifiersWithoutTheirPubrelAreBounded) {
    std::vector<std::uint16_t> left(10'000);
    std::iota(left.begin(), left.end(), std::uint16_t{1});
    for (const auto version : {ProtocolVersion::v3_1_1, ProtocolVersion::v5}) {
        Script script{test::durable(version), {}, {.inbound_qos2 = left}};
        open(script);
        EXPECT_THAT(script.publish({.qos = kQos2, .id = 5, .dup = true}), ElementsAre("PUBREC 5"));
        EXPECT_THAT(script.pubrel(5), ElementsAre("commit forget"));
        EXPECT_THAT(script.forgotten(5), ElementsAre("PUBCOMP 5"));
        EXPECT_THAT(script.publish({.qos = kQos2, .id = 20'000}), Contains("PUBREC 20000"));
        EXPECT_THAT(script.publish({.qos = kQos2, .id = 20'001}),
                    Contains(::testing::HasSubstr("97")));
    }
}

TEST(OnPublish, SaysWhenNobodyListens) {
    Script five{test::transient()};
    EXPECT_THAT(five.publish({.id = 7, .outcome = Ingress::no_subscribers}),
                ElementsAre("route t", "PUBACK 7 10"));
    EXPECT_THAT(five.publish({.qos = kQos2, .id = 8, .outcome = Ingress::no_subscribers}),
                ElementsAre("route t", "PUBREC 8 10"));
    EXPECT_THAT(five.pubrel(8), ElementsAre("PUBCOMP 8"));
    Script three{test::transient(ProtocolVersion::v3_1_1)};
    EXPECT_THAT(three.publish({.id = 7, .outcome = Ingress::no_subscribers}),
                ElementsAre("route t", "PUBACK 7"));
}

TEST(OnPublish, AcknowledgesAfterTheCommit) {
    Script script{test::durable()};
    EXPECT_THAT(script.publish({.id = 7, .outcome = Ingress::pending, .ticket = 1}),
                ElementsAre("route t"));
    EXPECT_THAT(script.committed(1), ElementsAre("PUBACK 7"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 8, .outcome = Ingress::pending, .ticket = 2}),
                ElementsAre("route t keep"));
    EXPECT_THAT(script.committed(2), ElementsAre("PUBREC 8"));
}

TEST(OnPublish, TellsTheReasonOfAPendingOneAfterItsCommit) {
    Script script{test::durable()};
    EXPECT_THAT(script.publish({.qos = kQos2,
                                .id = 8,
                                .outcome = Ingress::pending,
                                .reason = ReasonCode::no_matching_subscribers,
                                .ticket = 2}),
                ElementsAre("route t keep"));
    EXPECT_THAT(script.committed(2), ElementsAre("PUBREC 8 10"));
}

TEST(OnPublish, Qos2DuplicateIsRecognised) {
    for (const bool durable : {false, true}) {
        Script script{durable ? test::durable() : test::transient()};
        const auto outcome = durable ? Ingress::pending : Ingress::released;
        (void)script.publish({.qos = kQos2, .id = 9, .outcome = outcome, .ticket = 1});
        if (durable) {
            // Its commit is under way: silence, the PUBREC is coming.
            EXPECT_THAT(script.publish({.qos = kQos2, .id = 9, .dup = true}), IsEmpty());
            EXPECT_THAT(script.committed(1), ElementsAre("PUBREC 9"));
        }
        EXPECT_THAT(script.publish({.qos = kQos2, .id = 9, .dup = true}), ElementsAre("PUBREC 9"));
        // DUP does not decide it, the identifier does [MQTT-4.3.3-10].
        EXPECT_THAT(script.publish({.qos = kQos2, .id = 9}), ElementsAre("PUBREC 9"));
    }
}

TEST(OnPublish, Qos2IdentifierIsNewAfterPubcomp) {
    Script script{test::transient()};
    (void)script.publish({.qos = kQos2, .id = 9});
    EXPECT_THAT(script.pubrel(9), ElementsAre("PUBCOMP 9"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 9}),  // [MQTT-4.3.3-12]
                ElementsAre("route t", "PUBREC 9", "release m to 3"));
}

TEST(OnPublish, ResumedSessionRecognisesDuplicates) {
    Script script{test::durable(), {}, {.inbound_qos2 = {9}}};
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 9, .dup = true}), ElementsAre("PUBREC 9"));
    EXPECT_THAT(script.pubrel(9), ElementsAre("commit forget"));
    EXPECT_THAT(script.forgotten(9), ElementsAre("PUBCOMP 9"));
}

TEST(OnPublish, UnloggedWaitsBehindPendingOfTheSameConnection) {
    Script script{test::transient()};
    (void)script.publish({.payload = "a", .id = 1, .outcome = Ingress::pending, .ticket = 1});
    EXPECT_THAT(script.publish({.payload = "b", .id = 2}), ElementsAre("route t"));
    EXPECT_THAT(script.publish({.payload = "c", .qos = kQos2, .id = 3}), ElementsAre("route t"));
    (void)script.publish({.payload = "d", .id = 4, .outcome = Ingress::pending, .ticket = 2});
    EXPECT_THAT(script.publish({.id = 5, .outcome = Ingress::no_subscribers}),
                ElementsAre("route t"));
    // QoS 0 overtakes and is never queued.
    EXPECT_THAT(script.publish({.payload = "z", .qos = kQos0}),
                ElementsAre("route t", "release z to 3"));
    EXPECT_THAT(
        script.committed(1),
        ElementsAre("PUBACK 1", "PUBACK 2", "PUBREC 3", "release b to 3", "release c to 3"));
    EXPECT_THAT(script.committed(2), ElementsAre("PUBACK 4", "PUBACK 5 10"));
}

TEST(OnPublish, CommitsThatComeOutOfOrderAreAnsweredInOrder) {
    Script script{test::transient()};
    (void)script.publish({.id = 1, .outcome = Ingress::pending, .ticket = 1});
    (void)script.publish({.id = 2, .outcome = Ingress::pending, .ticket = 2});
    EXPECT_THAT(script.committed(2), IsEmpty());
    EXPECT_THAT(script.committed(77), IsEmpty());  // of a QoS 0 message: not ours
    EXPECT_THAT(script.committed(1), ElementsAre("PUBACK 1", "PUBACK 2"));
}

TEST(OnPublish, FailedCommitIsTheReasonIn5) {
    Script script{test::durable()};
    (void)script.publish({.id = 1, .outcome = Ingress::pending, .ticket = 1});
    (void)script.publish({.qos = kQos2, .id = 2, .outcome = Ingress::pending, .ticket = 2});
    EXPECT_THAT(script.failed(2, ReasonCode::quota_exceeded), IsEmpty());  // in its turn
    EXPECT_THAT(script.failed(1, ReasonCode::quota_exceeded),
                ElementsAre("PUBACK 1 97", "PUBREC 2 97"));
    // The identifier was not kept: this is a new message [MQTT-4.3.3-9].
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 2, .outcome = Ingress::pending, .ticket = 3}),
                ElementsAre("route t keep"));
}

TEST(OnPublish, FailedCommitCloses311) {
    Script script{test::durable(ProtocolVersion::v3_1_1)};
    open(script);
    (void)script.publish({.qos = kQos2, .id = 1, .outcome = Ingress::pending, .ticket = 1});
    (void)script.publish({.qos = kQos2, .id = 2, .outcome = Ingress::pending, .ticket = 2});
    EXPECT_THAT(script.failed(1, ReasonCode::quota_exceeded), ElementsAre("close 97"));
    // What commits afterwards belongs to the session all the same, without a word.
    EXPECT_THAT(script.committed(2), IsEmpty());
    EXPECT_THAT(std::move(script.session()).take_parts().inbound_qos2, ElementsAre(2));
}

TEST(OnPublish, DeniedIsToldIn5AndAcknowledgedIn311) {
    const test::FromClient denied{
        .id = 1, .outcome = Ingress::refused, .reason = ReasonCode::not_authorized};
    test::FromClient denied2 = denied;
    denied2.qos = kQos2;
    test::FromClient denied0 = denied;
    denied0.qos = kQos0;
    Script five{test::durable()};
    EXPECT_THAT(five.publish(denied), ElementsAre("route t", "PUBACK 1 87", "drop not_authorized"));
    EXPECT_THAT(five.publish(denied2),
                ElementsAre("route t keep", "PUBREC 1 87", "drop not_authorized"));
    EXPECT_THAT(five.pubrel(1), ElementsAre("PUBCOMP 1 92"));  // not kept
    EXPECT_THAT(five.publish(denied0), ElementsAre("route t", "drop not_authorized"));
    Script three{test::durable(ProtocolVersion::v3_1_1)};
    EXPECT_THAT(three.publish(denied), ElementsAre("route t", "PUBACK 1", "drop not_authorized"));
    EXPECT_THAT(three.publish(denied2),
                ElementsAre("route t keep", "PUBREC 1", "drop not_authorized"));
    EXPECT_THAT(three.pubrel(1), ElementsAre("PUBCOMP 1"));
}

TEST(OnPublish, DeniedWaitsItsTurnToo) {
    Script script{test::transient()};
    (void)script.publish({.id = 1, .outcome = Ingress::pending, .ticket = 1});
    EXPECT_THAT(script.publish(
                    {.id = 2, .outcome = Ingress::refused, .reason = ReasonCode::not_authorized}),
                ElementsAre("route t", "drop not_authorized"));
    EXPECT_THAT(script.committed(1), ElementsAre("PUBACK 1", "PUBACK 2 87"));
}

TEST(OnPublish, RefusalForOtherReasonsCloses311) {
    Script three{test::transient(ProtocolVersion::v3_1_1)};
    EXPECT_THAT(
        three.publish({.id = 1, .outcome = Ingress::refused, .reason = ReasonCode::quota_exceeded}),
        ElementsAre("route t", "close 97"));
    Script five{test::transient()};
    EXPECT_THAT(
        five.publish({.id = 1, .outcome = Ingress::refused, .reason = ReasonCode::quota_exceeded}),
        ElementsAre("route t", "PUBACK 1 97"));
}

TEST(OnPublish, ReceiveMaximumCountsWhatIsNotFinished) {
    Script script{test::durable(), kTwo};
    open(script);
    (void)script.publish({.id = 1, .outcome = Ingress::pending, .ticket = 1});
    (void)script.publish({.qos = kQos2, .id = 2, .outcome = Ingress::pending, .ticket = 2});
    // Neither QoS 0 nor a duplicate counts.
    EXPECT_THAT(script.publish({.qos = kQos0}), Contains("release m to 3"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 2, .dup = true}), IsEmpty());
    EXPECT_THAT(script.publish({.id = 3}), ElementsAre("close 93 disconnect"));
    EXPECT_THAT(script.publish({.id = 4}), IsEmpty());  // nothing is taken after a close
}

TEST(OnPublish, ReceiveMaximumCountsQos2UntilPubcomp) {
    Script script{test::durable(), {.receive_maximum = 1}};
    open(script);
    (void)script.publish({.qos = kQos2, .id = 2, .outcome = Ingress::pending, .ticket = 2});
    (void)script.committed(2);
    EXPECT_THAT(script.pubrel(2), ElementsAre("commit forget"));
    EXPECT_THAT(script.forgotten(2), ElementsAre("PUBCOMP 2"));
    EXPECT_THAT(script.publish({.id = 3}), Contains("PUBACK 3"));
    (void)script.publish({.qos = kQos2, .id = 4, .outcome = Ingress::pending, .ticket = 5});
    (void)script.committed(5);
    (void)script.pubrel(4);
    EXPECT_THAT(script.publish({.id = 5}), ElementsAre("close 93 disconnect"));
}

TEST(OnPublish, ReadingPausesWhere311KnowsNoReceiveMaximum) {
    Script script{test::transient(ProtocolVersion::v3_1_1), kTwo};
    EXPECT_THAT(script.publish({.id = 1, .outcome = Ingress::pending, .ticket = 1}),
                ElementsAre("route t"));
    EXPECT_THAT(script.publish({.id = 2, .outcome = Ingress::pending, .ticket = 2}),
                ElementsAre("route t", "pause"));
    // What was read already is still taken.
    EXPECT_THAT(script.publish({.id = 3, .outcome = Ingress::pending, .ticket = 3}),
                ElementsAre("route t"));
    EXPECT_THAT(script.committed(1), ElementsAre("PUBACK 1"));
    EXPECT_THAT(script.committed(2), ElementsAre("PUBACK 2", "resume"));
}

TEST(OnPublish, AliasStandsForItsTopic) {
    Script script{test::transient()};
    EXPECT_THAT(script.publish({.topic = "long/topic", .qos = kQos0, .alias = 3}),
                Contains("route long/topic"));
    EXPECT_THAT(script.publish({.topic = "", .qos = kQos0, .alias = 3}),
                Contains("route long/topic"));
    (void)script.publish({.topic = "other", .qos = kQos0, .alias = 3});
    EXPECT_THAT(script.publish({.topic = "", .qos = kQos0, .alias = 3}), Contains("route other"));
    EXPECT_THAT(script.ping(), ElementsAre("PINGRESP"));  // aliases survive idle times
    EXPECT_THAT(script.publish({.topic = "", .qos = kQos0, .alias = 3}), Contains("route other"));
}

TEST(OnPublish, AliasOfADuplicateCounts) {
    Script script{test::transient()};
    (void)script.publish({.qos = kQos2, .id = 1});
    EXPECT_THAT(script.publish({.topic = "x", .qos = kQos2, .id = 1, .dup = true, .alias = 1}),
                ElementsAre("PUBREC 1"));
    EXPECT_THAT(script.publish({.topic = "", .qos = kQos0, .alias = 1}), Contains("route x"));
}

TEST(OnPublish, AliasOutOfRangeCloses) {
    for (const auto alias : std::initializer_list<std::uint16_t>{0, 33, 65'535}) {
        Script script{test::transient()};
        open(script);
        EXPECT_THAT(script.publish({.qos = kQos0, .alias = alias}),
                    ElementsAre("close 94 disconnect"));
    }
    Script script{test::transient()};
    EXPECT_THAT(script.publish({.qos = kQos0, .alias = 32}), Contains("route t"));
}

TEST(OnPublish, AliasesForTooLongTopicsClose) {
    const std::string a(40'000, 'a');
    const std::string b(25'536, 'b');
    const std::string c(65'535, 'c');
    Script script{test::transient()};
    open(script);
    const auto set = [&](const std::string& topic, std::uint16_t alias) {
        return script.publish({.topic = topic, .qos = kQos0, .alias = alias});
    };
    EXPECT_THAT(set(c, 1), Contains(testing::StartsWith("route ")));
    EXPECT_THAT(set(a, 1), Contains(testing::StartsWith("route ")));
    EXPECT_THAT(set(b, 2), Contains(testing::StartsWith("route ")));
    EXPECT_THAT(set(b, 2), Contains(testing::StartsWith("route "))) << "it has that already";
    EXPECT_THAT(set("", 1), Contains("route " + a));
    EXPECT_THAT(set("x", 3), ElementsAre("close 97 disconnect"));
}

TEST(OnPublish, AnAliasForAShorterTopicKeepsNothingOfTheLonger) {
    Script script{test::transient()};
    open(script);
    for (std::uint16_t alias = 1; alias <= 32; ++alias) {
        const std::string topic(30'000, 't');
        (void)script.publish({.topic = topic, .qos = kQos0, .alias = alias});
        (void)script.publish({.topic = "t", .qos = kQos0, .alias = alias});
    }
    EXPECT_LT(script.session().bytes(), 8'192U);
}

TEST(OnPublish, UnknownAliasCloses) {
    Script script{test::transient()};
    open(script);
    (void)script.publish({.qos = kQos0, .alias = 5});
    EXPECT_THAT(script.publish({.topic = "", .qos = kQos0, .alias = 4}),
                ElementsAre("close 82 disconnect"));
}

TEST(OnPublish, TopicMustNotBeMissing) {
    Script script{test::transient()};
    open(script);
    EXPECT_THAT(script.publish({.topic = "", .qos = kQos0}), ElementsAre("close 82 disconnect"));
}

TEST(OnPublish, BeforeConnackNoDisconnectIsSent) {
    Script script{test::durable()};
    EXPECT_THAT(script.publish({.topic = "", .qos = kQos0}), ElementsAre("close 82"));
}

TEST(OnPubrel, UnknownIdentifier) {
    Script five{test::durable()};
    EXPECT_THAT(five.pubrel(4), ElementsAre("PUBCOMP 4 92"));
    Script three{test::durable(ProtocolVersion::v3_1_1)};
    EXPECT_THAT(three.pubrel(4), ElementsAre("PUBCOMP 4"));
}

TEST(OnPubrel, BeforePubrecIsAViolation) {
    for (const auto version : {ProtocolVersion::v5, ProtocolVersion::v3_1_1}) {
        Script script{test::durable(version)};
        (void)script.publish({.qos = kQos2, .id = 4, .outcome = Ingress::pending, .ticket = 1});
        EXPECT_THAT(script.pubrel(4), ElementsAre("close 82"));
    }
}

TEST(OnPubrel, RepeatedWhileForgettingIsAnsweredOnce) {
    Script script{test::durable()};
    (void)script.publish({.qos = kQos2, .id = 4, .outcome = Ingress::pending, .ticket = 1});
    (void)script.committed(1);
    EXPECT_THAT(script.pubrel(4), ElementsAre("commit forget"));
    EXPECT_THAT(script.pubrel(4), IsEmpty());
    // Until PUBCOMP the same identifier is a duplicate.
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 4, .dup = true}), ElementsAre("PUBREC 4"));
    EXPECT_THAT(script.forgotten(4), ElementsAre("PUBCOMP 4"));
    EXPECT_THAT(script.forgotten(4), IsEmpty());
}

TEST(TakeParts, KeepsIdentifiersThatAreCommitted) {
    Script script{test::durable()};
    for (const auto id : std::initializer_list<std::uint16_t>{5, 3, 4}) {
        (void)script.publish({.qos = kQos2, .id = id, .outcome = Ingress::pending, .ticket = id});
    }
    (void)script.committed(3);
    (void)script.committed(5);  // 5 came first; 3 is committed, and was waiting for its turn
    EXPECT_THAT(script.pubrel(5), ElementsAre("commit forget"));  // not committed: still there
    EXPECT_THAT(std::move(script.session()).take_parts().inbound_qos2, ElementsAre(3, 5));
}

TEST(OnPublish, AnIdentifierCommittedAfterItsConnectionIsADuplicate) {
    Script script{test::durable()};
    open(script);
    script.session().restore_inbound(PacketId{8});
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 8, .dup = true}), ElementsAre("PUBREC 8"));
}

TEST(OnPublish, AnIdentifierForgottenAfterItsConnectionIsFree) {
    SessionParts parts;
    parts.inbound_qos2 = {8, 9};
    Script script{test::durable(), {}, std::move(parts)};
    open(script);
    script.session().forget_inbound(PacketId{8});
    script.session().forget_inbound(PacketId{7});
    EXPECT_THAT(script.pubrel(8), ElementsAre("PUBCOMP 8 92"));
    EXPECT_THAT(script.publish({.qos = kQos2, .id = 9, .dup = true}), ElementsAre("PUBREC 9"));
}

}  // namespace
}  // namespace stentor::mqtt
