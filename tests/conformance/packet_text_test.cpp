// The notation of packets: what it assembles to, what it matches.

#include "tests/conformance/packet_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace stentor::conformance {
namespace {

using testing::HasSubstr;

std::string sent(std::string_view text, int level = 5) {
    return hex(assemble(parse_packet(text), level, "me", {{"$m", "258"}}));
}

std::string compared(std::string_view expected, std::string_view octets, int level = 5) {
    Variables variables{{"$seven", "7"}};
    return mismatch(
        parse_packet(expected), decode_from_broker(level, parse_packet(octets).raw), variables);
}

std::string refused(std::string_view octets, int level = 5) {
    try {
        (void)decode_from_broker(level, parse_packet(octets).raw);
    } catch (const BadPacket& bad) {
        return bad.what();
    }
    return "accepted";
}

TEST(Assembler, RawBytes) {
    EXPECT_EQ(sent("x 3005 'a' \"bc\" 61*3"), "30 05 61 00 02 62 63 61 61 61");
    EXPECT_EQ(sent("x 10 { { } 01*200 }").substr(0, 11), "10 c9 01 00");
    EXPECT_THROW((void)parse_packet("x 123"), BadText);
    EXPECT_THROW((void)parse_packet("x { 00"), BadText);
}

TEST(Assembler, Connect) {
    EXPECT_EQ(sent("CONNECT", 4), "10 0e 00 04 4d 51 54 54 04 02 00 00 00 02 6d 65");
    EXPECT_EQ(sent("CONNECT id=a ka=60 clean=0 session_expiry=5"),
              "10 13 00 04 4d 51 54 54 05 00 00 3c 05 11 00 00 00 05 00 01 61");
    EXPECT_EQ(sent("CONNECT id=\"\" will=w will.p=m will.q=2 will.r=1 will.delay=9 user=u pass=p"),
              "10 1f 00 04 4d 51 54 54 05 f6 00 00 00 00 00 05 18 00 00 00 09 "
              "00 01 77 00 01 6d 00 01 75 00 01 70");
}

TEST(Assembler, PublishAndAcknowledgements) {
    EXPECT_EQ(sent("PUBLISH t=a p=hex:00ff q=1 pid=$m dup=1 r=1", 4), "3b 07 00 01 61 01 02 00 ff");
    EXPECT_EQ(sent("PUBLISH t=a topic_alias=3 user_property=k:v"),
              "30 0e 00 01 61 0a 23 00 03 26 00 01 6b 00 01 76");
    EXPECT_EQ(sent("PUBREL pid=9"), "62 02 00 09");
    EXPECT_EQ(sent("PUBACK rc=0x10"), "40 03 00 01 10");
    EXPECT_EQ(sent("PUBACK form=full"), "40 04 00 01 00 00");
    EXPECT_EQ(sent("DISCONNECT rc=4 session_expiry=0"), "e0 07 04 05 11 00 00 00 00");
    EXPECT_EQ(sent("DISCONNECT", 4), "e0 00");
}

TEST(Assembler, SubscribeOptions) {
    EXPECT_EQ(sent("SUBSCRIBE f=a q=1 nl=1 rap=1 rh=2 f=b subscription_id=200"),
              "82 0e 00 01 03 0b c8 01 00 01 61 2d 00 01 62 00");
    EXPECT_EQ(sent("UNSUBSCRIBE pid=2 f=a f=b", 4), "a2 08 00 02 00 01 61 00 01 62");
}

TEST(Assembler, RefusesWhatItDoesNotKnow) {
    EXPECT_THROW((void)sent("PUBLISH t=a qos=1"), BadText);
    EXPECT_THROW((void)sent("PUBLISH t=a content_type=x", 4), BadText);
    EXPECT_THROW((void)sent("PUBLISH t=$nobody"), BadText);
    EXPECT_THROW((void)sent("SUBSCRIBE f=\"open"), BadText);
    EXPECT_THROW((void)parse_packet("PUBLICH t=a"), BadText);
    EXPECT_THROW((void)sent("CONNACK"), BadText);
}

TEST(Match, DefaultsHold) {
    EXPECT_EQ(compared("CONNACK", "x 20 03 00 00 00"), "");
    EXPECT_EQ(compared("CONNACK", "x 20 03 01 00 00"), "sp differs");
    EXPECT_EQ(compared("PUBACK", "x 40 02 0002"), "pid differs");
    EXPECT_EQ(compared("PUBACK pid=$seven", "x 40 02 0007"), "");
    EXPECT_EQ(compared("PUBLISH t=a p=x", "x 31 { \"a\" { } 'x' }"), "r differs");
    EXPECT_EQ(compared("PUBLISH t=a", "x 30 { \"a\" { } 'x' }"), "p differs");
    EXPECT_EQ(compared("PUBLISH t=a q=1", "x 32 { \"a\" 1234 { } }"), "");
    EXPECT_EQ(compared("PINGRESP", "x d000", 4), "");
    EXPECT_EQ(compared("PINGRESP", "x 40020001", 4), "another packet");
}

TEST(Match, Values) {
    EXPECT_EQ(compared("DISCONNECT rc=0x81|0x82", "x e0 01 82"), "");
    EXPECT_EQ(compared("DISCONNECT rc=0x81|0x83", "x e0 01 82"), "rc differs");
    EXPECT_EQ(compared("CONNACK receive_maximum=5..9", "x 20 { 00 00 { 21 0009 } }"), "");
    EXPECT_EQ(compared("CONNACK receive_maximum=5..8", "x 20 { 00 00 { 21 0009 } }"),
              "receive_maximum differs");
    EXPECT_EQ(compared("CONNACK assigned_id=?", "x 20 { 00 00 { 12 \"q\" } }"), "");
    EXPECT_EQ(compared("CONNACK assigned_id=?", "x 20 { 00 00 { } }"), "assigned_id differs");
    EXPECT_EQ(compared("CONNACK -assigned_id", "x 20 { 00 00 { 12 \"q\" } }"),
              "assigned_id differs");
    EXPECT_EQ(compared("CONNACK exact", "x 20 { 00 00 { 12 \"q\" } }"),
              "assigned_id (not expected) differs");
    EXPECT_EQ(compared("SUBACK rc=0,0x8f", "x 90 { 0001 { } 00 8f }"), "");
    EXPECT_EQ(compared("SUBACK rc=0", "x 90 { 0001 { } 00 8f }"), "rc differs");
    EXPECT_EQ(compared("SUBACK rc=0,0,0", "x 90 { 0001 { } 00 00 }"), "rc differs");
    EXPECT_EQ(compared("UNSUBACK", "x b0 02 0001", 4), "");
}

TEST(Match, PropertiesOfPublishAreExactAndInOrder) {
    const std::string two = R"(x 30 { "a" { 26 "k" "1" 26 "k" "2" } })";
    EXPECT_EQ(compared("PUBLISH t=a user_property=k:1 user_property=k:2", two), "");
    EXPECT_EQ(compared("PUBLISH t=a user_property=k:2 user_property=k:1", two),
              "user_property differs");
    EXPECT_EQ(compared("PUBLISH t=a user_property=k:1", two), "user_property differs");
    EXPECT_EQ(compared("PUBLISH t=a", two), "user_property (not expected) differs");
    EXPECT_EQ(compared("PUBLISH t=a subscription_id=2 subscription_id=1",
                       "x 30 { \"a\" { 0b 01 0b 02 } }"),
              "");
}

TEST(Match, RefusesExpectationsWithoutSense) {
    EXPECT_THROW((void)compared("PUBACK sp=1", "x 40 02 0001"), BadText);
    EXPECT_THROW((void)compared("PUBLISH p=x", "x 30 { \"a\" { } 'x' }"), BadText);
}

TEST(BrokerPackets, MustBeWellFormed) {
    EXPECT_THAT(refused("x 20 02 00 00 "), HasSubstr("accepted"));
    EXPECT_THAT(refused("x 20 03 02 00 00"), HasSubstr("reserved"));
    EXPECT_THAT(refused("x 20 03 01 87 00"), HasSubstr("session present"));
    EXPECT_THAT(refused("x 20 03 00 01 00"), HasSubstr("reason code"));
    EXPECT_THAT(refused("x 20 { 00 00 { 21 0000 } }"), HasSubstr("is 0"));
    EXPECT_THAT(refused("x 20 { 00 00 { 21 0001 21 0001 } }"), HasSubstr("twice"));
    EXPECT_THAT(refused("x 20 { 00 00 { 23 0001 } }"), HasSubstr("belong"));
    EXPECT_THAT(refused("x 36 { \"a\" 0001 { } }"), HasSubstr("QoS 3"));
    EXPECT_THAT(refused("x 38 { \"a\" { } }"), HasSubstr("DUP"));
    EXPECT_THAT(refused("x 30 { \"a/+\" { } }"), HasSubstr("wildcard"));
    EXPECT_THAT(refused("x 30 { 0002 c3c3 { } }"), HasSubstr("UTF-8"));
    EXPECT_THAT(refused("x 32 { \"a\" 0000 { } }"), HasSubstr("identifier 0"));
    EXPECT_THAT(refused("x 60 02 0001"), HasSubstr("flags"));
    EXPECT_THAT(refused("x d0 01 00"), HasSubstr("behind"));
    EXPECT_THAT(refused("x d0 80 00"), HasSubstr("longer"));
    EXPECT_THAT(refused("x e0 00", 4), HasSubstr("3.1.1"));
    EXPECT_THAT(refused("x c0 00"), HasSubstr("do not send"));
    EXPECT_THAT(refused("x e0 { 81 { 11 00000001 } }"), HasSubstr("belong"));
}

}  // namespace
}  // namespace stentor::conformance
