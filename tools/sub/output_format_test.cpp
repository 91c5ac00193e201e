#include "tools/sub/output_format.hpp"

#include "protocol/codec/property_writer.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace stentor::tools {
namespace {

using namespace std::chrono_literals;

// 2016-08-10T08:47:38 UTC
constexpr WallTime kAt{1470818858s + 786'368'637ns};

class OutputFormatTest : public ::testing::Test {
  protected:
    void SetUp() override {
        ::setenv("TZ", "CET-1", 1);
        ::tzset();
        writer.number(mqtt::Property::payload_format_indicator, 1);
        writer.number(mqtt::Property::message_expiry_interval, 100);
        writer.text(mqtt::Property::content_type, "text/plain");
        writer.text(mqtt::Property::response_topic, "resp");
        writer.binary(mqtt::Property::correlation_data, as_bytes("cd"));
        writer.user("k1", "v1");
        writer.user("k2", "v2");
        writer.number(mqtt::Property::subscription_identifier, 7);
        rich.properties =
            *mqtt::parse_properties(writer.bytes(), mqtt::PropertyContext::publish_to_client);
        rich.topic = "a/bcdefgh";
        rich.payload = as_bytes("h\"e\\l/lo");
        rich.qos = mqtt::QoS::exactly_once;
        rich.packet_id = PacketId{1};
        plain.topic = "a/b";
        plain.payload = as_bytes("on");
        plain.retain = true;
    }

    static std::string print(const OutputFormat& format, const mqtt::PublishView& message) {
        std::string out;
        return format.print(message, kAt, out) ? out : "<refused>" + out;
    }
    static std::string print(std::string_view text, const mqtt::PublishView& message) {
        const auto format = OutputFormat::parse(text, JsonStyle::compact);
        return format ? print(*format, message) : "<bad format>";
    }

    mqtt::PropertyWriter writer;
    mqtt::PublishView rich;
    mqtt::PublishView plain;
};

TEST_F(OutputFormatTest, EveryParameter) {
    EXPECT_EQ(print("%A|%C|%D|%E|%F|%l|%m|%P|%p|%q|%R|%r|%S|%t|%x|%X|%%", rich),
              "|text/plain|cd|100|1|8|1|k1:v1 k2:v2|h\"e\\l/lo|2|resp|0|7|a/bcdefgh|"
              "6822655c6c2f6c6f|6822655C6C2F6C6F|%");
    EXPECT_EQ(print("%A|%C|%D|%E|%F|%l|%m|%P|%p|%q|%R|%r|%S|%t|%x|%X", plain),
              "|||||2|0||on|0||1||a/b|6f6e|6F6E");
}

TEST_F(OutputFormatTest, WidthsAndFlagsAsMosquittoPrintsThem) {
    EXPECT_EQ(print("%10t|%-10t|%010l|%.3t|%5.2t", rich),
              " a/bcdefgh|a/bcdefgh |0000000008|a/b|   a/");
    EXPECT_EQ(print("%5A|%-5C|%05C|%.2C|%05E|%-5E|%3F|%03F|%6m|%06m", rich),
              "     |text/plain|text/plain|te|00100|100  |  1|001|     1|000001");
    EXPECT_EQ(print("%10R|%-10R|%.2R|%5S|%05S|%-03l|%04q|%5r", rich),
              "      resp|resp      |re|    7|00007|8  |2|0");
    EXPECT_EQ(print("%30I|%.10I", rich), "      2016-08-10T09:47:38+0100|2016-08-10");
    EXPECT_EQ(print("%6p|%-6p|%8x|%08X|%.1p", plain), "    on|on    |    6f6e|00006F6E|on");
}

TEST_F(OutputFormatTest, TimesAndEscapes) {
    EXPECT_EQ(
        print("%I %U @Y-@m @s.@N @@ \\\\ \\t\\n", plain),
        "2016-08-10T09:47:38+0100 1470818858.786368637 2016-08 1470818858.786368637 @ \\ \t\n");
    EXPECT_EQ(print("\\0\\a\\e\\r\\v", plain), (std::string{'\0', '\a', '\033', '\r', '\v'}));
}

TEST_F(OutputFormatTest, Json) {
    EXPECT_EQ(
        print("%j", rich),
        R"({"tst":"2016-08-10T09:47:38.786368+0100","topic":"a/bcdefgh","qos":2,"retain":0,)"
        R"("payloadlen":8,"mid":1,"properties":{"payload-format-indicator":1,)"
        R"("message-expiry-interval":100,"content-type":"text/plain","response-topic":"resp",)"
        R"("correlation-data":"cd","user-properties":{"k1":"v1","k2":"v2"},)"
        R"("subscription-identifiers":[7]},"payload":"h\"e\\l/lo"})");
    EXPECT_EQ(print("<%J>", rich), "<refused>");
    plain.payload = as_bytes(" {\"x\": [1, 2.5]} ");
    EXPECT_EQ(print("%J", plain),
              R"({"tst":"2016-08-10T09:47:38.786368+0100","topic":"a/b","qos":0,"retain":1,)"
              R"("payloadlen":17,"payload":{"x":[1,2.5]}})");
    const auto pretty = OutputFormat::parse("%j", JsonStyle::pretty);
    plain.payload = {};
    EXPECT_EQ(print(*pretty, plain),
              "{\n  \"tst\": \"2016-08-10T09:47:38.786368+0100\",\n  \"topic\": \"a/b\",\n"
              "  \"qos\": 0,\n  \"retain\": 1,\n  \"payloadlen\": 0,\n  \"payload\": null\n}");
}

