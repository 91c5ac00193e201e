#include "protocol/message.hpp"

#include "protocol/codec/property_writer.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace stentor::mqtt {
namespace {

using namespace std::chrono_literals;

PropertyWriter all_properties() {
    PropertyWriter writer;
    writer.number(Property::topic_alias, 7);
    writer.user("first", "1");
    writer.number(Property::payload_format_indicator, 1);
    writer.number(Property::message_expiry_interval, 60);
    writer.text(Property::content_type, "text/plain");
    writer.text(Property::response_topic, "answers");
    writer.binary(Property::correlation_data, as_bytes("id"));
    writer.user("first", "2");
    return writer;
}

IntrusivePtr<const Message> full_message(const PropertyWriter& properties) {
    return Message::create(
        {.topic = "sensors/1",
         .properties =
             parse_properties(properties.bytes(), PropertyContext::publish_to_server).value(),
         .payload = as_bytes("21.5"),
         .publisher = "client-1",
         .qos = QoS::exactly_once,
         .retain = true,
         .arrival = Instant{} + 5s,
         .message_expiry_seconds = 60});
}

TEST(Message, CopiesWhatItIsMadeOf) {
    IntrusivePtr<const Message> message;
    {
        const PropertyWriter properties = all_properties();
        message = full_message(properties);
    }
    EXPECT_EQ(message->topic(), "sensors/1");
    EXPECT_EQ(as_text(message->payload()), "21.5");
    EXPECT_EQ(message->publisher(), "client-1");
    EXPECT_EQ(message->qos(), QoS::exactly_once);
    EXPECT_TRUE(message->retain());
    EXPECT_EQ(message->arrival(), Instant{} + 5s);
    EXPECT_EQ(message->message_expiry_seconds(), 60U);
    EXPECT_EQ(message->topic_hash(), topic_hash("sensors/1"));
    EXPECT_EQ(message->bytes(),
              sizeof(Message) + message->topic().size() + message->property_bytes().size() +
                  message->payload().size() + message->publisher().size());
}

TEST(Message, KeepsTheForwardedPropertiesInTheirOrder) {
    const PropertyWriter properties = all_properties();
    const auto message = full_message(properties);
    const PropertiesView kept = message->properties();
    EXPECT_FALSE(kept.has(Property::topic_alias));
    EXPECT_FALSE(kept.has(Property::message_expiry_interval));
    EXPECT_TRUE(kept.payload_is_utf8());
    EXPECT_EQ(kept.content_type(), "text/plain");
    EXPECT_EQ(kept.response_topic(), "answers");
    EXPECT_EQ(as_text(kept.correlation_data().value()), "id");
    std::string users;
    for (const UserProperty user : kept.user_properties()) users.append(user.value);
    EXPECT_EQ(users, "12");
    EXPECT_EQ(kept.entries().begin()->id, Property::user_property);
}

TEST(Message, MayBeNearlyEmpty) {
    const auto message = Message::create({.topic = "t"});
    EXPECT_EQ(message->topic(), "t");
    EXPECT_TRUE(message->payload().empty());
    EXPECT_TRUE(message->properties().empty());
    EXPECT_TRUE(message->publisher().empty());
    EXPECT_EQ(message->message_expiry_seconds(), std::nullopt);
    EXPECT_FALSE(message->expired(Instant::max()));
    EXPECT_EQ(message->expiry_left_seconds(Instant::max()), std::nullopt);
}

TEST(Message, CountsItsExpiryDown) {
    const auto message =
        Message::create({.topic = "t", .arrival = Instant{} + 10s, .message_expiry_seconds = 3});
    EXPECT_EQ(message->expiry_left_seconds(Instant{} + 10s), 3U);
    EXPECT_EQ(message->expiry_left_seconds(Instant{} + 10'999ms), 3U);
    EXPECT_EQ(message->expiry_left_seconds(Instant{} + 11s), 2U);
    EXPECT_EQ(message->expiry_left_seconds(Instant{} + 12'999ms), 1U);
    EXPECT_FALSE(message->expired(Instant{} + 12'999ms));
    EXPECT_TRUE(message->expired(Instant{} + 13s));
    EXPECT_EQ(message->expiry_left_seconds(Instant{} + 13s), 0U);
    // A clock that is behind the arrival does not lengthen it.
    EXPECT_EQ(message->expiry_left_seconds(Instant{}), 3U);
}

TEST(Message, ExpiresAtOnceWithInterval0AndLateWithTheLargest) {
    const auto at_once = Message::create({.topic = "t", .message_expiry_seconds = 0});
    EXPECT_TRUE(at_once->expired(Instant{}));
    const auto late = Message::create({.topic = "t", .message_expiry_seconds = 0xFFFFFFFF});
    EXPECT_FALSE(late->expired(Instant{} + 1'000'000h));
    EXPECT_EQ(late->expiry_left_seconds(Instant{} + 1h), 0xFFFFFFFFU - 3600U);
}

TEST(Message, SurvivesItsStoredForm) {
    const PropertyWriter properties = all_properties();
    const auto message = full_message(properties);
    Bytes stored{std::byte{0xAA}};
    message->serialize(stored);
    ASSERT_EQ(stored.size(), 1 + message->serialized_size());
    const auto parsed = Message::parse(ByteView{stored}.subspan(1));
    ASSERT_TRUE(parsed) << parsed.error().detail;
    const Message& copy = **parsed;
    EXPECT_EQ(copy.topic(), message->topic());
    EXPECT_TRUE(equal(copy.property_bytes(), message->property_bytes()));
    EXPECT_EQ(copy.properties().present(), message->properties().present());
    EXPECT_TRUE(equal(copy.payload(), message->payload()));
    EXPECT_EQ(copy.publisher(), message->publisher());
    EXPECT_EQ(copy.qos(), message->qos());
    EXPECT_EQ(copy.retain(), message->retain());
    EXPECT_EQ(copy.arrival(), message->arrival());
    EXPECT_EQ(copy.message_expiry_seconds(), message->message_expiry_seconds());
    EXPECT_EQ(copy.topic_hash(), message->topic_hash());
}

TEST(Message, HasTheStoredFormThatIsDocumented) {
    // docs/formats/message.md; a change here is a new format version.
    const auto message = Message::create({.topic = "t",
                                          .payload = as_bytes("p"),
                                          .publisher = "c",
                                          .qos = QoS::at_least_once,
                                          .retain = true,
                                          .arrival = Instant{Duration{0x0102}},
                                          .message_expiry_seconds = 9});
    Bytes stored;
    message->serialize(stored);
    EXPECT_EQ(to_hex(stored),
              "01"
              "0d"
              "0000000000000102"
              "00000009"
              "000174"
              "000163"
              "00000000"
              "00000001"
              "70");
}

TEST(Message, RefusesStoredBytesThatAreNotOne) {
    const PropertyWriter properties = all_properties();
    Bytes stored;
    full_message(properties)->serialize(stored);
    for (std::size_t size = 0; size < stored.size(); ++size) {
        EXPECT_FALSE(Message::parse(ByteView{stored}.first(size))) << size;
    }
    for (std::size_t at = 0; at < stored.size(); ++at) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes damaged = stored;
            damaged[at] ^= static_cast<std::byte>(1U << bit);
            const auto parsed = Message::parse(damaged);  // an error or a message, nothing worse
            if (!parsed) continue;
            EXPECT_FALSE((*parsed)->topic().empty());
        }
    }
    Bytes longer = stored;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(Message::parse(longer));
    Bytes newer = stored;
    newer[0] = std::byte{2};
    EXPECT_FALSE(Message::parse(newer));
}

}  // namespace
}  // namespace stentor::mqtt
