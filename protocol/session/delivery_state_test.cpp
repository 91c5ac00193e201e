#include "protocol/session/session_script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

namespace stentor::mqtt {
namespace {

using test::Lines;
using test::Script;
using test::ToClient;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr auto kQos1 = QoS::at_least_once;
constexpr auto kQos2 = QoS::exactly_once;

InflightMessage entry(std::uint64_t seq,
                      std::uint16_t id,
                      QoS qos,
                      DeliveryPhase phase = DeliveryPhase::sent,
                      const char* payload = "m") {
    InflightMessage made;
    made.seq = Seq{seq};
    made.packet_id = PacketId{id};
    made.qos = qos;
    made.phase = phase;
    if (payload != nullptr) made.message = test::message({.payload = payload});
    return made;
}

SessionParts parts_of(std::uint64_t through, std::initializer_list<InflightMessage> entries) {
    SessionParts parts{.sent_through = Seq{through}};
    parts.inflight = entries;
    parts.last_packet_id = static_cast<std::uint16_t>(entries.size());
    return parts;
}

TEST(DeliveryState, Qos1IsLazy) {
    Script script{test::durable()};
    EXPECT_EQ(script.session().commit_need(), CommitNeed::none);
    (void)script.logged(1, {});
    EXPECT_EQ(script.session().commit_need(), CommitNeed::lazy);
    EXPECT_EQ(script.take(), "through 1 sent 1=q1@1");
    EXPECT_EQ(script.session().commit_need(), CommitNeed::none);
    (void)script.puback(1);
    EXPECT_EQ(script.session().commit_need(), CommitNeed::lazy);
    EXPECT_EQ(script.take(), "through 1 free 1");
}

TEST(DeliveryState, WhatPassesWithoutAMatchNeedsNoCommit) {
    Script script{test::durable()};
    script.session().advance(Seq{1000});
    EXPECT_EQ(script.session().commit_need(), CommitNeed::none);
    EXPECT_EQ(script.take(), "through 1000");
    EXPECT_THAT(script.commit(), IsEmpty());
}

TEST(DeliveryState, TransientSessionsCommitNothing) {
    Script script{test::transient()};
    EXPECT_THAT(script.deliver({.qos = kQos2}), ElementsAre("PUBLISH q2 #1 t=m"));
    EXPECT_EQ(script.session().commit_need(), CommitNeed::none);
}

TEST(DeliveryState, WhatCameAndWentBetweenTwoChangesIsInNeither) {
    Script script{test::durable()};
    (void)script.logged(1, {});
    (void)script.logged(2, {});
    (void)script.puback(1);
    EXPECT_EQ(script.take(), "through 2 sent 2=q1@2");
    (void)script.logged(3, {});
    (void)script.puback(3);
    EXPECT_EQ(script.take(), "through 3");  // but the position is told
}

TEST(DeliveryState, SeveralChangesOnTheirWay) {
    Script script{test::durable()};
    (void)script.logged(1, {.payload = "a", .qos = kQos2});
    EXPECT_EQ(script.take(), "through 1 sent 1=q2@1");
    (void)script.logged(2, {.payload = "b", .qos = kQos2});
    EXPECT_EQ(script.take(), "through 2 sent 2=q2@2");
    (void)script.logged(3, {.payload = "c", .qos = kQos1});
    EXPECT_EQ(script.take(), "through 3 sent 3=q1@3");
    EXPECT_THAT(script.commit(), ElementsAre("PUBLISH q2 #1 t=a"));
    (void)script.pubrec(1);
    EXPECT_EQ(script.take(), "through 3 received 1=q2@1");
    EXPECT_THAT(script.commit(), ElementsAre("PUBLISH q2 #2 t=b", "PUBLISH q1 #3 t=c"));
    EXPECT_THAT(script.commit(), IsEmpty());  // that of "c", which waited for its turn only
    EXPECT_THAT(script.commit(), ElementsAre("PUBREL 1"));
}

TEST(DeliveryState, EndingWhileTheListingIsOnItsWayIsToldNext) {
    Script script{test::durable()};
    (void)script.logged(1, {});
    EXPECT_EQ(script.take(), "through 1 sent 1=q1@1");
    (void)script.puback(1);  // QoS 1 did not wait
    EXPECT_EQ(script.take(), "through 1 free 1");
    EXPECT_THAT(script.commit(), IsEmpty());
    EXPECT_THAT(script.commit(), IsEmpty());
    EXPECT_EQ(script.take(), "through 1");
}

TEST(DeliveryState, IdentifierIsFreeOnlyAfterTheCommitOfItsEnd) {
    SessionParts parts = parts_of(9, {entry(9, 1, kQos1)});
    parts.last_packet_id = 65'535;  // the next one is 1
    Script script{test::durable(), {.inflight_maximum = 1}, std::move(parts)};
    (void)script.inflight_again();
    (void)script.puback(1);
    EXPECT_TRUE(script.session().window_open());  // the slot is free at once
    EXPECT_THAT(script.logged(10, {}), ElementsAre("PUBLISH q1 #2 t=m"));
    EXPECT_EQ(script.take(), "through 10 free 1 sent 2=q1@10");
}

TEST(DeliveryState, ManyEndedIdentifiersAreCommittedSoon) {
    Script script{test::durable(), {.inflight_maximum = 2}};
    (void)script.logged(1, {});
    (void)script.logged(2, {});
    (void)script.take();
    (void)script.puback(1);
    EXPECT_EQ(script.session().commit_need(), CommitNeed::lazy);
    (void)script.puback(2);
    EXPECT_EQ(script.session().commit_need(), CommitNeed::now);
}

TEST(TakeParts, HoldEverythingUnfinishedInItsLastPhase) {
    Script script{test::durable()};
    for (const std::uint64_t seq : {1, 2, 3, 4}) {
        (void)script.logged(seq,
                            {.qos = kQos2, .retain = seq == 2, .subscription_identifiers = {7, 8}});
    }
    (void)script.take();
    (void)script.commit();
    (void)script.logged(5, {.qos = kQos2});              // its PUBLISH has not left
    (void)script.pubrec(1);                              // received, not committed
    (void)script.pubrec(3, ReasonCode::quota_exceeded);  // ended, not committed
    const SessionParts parts = std::move(script.session()).take_parts();
    EXPECT_EQ(parts.sent_through, Seq{5});
    EXPECT_EQ(parts.last_packet_id, 5);
    ASSERT_EQ(parts.inflight.size(), 4U);
    const auto check = [&](std::size_t at, std::uint64_t seq, DeliveryPhase phase) {
        EXPECT_EQ(parts.inflight[at].seq, Seq{seq});
        EXPECT_EQ(parts.inflight[at].packet_id, PacketId{static_cast<std::uint16_t>(seq)});
        EXPECT_EQ(parts.inflight[at].phase, phase);
        EXPECT_EQ(parts.inflight[at].message != nullptr, phase == DeliveryPhase::sent);
    };
    check(0, 1, DeliveryPhase::received);
    check(1, 2, DeliveryPhase::sent);
    check(2, 4, DeliveryPhase::sent);
    check(3, 5, DeliveryPhase::sent);
    EXPECT_TRUE(parts.inflight[1].retain);
    EXPECT_THAT(parts.inflight[1].subscription_identifiers, ElementsAre(7, 8));
}

TEST(Resume, RepeatsInOrderWithIdentifierAndDup) {
    ConnectRequest request = test::durable();
    request.topic_alias_maximum = 5;
    SessionParts parts = parts_of(7,
                                  {entry(4, 9, kQos2, DeliveryPhase::sent, "a"),
                                   entry(5, 3, kQos2, DeliveryPhase::received, nullptr),
                                   entry(6, 8, kQos1, DeliveryPhase::sent, "b")});
    parts.inflight[2].retain = true;
    parts.inflight[2].subscription_identifiers = {1, 2};
    Script script{request, {}, std::move(parts)};
    // The first one after a reconnect carries its topic in full.
    EXPECT_THAT(script.inflight_again(),
                ElementsAre("PUBLISH q2 #9 t=a dup alias=1",
                            "PUBREL 3",
                            "PUBLISH q1 #8 =b dup retain alias=1 sub=1 sub=2"));
    EXPECT_EQ(script.session().commit_need(), CommitNeed::none);
    EXPECT_THAT(script.inflight_again(), IsEmpty());
    EXPECT_THAT(script.pubcomp(3), IsEmpty());
    EXPECT_THAT(script.puback(8), IsEmpty());
    EXPECT_EQ(script.take(), "through 7 free 3 free 8");
}

TEST(DeliveryState, WholeHasWhatIsOnItsWayAndNotWhatIsDone) {
    Script script{test::durable()};
    (void)script.logged(5, {.qos = kQos2});
    EXPECT_EQ(script.take(), "through 5 sent 1=q2@5");
    (void)script.logged(6, {.qos = kQos1});
    (void)script.logged(7, {.qos = kQos1});
    const DeliveryChange whole = script.session().take_whole_state();
    EXPECT_TRUE(whole.whole);
    EXPECT_EQ(whole.sent_through, Seq{7});
    EXPECT_EQ(whole.changed.size(), 3U);
    EXPECT_THAT(script.commit(), Contains("PUBLISH q2 #1 t=m"));
    EXPECT_THAT(script.commit(), IsEmpty());
    EXPECT_THAT(script.puback(2), IsEmpty());
    EXPECT_EQ(script.session().take_whole_state().changed.size(), 2U);
    EXPECT_THAT(script.commit(), IsEmpty());
    EXPECT_EQ(script.session().commit_need(), CommitNeed::none);
}

TEST(Resume, AnUnloggedQos2MessageThatIsLostEndsItsExchange) {
    SessionParts parts = parts_of(9, {entry(0, 4, kQos2), entry(7, 5, kQos2)});
    parts.inflight[0].message = nullptr;
    Script script{test::durable(), {}, std::move(parts)};
    std::vector<Seq> missing;
    script.session().missing_messages(missing);
    EXPECT_THAT(missing, IsEmpty());
    EXPECT_THAT(script.inflight_again(), ElementsAre("PUBLISH q2 #5 t=m dup"));
    EXPECT_EQ(script.take(), "through 9 received 4=q2@0");
    EXPECT_THAT(script.commit(), ElementsAre("PUBREL 4"));
    EXPECT_THAT(script.pubcomp(4), IsEmpty());
    EXPECT_EQ(script.take(), "through 9 free 4");
}

TEST(Resume, SmallerReceiveMaximumIsHonoured) {
    ConnectRequest request = test::durable();
    request.receive_maximum = 2;
    Script script{request,
                  {},
                  parts_of(9,
                           {entry(4, 1, kQos1, DeliveryPhase::sent, "a"),
                            entry(5, 2, kQos1, DeliveryPhase::sent, "b"),
                            entry(6, 3, kQos2, DeliveryPhase::received, nullptr),
                            entry(7, 4, kQos1, DeliveryPhase::sent, "c")})};
    // The PUBREL is no PUBLISH, and its slot is still in use.
    EXPECT_THAT(script.inflight_again(), ElementsAre("PUBLISH q1 #1 t=a dup", "PUBREL 3"));
    EXPECT_FALSE(script.session().window_open());
    EXPECT_THAT(script.logged(10, {}), ElementsAre("window full"));
    EXPECT_THAT(script.puback(2), IsEmpty());  // to the earlier connection's PUBLISH: it counts
    EXPECT_THAT(script.pubcomp(3), ElementsAre("PUBLISH q1 #4 t=c dup"));
    EXPECT_THAT(script.puback(1), ElementsAre("wants more"));
    EXPECT_THAT(script.logged(10, {}), ElementsAre("PUBLISH q1 #5 t=m"));
}

TEST(Resume, NewMessagesStayBehindRepeatedOnes) {
    Script script{
        test::durable(), {}, parts_of(9, {entry(4, 1, kQos1, DeliveryPhase::sent, nullptr)})};
    EXPECT_THAT(script.logged(10, {.payload = "new"}), IsEmpty());
    EXPECT_THAT(script.restore(4, ToClient{.payload = "old"}), IsEmpty());
    EXPECT_THAT(script.inflight_again(),
                ElementsAre("PUBLISH q1 #1 t=old dup", "PUBLISH q1 #2 t=new"));
}

TEST(Resume, MissingMessagesAreAskedForAndRestored) {
    SessionParts parts = parts_of(9,
                                  {entry(4, 1, kQos1, DeliveryPhase::sent, nullptr),
                                   entry(5, 2, kQos2, DeliveryPhase::received, nullptr),
                                   entry(6, 3, kQos2, DeliveryPhase::sent, nullptr)});
    parts.inflight[0].retain = true;
    Script script{test::durable(), {}, std::move(parts)};
    std::vector<Seq> missing;
    script.session().missing_messages(missing);
    EXPECT_THAT(missing, ElementsAre(Seq{4}, Seq{6}));
    EXPECT_THAT(script.restore(6, {}), ElementsAre("drop no_longer_stored"));
    EXPECT_THAT(script.restore(4, ToClient{.payload = "old"}), IsEmpty());
    EXPECT_THAT(script.restore(99, ToClient{}), IsEmpty());
    EXPECT_THAT(script.inflight_again(), ElementsAre("PUBLISH q1 #1 t=old dup retain", "PUBREL 2"));
    // The client may have the QoS 2 message that is lost: the exchange ends as it must.
    EXPECT_EQ(script.take(), "through 9 received 3=q2@6");
    EXPECT_THAT(script.commit(), ElementsAre("PUBREL 3"));
    EXPECT_THAT(script.pubcomp(3), IsEmpty());
    EXPECT_EQ(script.take(), "through 9 free 3");
}

TEST(Resume, AMessageComesBackWithItsSubscriptionIdentifiers) {
    SessionParts parts = parts_of(9,
                                  {entry(4, 1, kQos1, DeliveryPhase::sent, nullptr),
                                   entry(6, 2, kQos1, DeliveryPhase::sent, nullptr)});
    parts.inflight[0].subscription_identifiers = {7, 8};
    parts.inflight[1].subscription_identifiers = {};
    parts.inflight[1].identifiers_lost = true;
    Script script{test::durable(), {}, std::move(parts)};
    EXPECT_THAT(script.restore(4, ToClient{.subscription_identifiers = {1}}), IsEmpty());
    EXPECT_THAT(script.restore(6, ToClient{.subscription_identifiers = {2, 3}}), IsEmpty());
    EXPECT_THAT(
        script.inflight_again(),
        ElementsAre("PUBLISH q1 #1 t=m dup sub=7 sub=8", "PUBLISH q1 #2 t=m dup sub=2 sub=3"));
}

TEST(Resume, WhatIsStillMissingHasLostItsIdentifiersAtTheNextConnectionToo) {
    SessionParts parts = parts_of(9, {entry(4, 1, kQos1, DeliveryPhase::sent, nullptr)});
    parts.inflight[0].identifiers_lost = true;
    Script script{test::durable(), {}, std::move(parts)};
    const SessionParts left = std::move(script.session()).take_parts();
    ASSERT_EQ(left.inflight.size(), 1U);
    EXPECT_TRUE(left.inflight[0].identifiers_lost);
}

TEST(Resume, ThePositionsOfAnEarlierConnectionCanBeAskedFor) {
    Script script{test::durable(), {}, parts_of(9, {entry(4, 1, kQos1)})};
    EXPECT_EQ(script.session().lowest_unlisted(), std::nullopt);
    EXPECT_EQ(script.session().lowest_unlisted(true), Seq{4});
    (void)script.logged(10, {});
    EXPECT_EQ(script.session().lowest_unlisted(), Seq{10});
    EXPECT_EQ(script.session().lowest_unlisted(true), Seq{4});
}

TEST(Resume, MessageBeyondASmallerMaximumPacketSizeCountsAsSent) {
    ConnectRequest request = test::durable();
    request.packet_bytes_max = 20;
    SessionParts parts = parts_of(9, {entry(4, 1, kQos1), entry(5, 2, kQos1)});
    parts.inflight[0].message = test::message({.payload = std::string(50, 'x')});
    for (const bool is_durable : {true, false}) {
        if (!is_durable) request.session_expiry_seconds = 0;
        SessionParts copy = parts;
        Script script{request, {}, std::move(copy)};
        EXPECT_THAT(script.inflight_again(),
                    ElementsAre("PUBLISH q1 #2 t=m dup", "drop packet_too_large"));
        EXPECT_EQ(script.session().inflight_count(), 1U);
    }
}

TEST(Resume, PinnedMessagesDoNotExpire) {
    SessionParts parts = parts_of(9, {entry(4, 1, kQos2)});
    parts.inflight[0].message = test::message({.expiry_seconds = 1});
    Script script{test::durable(), {}, std::move(parts)};
    EXPECT_THAT(script.inflight_again(), ElementsAre("PUBLISH q2 #1 t=m dup expiry=0"));
}

TEST(Resume, SlowReaderGetsTheRestLater) {
    Script script{test::durable(),
                  {.outbox_bytes_max = 5},
                  parts_of(9, {entry(4, 1, kQos1), entry(5, 2, kQos1)})};
    script.stop_reading();
    EXPECT_THAT(script.inflight_again(), IsEmpty());
    EXPECT_THAT(script.read(), ElementsAre("PUBLISH q1 #1 t=m dup", "PUBLISH q1 #2 t=m dup"));
}

TEST(Resume, SessionThatEndsAtCloseCommitsNothing) {
    ConnectRequest request = test::durable();
    request.session_expiry_seconds = 0;  // Clean Start 0, expiry 0: resumes, and ends at close
    Script script{request, {}, parts_of(9, {entry(4, 1, kQos2)})};
    EXPECT_THAT(script.inflight_again(), ElementsAre("PUBLISH q2 #1 t=m dup"));
    EXPECT_THAT(script.logged(10, {.qos = kQos2}), ElementsAre("PUBLISH q2 #2 t=m"));
    EXPECT_THAT(script.pubrec(1), ElementsAre("PUBREL 1"));
    EXPECT_THAT(script.pubcomp(1), IsEmpty());
    EXPECT_EQ(script.session().commit_need(), CommitNeed::none);
}

}  // namespace
}  // namespace stentor::mqtt
