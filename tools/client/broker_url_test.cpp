#include "tools/client/broker_url.hpp"

#include <gtest/gtest.h>

namespace stentor::tools {
namespace {

TEST(BrokerUrl, TakesAllItsParts) {
    const auto url = parse_broker_url("mqtts://ann:p%40ss@example.org:9000/a/b%20c");
    ASSERT_TRUE(url);
    EXPECT_EQ(url->address.scheme, Scheme::mqtts);
    EXPECT_EQ(url->address.host, "example.org");
    EXPECT_EQ(url->address.port, 9000);
    EXPECT_EQ(url->user_name, "ann");
    EXPECT_EQ(url->password, "p@ss");
    EXPECT_EQ(url->topic, "a/b c");
    EXPECT_EQ(url->address.to_string(), "mqtts://example.org:9000");
}

TEST(BrokerUrl, FillsInDefaults) {
    EXPECT_EQ(parse_broker_url("mqtt://h")->address.port, 1883);
    EXPECT_EQ(parse_broker_url("mqtts://h/")->address.port, 8883);
    EXPECT_FALSE(parse_broker_url("mqtt://h/")->topic);
    EXPECT_EQ(parse_broker_url("ws://h")->address.to_string(), "ws://h:8083/mqtt");
    EXPECT_EQ(parse_broker_url("wss://h/x")->address.to_string(), "wss://h:8084/x");
    EXPECT_EQ(parse_broker_url("mqtt://[::1]:1884")->address.to_string(), "mqtt://[::1]:1884");
    EXPECT_EQ(parse_broker_url("unix:///run/s.sock")->address.path, "/run/s.sock");
}

TEST(BrokerUrl, RefusesWhatItDoesNotUnderstand) {
    for (const auto* text : {"localhost",
                             "http://h",
                             "mqtt://",
                             "mqtt://h:0",
                             "mqtt://h:x",
                             "mqtt://::1",
                             "mqtt://[::1",
                             "mqtt://h/%4",
                             "unix://"}) {
        EXPECT_FALSE(parse_broker_url(text)) << text;
    }
}

}  // namespace
}  // namespace stentor::tools
