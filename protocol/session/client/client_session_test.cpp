#include "protocol/session/client/client_session.hpp"

#include "tests/kit/client_script.hpp"

#include <gtest/gtest.h>

namespace stentor::mqtt::test {
namespace {

using namespace std::chrono_literals;

constexpr auto q0 = QoS::at_most_once;
constexpr auto q1 = QoS::at_least_once;
constexpr auto q2 = QoS::exactly_once;

ClientOptions named(std::string client_id) {
    ClientOptions options;
    options.client_id = std::move(client_id);
    return options;
}

Bytes number(Property id, std::uint32_t value) {
    return properties([&](PropertyWriter& w) { w.number(id, value); });
}

Bytes message(QoS qos, std::uint16_t id, std::string_view topic, std::string_view payload) {
    return publish(
        {.topic = topic, .payload = as_bytes(payload), .qos = qos, .packet_id = PacketId{id}});
}

TEST(ClientSession, ConnectSaysEverything) {
    auto options = named("c1");
    options.user_name = "ann";
    options.password = to_owned(as_bytes("secret"));
    options.will = ClientWill{.topic = "gone", .payload = to_owned(as_bytes("c1")), .qos = q1};
    options.connect_properties = number(Property::session_expiry_interval, 60);
    play(options, [](Script& s) {
        s.connects(CleanStart::no)
            .sends({"CONNECT c1 keepalive 60 user ann password secret will q1 gone=c1 expiry60"})
            .receives(connack(true))
            .tells({"connected, session present"});
    });
}

TEST(ClientSession, RefusalEndsTheConnection) {
    play(named("c1"), [](Script& s) {
        s.connects()
            .sends({"CONNECT c1 clean keepalive 60"})
            .receives(connack(false, ReasonCode::not_authorized))
            .tells({"closed: refused not_authorized"})
            .receives(pingresp())
            .tells({})
            .publishes(q0, "a", "", "not connected");
    });
}

TEST(ClientSession, ReturnCodesOf311BecomeReasonCodes) {
    auto options = named("c1");
    options.version = ProtocolVersion::v3_1_1;
    play(options, [](Script& s) {
        s.connects()
            .receives(
                connack(false, ReasonCode::bad_user_name_or_password, {}, ProtocolVersion::v3_1_1))
            .tells({"closed: refused bad_user_name_or_password"});
    });
}

TEST(ClientSession, NoAnswerToConnectEndsInATimeout) {
    play(named("c1"), [](Script& s) {
        s.connects().at(29s).tells({}).at(30s).tells({"closed: connect timeout unspecified_error"});
    });
}

TEST(ClientSession, ConnackComesFirstAndOnce) {
    play(named("c1"), [](Script& s) {
        s.connects()
            .receives(message(q0, 0, "a", "x"))
            .tells({"closed: server error protocol_error"});
        s.connects().receives(connack()).receives(connack());
        s.tells({"connected", "closed: server error protocol_error"});
    });
}

TEST(ClientSession, NoSessionAfterACleanStart) {
    play(named("c1"), [](Script& s) {
        s.connects().receives(connack(true)).tells({"closed: server error protocol_error"});
    });
}

TEST(ClientSession, AnAssignedIdentifierIsUsedFromThenOn) {
    play(named(""), [](Script& s) {
        s.is_connected(properties([](PropertyWriter& w) {
             w.text(Property::assigned_client_identifier, "made-up");
         }))
            .loses_connection()
            .connects(CleanStart::no)
            .sends({"CONNECT made-up keepalive 60"});
    });
}

// --- publishing ---

TEST(ClientSession, Qos0LeavesNoTrace) {
    play(named("c1"), [](Script& s) {
        s.is_connected().publishes(q0, "a", "x").sends({"PUBLISH q0 a=x"});
        s.expects(s.session.unacknowledged() == 0, "nothing kept");
    });
}

TEST(ClientSession, Qos1IsDoneWithPuback) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .publishes(q1, "a", "x")
            .publishes(q1, "a", "y")
            .sends({"PUBLISH q1 id1 a=x", "PUBLISH q1 id2 a=y"})
            .receives(ack(PacketType::puback, 2, ReasonCode::no_matching_subscribers))
            .receives(ack(PacketType::puback, 1))
            .tells({"done 2 token 2 no_matching_subscribers", "done 1 token 1 success"});
    });
}

