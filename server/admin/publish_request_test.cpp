#include "server/admin/publish_request.hpp"

#include "base/bytes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::admin {
namespace {

using testing::HasSubstr;

constexpr PublishRules kRules{.packet_bytes_max = 1000, .topic_levels_max = 4};
constexpr Instant kNow{std::chrono::seconds{100}};

MessagePtr one(std::string_view json) {
    auto asked = messages_of(json, kRules, kNow);
    EXPECT_TRUE(asked) << json << ": " << (asked ? "" : asked.error().error);
    if (!asked) return nullptr;
    EXPECT_FALSE(asked->is_list);
    return asked->messages.at(0);
}
std::string mistake(std::string_view json) {
    auto asked = messages_of(json, kRules, kNow);
    EXPECT_FALSE(asked) << json;
    return asked ? "" : asked.error().error + "; " + asked.error().hint;
}

TEST(TopicOf, DecodesThePath) {
    const std::vector<std::pair<std::string_view, std::string_view>> rows{
        {"a", "a"},
        {"a/b", "a/b"},
        {"a%2Fb", "a/b"},
        {"a%20b/%C3%A9", "a b/\xC3\xA9"},
        {"/a", "/a"},
        {"$x", "$x"},
        {"a%25", "a%"},
    };
    for (const auto& [path, topic] : rows) {
        const auto found = topic_of(path, kRules);
        ASSERT_TRUE(found) << path;
        EXPECT_EQ(*found, topic);
    }
}

TEST(TopicOf, RefusesWhatIsNoTopicName) {
    for (const std::string_view path :
         {"", "a%2", "a%zz", "%00", "%FF", "a/+", "%23", "a/b/c/d/e", "%ED%A0%80"}) {
        const auto found = topic_of(path, kRules);
        ASSERT_FALSE(found) << path;
        EXPECT_EQ(found.error().code, "bad_topic") << path;
        EXPECT_EQ(found.error().status, Status::bad_request);
    }
    EXPECT_FALSE(topic_of(std::string(65'536, 'a'), kRules));
}

class MessageOf : public testing::Test {
  public:
    Result<MessagePtr, Mistake> message() { return message_of(request, "a/b", kRules, kNow); }
    Request request;
};

TEST_F(MessageOf, HasQos1AndNothingElseUnlessAskedFor) {
    request.body() = "hello";
    const auto message = this->message();
    ASSERT_TRUE(message);
    EXPECT_EQ((*message)->topic(), "a/b");
    EXPECT_EQ(as_text((*message)->payload()), "hello");
    EXPECT_EQ((*message)->qos(), mqtt::QoS::at_least_once);
    EXPECT_FALSE((*message)->retain());
    EXPECT_FALSE((*message)->message_expiry_seconds());
    EXPECT_TRUE((*message)->properties().empty());
    EXPECT_EQ((*message)->arrival(), kNow);
}

TEST_F(MessageOf, TakesWhatHeadersSay) {
    request.set("QoS", "2");
    request.set("TTL", "60");
    request.set("retain", "True");
    request.set("Content-Type", "text/plain");
    const auto message = this->message();
    ASSERT_TRUE(message);
    EXPECT_EQ((*message)->qos(), mqtt::QoS::exactly_once);
    EXPECT_TRUE((*message)->retain());
    EXPECT_EQ((*message)->message_expiry_seconds(), 60U);
    EXPECT_EQ((*message)->properties().content_type(), "text/plain");
}

TEST_F(MessageOf, WhatCurlSaysOfAnythingIsNoContentType) {
    request.set("Content-Type", "application/x-www-form-urlencoded");
    const auto message = this->message();
    ASSERT_TRUE(message);
    EXPECT_TRUE((*message)->properties().empty());
}

TEST_F(MessageOf, RefusesHeadersThatSaySomethingElse) {
    const std::vector<std::pair<std::string_view, std::string_view>> rows{
        {"QoS", "3"},
        {"QoS", "-1"},
        {"QoS", ""},
        {"TTL", "0"},
        {"TTL", "4294967296"},
        {"TTL", "60s"},
        {"Retain", "yes"},
        {"Retain", ""},
        {"Content-Type", "\xFF"},
    };
    for (const auto& [name, value] : rows) {
        request = {};
        request.set({name.data(), name.size()}, {value.data(), value.size()});
        const auto message = this->message();
        ASSERT_FALSE(message) << name << ": " << value;
        EXPECT_EQ(message.error().status, Status::bad_request);
    }
    request = {};
    request.insert("TTL", "1");
    request.insert("TTL", "2");
    EXPECT_FALSE(message());
}

TEST_F(MessageOf, IsNoLargerThanAPacket) {
    request.body() = std::string(1000 - 13 - 3, 'x');
    EXPECT_TRUE(message());
    request.body() += 'x';
    const auto message = this->message();
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().status, Status::payload_too_large);
}

TEST(MessagesOf, TakesAnObject) {
    const MessagePtr message = one(R"({"topic":"a","payload":"\u00e9","qos":0,"retain":true})");
    EXPECT_EQ(message->topic(), "a");
    EXPECT_EQ(as_text(message->payload()), "\xC3\xA9");
    EXPECT_EQ(message->qos(), mqtt::QoS::at_most_once);
    EXPECT_TRUE(message->retain());
    EXPECT_EQ(one(R"({"topic":"a"})")->qos(), mqtt::QoS::at_least_once);
    EXPECT_TRUE(one(R"({"topic":"a"})")->payload().empty());
}

TEST(MessagesOf, TakesBytesInBase64) {
    EXPECT_EQ(
        as_text(one(R"({"payload_encoding":"base64","topic":"a","payload":"AP8="})")->payload()),
        std::string_view("\0\xFF", 2));
    EXPECT_THAT(mistake(R"({"topic":"a","payload":"AP8","payload_encoding":"base64"})"),
                HasSubstr("not base64"));
    EXPECT_THAT(mistake(R"({"topic":"a","payload_encoding":"hex"})"), HasSubstr("base64"));
}

TEST(MessagesOf, TakesAllPropertiesOfAPublish) {
    const MessagePtr message = one(R"({"topic":"a","properties":{
        "payload_format_indicator":1,"message_expiry_interval":5,"content_type":"t",
        "response_topic":"r","correlation_data":"AQI=",
        "user_properties":{"k":["1","2"],"l":"3"}}})");
    const mqtt::PropertiesView properties = message->properties();
    EXPECT_TRUE(properties.payload_is_utf8());
    EXPECT_EQ(message->message_expiry_seconds(), 5U);
    EXPECT_EQ(properties.content_type(), "t");
    EXPECT_EQ(properties.response_topic(), "r");
    EXPECT_EQ(as_text(*properties.correlation_data()), std::string_view("\1\2", 2));
    std::string users;
    for (const mqtt::UserProperty& each : properties.user_properties()) {
        users.append(each.name).append("=").append(each.value).append(" ");
    }
    EXPECT_EQ(users, "k=1 k=2 l=3 ");
}

TEST(MessagesOf, TakesManyInTheirOrder) {
    const auto asked = messages_of(R"([{"topic":"a"},{"topic":"b"}])", kRules, kNow);
    ASSERT_TRUE(asked);
    EXPECT_TRUE(asked->is_list);
    ASSERT_EQ(asked->messages.size(), 2U);
    EXPECT_EQ(asked->messages[1]->topic(), "b");
}

TEST(MessagesOf, SaysWhichOfManyIsWrong) {
    EXPECT_THAT(mistake(R"([{"topic":"a"},{"topic":"#"}])"), HasSubstr("message 1: "));
    EXPECT_THAT(mistake("[]"), HasSubstr("1 to 10000"));
    std::string many = "[";
    for (std::size_t i = 0; i <= kMessagesMax; ++i) many += "1,";
    many.back() = ']';
    EXPECT_THAT(mistake(many), HasSubstr("1 to 10000"));
}

TEST(MessagesOf, RefusesWhatItDoesNotKnow) {
    EXPECT_THAT(mistake(R"({"topic":"a","paylod":"x"})"), HasSubstr("did you mean \"payload\"?"));
    EXPECT_THAT(mistake(R"({"topic":"a","properties":{"contenttype":"x"}})"),
                HasSubstr("\"content_type\""));
    for (const std::string_view json : {"",
                                        "{",
                                        "1",
                                        "null",
                                        "[1]",
                                        "{}",
                                        R"({"topic":1})",
                                        R"({"topic":""})",
                                        R"({"topic":"a","payload":1})",
                                        R"({"topic":"a","payload":null})",
                                        R"({"topic":"a","qos":3})",
                                        R"({"topic":"a","qos":-1})",
                                        R"({"topic":"a","qos":1.5})",
                                        R"({"topic":"a","qos":"1"})",
                                        R"({"topic":"a","retain":1})",
                                        R"({"topic":"a\u0000"})",
                                        R"({"topic":"a"} x)",
                                        R"({"topic":"a","properties":[]})",
                                        R"({"topic":"a","properties":{"content_type":1}})",
                                        R"({"topic":"a","properties":{"content_type":"\u0000"}})",
                                        R"({"topic":"a","properties":{"response_topic":"#"}})",
                                        R"({"topic":"a","properties":{"correlation_data":"x"}})",
                                        R"({"topic":"a","properties":{"user_properties":[]}})",
                                        R"({"topic":"a","properties":{"user_properties":{"a":1}}})",
                                        R"({"topic":"a","properties":
                                            {"payload_format_indicator":2}})",
                                        R"({"topic":"a","properties":
                                            {"message_expiry_interval":0}})"}) {
        EXPECT_NE(mistake(json), "") << json;
    }
    EXPECT_NE(mistake(std::string(100, '[') + std::string(100, ']')), "");
}

}  // namespace
}  // namespace stentor::admin
