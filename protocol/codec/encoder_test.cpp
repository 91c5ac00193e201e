#include "protocol/codec/encoder.hpp"

#include "protocol/codec/codec_samples.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace stentor::mqtt {
namespace {

constexpr auto kV4 = ProtocolVersion::v3_1_1;
constexpr auto kV5 = ProtocolVersion::v5;

/// What `encode` writes, in hex; "too_large" if it writes nothing.
template <class Encode>
std::string wire(Encode encode) {
    WireBuffer out;
    if constexpr (std::is_void_v<decltype(encode(out))>) {
        encode(out);
    } else if (encode(out) == Encoded::too_large) {
        EXPECT_TRUE(out.empty());
        return "too_large";
    }
    return to_hex(bytes_of(out));
}

std::string ack(ProtocolVersion version, const Ack& packet, std::size_t max = kPacketBytesMax) {
    return wire([&](WireBuffer& out) { return encode_ack(out, version, packet, max); });
}

TEST(EncodeAck, TakesTheShortestForm) {
    constexpr PacketId kId{0x1234};
    EXPECT_EQ(ack(kV5, {.type = PacketType::puback, .packet_id = kId}), "40021234");
    EXPECT_EQ(ack(kV5, {.type = PacketType::pubrel, .packet_id = kId}), "62021234");
    EXPECT_EQ(ack(kV5,
                  {.type = PacketType::pubrec,
                   .packet_id = kId,
                   .reason = ReasonCode::no_matching_subscribers}),
              "5003123410");
    EXPECT_EQ(ack(kV4,
                  {.type = PacketType::pubcomp,
                   .packet_id = kId,
                   .reason = ReasonCode::packet_identifier_not_found}),
              "70021234");
    PropertyWriter properties;
    properties.text(Property::reason_string, "r");
    EXPECT_EQ(
        ack(kV5, {.type = PacketType::puback, .packet_id = kId, .properties = properties.bytes()}),
        "4008123400041f000172");
    EXPECT_EQ(
        ack(kV4, {.type = PacketType::puback, .packet_id = kId, .properties = properties.bytes()}),
        "40021234");
}

TEST(EncodeAck, DropsItsReasonStringWhenThePacketWouldBeTooLarge) {
    PropertyWriter properties;
    properties.text(Property::reason_string, "r");
    const Ack packet{.type = PacketType::puback,
                     .packet_id = PacketId{1},
                     .reason = ReasonCode::quota_exceeded,
                     .properties = properties.bytes()};
    EXPECT_EQ(ack(kV5, packet, 10), "4008000197041f000172");
    EXPECT_EQ(ack(kV5, packet, 9), "4003000197");
    EXPECT_EQ(ack(kV5, packet, 5), "4003000197");
    EXPECT_EQ(ack(kV5, packet, 4), "too_large");
}

TEST(EncodeConnack, TranslatesReasonsFor311) {
    const auto connack = [](ProtocolVersion version, const Connack& packet) {
        return wire([&](WireBuffer& out) { return encode_connack(out, version, packet); });
    };
    EXPECT_EQ(connack(kV4, {.session_present = true}), "20020100");
    EXPECT_EQ(connack(kV4, {.reason = ReasonCode::not_authorized}), "20020005");
    EXPECT_EQ(connack(kV4, {.reason = ReasonCode::server_busy}), "20020003");
    EXPECT_EQ(connack(kV5, {.session_present = true}), "2003010000");
    EXPECT_EQ(connack(kV5, {.reason = ReasonCode::not_authorized}), "2003008700");
}

TEST(EncodeConnack, KeepsWhatMustStayAndDropsTheRest) {
    PropertyWriter properties;
    properties.number(Property::receive_maximum, 10);
    properties.user("a", "b");
    const auto connack = [&](std::size_t max) {
        return wire([&](WireBuffer& out) {
            return encode_connack(out, kV5, {.properties = properties.bytes()}, max);
        });
    };
    EXPECT_EQ(connack(15), "200d00000a21000a26000161000162");
    EXPECT_EQ(connack(14),
              "2006000003"
              "21000a");
    EXPECT_EQ(connack(8),
              "2006000003"
              "21000a");
    EXPECT_EQ(connack(7), "too_large");
}

TEST(EncodeConnack, FitsAtEveryMaximumPacketSize) {
    // Around 128 body bytes the Remaining Length grows by a byte itself.
    for (std::size_t text = 100; text < 140; ++text) {
        PropertyWriter properties;
        properties.text(Property::assigned_client_identifier, std::string(text, 'i'));
        properties.text(Property::reason_string, "r");
        for (int i = 0; i < 5; ++i) properties.user("n", "v");
        std::size_t before = 0;
        for (std::size_t max = 5; max < 220; ++max) {
            WireBuffer out;
            const Encoded encoded =
                encode_connack(out, kV5, {.properties = properties.bytes()}, max);
            ASSERT_EQ(encoded == Encoded::written, !out.empty());
            ASSERT_LE(out.size(), max);
            ASSERT_GE(out.size(), before);  // more room, never fewer bytes
            before = out.size();
            if (out.empty()) continue;
            Decoder decoder{kV5, {}};
            const Bytes bytes = bytes_of(out);
            const auto step = decoder.next(bytes);
            ASSERT_TRUE(step) << step.error().detail;
            const auto& connack = std::get<ConnackView>(std::get<Decoded>(*step).packet);
            ASSERT_TRUE(connack.properties.has(Property::assigned_client_identifier));
        }
        EXPECT_GT(before, text + 35);
    }
}

TEST(EncodeSuback, ReportsEveryFailureAs0x80In311) {
    constexpr std::array kReasons{ReasonCode::granted_qos_2, ReasonCode::topic_filter_invalid};
    const Suback packet{.packet_id = PacketId{7}, .reasons = kReasons};
    EXPECT_EQ(wire([&](WireBuffer& out) { return encode_suback(out, kV4, packet); }),
              "900400070280");
    EXPECT_EQ(wire([&](WireBuffer& out) { return encode_suback(out, kV5, packet); }),
              "9005000700028f");
    EXPECT_EQ(wire([&](WireBuffer& out) { return encode_unsuback(out, kV4, packet); }), "b0020007");
}

TEST(EncodeDisconnect, TakesTheShortestForm) {
    const auto disconnect = [](ProtocolVersion version, ReasonCode reason) {
        return wire(
            [&](WireBuffer& out) { return encode_disconnect(out, version, {.reason = reason}); });
    };
    EXPECT_EQ(disconnect(kV5, ReasonCode::normal_disconnection), "e000");
    EXPECT_EQ(disconnect(kV5, ReasonCode::session_taken_over), "e0018e");
    EXPECT_EQ(disconnect(kV4, ReasonCode::session_taken_over), "e000");
}

TEST(EncodePing, IsTwoBytes) {
    EXPECT_EQ(wire([](WireBuffer& out) { encode_pingreq(out); }), "c000");
    EXPECT_EQ(wire([](WireBuffer& out) { encode_pingresp(out); }), "d000");
}

IntrusivePtr<const Message> sample_message(std::size_t payload_bytes = 2) {
    PropertyWriter properties;
    properties.user("k", "v");
    properties.number(Property::topic_alias, 9);
    properties.number(Property::message_expiry_interval, 60);
    properties.number(Property::payload_format_indicator, 1);
    const auto view = parse_properties(properties.bytes(), PropertyContext::publish_to_server);
    const Bytes payload(payload_bytes, std::byte{'p'});
    return Message::create({.topic = "a/b", .properties = view.value(), .payload = payload});
}

std::string delivered(ProtocolVersion version, const PublishDelivery& delivery) {
    const auto message = sample_message();
    const std::string bytes =
        wire([&](WireBuffer& out) { encode_publish(out, version, *message, delivery); });
    EXPECT_EQ(bytes.size(), 2 * publish_wire_size(version, *message, delivery));
    return bytes;
}

TEST(EncodePublish, HasNoPropertiesIn311) {
    EXPECT_EQ(delivered(kV4, {}), "30070003612f627070");
    EXPECT_EQ(delivered(kV4,
                        {.qos = QoS::at_least_once,
                         .dup = true,
                         .retain = true,
                         .packet_id = PacketId{0x0102}}),
              "3b090003612f6201027070");
}

TEST(EncodePublish, ForwardsPropertiesInTheirOrder) {
    // [MQTT-3.3.2-18]; neither the publisher's alias nor its expiry goes along by itself.
    EXPECT_EQ(delivered(kV5, {}),
              "30110003612f62"
              "09"
              "2600016b0001760101"
              "7070");
}

TEST(EncodePublish, AddsWhatThisReceiverNeeds) {
    constexpr std::array<std::uint32_t, 2> kIdentifiers{1, 200};
    const std::string bytes = delivered(kV5,
                                        {.qos = QoS::exactly_once,
                                         .packet_id = PacketId{5},
                                         .message_expiry_left_seconds = 59,
                                         .subscription_identifiers = kIdentifiers,
                                         .topic_alias = 3,
                                         .topic_omitted = true});
    EXPECT_EQ(bytes,
              "341d"
              "0000"
              "0005"
              "16"
              "020000003b"
              "230003"
              "0b01"
              "0bc801"
              "2600016b0001760101"
              "7070");
}

TEST(EncodePublish, SharesALargePayload) {
    const auto message = sample_message(kSharedPartBytesMin);
    const PublishDelivery delivery{};
    WireBuffer out;
    encode_publish(out, kV5, *message, delivery);
    EXPECT_EQ(message->use_count(), 2U);
    EXPECT_EQ(out.size(), publish_wire_size(kV5, *message, delivery));
    EXPECT_LE(out.memory_bytes(), 2048U);
    Decoder client{kV5, {}};
    const Bytes bytes = bytes_of(out);
    const auto step = client.next(bytes);
    ASSERT_TRUE(step);
    const auto& publish = std::get<PublishView>(std::get<Decoded>(*step).packet);
    EXPECT_TRUE(equal(publish.payload, message->payload()));
}

TEST(EncodePublish, OfAClientStopsAtTheServersLimit) {
    const Publish packet{.topic = "t", .payload = as_bytes("12345")};
    const auto publish = [&](std::size_t max) {
        return wire([&](WireBuffer& out) { return encode_publish(out, kV4, packet, max); });
    };
    EXPECT_EQ(publish(10),
              "3008000174"
              "3132333435");
    EXPECT_EQ(publish(9), "too_large");
}

}  // namespace
}  // namespace stentor::mqtt
