#include "server/admin/listing_json.hpp"

#include "base/bytes.hpp"
#include "persistence/record.hpp"
#include "protocol/codec/property_writer.hpp"
#include "protocol/message.hpp"

#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stentor::admin {
namespace {

using server::ClientDetails;
using std::chrono_literals::operator""s;
using testing::HasSubstr;

// 2026-11-23T18:00:00Z.
constexpr std::int64_t kNowMs = 1'795'456'800'000;
const TimeScale kScale{.store_now = Instant{1000s}, .unix_ms_now = kNowMs};
const std::vector<std::string> kListeners{"mqtt://127.0.0.1:1883"};

TEST(ListingJson, TimesAreOfTheDay) {
    EXPECT_EQ(kScale.text(Instant{1000s}), "2026-11-23T18:00:00Z");
    EXPECT_EQ(kScale.text(Instant{940s}), "2026-11-23T17:59:00Z");
    EXPECT_EQ(kScale.text(Instant{1001s}), "2026-11-23T18:00:01Z");
    EXPECT_EQ(kScale.text(kNever), "9999-12-31T23:59:59Z");
    EXPECT_EQ((TimeScale{.store_now = Instant{1000s}, .unix_ms_now = 5}.text(Instant{0s})),
              "1970-01-01T00:00:00Z");
}

/// Durable, with one subscription that messages wait for.
ClientDetails kept() {
    ClientDetails client{.summary = {.client_id = "c", .durable = true, .subscriptions = 1},
                         .expiry_seconds = 60,
                         .subscriptions_kept_for = 1};
    return client;
}

TEST(ListingJson, SaysWhoGetsWhatIsPublishedMeanwhile) {
    EXPECT_TRUE(offline_verdict(kept()).gets);
    EXPECT_EQ(offline_verdict(kept()).why, "");
    const auto why = [](const ClientDetails& client) {
        EXPECT_FALSE(offline_verdict(client).gets);
        return offline_verdict(client).why;
    };
    ClientDetails client = kept();
    client.expiry_seconds = 0;
    EXPECT_THAT(why(client), HasSubstr("Session Expiry Interval"));
    client = kept();
    client.summary.durable = false;
    client.summary.version = mqtt::ProtocolVersion::v3_1_1;
    EXPECT_THAT(why(client), HasSubstr("Clean Session 1"));
    client = kept();
    client.subscriptions_kept_for = 0;
    EXPECT_THAT(why(client), HasSubstr("QoS 0"));
    client.summary.subscriptions = 0;
    EXPECT_THAT(why(client), HasSubstr("no subscriptions"));
}

TEST(ListingJson, AClientThatIsAway) {
    ClientDetails client = kept();
    client.summary.since = Instant{940s};
    client.expires_at = Instant{1060s};
    client.last_end = {server::LastEnd::kLost};
    client.log_positions_behind = 7;
    client.inflight_to_client = 2;
    const auto shown = to_json(client, kScale, kListeners);
    EXPECT_TRUE(shown.at("connected_at").is_null());
    EXPECT_EQ(shown.at("disconnected_at"), "2026-11-23T17:59:00Z");
    EXPECT_EQ(shown.at("session_ends_at"), "2026-11-23T18:01:00Z");
    EXPECT_EQ(shown.at("last_disconnect_reason"), "connection_lost");
    EXPECT_TRUE(shown.at("username").is_null());
    EXPECT_TRUE(shown.at("keep_alive_seconds").is_null());
    EXPECT_TRUE(shown.at("listener").is_null());
    EXPECT_EQ(shown.at("backlog").at("log_positions_behind"), 7);
    EXPECT_EQ(shown.at("backlog").at("level_with_log"), false);
    EXPECT_EQ(shown.at("inflight").at("to_client"), 2);
    EXPECT_EQ(shown.at("offline_messages").at("gets"), true);
    EXPECT_FALSE(shown.contains("since"));
    client.last_end = {};
    client.expiry_seconds = store::kNeverExpires;
    client.expires_at = kNever;
    const auto other = to_json(client, kScale, kListeners);
    EXPECT_TRUE(other.at("last_disconnect_reason").is_null());
    EXPECT_TRUE(other.at("session_expiry_seconds").is_null());
    EXPECT_TRUE(other.at("session_ends_at").is_null());
}

TEST(ListingJson, AClientThatIsConnected) {
    ClientDetails client{.summary = {.client_id = "c",
                                     .user = "anna",
                                     .connected = true,
                                     .address = "192.0.2.1",
                                     .since = Instant{1000s}}};
    client.connected = ClientDetails::Connected{
        .port = 5000, .keep_alive_seconds = 60, .clean_start = true, .queued = 3};
    client.last_end = {0x8E};
    client.will = ClientDetails::Will{
        .topic = "gone", .qos = mqtt::QoS::at_least_once, .payload_bytes = 5, .delay_seconds = 9};
    const auto shown = to_json(client, kScale, kListeners);
    EXPECT_EQ(shown.at("connected_at"), "2026-11-23T18:00:00Z");
    EXPECT_TRUE(shown.at("disconnected_at").is_null());
    EXPECT_EQ(shown.at("last_disconnect_reason"), "session_taken_over");
    EXPECT_EQ(std::string{shown.at("listener").as_string()}, kListeners[0]);
    EXPECT_EQ(shown.at("port"), 5000);
    EXPECT_EQ(shown.at("clean_start"), true);
    EXPECT_EQ(shown.at("backlog").at("queued"), 3);
    EXPECT_TRUE(shown.at("backlog").at("log_positions_behind").is_null());
    EXPECT_EQ(shown.at("will").at("topic"), "gone");
    EXPECT_EQ(shown.at("will").at("delay_seconds"), 9);
    EXPECT_EQ(shown.at("session"), "transient");
}

server::RetainedValue retained(ByteView payload) {
    mqtt::PropertyWriter writer;
    writer.text(mqtt::Property::content_type, "text/plain");
    writer.user("k", "1");
    writer.user("k", "2");
    const auto properties =
        mqtt::parse_properties(writer.bytes(), mqtt::PropertyContext::publish_to_server);
    return {.message = mqtt::Message::create({.topic = "t",
                                              .properties = properties.value(),
                                              .payload = payload,
                                              .publisher = "gate",
                                              .qos = mqtt::QoS::exactly_once,
                                              .arrival = Instant{990s},
                                              .message_expiry_seconds = 60}),
            .seq = Seq{1}};
}

TEST(ListingJson, ARetainedMessageWithAllThatBelongsToIt) {
    const auto shown = to_json(retained(as_bytes("on\n")), kScale);
    EXPECT_EQ(boost::json::serialize(shown),
              R"({"topic":"t","qos":2,"payload":"on\n","payload_encoding":"plain",)"
              R"("payload_bytes":3,"properties":{"message_expiry_interval":50,)"
              R"("content_type":"text/plain","user_properties":{"k":["1","2"]}},)"
              R"("publisher":"gate","published_at":"2026-11-23T17:59:50Z","age_seconds":10})");
}

TEST(ListingJson, WhatIsNoReadableTextIsBase64AndWhatIsTooLongIsLeftOut) {
    for (const std::string& payload :
         {std::string{"\xff"}, std::string{"\x01"}, std::string{"a\0", 2}, std::string{"\x7f"}}) {
        const auto shown = to_json(retained(as_bytes(payload)), kScale);
        EXPECT_EQ(shown.at("payload_encoding"), "base64") << payload.size();
        EXPECT_EQ(shown.at("payload_bytes"), payload.size());
    }
    EXPECT_EQ(to_json(retained(as_bytes("\xff")), kScale).at("payload"), "/w==");
    const std::string longest(kPayloadShownMax, 'x');
    EXPECT_EQ(to_json(retained(as_bytes(longest)), kScale).at("payload").as_string().size(),
              kPayloadShownMax);
    const auto longer = to_json(retained(as_bytes(longest + 'x')), kScale);
    EXPECT_TRUE(longer.at("payload").is_null());
    EXPECT_EQ(longer.at("payload_bytes"), kPayloadShownMax + 1);
}

}  // namespace
}  // namespace stentor::admin
