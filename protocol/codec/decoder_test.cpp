#include "protocol/codec/decoder.hpp"

#include "base/bytes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <string_view>

namespace stentor::mqtt {
namespace {

constexpr std::string_view kConnectV5 = "10 0D 0004 4D515454 05 02 0000 00 0000";
constexpr std::string_view kConnectV4 = "10 0C 0004 4D515454 04 02 0000 0000";

Bytes hex(std::string_view text) { return from_hex(text).value(); }

enum class Peer { none, v4, v5, server_v4, server_v5 };

/// A decoder whose peer has said who it is: a client by CONNECT, or a server.
Decoder decoder_of(Peer peer, DecodeLimits limits = {}) {
    if (peer == Peer::server_v4) return Decoder{ProtocolVersion::v3_1_1, limits};
    if (peer == Peer::server_v5) return Decoder{ProtocolVersion::v5, limits};
    Decoder decoder{limits};
    if (peer != Peer::none) {
        EXPECT_TRUE(decoder.next(hex(peer == Peer::v4 ? kConnectV4 : kConnectV5)));
    }
    return decoder;
}

/// One row of a table: these bytes, from this peer, are refused with this reason or, with
/// `success`, are a packet.
struct Row {
    const char* rule;
    Peer from;
    const char* wire;
    ReasonCode expected;
};

// NOLINTNEXTLINE(readability-identifier-naming): the name that GoogleTest looks for.
void PrintTo(const Row& row, std::ostream* out) { *out << row.rule; }

class DecoderRule : public testing::TestWithParam<Row> {};

TEST_P(DecoderRule, Holds) {
    const Row& row = GetParam();
    const Bytes wire = hex(row.wire);
    Decoder decoder = decoder_of(row.from);
    const auto step = decoder.next(wire);
    if (row.expected == ReasonCode::success) {
        ASSERT_TRUE(step) << row.rule << ": " << step.error().detail;
        ASSERT_TRUE(std::holds_alternative<Decoded>(*step)) << row.rule;
        EXPECT_EQ(std::get<Decoded>(*step).bytes_used, wire.size()) << row.rule;
    } else {
        ASSERT_FALSE(step) << row.rule;
        EXPECT_EQ(name(step.error().reason), name(row.expected))
            << row.rule << ": " << step.error().detail;
    }
}

constexpr auto kOk = ReasonCode::success;
constexpr auto kMalformed = ReasonCode::malformed_packet;
constexpr auto kProtocol = ReasonCode::protocol_error;
constexpr auto kTopic = ReasonCode::topic_name_invalid;
constexpr auto kVersion = ReasonCode::unsupported_protocol_version;

const Row kFixedHeader[] = {
    {"packet type 0", Peer::v5, "00 00", kMalformed},
    {"type 0 is refused by its first byte", Peer::v5, "00", kMalformed},
    {"wrong flags are refused by their first byte", Peer::v5, "81", kMalformed},
    {"PUBREL without flag 2 [MQTT-3.6.1-1]", Peer::v5, "60 02 0001", kMalformed},
    {"PUBREL with flag 2", Peer::v5, "62 02 0001", kOk},
    {"SUBSCRIBE without flag 2 [MQTT-3.8.1-1]", Peer::v4, "80 06 0001 0001 61 00", kMalformed},
    {"UNSUBSCRIBE without flag 2 [MQTT-3.10.1-1]", Peer::v4, "A0 05 0001 0001 61", kMalformed},
    {"PUBACK with a flag [MQTT-2.1.3-1]", Peer::v5, "42 02 0001", kMalformed},
    {"PINGREQ with a flag", Peer::v5, "C1 00", kMalformed},
    {"PINGREQ", Peer::v4, "C0 00", kOk},
    {"PINGREQ with a body, before the body", Peer::v4, "C0 01", kMalformed},
    {"five length bytes, before the fifth is complete", Peer::v5, "30 FF FF FF FF", kMalformed},
    {"padded Remaining Length in 5.0 [MQTT-1.5.5-1]", Peer::v5, "C0 80 00", kMalformed},
    {"padded Remaining Length in 3.1.1, which has no rule", Peer::v4, "C0 80 80 00", kOk},
    {"AUTH in 3.1.1", Peer::v4, "F0 00", kMalformed},
    {"the first packet is not CONNECT [MQTT-3.1.0-1]", Peer::none, "C0 00", kProtocol},
    {"a second CONNECT [MQTT-3.1.0-2]",
     Peer::v5,
     "10 0D 0004 4D515454 05 02 0000 00 0000",
     kProtocol},
    {"HTTP instead of MQTT", Peer::none, "47 45 54 20 2F", kMalformed},
    {"TLS instead of MQTT", Peer::none, "16 03 01 02 00", kMalformed},
    {"CONNACK to a server", Peer::v5, "20", kProtocol},
    {"SUBACK to a server", Peer::v5, "90", kProtocol},
    {"UNSUBACK to a server", Peer::v4, "B0", kProtocol},
    {"PINGRESP to a server", Peer::v4, "D0 00", kProtocol},
    {"SUBSCRIBE to a client", Peer::server_v5, "82", kProtocol},
    {"UNSUBSCRIBE to a client", Peer::server_v5, "A2", kProtocol},
    {"PINGREQ to a client", Peer::server_v5, "C0 00", kProtocol},
    {"CONNECT to a client", Peer::server_v5, "10", kProtocol},
    {"DISCONNECT to a 3.1.1 client", Peer::server_v4, "E0 00", kProtocol},
    {"DISCONNECT to a 5.0 client", Peer::server_v5, "E0 00", kOk},
};
INSTANTIATE_TEST_SUITE_P(FixedHeader, DecoderRule, testing::ValuesIn(kFixedHeader));

const Row kConnect[] = {
    {"3.1.1", Peer::none, "10 0C 0004 4D515454 04 02 0000 0000", kOk},
    {"5.0", Peer::none, "10 0D 0004 4D515454 05 02 0000 00 0000", kOk},
    {"wrong protocol name", Peer::none, "10 0C 0004 4D515455 04 02 0000 0000", kVersion},
    {"MQTT 3.1", Peer::none, "10 0E 0006 4D5149736470 03 02 0000 0000", kVersion},
    {"level 3", Peer::none, "10 0C 0004 4D515454 03 02 0000 0000", kVersion},
    {"level 6", Peer::none, "10 0C 0004 4D515454 06 02 0000 0000", kVersion},
    {"a bridge's level", Peer::none, "10 0C 0004 4D515454 84 02 0000 0000", kVersion},
    {"MQIsdp with level 4", Peer::none, "10 0E 0006 4D5149736470 04 02 0000 0000", kVersion},
    {"reserved flag [MQTT-3.1.2-3]", Peer::none, "10 0C 0004 4D515454 04 03 0000 0000", kMalformed},
    {"Will QoS without a will [MQTT-3.1.2-11]",
     Peer::none,
     "10 0C 0004 4D515454 04 0A 0000 0000",
     kMalformed},
    {"Will Retain without a will [MQTT-3.1.2-13]",
     Peer::none,
     "10 0C 0004 4D515454 04 22 0000 0000",
     kMalformed},
    {"Will QoS 3 [MQTT-3.1.2-12]",
     Peer::none,
     "10 11 0004 4D515454 04 1E 0000 0000 0001 61 0000",
     kMalformed},
    {"will", Peer::none, "10 11 0004 4D515454 04 06 0000 0000 0001 61 0000", kOk},
    {"will topic with a wildcard",
     Peer::none,
     "10 11 0004 4D515454 04 06 0000 0000 0001 23 0000",
     kTopic},
    {"empty will topic [MQTT-4.7.3-1]",
     Peer::none,
     "10 10 0004 4D515454 04 06 0000 0000 0000 0000",
     kTopic},
    {"will missing [MQTT-3.1.2-9]", Peer::none, "10 0C 0004 4D515454 04 06 0000 0000", kMalformed},
    {"password without a user name in 3.1.1 [MQTT-3.1.2-22]",
     Peer::none,
     "10 0E 0004 4D515454 04 42 0000 0000 0000",
     kMalformed},
    {"password without a user name in 5.0",
     Peer::none,
     "10 0F 0004 4D515454 05 42 0000 00 0000 0000",
     kOk},
    {"user name missing [MQTT-3.1.2-17]",
     Peer::none,
     "10 0C 0004 4D515454 04 82 0000 0000",
     kMalformed},
    {"bytes behind the payload", Peer::none, "10 0D 0004 4D515454 04 02 0000 0000 00", kMalformed},
    {"user name that nobody announced",
     Peer::none,
     "10 0F 0004 4D515454 04 02 0000 0000 0001 61",
     kMalformed},
    {"client identifier with U+0000 [MQTT-1.5.4-2]",
     Peer::none,
     "10 0D 0004 4D515454 04 02 0000 0001 00",
     kMalformed},
    {"client identifier with a surrogate [MQTT-1.5.4-1]",
     Peer::none,
     "10 0F 0004 4D515454 04 02 0000 0003 EDA080",
     kMalformed},
    {"padded Remaining Length in 5.0",
     Peer::none,
     "10 8D00 0004 4D515454 05 02 0000 00 0000",
     kMalformed},
    {"padded Remaining Length in 3.1.1", Peer::none, "10 8C00 0004 4D515454 04 02 0000 0000", kOk},
    {"a will delay among the CONNECT properties",
     Peer::none,
     "10 12 0004 4D515454 05 02 0000 05 1800000001 0000",
     kMalformed},
    {"a receive maximum among the will's",
     Peer::none,
     "10 15 0004 4D515454 05 06 0000 00 0000 03 210001 0001 61 0000",
     kMalformed},
    {"Authentication Data without a method (3.1.2.11.10)",
     Peer::none,
     "10 10 0004 4D515454 05 02 0000 03 160000 0000",
     kProtocol},
    {"properties that overrun the packet",
     Peer::none,
     "10 0D 0004 4D515454 05 02 0000 10 0000",
     kMalformed},
};
INSTANTIATE_TEST_SUITE_P(Connect, DecoderRule, testing::ValuesIn(kConnect));

const Row kPublish[] = {
    {"QoS 0", Peer::v4, "30 03 0001 61", kOk},
    {"QoS 3 [MQTT-3.3.1-4]", Peer::v4, "36", kMalformed},
    {"DUP with QoS 0 [MQTT-3.3.1-2]", Peer::v5, "38", kMalformed},
    {"DUP with QoS 1", Peer::v4, "3A 05 0001 61 0001", kOk},
    {"packet identifier 0 [MQTT-2.2.1-3]", Peer::v4, "32 05 0001 61 0000", kMalformed},
    {"packet identifier missing", Peer::v4, "32 03 0001 61", kMalformed},
    {"topic with + [MQTT-3.3.2-2]", Peer::v5, "30 06 0003 612F2B 00", kTopic},
    {"topic with # [MQTT-3.3.2-2]", Peer::v4, "30 03 0001 23", kTopic},
    {"topic with U+0000 [MQTT-4.7.3-2]", Peer::v4, "30 03 0001 00", kMalformed},
    {"topic that is not UTF-8", Peer::v4, "30 04 0002 C328", kMalformed},
    {"empty topic in 3.1.1 [MQTT-4.7.3-1]", Peer::v4, "30 02 0000", kTopic},
    {"empty topic without an alias (3.3.2.1)", Peer::v5, "30 03 0000 00", kProtocol},
    {"empty topic with an alias", Peer::v5, "30 06 0000 03 230001", kOk},
    {"alias 0 [MQTT-3.3.2-8]", Peer::v5, "30 06 0000 03 230000", ReasonCode::topic_alias_invalid},
    {"subscription identifier to a server [MQTT-3.3.4-6]",
     Peer::v5,
     "30 06 0001 61 02 0B01",
     kProtocol},
    {"several subscription identifiers to a client",
     Peer::server_v5,
     "30 08 0001 61 04 0B01 0B02",
     kOk},
    {"response topic with a wildcard [MQTT-3.3.2-14]",
     Peer::v5,
     "30 08 0001 61 04 08000123",
     kProtocol},
    {"topic longer than the packet", Peer::v4, "30 03 0002 61", kMalformed},
};
INSTANTIATE_TEST_SUITE_P(Publish, DecoderRule, testing::ValuesIn(kPublish));

const Row kAcks[] = {
    {"PUBACK", Peer::v4, "40 02 0001", kOk},
    {"PUBACK with a reason in 3.1.1, before the body", Peer::v4, "40 03", kMalformed},
    {"PUBACK with a reason", Peer::v5, "40 03 0001 10", kOk},
    {"PUBACK with a reason and no properties", Peer::v5, "40 04 0001 00 00", kOk},
    {"PUBACK with somebody else's reason [MQTT-3.4.2-1]", Peer::v5, "40 03 0001 92", kProtocol},
    {"PUBREC with an unknown reason [MQTT-3.5.2-1]", Peer::v5, "50 03 0001 7F", kProtocol},
    {"PUBREL with 0x92", Peer::v5, "62 03 0001 92", kOk},
    {"PUBREL with PUBACK's reason [MQTT-3.6.2-1]", Peer::v5, "62 03 0001 97", kProtocol},
    {"PUBCOMP with 0x92", Peer::v5, "70 03 0001 92", kOk},
    {"packet identifier 0", Peer::v5, "40 02 0000", kMalformed},
    {"half a packet identifier, before the body", Peer::v5, "40 01", kMalformed},
    {"bytes behind the properties", Peer::v5, "40 05 0001 00 00 00", kMalformed},
};
INSTANTIATE_TEST_SUITE_P(Acks, DecoderRule, testing::ValuesIn(kAcks));

const Row kSubscribe[] = {
    {"3.1.1", Peer::v4, "82 06 0001 0001 61 02", kOk},
    {"5.0", Peer::v5, "82 07 0001 00 0001 61 2E", kOk},
    {"no filter [MQTT-3.8.3-2]", Peer::v4, "82 02 0001", kProtocol},
    {"no filter in 5.0", Peer::v5, "82 03 0001 00", kProtocol},
    {"empty filter [MQTT-4.7.3-1]", Peer::v4, "82 05 0001 0000 00", kMalformed},
    {"filter without options", Peer::v4, "82 05 0001 0001 61", kMalformed},
    {"QoS 3 in 3.1.1 [MQTT-3.8.3-4]", Peer::v4, "82 06 0001 0001 61 03", kMalformed},
    {"5.0's options in 3.1.1", Peer::v4, "82 06 0001 0001 61 04", kMalformed},
    {"QoS 3 in 5.0 (3.8.3.1)", Peer::v5, "82 07 0001 00 0001 61 03", kProtocol},
    {"Retain Handling 3 (3.8.3.1)", Peer::v5, "82 07 0001 00 0001 61 30", kProtocol},
    {"reserved bits [MQTT-3.8.3-5]", Peer::v5, "82 07 0001 00 0001 61 40", kMalformed},
    {"packet identifier 0", Peer::v4, "82 06 0000 0001 61 00", kMalformed},
    {"filter that is not UTF-8", Peer::v4, "82 06 0001 0001 FF 00", kMalformed},
    {"a filter's grammar is judged elsewhere", Peer::v4, "82 07 0001 0002 6123 00", kOk},
    {"subscription identifier 0", Peer::v5, "82 09 0001 02 0B00 0001 61 00", kProtocol},
    {"two subscription identifiers", Peer::v5, "82 0B 0001 04 0B01 0B02 0001 61 00", kProtocol},
    {"UNSUBSCRIBE", Peer::v4, "A2 05 0001 0001 61", kOk},
    {"UNSUBSCRIBE without a filter [MQTT-3.10.3-2]", Peer::v5, "A2 03 0001 00", kProtocol},
    {"UNSUBSCRIBE with an empty filter", Peer::v5, "A2 05 0001 00 0000", kMalformed},
    {"SUBACK", Peer::server_v5, "90 04 0001 00 87", kOk},
    {"SUBACK with 5.0's reason in 3.1.1", Peer::server_v4, "90 03 0001 87", kProtocol},
    {"SUBACK with an unknown reason", Peer::server_v5, "90 04 0001 00 03", kProtocol},
    {"SUBACK without a reason", Peer::server_v4, "90 02 0001", kProtocol},
    {"UNSUBACK of 3.1.1", Peer::server_v4, "B0 02 0001", kOk},
    {"UNSUBACK of 3.1.1 with a payload", Peer::server_v4, "B0 03 0001 00", kMalformed},
    {"UNSUBACK of 5.0", Peer::server_v5, "B0 04 0001 00 11", kOk},
    {"UNSUBACK of 5.0 without a reason", Peer::server_v5, "B0 03 0001 00", kProtocol},
};
INSTANTIATE_TEST_SUITE_P(Subscribe, DecoderRule, testing::ValuesIn(kSubscribe));

const Row kConnack[] = {
    {"accepted", Peer::server_v4, "20 02 00 00", kOk},
    {"session present", Peer::server_v5, "20 03 01 00 00", kOk},
    {"reserved flags [MQTT-3.2.2-1]", Peer::server_v4, "20 02 02 00", kMalformed},
    {"reserved return code", Peer::server_v4, "20 02 00 06", kProtocol},
    {"reason code of another packet [MQTT-3.2.2-8]", Peer::server_v5, "20 03 00 8E 00", kProtocol},
    {"session present in a refusal [MQTT-3.2.2-6]", Peer::server_v5, "20 03 01 87 00", kProtocol},
    {"too short", Peer::server_v5, "20 02 00 00", kMalformed},
};
INSTANTIATE_TEST_SUITE_P(Connack, DecoderRule, testing::ValuesIn(kConnack));

const Row kDisconnect[] = {
    {"3.1.1", Peer::v4, "E0 00", kOk},
    {"3.1.1 with a body, before the body", Peer::v4, "E0 01", kMalformed},
    {"flags", Peer::v4, "E1 00", kMalformed},
    {"5.0 in short", Peer::v5, "E0 00", kOk},
    {"5.0 with a reason", Peer::v5, "E0 01 04", kOk},
    {"the server's reason from a client [MQTT-3.14.2-1]", Peer::v5, "E0 01 8E", kProtocol},
    {"the client's reason from a server", Peer::server_v5, "E0 01 04", kProtocol},
    {"Session Expiry Interval", Peer::v5, "E0 07 00 05 1100000001", kOk},
    {"Session Expiry Interval from a server [MQTT-3.14.2-2]",
     Peer::server_v5,
     "E0 07 00 05 1100000001",
     kProtocol},
    {"AUTH", Peer::v5, "F0 06 18 04 150001 61", kOk},
    {"AUTH without a method (3.15.2.2.2)", Peer::v5, "F0 02 18 00", kProtocol},
    {"AUTH of success from a client (table 3-11)", Peer::v5, "F0 00", kProtocol},
    {"AUTH of success from a server", Peer::server_v5, "F0 00", kOk},
    {"AUTH with an unknown reason", Peer::v5, "F0 06 00 04 150001 61", kProtocol},
};
INSTANTIATE_TEST_SUITE_P(Disconnect, DecoderRule, testing::ValuesIn(kDisconnect));

TEST(Decoder, RefusesATooLargePacketBeforeItsBody) {
    // 0x30, 1024 bytes behind the header: 1027 in all.
    Decoder generous = decoder_of(Peer::v4, {.packet_bytes_max = 1027});
    const auto wait = generous.next(hex("30 8008"));
    ASSERT_TRUE(wait);
    EXPECT_EQ(std::get<NeedMore>(*wait).bytes_min, 1027U);

    Decoder strict = decoder_of(Peer::v4, {.packet_bytes_max = 1026});
    const auto refused = strict.next(hex("30 8008"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, ReasonCode::packet_too_large);
}

TEST(Decoder, NamesTheRuleThatBindsTheSender) {
    const auto detail = [](Peer peer) {
        const auto refused = decoder_of(peer, {.packet_bytes_max = 100}).next(hex("30 8008"));
        return std::string{refused ? "taken" : refused.error().detail};
    };
    EXPECT_THAT(detail(Peer::v5), testing::HasSubstr("[MQTT-3.2.2-15]"));
    EXPECT_THAT(detail(Peer::server_v5), testing::HasSubstr("[MQTT-3.1.2-24]"));
}

TEST(Decoder, HasALimitOfItsOwnForConnect) {
    Decoder decoder{{.packet_bytes_max = 1'000'000, .connect_bytes_max = 20}};
    const auto refused = decoder.next(hex("10 20"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, ReasonCode::packet_too_large);
}

TEST(Decoder, RefusesTopicsWithTooManyLevels) {
    const Bytes three = hex("30 07 0005 61 2F 61 2F 61");
    EXPECT_TRUE(decoder_of(Peer::v4, {.topic_levels_max = 3}).next(three));
    const auto refused = decoder_of(Peer::v4, {.topic_levels_max = 2}).next(three);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason, ReasonCode::topic_name_invalid);
}

TEST(Decoder, TellsHowToAnswerARefusedConnect) {
    const auto answer = [](std::string_view wire) {
        Decoder decoder{{}};
        EXPECT_FALSE(decoder.next(hex(wire)));
        return decoder.version();
    };
    constexpr auto kV4 = ProtocolVersion::v3_1_1;
    constexpr auto kV5 = ProtocolVersion::v5;
    EXPECT_EQ(answer("10 0C 0004 4D515454 03 02 0000 0000"), kV4);
    EXPECT_EQ(answer("10 0E 0006 4D5149736470 03 02 0000 0000"), kV4);
    EXPECT_EQ(answer("10 0C 0004 4D515454 84 02 0000 0000"), kV4);
    EXPECT_EQ(answer("10 0C 0004 4D515454 06 02 0000 0000"), kV5);
    EXPECT_EQ(answer("10 0C 0004 4D515454 04 03 0000 0000"), kV4);
    EXPECT_EQ(answer("10 0D 0004 4D515454 05 03 0000 00 0000"), kV5);
    EXPECT_EQ(answer("10 0C 0004 58585858 04 02 0000 0000"), std::nullopt);
    EXPECT_EQ(answer("C0 00"), std::nullopt);
}

TEST(Decoder, AsksForAtLeastAHeaderFirst) {
    Decoder decoder{{}};
    const auto nothing = decoder.next({});
    ASSERT_TRUE(nothing);
    EXPECT_EQ(std::get<NeedMore>(*nothing).bytes_min, 2U);
    const auto one = decoder.next(hex("10"));
    ASSERT_TRUE(one);
    EXPECT_EQ(std::get<NeedMore>(*one).bytes_min, 2U);
    const auto two = decoder.next(hex("10 80"));
    ASSERT_TRUE(two);
    EXPECT_EQ(std::get<NeedMore>(*two).bytes_min, 3U);
}

TEST(Decoder, ReadsEveryFieldOfConnect) {
    const Bytes wire =
        hex("10 2F 0004 4D515454 05 EE 003C 05 11 0000000A 0002 6331"
            "05 18 00000005 0003 612F62 0002 4869 0001 75 0002 7077 ");
    Bytes exact = wire;
    exact[1] = static_cast<std::byte>(exact.size() - 2);
    Decoder decoder{{}};
    const auto step = decoder.next(exact);
    ASSERT_TRUE(step) << step.error().detail;
    const auto& connect = std::get<ConnectView>(std::get<Decoded>(*step).packet);
    EXPECT_EQ(connect.version, ProtocolVersion::v5);
    EXPECT_TRUE(connect.clean_start);
    EXPECT_EQ(connect.keep_alive_seconds, 60);
    EXPECT_EQ(connect.client_id, "c1");
    EXPECT_EQ(connect.properties.session_expiry_interval(), 10U);
    ASSERT_TRUE(connect.will);
    EXPECT_EQ(connect.will->topic, "a/b");
    EXPECT_EQ(as_text(connect.will->payload), "Hi");
    EXPECT_EQ(connect.will->qos, QoS::at_least_once);
    EXPECT_TRUE(connect.will->retain);
    EXPECT_EQ(connect.will->properties.will_delay_interval(), 5U);
    EXPECT_EQ(connect.user_name, "u");
    EXPECT_EQ(as_text(*connect.password), "pw");
}

TEST(Decoder, TranslatesReturnCodesForClients) {
    Decoder decoder = decoder_of(Peer::server_v4);
    const auto step = decoder.next(hex("20 02 00 05"));
    ASSERT_TRUE(step);
    EXPECT_EQ(std::get<ConnackView>(std::get<Decoded>(*step).packet).reason,
              ReasonCode::not_authorized);
}

}  // namespace
}  // namespace stentor::mqtt
