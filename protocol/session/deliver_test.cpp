#include "protocol/session/session_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>

namespace stentor::mqtt {
namespace {

using test::Lines;
using test::Script;
using test::ToClient;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr auto kQos0 = QoS::at_most_once;
constexpr auto kQos1 = QoS::at_least_once;
constexpr auto kQos2 = QoS::exactly_once;

TEST(Deliver, CarriesWhatTheGrantSays) {
    Script script{test::transient()};
    EXPECT_THAT(script.deliver({.qos = kQos0, .retain = true, .subscription_identifiers = {5, 9}}),
                ElementsAre("PUBLISH q0 t=m retain sub=5 sub=9"));
    EXPECT_THAT(script.deliver({.qos = kQos2, .subscription_identifiers = {7}}),
                ElementsAre("PUBLISH q2 #1 t=m sub=7"));
    EXPECT_THAT(script.deliver({.qos = kQos1, .subscription_identifiers = {1, 2, 3}}),
                ElementsAre("PUBLISH q1 #2 t=m sub=1 sub=2 sub=3"));
    Script three{test::transient(ProtocolVersion::v3_1_1)};
    EXPECT_THAT(three.deliver({.qos = kQos1, .subscription_identifiers = {7}}),
                ElementsAre("PUBLISH q1 #1 t=m"));
}

TEST(Deliver, WindowIsTheSmallerOfBothMaxima) {
    ConnectRequest request = test::transient();
    request.receive_maximum = 2;
    Script client_decides{request, {.inflight_maximum = 3}};
    request.receive_maximum = 9;
    Script we_decide{request, {.inflight_maximum = 2}};
    for (Script* script : {&client_decides, &we_decide}) {
        (void)script->deliver({});
        EXPECT_TRUE(script->session().window_open());
        (void)script->deliver({});
        EXPECT_FALSE(script->session().window_open());
        EXPECT_THAT(script->deliver({.payload = "third"}), IsEmpty());
        EXPECT_EQ(script->session().queued_count(), 1U);
        // QoS 0 does not count and overtakes.
        EXPECT_THAT(script->deliver({.qos = kQos0}), ElementsAre("PUBLISH q0 t=m"));
        EXPECT_THAT(script->puback(2), ElementsAre("PUBLISH q1 #3 t=third"));
        EXPECT_EQ(script->session().queued_count(), 0U);
    }
}

TEST(Deliver, NothingOvertakesTheQueue) {
    Script script{test::transient(), {.inflight_maximum = 1}};
    (void)script.deliver({.payload = "a"});
    (void)script.deliver({.payload = "b", .qos = kQos2});
    (void)script.deliver({.payload = "c"});
    EXPECT_THAT(script.puback(1), ElementsAre("PUBLISH q2 #2 t=b"));
    EXPECT_THAT(script.deliver({.payload = "d"}), IsEmpty());
    EXPECT_THAT(script.pubrec(2), ElementsAre("PUBREL 2"));
    EXPECT_THAT(script.pubcomp(2), ElementsAre("PUBLISH q1 #3 t=c"));
    EXPECT_THAT(script.puback(3), ElementsAre("PUBLISH q1 #4 t=d"));
}

TEST(Deliver, WhatWaitsCanBeTakenBack) {
    Script script{test::transient(), {.inflight_maximum = 1}};
    (void)script.deliver({.payload = "in flight", .topic = "a"});
    for (const char* topic : {"a", "b", "a", "b"}) {
        (void)script.deliver({.payload = topic, .topic = topic});
    }
    Effects fx;
    std::vector<InflightMessage> shares;
    script.session().withdraw_queued(
        [](const Message& message) { return message.topic() == "b"; }, shares, fx);
    EXPECT_THAT(shares, IsEmpty());
    EXPECT_EQ(fx.drops.size(), 2U);
    EXPECT_EQ(script.session().queued_count(), 2U);
    EXPECT_THAT(script.puback(1), ElementsAre("PUBLISH q1 #2 b=b"));
    EXPECT_THAT(script.puback(2), ElementsAre("PUBLISH q1 #3 b=b"));
}

TEST(Deliver, WhatIsBeyondTheBytesInFlightWaitsInTheQueue) {
    Script script{test::transient(), {.inflight_bytes_max = 1}};
    EXPECT_THAT(script.deliver({.payload = "a"}), ElementsAre("PUBLISH q1 #1 t=a"));
    EXPECT_THAT(script.deliver({.payload = "b"}), IsEmpty());
    EXPECT_THAT(script.deliver({.payload = "c"}), IsEmpty());
    EXPECT_THAT(script.puback(1), ElementsAre("PUBLISH q1 #2 t=b"));
    EXPECT_THAT(script.puback(2), ElementsAre("PUBLISH q1 #3 t=c"));
}

TEST(Deliver, QueueIsBoundedByCount) {
    Script script{test::transient(), {.inflight_maximum = 1, .transient_queue_messages_max = 2}};
    for (int i = 0; i < 3; ++i) (void)script.deliver({});
    EXPECT_THAT(script.deliver({}), ElementsAre("drop queue_full"));
    EXPECT_EQ(script.session().queued_count(), 2U);
}

TEST(Deliver, QueueIsBoundedByBytes) {
    Script script{test::transient(), {.inflight_maximum = 1, .transient_queue_bytes_max = 3000}};
    const ToClient large{.payload = std::string(1000, 'x')};
    for (int i = 0; i < 3; ++i) (void)script.deliver(large);
    EXPECT_THAT(script.deliver(large), ElementsAre("drop queue_full"));
    // What leaves makes room again, to the byte.
    for (std::uint16_t id = 1; id <= 100; ++id) {
        EXPECT_EQ(script.puback(id).size(), 1U);
        EXPECT_THAT(script.deliver(large), IsEmpty()) << id;
    }
}

TEST(Deliver, OutboxBoundDropsQos0AndHoldsTheRest) {
    Script script{test::transient(), {.outbox_bytes_max = 10}};
    script.stop_reading();
    EXPECT_THAT(script.deliver({.payload = "0123456789"}), IsEmpty());
    EXPECT_THAT(script.deliver({.qos = kQos0}), ElementsAre("drop outbox_full"));
    EXPECT_THAT(script.deliver({.payload = "b"}), IsEmpty());
    EXPECT_FALSE(script.session().window_open());
    EXPECT_EQ(script.session().queued_count(), 1U);
    EXPECT_THAT(script.read(), ElementsAre("PUBLISH q1 #1 t=0123456789", "PUBLISH q1 #2 t=b"));
    EXPECT_TRUE(script.session().window_open());
}

TEST(Deliver, MessageBeyondTheClientsMaximumPacketSizeIsDropped) {
    ConnectRequest request = test::durable();
    request.packet_bytes_max = 30;
    Script script{request};
    // 2 + topic 3 + identifier 2 + properties 1 + payload
    EXPECT_THAT(script.logged(1, {.payload = std::string(23, 'x')}),
                ElementsAre("drop packet_too_large"));
    EXPECT_EQ(script.session().sent_through(), Seq{1});  // as if it had been sent
    EXPECT_EQ(script.logged(2, {.payload = std::string(22, 'x')}).size(), 1U);
    EXPECT_THAT(script.deliver({.payload = std::string(25, 'x'), .qos = kQos0}),
                ElementsAre("drop packet_too_large"));
    EXPECT_EQ(script.deliver({.payload = std::string(24, 'x'), .qos = kQos0}).size(), 1U);
}

TEST(Deliver, ExpiryIsCheckedAndCountedDownAtSending) {
    Script script{test::transient(), {.inflight_maximum = 1}};
    EXPECT_THAT(script.deliver({.payload = "a", .expiry_seconds = 10}),
                ElementsAre("PUBLISH q1 #1 t=a expiry=10"));
    (void)script.deliver({.payload = "b", .expiry_seconds = 10});
    (void)script.deliver({.payload = "c", .expiry_seconds = 100});
    script.wait(11s);
    EXPECT_THAT(script.puback(1), ElementsAre("PUBLISH q1 #2 t=c expiry=89", "drop expired"));
}

TEST(Deliver, ExpiredLoggedMessageCountsAsSent) {
    Script script{test::durable()};
    EXPECT_THAT(script.logged(1, {.expiry_seconds = 0}), ElementsAre("drop expired"));
    EXPECT_EQ(script.session().sent_through(), Seq{1});
}

TEST(Deliver, AliasesGoToTheFirstTopics) {
    ConnectRequest request = test::transient();
    request.topic_alias_maximum = 2;
    Script script{request};
    const auto topic = [](const char* name) { return ToClient{.qos = kQos0, .topic = name}; };
    EXPECT_THAT(script.deliver(topic("a")), ElementsAre("PUBLISH q0 a=m alias=1"));
    EXPECT_THAT(script.deliver(topic("b")), ElementsAre("PUBLISH q0 b=m alias=2"));
    EXPECT_THAT(script.deliver(topic("c")), ElementsAre("PUBLISH q0 c=m"));
    EXPECT_THAT(script.deliver(topic("a")), ElementsAre("PUBLISH q0 =m alias=1"));
    EXPECT_THAT(script.ping(), ElementsAre("PINGRESP"));
    EXPECT_THAT(script.deliver(topic("b")), ElementsAre("PUBLISH q0 =m alias=2"));
}

TEST(Deliver, AliasesAreBoundedByOurLimitToo) {
    ConnectRequest request = test::transient();
    request.topic_alias_maximum = 9;
    Script script{request, {.topic_aliases_max = 1}};
    EXPECT_THAT(script.deliver({.qos = kQos0, .topic = "a"}),
                ElementsAre("PUBLISH q0 a=m alias=1"));
    EXPECT_THAT(script.deliver({.qos = kQos0, .topic = "b"}), ElementsAre("PUBLISH q0 b=m"));
}

TEST(Deliver, AliasesAreBoundedByTheBytesOfTheirTopics) {
    const std::string large(50'000, 'l');
    const std::string larger(15'600, 'L');
    ConnectRequest request = test::transient();
    request.topic_alias_maximum = 9;
    Script script{request};
    EXPECT_THAT(script.deliver({.qos = kQos0, .topic = large}),
                ElementsAre("PUBLISH q0 " + large + "=m alias=1"));
    EXPECT_THAT(script.deliver({.qos = kQos0, .topic = larger}),
                ElementsAre("PUBLISH q0 " + larger + "=m"));
    EXPECT_THAT(script.deliver({.qos = kQos0, .topic = "b"}),
                ElementsAre("PUBLISH q0 b=m alias=2"));
}

TEST(Deliver, WhatWasNotSentDoesNotSetAnAlias) {
    ConnectRequest request = test::transient();
    request.topic_alias_maximum = 9;
    request.packet_bytes_max = 50;
    Script script{request, {.inflight_maximum = 1, .outbox_bytes_max = 40}};
    (void)script.deliver({.payload = std::string(60, 'x'), .topic = "large"});
    EXPECT_THAT(script.deliver({.topic = "large"}), ElementsAre("PUBLISH q1 #1 large=m alias=1"));
    EXPECT_THAT(script.deliver({.topic = "queued"}), IsEmpty());
    EXPECT_THAT(script.deliver({.qos = kQos0, .topic = "queued"}),
                ElementsAre("PUBLISH q0 queued=m alias=2"));
    EXPECT_THAT(script.puback(1), ElementsAre("PUBLISH q1 #2 =m alias=2"));
    script.stop_reading();
    (void)script.deliver({.payload = std::string(35, 'x'), .qos = kQos0, .topic = "fill"});
    EXPECT_THAT(script.deliver({.qos = kQos0, .topic = "lost"}), ElementsAre("drop outbox_full"));
    (void)script.read();
    EXPECT_THAT(script.deliver({.qos = kQos0, .topic = "lost"}),
                ElementsAre("PUBLISH q0 lost=m alias=4"));
}

TEST(Deliver, AliasIsLeftOutWhereItMakesThePacketTooLarge) {
    ConnectRequest request = test::transient();
    request.topic_alias_maximum = 9;
    request.packet_bytes_max = 30;
    Script script{request};
    const ToClient exact{.payload = std::string(24, 'x'), .qos = kQos0};
    EXPECT_THAT(script.deliver(exact), ElementsAre("PUBLISH q0 t=" + exact.payload));
    EXPECT_THAT(script.deliver({.qos = kQos0}), ElementsAre("PUBLISH q0 t=m alias=1"));
}

TEST(DeliverLogged, MovesThePosition) {
    Script script{test::durable()};
    EXPECT_THAT(script.logged(5, {.payload = "a"}), ElementsAre("PUBLISH q1 #1 t=a"));
    EXPECT_EQ(script.session().sent_through(), Seq{5});
    EXPECT_THAT(script.logged(5, {.payload = "a"}), IsEmpty());  // rule 3
    EXPECT_THAT(script.logged(4, {.payload = "x"}), IsEmpty());
    script.session().advance(Seq{9});
    script.session().advance(Seq{7});
    EXPECT_EQ(script.session().sent_through(), Seq{9});
}

TEST(DeliverLogged, FullWindowPutsTheSessionBehind) {
    Script script{test::durable(), {.inflight_maximum = 1}};
    script.session().set_live(true);
    (void)script.logged(5, {.payload = "a"});
    EXPECT_TRUE(script.session().live());
    EXPECT_THAT(script.logged(9, {.payload = "b"}), ElementsAre("window full"));
    EXPECT_FALSE(script.session().live());
    EXPECT_EQ(script.session().sent_through(), Seq{8});
    EXPECT_THAT(script.puback(1), ElementsAre("wants more"));
    EXPECT_THAT(script.logged(9, {.payload = "b"}), ElementsAre("PUBLISH q1 #2 t=b"));
    EXPECT_THAT(script.puback(2), IsEmpty());  // said once, until the next refusal
}

TEST(DeliverLogged, WhatIsInFlightIsBoundedByBytes) {
    Script script{test::durable(), {.inflight_bytes_max = 1500}};
    const ToClient large{.payload = std::string(1000, 'x')};
    for (std::uint64_t seq = 1; seq <= 100; seq += 2) {
        const auto first = static_cast<std::uint16_t>(seq);
        EXPECT_EQ(script.logged(seq, large).size(), 1U);
        EXPECT_EQ(script.logged(seq + 1, large).size(), 1U);  // the one that goes beyond
        EXPECT_THAT(script.logged(seq + 2, {.payload = "small"}), ElementsAre("window full"));
        EXPECT_THAT(script.puback(first), ElementsAre("wants more"));  // to the byte
        EXPECT_TRUE(script.session().window_open());
        EXPECT_THAT(script.puback(first + 1), IsEmpty());
    }
}

TEST(DeliverLogged, AReceivedMessageTakesNoBytes) {
    Script script{test::durable(), {.inflight_bytes_max = 500}};
    (void)script.logged(1, {.payload = std::string(1000, 'x'), .qos = kQos2});
    (void)script.take();
    (void)script.commit();
    EXPECT_THAT(script.logged(2, {.qos = kQos2}), ElementsAre("window full"));
    (void)script.pubrec(1);
    (void)script.take();
    EXPECT_THAT(script.commit(), ElementsAre("PUBREL 1", "wants more"));
    EXPECT_THAT(script.logged(2, {}), ElementsAre("PUBLISH q1 #2 t=m"));
}

TEST(DeliverLogged, FullOutboxPutsTheSessionBehind) {
    Script script{test::durable(), {.outbox_bytes_max = 5}};
    script.stop_reading();
    (void)script.logged(1, {.payload = "a"});
    EXPECT_THAT(script.logged(2, {.payload = "b"}), ElementsAre("window full"));
    EXPECT_FALSE(script.session().window_open());
    EXPECT_THAT(script.read(), ElementsAre("PUBLISH q1 #1 t=a", "wants more"));
    EXPECT_THAT(script.logged(2, {.payload = "b"}), ElementsAre("PUBLISH q1 #2 t=b"));
}

TEST(DeliverPinned, LeavesThePositionAlone) {
    Script script{test::durable(), {.inflight_maximum = 1}};
    script.session().set_live(true);
    script.session().advance(Seq{100});
    EXPECT_THAT(script.pinned(7, {.payload = "kept", .retain = true}),
                ElementsAre("PUBLISH q1 #1 t=kept retain"));
    EXPECT_THAT(script.pinned(8, {}), ElementsAre("window full"));
    EXPECT_EQ(script.session().sent_through(), Seq{100});
    EXPECT_TRUE(script.session().live());
    EXPECT_EQ(script.take(), "through 100 sent 1=q1@7");
    EXPECT_THAT(script.puback(1), ElementsAre("wants more"));
}

TEST(Deliver, Qos1WaitsBehindQos2ThatWaitsForItsCommit) {
    Script script{test::durable()};
    (void)script.logged(1, {.payload = "a", .qos = kQos2});
    EXPECT_THAT(script.logged(2, {.payload = "b", .qos = kQos1}), IsEmpty());
    EXPECT_EQ(script.take(), "through 2 sent 1=q2@1 sent 2=q1@2");
    EXPECT_THAT(script.logged(3, {.payload = "c", .qos = kQos2}), IsEmpty());
    EXPECT_THAT(script.logged(4, {.payload = "d", .qos = kQos1}), IsEmpty());
    EXPECT_THAT(script.deliver({.qos = kQos0}), ElementsAre("PUBLISH q0 t=m"));
    EXPECT_THAT(script.commit(), ElementsAre("PUBLISH q2 #1 t=a", "PUBLISH q1 #2 t=b"));
    EXPECT_EQ(script.take(), "through 4 sent 3=q2@3 sent 4=q1@4");
    EXPECT_THAT(script.commit(), ElementsAre("PUBLISH q2 #3 t=c", "PUBLISH q1 #4 t=d"));
}

TEST(PacketIds, SkipZeroAndThoseInUse) {
    SessionParts parts{.last_packet_id = 65'533};
    for (const auto id : std::initializer_list<std::uint16_t>{65'535, 1, 2, 5}) {
        InflightMessage entry;
        entry.seq = Seq{id};
        entry.packet_id = PacketId{id};
        entry.message = test::message({});
        parts.inflight.push_back(std::move(entry));
    }
    Script script{test::transient(), {}, std::move(parts)};
    EXPECT_EQ(script.inflight_again().size(), 4U);
    for (const char* expected : {"#65534", "#3", "#4", "#6"}) {
        EXPECT_THAT(script.deliver({}),
                    ElementsAre("PUBLISH q1 " + std::string{expected} + " t=m"));
    }
}

TEST(PacketIds, AreNeverTwiceInUse) {
    Script script{test::transient(), {.inflight_maximum = 5}};
    // The first four stay in flight for ever; the rest goes round three times.
    std::set<std::string> stuck;
    for (int i = 0; i < 4; ++i) stuck.insert(script.deliver({}).at(0));
    for (int i = 0; i < 200'000; ++i) {
        const std::string line = script.deliver({}).at(0);
        ASSERT_FALSE(stuck.contains(line)) << line;
        const auto id = static_cast<std::uint16_t>(std::stoul(line.substr(line.find('#') + 1)));
        ASSERT_NE(id, 0);
        (void)script.puback(id);
    }
}

TEST(Memory, IdleSessionIsSmall) {
    ConnectRequest request = test::durable();
    request.client_id = "a-client-with-23-letters";
    Session session{request, {}, {}};
    EXPECT_LE(sizeof(Session), 320U);
    EXPECT_LE(session.bytes(), 400U);
}

TEST(Deliver, OneInAboutSixteenIsTimed) {
    constexpr Instant kArrival{std::chrono::hours{1}};
    constexpr Instant kSent = kArrival + std::chrono::seconds{1};
    const MessagePtr message = test::message({.topic = "t"}, kArrival);
    Effects fx;
    for (int i = 0; i < 16'000; ++i) fx.delivered(*message, kSent);
    EXPECT_GT(fx.sampled_deliveries.size(), 900U);
    EXPECT_LT(fx.sampled_deliveries.size(), 1'100U);
    EXPECT_EQ(fx.sampled_deliveries.front().arrival, kArrival);
    EXPECT_EQ(fx.sampled_deliveries.front().sent, kSent);
    fx.clear();
    EXPECT_TRUE(fx.sampled_deliveries.empty());
}

TEST(Memory, PingGivesBackWhatTrafficTook) {
    Script script{test::durable()};
    (void)script.connack();
    const std::size_t before = script.session().bytes();
    (void)script.publish({.qos = kQos2, .id = 1, .outcome = Ingress::pending, .ticket = 1});
    (void)script.committed(1);
    (void)script.logged(1, {});
    EXPECT_GT(script.session().bytes(), before);
    EXPECT_THAT(script.ping(), ElementsAre("PINGRESP"));
    EXPECT_GT(script.session().bytes(), before);  // nothing is finished yet
    (void)script.pubrel(1);
    (void)script.forgotten(1);
    (void)script.puback(1);
    (void)script.ping();
    EXPECT_GT(script.session().bytes(), before);  // the position is not committed yet
    (void)script.take();
    (void)script.ping();
    (void)script.commit();
    (void)script.ping();
    EXPECT_EQ(script.session().bytes(), before);
    EXPECT_THAT(script.logged(2, {}), ElementsAre("PUBLISH q1 #2 t=m"));
}

}  // namespace
}  // namespace stentor::mqtt
