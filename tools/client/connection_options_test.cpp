#include "tools/client/connection_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stentor::tools {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

/// The connection these words ask for.
Result<Connection, UsageError> connection(const std::vector<std::string_view>& words) {
    ConnectionOptions options;
    const ArgumentParser parser{options.groups(), ConnectionOptions::refused()};
    STENTOR_TRY_VOID(parser.parse(words));
    return prepare(options);
}

std::string error(const std::vector<std::string_view>& words) {
    const auto result = connection(words);
    return result ? "" : result.error().what + " | " + result.error().hint;
}

mqtt::PropertiesView connect_properties(const Connection& connection) {
    return *mqtt::parse_properties(connection.client.connect_properties,
                                   mqtt::PropertyContext::connect);
}

TEST(ConnectionOptions, Defaults) {
    const auto made = connection({});
    ASSERT_TRUE(made);
    EXPECT_EQ(made->runner.connect.address.to_string(), "mqtt://localhost:1883");
    EXPECT_EQ(made->client.version, mqtt::ProtocolVersion::v5);
    EXPECT_EQ(made->client.client_id, "");
    EXPECT_EQ(made->client.keep_alive_seconds, 60);
    EXPECT_EQ(made->runner.clean_start, mqtt::CleanStart::yes);
    EXPECT_TRUE(made->client.connect_properties.empty());
}

TEST(ConnectionOptions, TlsIsTurnedOnByWhatItNeeds) {
    EXPECT_EQ(connection({"--cafile", "x"})->runner.connect.address.to_string(),
              "mqtts://localhost:8883");
    EXPECT_EQ(connection({"-p", "8883"})->runner.connect.address.scheme, Scheme::mqtts);
    EXPECT_EQ(connection({"-p", "1884", "--tls-use-os-certs"})->runner.connect.address.to_string(),
              "mqtts://localhost:1884");
    EXPECT_THAT(error({"--key", "x"}), HasSubstr("belong together"));
}

TEST(ConnectionOptions, AUrlHoldsUserAndTopic) {
    const auto made = connection({"-L", "mqtt://ann:pw@h:1/t/x"});
    ASSERT_TRUE(made);
    EXPECT_EQ(made->client.user_name, "ann");
    EXPECT_EQ(as_text(*made->client.password), "pw");
    EXPECT_EQ(made->url_topic, "t/x");
    EXPECT_EQ(connection({"-u", "bob", "-L", "mqtt://ann@h"})->client.user_name, "bob");
    EXPECT_THAT(error({"-L", "mqtt://h", "-p", "1"}), HasSubstr("exclude each other"));
    EXPECT_THAT(error({"--unix", "/x", "-h", "y"}), HasSubstr("exclude each other"));
}

TEST(ConnectionOptions, SessionsAsMosquittoKeepsThem) {
    const auto kept = connection({"-c", "-i", "me"});
    EXPECT_EQ(kept->runner.clean_start, mqtt::CleanStart::no);
    EXPECT_EQ(connect_properties(*kept).session_expiry_interval(), 4'294'967'295U);
    EXPECT_EQ(
        connect_properties(*connection({"-c", "-i", "me", "-x", "60"})).session_expiry_interval(),
        60U);
    EXPECT_EQ(connect_properties(*connection({"-i", "me", "-x", "-1"})).session_expiry_interval(),
              4'294'967'295U);
    EXPECT_TRUE(connection({"-x", "60"}));
    EXPECT_THAT(error({"-c"}), HasSubstr("client identifier"));
    EXPECT_THAT(error({"-x", "∞"}), HasSubstr("client identifier"));
    EXPECT_THAT(error({"-x", "1", "-D", "connect", "session-expiry-interval", "1"}),
                HasSubstr("exclude each other"));
}

TEST(ConnectionOptions, ClientIdentifiers) {
    EXPECT_THAT(connection({"-I", "probe-"})->client.client_id, MatchesRegex("probe-[0-9]+"));
    // Every broker takes 23 letters and digits [MQTT-3.1.3-5].
    EXPECT_THAT(connection({"-V", "311"})->client.client_id, MatchesRegex("[a-z0-9]+"));
    EXPECT_EQ(connection({"-V", "mqttv311"})->client.client_id.size(), 23U);
    EXPECT_THAT(error({"-i", "a", "-I", "b"}), HasSubstr("exclude each other"));
    EXPECT_THAT(error({"-i", std::string(65'536, 'x')}), HasSubstr("longer than 65535 bytes"));
}

TEST(ConnectionOptions, What311CannotSay) {
    EXPECT_THAT(error({"-V", "311", "-x", "1"}), HasSubstr("-x needs MQTT 5"));
    EXPECT_THAT(error({"-V", "311", "-D", "connect", "user-property", "a", "b"}),
                HasSubstr("-D needs MQTT 5"));
    EXPECT_THAT(error({"-V", "311", "-P", "x"}), HasSubstr("add -u"));
    EXPECT_TRUE(connection({"-P", "x"}));
}

TEST(ConnectionOptions, Wills) {
    const auto made = connection({"--will-topic",
                                  "w",
                                  "--will-payload",
                                  "gone",
                                  "--will-qos",
                                  "2",
                                  "--will-retain",
                                  "-D",
                                  "will",
                                  "will-delay-interval",
                                  "5"});
    ASSERT_TRUE(made);
    EXPECT_EQ(made->client.will->topic, "w");
    EXPECT_EQ(as_text(made->client.will->payload), "gone");
    EXPECT_EQ(made->client.will->qos, mqtt::QoS::exactly_once);
    EXPECT_TRUE(made->client.will->retain);
    EXPECT_EQ(mqtt::parse_properties(made->client.will->properties, mqtt::PropertyContext::will)
                  ->will_delay_interval(),
              5U);
    EXPECT_THAT(error({"--will-retain"}), HasSubstr("--will-topic"));
    EXPECT_THAT(error({"--will-topic", "a/#"}), HasSubstr("not a topic name"));
}

TEST(PropertyOptions, FitPacketAndType) {
    EXPECT_TRUE(connection({"-D", "CONNECT", "receive-maximum", "10"}));
    EXPECT_THAT(error({"-D", "connect", "receive-maximum", "0"}), HasSubstr("has no such value"));
    EXPECT_THAT(error({"-D", "connect", "receive-maximum", "65536"}), HasSubstr("from 0 to 65535"));
    EXPECT_THAT(
        error({"-D", "connect", "receive-maximum", "1", "-D", "connect", "receive-maximum", "2"}),
        HasSubstr("can be given once"));
    EXPECT_THAT(error({"-D", "connect", "content-type", "x"}),
                HasSubstr("connect has no property content-type"));
    EXPECT_THAT(error({"-D", "publsh", "content-type", "x"}), HasSubstr("did you mean publish?"));
    EXPECT_THAT(error({"-D", "publish", "contenttype", "x"}),
                HasSubstr("did you mean content-type?"));
    EXPECT_THAT(error({"-D", "publish", "content-type", "\xff"}), HasSubstr("UTF-8"));
    EXPECT_THAT(error({"-D", "publish", "user-property", "name"}),
                HasSubstr("the user property's value is missing"));
    EXPECT_TRUE(connection(
        {"-D", "connect", "user-property", "a", "1", "-D", "connect", "user-property", "a", "2"}));
}

}  // namespace
}  // namespace stentor::tools