TEST_F(OutputFormatTest, JsonKeepsBinaryPayloadsApart) {
    plain.payload = as_bytes(std::string_view{"\xff\x00\x01", 3});
    EXPECT_NE(print(OutputFormat::json(JsonStyle::compact), plain)
                  .find(R"("payload":"/wAB","payload_encoding":"base64"})"),
              std::string::npos);
    EXPECT_NE(print("%j", plain).find(R"("payload":"\ufffd\u0000\u0001")"), std::string::npos);
}

TEST_F(OutputFormatTest, JsonKeepsCorrelationDataAndRepeatedUserProperties) {
    mqtt::PropertyWriter properties;
    properties.binary(mqtt::Property::correlation_data, as_bytes(std::string_view{"\xff\x00", 2}));
    properties.user("k\"", "v\\");
    properties.user("a", "1");
    properties.user("k\"", "2");
    plain.properties =
        *mqtt::parse_properties(properties.bytes(), mqtt::PropertyContext::publish_to_client);
    EXPECT_EQ(print(OutputFormat::json(JsonStyle::compact), plain),
              R"({"tst":"2016-08-10T09:47:38.786368+0100","topic":"a/b","qos":0,"retain":1,)"
              R"("payloadlen":2,"properties":{"correlation-data":"/wA=",)"
              R"("correlation-data_encoding":"base64",)"
              R"("user-properties":[["k\"","v\\"],["a","1"],["k\"","2"]]},"payload":"on"})");
    // What is text stays text.
    const auto text = print(OutputFormat::json(JsonStyle::compact), rich);
    EXPECT_NE(text.find(R"("correlation-data":"cd","user-properties":[["k1","v1"],["k2","v2"]])"),
              std::string::npos)
        << text;
    // And %j is Mosquitto's.
    EXPECT_NE(print("%j", plain).find(R"("correlation-data":"\ufffd\u0000",)"), std::string::npos);
}

TEST_F(OutputFormatTest, MistakesAreRefused) {
    for (const auto* format : {"%", "%5", "%0", "%..t", "%y", "x\\q", "x\\", "x@", "%j%"}) {
        EXPECT_FALSE(OutputFormat::parse(format, JsonStyle::compact)) << format;
    }
}

}  // namespace
}  // namespace stentor::tools