TEST(ClientSession, Qos2IsDoneWithPubcomp) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .publishes(q2, "a", "x")
            .sends({"PUBLISH q2 id1 a=x"})
            .receives(ack(PacketType::pubrec, 1))
            .tells({})
            .sends({"PUBREL 1"})
            .receives(ack(PacketType::pubcomp, 1))
            .tells({"done 1 token 1 success"});
    });
}

TEST(ClientSession, AFailedPubrecEndsTheDelivery) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .publishes(q2, "a", "x")
            .sends({"PUBLISH q2 id1 a=x"})
            .receives(ack(PacketType::pubrec, 1, ReasonCode::quota_exceeded))
            .tells({"done 1 token 1 quota_exceeded"})
            .sends({});
        s.expects(s.session.unacknowledged() == 0, "identifier free");
    });
}

TEST(ClientSession, TheServersReceiveMaximumHolds) {
    play(named("c1"), [](Script& s) {
        s.is_connected(number(Property::receive_maximum, 2))
            .publishes(q1, "a")
            .publishes(q2, "a")
            .publishes(q1, "a", "", "window full")
            .publishes(q0, "a")
            .receives(ack(PacketType::pubrec, 2))
            .publishes(q1, "a", "", "window full")  // the slot is held until PUBCOMP
            .receives(ack(PacketType::pubcomp, 2))
            .publishes(q1, "a");
    });
}

TEST(ClientSession, WhatTheServerDoesNotTakeIsNotSent) {
    const auto said = properties([](PropertyWriter& w) {
        w.number(Property::maximum_qos, 1);
        w.number(Property::retain_available, 0);
        w.number(Property::maximum_packet_size, 30);
        w.number(Property::wildcard_subscription_available, 0);
        w.number(Property::shared_subscription_available, 0);
    });
    play(named("c1"), [&](Script& s) {
        s.is_connected(said)
            .publishes(q2, "a", "", "QoS not supported")
            .publishes(q1, "a", std::string(24, 'x'), "packet too large")
            .publishes(q1, "a", std::string(22, 'x'))
            .subscribes("a/#", "wildcard subscriptions not supported")
            .subscribes("$share/g/a", "shared subscriptions not supported")
            .does([](ClientSession& session, Instant now, WireBuffer& out) {
                const auto sent = session.publish({.topic = "a", .retain = true}, 0, now, out);
                ASSERT_FALSE(sent);
                EXPECT_EQ(sent.error(), SendRefusal::retain_not_supported);
            });
        s.expects(s.session.unacknowledged() == 1, "refused packets leave nothing");
    });
}

TEST(ClientSession, AnImpoliteClientSendsItAnyway) {
    auto options = named("c1");
    options.limit_checks = ServerLimitChecks::ignore;
    play(options, [](Script& s) {
        s.is_connected(number(Property::receive_maximum, 1))
            .publishes(q1, "a")
            .publishes(q1, "b")
            .sends({"PUBLISH q1 id1 a=", "PUBLISH q1 id2 b="});
    });
}

TEST(ClientSession, IdentifiersStartWhereAskedAndGoRound) {
    auto options = named("c1");
    options.first_packet_id = PacketId{65'535};
    play(options, [](Script& s) {
        s.is_connected().publishes(q1, "a").publishes(q1, "b").publishes(q1, "c").sends(
            {"PUBLISH q1 id65535 a=", "PUBLISH q1 id1 b=", "PUBLISH q1 id2 c="});
        s.receives(ack(PacketType::puback, 65'535)).tells({"done 65535 token 1 success"});
    });
}

TEST(ClientSession, AcknowledgementsThatFitNothing) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .receives(ack(PacketType::puback, 9))
            .receives(ack(PacketType::pubcomp, 9))
            .sends({})
            .receives(ack(PacketType::pubrec, 9))
            .sends({"PUBREL 9 packet_identifier_not_found"})
            .tells({});
        s.expects(s.session.unexpected_acknowledgements() == 3, "counted");
        s.publishes(q1, "a").receives(ack(PacketType::pubrec, 1));
        s.tells({"closed: server error protocol_error"});
        s.sends({"PUBLISH q1 id1 a=", "DISCONNECT protocol_error"});
    });
}

