#include "protocol/codec/properties.hpp"

#include "base/bytes.hpp"
#include "protocol/codec/property_writer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string>
#include <vector>

namespace stentor::mqtt {
namespace {

using enum PropertyContext;

constexpr std::array kContexts{connect,
                               will,
                               connack,
                               publish_to_server,
                               publish_to_client,
                               puback,
                               pubrec,
                               pubrel,
                               pubcomp,
                               subscribe,
                               suback,
                               unsubscribe,
                               unsuback,
                               disconnect_to_server,
                               disconnect_to_client,
                               auth};

Bytes hex(std::string_view text) { return from_hex(text).value(); }

ReasonCode judged(std::string_view block, PropertyContext context) {
    const Bytes bytes = hex(block);
    const auto result = parse_properties(bytes, context);
    return result ? ReasonCode::success : result.error().reason;
}

constexpr auto kOk = ReasonCode::success;
constexpr auto kMalformed = ReasonCode::malformed_packet;
constexpr auto kProtocol = ReasonCode::protocol_error;

struct Allowed {
    std::string_view wire;
    std::set<PropertyContext> contexts;
};

// Table 2-4 once more, written by hand from the packets' chapters.
const std::vector<Allowed> kAllowed{
    {"01 01", {publish_to_server, publish_to_client, will}},
    {"02 00000001", {publish_to_server, publish_to_client, will}},
    {"03 0001 61", {publish_to_server, publish_to_client, will}},
    {"08 0001 61", {publish_to_server, publish_to_client, will}},
    {"09 0001 00", {publish_to_server, publish_to_client, will}},
    {"0B 01", {publish_to_client, subscribe}},
    {"11 00000001", {connect, connack, disconnect_to_server}},
    {"12 0001 61", {connack}},
    {"13 0001", {connack}},
    {"15 0001 61", {connect, connack, auth}},
    {"17 01", {connect}},
    {"18 00000001", {will}},
    {"19 01", {connect}},
    {"1A 0001 61", {connack}},
    {"1C 0001 61", {connack, disconnect_to_client}},
    {"1F 0001 61",
     {connack,
      puback,
      pubrec,
      pubrel,
      pubcomp,
      suback,
      unsuback,
      disconnect_to_server,
      disconnect_to_client,
      auth}},
    {"21 0001", {connect, connack}},
    {"22 0001", {connect, connack}},
    {"23 0001", {publish_to_server, publish_to_client}},
    {"24 01", {connack}},
    {"25 01", {connack}},
    {"26 0001 61 0001 62", {kContexts.begin(), kContexts.end()}},
    {"27 00000001", {connect, connack}},
    {"28 01", {connack}},
    {"29 01", {connack}},
    {"2A 01", {connack}},
};

TEST(Properties, AreAllowedWhereTheTableSaysAndNowhereElse) {
    for (const Allowed& row : kAllowed) {
        for (const PropertyContext context : kContexts) {
            const ReasonCode reason = judged(row.wire, context);
            const bool other_way = (row.wire == "0B 01" && context == publish_to_server) ||
                                   (row.wire == "11 00000001" && context == disconnect_to_client) ||
                                   (row.wire == "1C 0001 61" && context == disconnect_to_server);
            const ReasonCode expected = row.contexts.contains(context) ? kOk
                                        : other_way                    ? kProtocol
                                                                       : kMalformed;
            EXPECT_EQ(name(reason), name(expected))
                << row.wire << " in context " << static_cast<int>(context);
        }
    }
    // Data only with a method, except where the method was said before.
    EXPECT_EQ(judged("15 0001 61 16 0001 00", connect), kOk);
    EXPECT_EQ(judged("16 0001 00", connect), kProtocol);
    EXPECT_EQ(judged("16 0001 00", auth), kOk);
    EXPECT_EQ(judged("16 0001 00", publish_to_server), kMalformed);
}

TEST(Properties, StandOnceUnlessTheyMayRepeat) {
    for (const Allowed& row : kAllowed) {
        const std::string twice = std::string{row.wire} + std::string{row.wire};
        for (const PropertyContext context : row.contexts) {
            const bool repeats =
                row.wire.starts_with("26") || (row.wire == "0B 01" && context == publish_to_client);
            EXPECT_EQ(judged(twice, context), repeats ? kOk : kProtocol) << row.wire;
        }
    }
}

TEST(Properties, AreMalformedWhenCutAnywhere) {
    for (const Allowed& row : kAllowed) {
        const Bytes whole = hex(row.wire);
        for (std::size_t size = 1; size < whole.size(); ++size) {
            const Bytes cut{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
            const auto result = parse_properties(cut, *row.contexts.begin());
            ASSERT_FALSE(result) << row.wire << " cut to " << size;
            EXPECT_EQ(result.error().reason, kMalformed);
        }
    }
}

TEST(Properties, RefuseUnknownIdentifiers) {
    const std::set<unsigned> known{0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x11, 0x12, 0x13,
                                   0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1C, 0x1F, 0x21,
                                   0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A};
    for (unsigned id = 0; id < 256; ++id) {
        if (known.contains(id)) continue;
        const std::array<std::byte, 5> wire{static_cast<std::byte>(id)};
        for (const PropertyContext context : kContexts) {
            const auto result = parse_properties(wire, context);
            ASSERT_FALSE(result) << id;
            EXPECT_EQ(result.error().reason, kMalformed);
        }
    }
}

TEST(Properties, RefuseValuesOutOfRange) {
    EXPECT_EQ(judged("01 02", publish_to_server), kProtocol);
    EXPECT_EQ(judged("17 02", connect), kProtocol);
    EXPECT_EQ(judged("19 FF", connect), kProtocol);
    EXPECT_EQ(judged("24 02", connack), kProtocol);
    EXPECT_EQ(judged("25 02", connack), kProtocol);
    EXPECT_EQ(judged("28 02", connack), kProtocol);
    EXPECT_EQ(judged("29 02", connack), kProtocol);
    EXPECT_EQ(judged("2A 02", connack), kProtocol);
    EXPECT_EQ(judged("21 0000", connect), kProtocol);
    EXPECT_EQ(judged("27 00000000", connect), kProtocol);
    EXPECT_EQ(judged("0B 00", subscribe), kProtocol);
    EXPECT_EQ(judged("0B 8000", subscribe), kMalformed);        // padded [MQTT-1.5.5-1]
    EXPECT_EQ(judged("0B FFFFFFFF7F", subscribe), kMalformed);  // five bytes
    EXPECT_EQ(judged("0B FFFFFF7F", subscribe), kOk);
    EXPECT_EQ(judged("23 0000", publish_to_client), ReasonCode::topic_alias_invalid);
    EXPECT_EQ(judged("08 0000", publish_to_server), kProtocol);
    EXPECT_EQ(judged("08 0001 2B", publish_to_server), kProtocol);
}

TEST(Properties, RefuseTextThatIsNotUtf8) {
    EXPECT_EQ(judged("03 0001 00", publish_to_server), kMalformed);
    EXPECT_EQ(judged("08 0001 FF", publish_to_server), kMalformed);
    EXPECT_EQ(judged("26 0001 FF 0001 61", connect), kMalformed);
    EXPECT_EQ(judged("26 0001 61 0003 EDA080", connect), kMalformed);
    EXPECT_EQ(judged("15 0002 C328", connect), kMalformed);
    EXPECT_EQ(judged("09 0002 00FF", publish_to_server), kOk);  // binary
}

TEST(PropertiesView, ReadsWhatTheWriterWrote) {
    PropertyWriter writer;
    writer.number(Property::payload_format_indicator, 1);
    writer.number(Property::message_expiry_interval, 0xFFFFFFFF);
    writer.text(Property::content_type, "text/plain");
    writer.user("first", "1");
    writer.text(Property::response_topic, "answers");
    writer.binary(Property::correlation_data, hex("00FF"));
    writer.number(Property::subscription_identifier, 1);
    writer.number(Property::subscription_identifier, kVarintMax);
    writer.number(Property::topic_alias, 65'535);
    writer.user("second", "");
    writer.user("first", "again");
    const auto properties = parse_properties(writer.bytes(), publish_to_client);
    ASSERT_TRUE(properties) << properties.error().detail;
    EXPECT_TRUE(properties->payload_is_utf8());
    EXPECT_EQ(properties->message_expiry_interval(), 0xFFFFFFFFU);
    EXPECT_EQ(properties->content_type(), "text/plain");
    EXPECT_EQ(properties->response_topic(), "answers");
    EXPECT_EQ(to_hex(properties->correlation_data().value()), "00ff");
    EXPECT_EQ(properties->topic_alias(), 65'535);
    std::vector<std::uint32_t> identifiers;
    for (const SubscriptionIdentifier id : properties->subscription_identifiers()) {
        identifiers.push_back(id.value);
    }
    EXPECT_EQ(identifiers, (std::vector<std::uint32_t>{1, kVarintMax}));
    std::string users;
    for (const UserProperty user : properties->user_properties()) {
        users.append(user.name).append("=").append(user.value).append(";");
    }
    EXPECT_EQ(users, "first=1;second=;first=again;");  // [MQTT-3.3.2-18]
}

TEST(PropertiesView, ReadsTheOnesOfConnackAndConnect) {
    PropertyWriter writer;
    writer.number(Property::session_expiry_interval, 7);
    writer.number(Property::receive_maximum, 20);
    writer.number(Property::maximum_qos, 1);
    writer.number(Property::retain_available, 0);
    writer.number(Property::maximum_packet_size, 1'000);
    writer.text(Property::assigned_client_identifier, "auto-1");
    writer.number(Property::topic_alias_maximum, 10);
    writer.text(Property::reason_string, "because");
    writer.number(Property::wildcard_subscription_available, 0);
    writer.number(Property::subscription_identifier_available, 0);
    writer.number(Property::shared_subscription_available, 0);
    writer.number(Property::server_keep_alive, 30);
    writer.text(Property::response_information, "r");
    writer.text(Property::server_reference, "elsewhere");
    writer.text(Property::authentication_method, "m");
    writer.binary(Property::authentication_data, hex("01"));
    const auto connack_properties = parse_properties(writer.bytes(), connack);
    ASSERT_TRUE(connack_properties) << connack_properties.error().detail;
    EXPECT_EQ(connack_properties->session_expiry_interval(), 7U);
    EXPECT_EQ(connack_properties->receive_maximum(), 20);
    EXPECT_EQ(connack_properties->maximum_qos(), QoS::at_least_once);
    EXPECT_FALSE(connack_properties->retain_available());
    EXPECT_EQ(connack_properties->maximum_packet_size(), 1'000U);
    EXPECT_EQ(connack_properties->assigned_client_identifier(), "auto-1");
    EXPECT_EQ(connack_properties->topic_alias_maximum(), 10);
    EXPECT_EQ(connack_properties->reason_string(), "because");
    EXPECT_FALSE(connack_properties->wildcard_subscription_available());
    EXPECT_FALSE(connack_properties->subscription_identifier_available());
    EXPECT_FALSE(connack_properties->shared_subscription_available());
    EXPECT_EQ(connack_properties->server_keep_alive(), 30);
    EXPECT_EQ(connack_properties->response_information(), "r");
    EXPECT_EQ(connack_properties->server_reference(), "elsewhere");
    EXPECT_EQ(connack_properties->authentication_method(), "m");
    EXPECT_EQ(to_hex(connack_properties->authentication_data().value()), "01");

    const Bytes block = hex("17 00 19 01");
    const auto connect_properties = parse_properties(block, connect);
    ASSERT_TRUE(connect_properties);
    EXPECT_FALSE(connect_properties->request_problem_information());
    EXPECT_TRUE(connect_properties->request_response_information());
    const Bytes delay = hex("18 00000009");
    EXPECT_EQ(parse_properties(delay, will)->will_delay_interval(), 9U);
}

TEST(PropertiesView, KnowsWhatAbsenceMeans) {
    const PropertiesView none;
    EXPECT_TRUE(none.empty());
    EXPECT_EQ(none.receive_maximum(), 65'535);
    EXPECT_EQ(none.topic_alias_maximum(), 0);
    EXPECT_EQ(none.session_expiry_interval(), std::nullopt);
    EXPECT_EQ(none.maximum_packet_size(), std::nullopt);
    EXPECT_TRUE(none.request_problem_information());
    EXPECT_FALSE(none.request_response_information());
    EXPECT_EQ(none.maximum_qos(), QoS::exactly_once);
    EXPECT_TRUE(none.retain_available());
    EXPECT_TRUE(none.shared_subscription_available());
    EXPECT_EQ(none.will_delay_interval(), 0U);
    EXPECT_TRUE(none.user_properties().empty());
    EXPECT_TRUE(none.subscription_identifiers().empty());
}

std::optional<std::string> fitted(ByteView block, std::size_t bytes_max) {
    const auto fit = FittedProperties::fit(block, bytes_max);
    if (!fit) return std::nullopt;
    Bytes out(fit->wire_size());
    EXPECT_EQ(fit->write(out.data()), out.data() + out.size());
    EXPECT_LE(out.size(), bytes_max);
    return to_hex(out);
}

TEST(FittedProperties, LeavesOutUserPropertiesThenTheReasonString) {
    PropertyWriter writer;
    writer.text(Property::reason_string, "r");    // 4 bytes: 1f000172
    writer.user("a", "b");                        // 7 bytes: 26000161000162
    writer.number(Property::receive_maximum, 1);  // 3 bytes: 210001
    writer.user("c", "d");                        // 7 bytes: 26000163000164
    const ByteView block = writer.bytes();
    EXPECT_EQ(fitted(block, 22),
              "15"
              "1f000172"
              "26000161000162"
              "210001"
              "26000163000164");
    EXPECT_EQ(fitted(block, 21),
              "0e"
              "1f000172"
              "26000161000162"
              "210001");
    EXPECT_EQ(fitted(block, 15),
              "0e"
              "1f000172"
              "26000161000162"
              "210001");
    EXPECT_EQ(fitted(block, 14),
              "07"
              "1f000172"
              "210001");
    EXPECT_EQ(fitted(block, 8),
              "07"
              "1f000172"
              "210001");
    EXPECT_EQ(fitted(block, 7),
              "03"
              "210001");
    EXPECT_EQ(fitted(block, 4),
              "03"
              "210001");
    EXPECT_EQ(fitted(block, 3), std::nullopt);
    EXPECT_EQ(fitted({}, 1), "00");
    EXPECT_EQ(fitted({}, 0), std::nullopt);
}

TEST(PropertyEntries, TellWhichTravelWithAMessage) {
    std::set<unsigned> forwarded;
    for (unsigned id = 0; id < 0x2B; ++id) {
        if (is_forwarded(static_cast<Property>(id))) forwarded.insert(id);
    }
    EXPECT_EQ(forwarded, (std::set<unsigned>{0x01, 0x03, 0x08, 0x09, 0x26}));
}

}  // namespace
}  // namespace stentor::mqtt