// --- resuming ---

TEST(ClientSession, ResumesInOrderWithDup) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .publishes(q1, "a", "1")
            .publishes(q2, "b", "2")
            .publishes(q2, "c", "3")
            .publishes(q2, "d", "4")
            .receives(ack(PacketType::pubrec, 4))
            .receives(ack(PacketType::pubrec, 2))
            .loses_connection()
            .connects(CleanStart::no)
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(connack(true))
            .tells({"connected, session present"})
            .sends({"PUBREL 4", "PUBREL 2", "PUBLISH q1 id1 dup a=1", "PUBLISH q2 id3 dup c=3"})
            .receives(ack(PacketType::pubcomp, 2))
            .receives(ack(PacketType::pubcomp, 4, ReasonCode::packet_identifier_not_found))
            .receives(ack(PacketType::puback, 1))
            .tells({"done 2 token 2 success", "done 4 token 4 success", "done 1 token 1 success"});
        s.expects(s.session.unacknowledged() == 1, "one left");
    });
}

TEST(ClientSession, ResumingRespectsASmallerWindow) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .publishes(q1, "a", "1")
            .publishes(q1, "a", "2")
            .publishes(q1, "a", "3")
            .loses_connection()
            .connects(CleanStart::no)
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(connack(true, ReasonCode::success, number(Property::receive_maximum, 1)))
            .sends({"PUBLISH q1 id1 dup a=1"})
            .publishes(q1, "a", "4", "window full")
            .receives(ack(PacketType::puback, 2))  // for a repetition not yet sent
            .receives(ack(PacketType::puback, 1))
            .sends({"PUBLISH q1 id2 dup a=2"})
            .receives(ack(PacketType::puback, 2))
            .receives(ack(PacketType::puback, 3))
            .sends({"PUBLISH q1 id3 dup a=3"})
            .publishes(q1, "a", "4");
    });
}

TEST(ClientSession, ALostSessionIsPublishedAgainAsNew) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .publishes(q1, "a", "1")
            .publishes(q2, "b", "2")
            .publishes(q2, "c", "3")
            .receives(ack(PacketType::pubrec, 3))
            .loses_connection()
            .connects(CleanStart::no)
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(connack(false))
            .tells({"connected", "done 3 token 3 success"})
            .sends({"PUBLISH q1 id1 a=1", "PUBLISH q2 id2 b=2"});
    });
}

TEST(ClientSession, WhatWasPublishedAgainHasDupTheNextTime) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .publishes(q1, "a", "1")
            .loses_connection()
            .connects(CleanStart::no)
            .receives(connack(false))
            .loses_connection()
            .connects(CleanStart::no)
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(connack(true))
            .sends({"PUBLISH q1 id1 dup a=1"});
    });
}

TEST(ClientSession, ARepeatedPubrelHoldsItsPlaceInTheWindow) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .publishes(q2, "a", "1")
            .publishes(q1, "a", "2")
            .receives(ack(PacketType::pubrec, 1))
            .loses_connection()
            .connects(CleanStart::no)
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(connack(true, ReasonCode::success, number(Property::receive_maximum, 1)))
            .sends({"PUBREL 1"})
            .receives(ack(PacketType::pubcomp, 1))
            .sends({"PUBLISH q1 id2 dup a=2"});
    });
}

TEST(ClientSession, ALostSessionCanBeGivenUp) {
    auto options = named("c1");
    options.session_loss = SessionLoss::give_up;
    play(options, [](Script& s) {
        s.is_connected()
            .publishes(q1, "a", "1")
            .loses_connection()
            .connects(CleanStart::no)
            .receives(connack(false))
            .tells({"connected", "lost 1 token 1"});
        s.expects(s.session.unacknowledged() == 0, "given up");
    });
}

TEST(ClientSession, SubscribeIsNotRepeated) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .subscribes("a")
            .loses_connection()
            .connects(CleanStart::no)
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(connack(true))
            .sends({});
    });
}

// --- receiving ---

TEST(ClientSession, AnswersWhatItReceives) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .receives(message(q0, 0, "a", "0"))
            .receives(message(q1, 7, "a", "1"))
            .receives(message(q2, 8, "a", "2"))
            .tells({"received q0 a=0", "received q1 id7 a=1", "received q2 id8 a=2"})
            .sends({"PUBACK 7", "PUBREC 8"})
            .receives(ack(PacketType::pubrel, 8))
            .sends({"PUBCOMP 8"})
            .receives(ack(PacketType::pubrel, 8))
            .sends({"PUBCOMP 8 packet_identifier_not_found"});
    });
}

TEST(ClientSession, Qos2IsToldOnce) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .receives(message(q2, 8, "a", "2"))
            .loses_connection()
            .connects(CleanStart::no)
            .receives(connack(true))
            .tells({"received q2 id8 a=2", "connected, session present"})
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(publish({.topic = "a",
                               .payload = as_bytes("2"),
                               .qos = q2,
                               .dup = true,
                               .packet_id = PacketId{8}}))
            .tells({})
            .sends({"PUBREC 8"})
            .receives(ack(PacketType::pubrel, 8))
            .sends({"PUBCOMP 8"})
            .receives(message(q2, 8, "a", "new"))
            .tells({"received q2 id8 a=new"});
    });
}

TEST(ClientSession, Qos2IdentifiersEndWithTheSession) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .receives(message(q2, 8, "a", "old"))
            .loses_connection()
            .connects(CleanStart::no)
            .receives(connack(false))
            .receives(message(q2, 8, "a", "new"))
            .tells({"received q2 id8 a=old", "connected", "received q2 id8 a=new"});
    });
}

TEST(ClientSession, OurReceiveMaximumBindsTheServer) {
    auto options = named("c1");
    options.connect_properties = number(Property::receive_maximum, 1);
    play(options, [](Script& s) {
        s.is_connected()
            .receives(message(q1, 1, "a", ""))
            .receives(message(q1, 2, "a", ""))
            .receives(message(q2, 3, "a", ""))
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(message(q2, 4, "a", ""))
            .sends({"DISCONNECT receive_maximum_exceeded"});
    });
}

TEST(ClientSession, OurReceiveMaximumCountsBothQualities) {
    auto options = named("c1");
    options.connect_properties = number(Property::receive_maximum, 1);
    play(options, [](Script& s) {
        s.is_connected()
            .receives(message(q2, 3, "a", ""))
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(message(q1, 4, "a", ""))
            .sends({"DISCONNECT receive_maximum_exceeded"});
    });
}

TEST(ClientSession, OurMaximumPacketSizeBindsTheServer) {
    auto options = named("c1");
    options.connect_properties = number(Property::maximum_packet_size, 20);
    play(options, [](Script& s) {
        s.is_connected()
            .receives(message(q0, 0, "a", std::string(30, 'x')))
            .tells({"closed: server error packet_too_large"})
            .sends({"DISCONNECT packet_too_large"});
    });
}

TEST(ClientSession, ServerErrorsIn311JustClose) {
    auto options = named("c1");
    options.version = ProtocolVersion::v3_1_1;
    play(options, [](Script& s) {
        s.is_connected()
            .receives(ack(PacketType::puback, 1, ReasonCode::success, ProtocolVersion::v3_1_1))
            .tells({})
            .receives(Bytes{std::byte{0x00}, std::byte{0x00}})
            .tells({"closed: server error malformed_packet"})
            .sends({});
    });
}

// --- aliases ---

TEST(ClientSession, InboundAliasesAreResolvedAndForgotten) {
    auto options = named("c1");
    options.connect_properties = number(Property::topic_alias_maximum, 2);
    const auto alias1 = number(Property::topic_alias, 1);
    const auto alias3 = number(Property::topic_alias, 3);
    play(options, [&](Script& s) {
        s.is_connected()
            .receives(publish({.topic = "long/topic", .properties = alias1}))
            .receives(publish({.topic = "", .properties = alias1}))
            .tells({"received q0 alias1 long/topic=", "received q0 alias1 long/topic="})
            .connects()
            .receives(connack())
            .receives(publish({.topic = "", .properties = alias1}))
            .tells({"connected", "closed: server error topic_alias_invalid"})
            .connects()
            .receives(connack())
            .receives(publish({.topic = "a", .properties = alias3}))
            .tells({"connected", "closed: server error topic_alias_invalid"});
    });
}

TEST(ClientSession, AliasesAreAssignedUpToBothLimits) {
    auto options = named("c1");
    options.topic_aliases_max = 5;
    play(options, [](Script& s) {
        s.is_connected(number(Property::topic_alias_maximum, 2))
            .publishes(q0, "a", "1")
            .publishes(q1, "b", "2")
            .publishes(q0, "c", "3")
            .publishes(q0, "a", "4")
            .publishes(q1, "b", "5")
            .sends({"PUBLISH q0 alias1 a=1",
                    "PUBLISH q1 id1 alias2 b=2",
                    "PUBLISH q0 c=3",
                    "PUBLISH q0 alias1 =4",
                    "PUBLISH q1 id2 alias2 =5"})
            .loses_connection()
            .connects(CleanStart::no)
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(connack(true))
            .sends({"PUBLISH q1 id1 dup b=2", "PUBLISH q1 id2 dup b=5"})
            .publishes(q0, "a", "6")
            .sends({"PUBLISH q0 a=6"});  // this server takes no aliases
    });
}

TEST(ClientSession, AssignedAliasesEndWithTheConnection) {
    auto options = named("c1");
    options.topic_aliases_max = 5;
    play(options, [](Script& s) {
        for (int connection = 0; connection < 2; ++connection) {
            s.is_connected(number(Property::topic_alias_maximum, 2))
                .publishes(q0, "a", "1")
                .publishes(q0, "a", "2")
                .sends({"PUBLISH q0 alias1 a=1", "PUBLISH q0 alias1 =2"});
        }
    });
}

TEST(ClientSession, AGivenAliasIsCheckedAndNotRepeated) {
    const auto alias2 = properties([](PropertyWriter& w) {
        w.user("k", "v");
        w.number(Property::topic_alias, 2);
    });
    const auto alias3 = number(Property::topic_alias, 3);
    play(named("c1"), [&](Script& s) {
        s.is_connected(number(Property::topic_alias_maximum, 2))
            .publishes(q0, "a", "", "topic alias invalid", alias3)
            .publishes(q0, "", "", "topic alias invalid", alias2)
            .publishes(q1, "a", "1", "ok", alias2)
            .publishes(q1, "", "2", "ok", alias2)
            .sends({"PUBLISH q1 id1 k:v alias2 a=1", "PUBLISH q1 id2 k:v alias2 =2"})
            .loses_connection()
            .connects(CleanStart::no)
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(connack(true))
            .sends({"PUBLISH q1 id1 dup k:v a=1", "PUBLISH q1 id2 dup k:v a=2"});
    });
}

// --- subscribing ---

TEST(ClientSession, SubscribeAndUnsubscribe) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .subscribes("a/+")
            .sends({"SUBSCRIBE 1 a/+ q2"})
            .receives(suback(1, {ReasonCode::granted_qos_1}))
            .tells({"subscribed 1 0x01"})
            .does([](ClientSession& session, Instant now, WireBuffer& out) {
                const std::array<std::string_view, 1> filters{"a/+"};
                EXPECT_TRUE(session.unsubscribe(filters, {}, now, out));
            })
            .sends({"UNSUBSCRIBE 1 a/+"})
            .receives(unsuback(1, {ReasonCode::success}))
            .tells({"unsubscribed 1 0x00"});
    });
}

TEST(ClientSession, ASubackMustAnswerEveryFilter) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .subscribes("a")
            .receives(suback(1, {ReasonCode::granted_qos_0, ReasonCode::granted_qos_0}))
            .tells({"closed: server error protocol_error"});
        s.is_connected().receives(suback(1, {ReasonCode::granted_qos_0}));
        s.tells({"closed: server error protocol_error"});
    });
}

// --- time and the end ---

TEST(ClientSession, PingsWhenIdleAndNotBefore) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .at(50s)
            .publishes(q0, "a")
            .at(109s)
            .sends({"PUBLISH q0 a="})
            .at(110s)
            .sends({"PINGREQ"})
            .receives(pingresp())
            .at(169s)
            .sends({})
            .at(170s)
            .sends({"PINGREQ"})
            .at(189s)
            .tells({})
            .at(190s)
            .tells({"closed: ping timeout keep_alive_timeout"})
            .sends({});
    });
}

TEST(ClientSession, TheServersKeepAliveWins) {
    play(named("c1"), [](Script& s) {
        s.is_connected(number(Property::server_keep_alive, 10)).at(10s).sends({"PINGREQ"});
    });
}

TEST(ClientSession, NoKeepAliveNoPing) {
    auto options = named("c1");
    options.keep_alive_seconds = 0;
    play(options, [](Script& s) { s.is_connected().at(24h).sends({}).tells({}); });
}

TEST(ClientSession, DisconnectsBothWays) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .does([](ClientSession& session, Instant, WireBuffer& out) {
                session.disconnect(ReasonCode::disconnect_with_will_message,
                                   number(Property::session_expiry_interval, 5),
                                   out);
            })
            .sends({"DISCONNECT disconnect_with_will_message expiry5"})
            .publishes(q0, "a", "", "not connected");
        s.is_connected()
            .receives(server_disconnect(ReasonCode::session_taken_over))
            .tells({"closed: disconnected session_taken_over"})
            .sends({});
    });
}

TEST(ClientSession, APingOfOursIsAnsweredBehindThoseOfTheSession) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .at(60s)
            .sends({"PINGREQ"})
            .publishes(q0, "a", "x")
            .does([](ClientSession& session, Instant now, WireBuffer& out) {
                session.ping(now, out);
            })
            .sends({"PUBLISH q0 a=x", "PINGREQ"})
            .receives(pingresp())
            .tells({})
            .receives(pingresp())
            .tells({"ping done"})
            .receives(pingresp())
            .tells({});
        // The next connection owes no answer.
        s.does([](ClientSession& session, Instant now, WireBuffer& out) { session.ping(now, out); })
            .loses_connection()
            .is_connected()
            .receives(pingresp())
            .tells({});
    });
}

TEST(ClientSession, AnUnansweredPingOfOursEndsTheConnection) {
    play(named("c1"), [](Script& s) {
        s.is_connected()
            .does([](ClientSession& session, Instant now, WireBuffer& out) {
                session.ping(now, out);
            })
            .at(19s)
            .tells({})
            .at(20s)
            .tells({"closed: ping timeout keep_alive_timeout"});
    });
}

TEST(ClientSession, TheServersLastWordIsHeardAfterOurDisconnect) {
    const auto leaves = [](ClientSession& session, Instant /*now*/, WireBuffer& out) {
        session.disconnect(ReasonCode::normal_disconnection, {}, out);
    };
    const auto hears = [](ClientSession& session, const Bytes& bytes) {
        ByteView input{bytes};
        const auto closed = session.last_word(input);
        EXPECT_TRUE(input.empty());
        return closed;
    };
    play(named("c1"), [&](Script& s) {
        s.is_connected().does(leaves);
        // What was under way is of no interest any more.
        EXPECT_FALSE(hears(s.session, message(q1, 7, "a", "x")));
        const auto closed = hears(s.session, server_disconnect(ReasonCode::topic_name_invalid));
        ASSERT_TRUE(closed);
        EXPECT_EQ(closed->cause, CloseCause::disconnected);
        EXPECT_EQ(closed->reason, ReasonCode::topic_name_invalid);
        EXPECT_FALSE(hears(s.session, server_disconnect(ReasonCode::topic_name_invalid)));

        s.connects().does(leaves);
        const auto refused = hears(s.session, connack(false, ReasonCode::not_authorized));
        ASSERT_TRUE(refused);
        EXPECT_EQ(refused->cause, CloseCause::refused);

        s.is_connected().does(leaves);
        EXPECT_FALSE(hears(s.session, to_owned(as_bytes("not MQTT"))));
    });
}

// --- authentication ---

TEST(ClientSession, AuthGoesBackAndForth) {
    auto options = named("c1");
    options.connect_properties =
        properties([](PropertyWriter& w) { w.text(Property::authentication_method, "dance"); });
    const auto method =
        properties([](PropertyWriter& w) { w.text(Property::authentication_method, "dance"); });
    WireBuffer auth;
    ASSERT_EQ(
        encode_auth(auth, {.reason = ReasonCode::continue_authentication, .properties = method}),
        Encoded::written);
    const Bytes challenge = auth.take();
    play(options, [&](Script& s) {
        s.connects()
            .does([](auto&, auto, WireBuffer& out) { out.clear(); })
            .receives(challenge)
            .tells({"auth continue_authentication"})
            .does([&](ClientSession& session, Instant now, WireBuffer& out) {
                session.authenticate(ReasonCode::continue_authentication, method, now, out);
            })
            .sends({"AUTH continue_authentication"})
            .receives(connack())
            .tells({"connected"});
    });
    play(named("c1"), [&](Script& s) {
        s.connects().receives(challenge).tells({"closed: server error protocol_error"});
    });
}

// --- impolite answers ---

TEST(ClientSession, AnswersCanBeWithheld) {
    auto options = named("c1");
    options.on_publish = Answer::manual;
    options.on_pubrec = Answer::manual;
    options.on_pubrel = Answer::manual;
    play(options, [](Script& s) {
        s.is_connected()
            .receives(message(q1, 1, "a", "1"))
            .receives(message(q2, 2, "a", "2"))
            .receives(message(q2, 2, "a", "2"))  // repeated by an impatient server: told once
            .tells({"received q1 id1 a=1", "received q2 id2 a=2"})
            .sends({})
            .does([](ClientSession& session, Instant now, WireBuffer& out) {
                EXPECT_TRUE(session.acknowledge(PacketId{1}, ReasonCode::success, now, out));
                EXPECT_FALSE(session.acknowledge(PacketId{1}, ReasonCode::success, now, out));
                EXPECT_TRUE(session.acknowledge(PacketId{2}, ReasonCode::success, now, out));
                EXPECT_FALSE(session.complete(PacketId{2}, now, out));
            })
            .sends({"PUBACK 1", "PUBREC 2"})
            .receives(ack(PacketType::pubrel, 2))
            .tells({"pubrel 2"})
            .sends({})
            .does([](ClientSession& session, Instant now, WireBuffer& out) {
                EXPECT_TRUE(session.complete(PacketId{2}, now, out));
            })
            .sends({"PUBCOMP 2"})
            .publishes(q2, "b", "3")
            .receives(ack(PacketType::pubrec, 1))
            .tells({"pubrec 1"})
            .sends({"PUBLISH q2 id1 b=3"})
            .does([](ClientSession& session, Instant now, WireBuffer& out) {
                EXPECT_TRUE(session.release(PacketId{1}, now, out));
                EXPECT_FALSE(session.release(PacketId{1}, now, out));
            })
            .sends({"PUBREL 1"});
    });
}

TEST(ClientSession, AFailedAcknowledgementEndsAQos2Delivery) {
    auto options = named("c1");
    options.on_publish = Answer::manual;
    play(options, [](Script& s) {
        s.is_connected()
            .receives(message(q2, 2, "a", "x"))
            .does([](ClientSession& session, Instant now, WireBuffer& out) {
                EXPECT_TRUE(session.acknowledge(PacketId{2}, ReasonCode::quota_exceeded, now, out));
            })
            .sends({"PUBREC 2 quota_exceeded"})
            .receives(message(q2, 2, "a", "y"))
            .tells({"received q2 id2 a=x", "received q2 id2 a=y"});
    });
}

TEST(ClientSession, AWindowOf65535TakesEveryIdentifier) {
    Script s{named("c1")};
    s.is_connected();
    for (int i = 0; i < 65'535; ++i) s.publishes(q1, "a");
    s.publishes(q1, "a", "", "window full").subscribes("b", "window full");
    s.receives(ack(PacketType::puback, 40'000)).publishes(q1, "a");
    s.expects(s.session.unacknowledged() == 65'535, "all in use");
}

TEST(ClientSession, MovesWithItsState) {
    Script s{named("c1")};
    s.is_connected(number(Property::receive_maximum, 3)).publishes(q1, "a");
    ClientSession moved{std::move(s.session)};
    EXPECT_TRUE(moved.connected());
    EXPECT_EQ(moved.window_left(), 2U);
}

}  // namespace
}  // namespace stentor::mqtt::test
