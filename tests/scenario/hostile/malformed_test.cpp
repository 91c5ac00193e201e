// Peers that do not speak MQTT, or speak it wrongly. What exactly each violation is answered with
// is the business of tests/conformance; here the broker only has to survive all of them.

#include "base/random.hpp"
#include "tests/scenario/hostile/hostile_scenario.hpp"

#include <string>
#include <utility>
#include <vector>

namespace stentor::scenario {
namespace {

using namespace std::string_literals;

class Malformed : public HostileScenario {
  protected:
    [[nodiscard]] RawClient opened(Version version, const std::string& id = "bad") const {
        RawClient client{broker.port()};
        client.open({.id = id, .version = version});
        return client;
    }
    [[nodiscard]] RawClient watcher() const {
        RawClient client = opened(Version::v5, "watcher");
        client.send(subscribe(Version::v5, "#", 1));
        client.receive(9);
        return client;
    }
};

INSTANTIATE_TEST_SUITE_P(Hostile, Malformed, ::testing::Values(1, 2, 5), shards_of);

TEST_P(Malformed, RandomOctets) {
    const std::uint64_t seed = random_seed();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random{seed};
    for (int i = 0; i < 300; ++i) {
        RawClient client{broker.port()};
        if (random.chance(1, 2)) client.open({.id = "random", .version = Version::v5});
        std::string octets(random.between(1, 2000), '\0');
        for (char& octet : octets) octet = static_cast<char>(random.below(256));
        client.send(octets);
        client.finish_sending();
        client.receive_rest();
    }
}

TEST_P(Malformed, PacketsCutOffAtEveryLength) {
    const std::vector<Octets> packets{
        subscribe(Version::v5, "a/+/b", 1),
        publish(Version::v5, "bystander/cut", "payload", 2),
        publish(Version::v5, "bystander/cut", std::string(200, 'x'), 0),
        packet(0x62, u16(1) + "\x92\0"s),
        packet(0xE0, "\x04\x05\x11\0\0\0\x01"s),
        packet(0xF0, "\x18\x08\x15\0\x05token"s),
    };
    const Octets hello = connect({.id = "cut", .will_topic = "will"});
    for (std::size_t length = 0; length < hello.size(); ++length) {
        RawClient client{broker.port()};
        client.send(hello.substr(0, length));
        client.finish_sending();
        EXPECT_EQ(client.receive_rest(), "") << "CONNECT, " << length << " octets";
    }
    for (const Octets& whole : packets) {
        for (std::size_t length = 1; length < whole.size(); ++length) {
            RawClient client = opened(Version::v5);
            client.send(whole.substr(0, length));
            client.finish_sending();
            EXPECT_EQ(client.receive_rest(), "")
                << "type " << (static_cast<unsigned char>(whole[0]) >> 4U) << ", " << length;
        }
    }
}

TEST_P(Malformed, BodiesShorterThanTheirContent) {
    const Octets whole = publish(Version::v5, "bystander/cut", "", 2);
    for (std::size_t size = 0; size < whole.size() - 2; ++size) {
        RawClient client = opened(Version::v5);
        client.send(packet(0x34, whole.substr(2, size)));
        const auto answer = client.receive();
        ASSERT_TRUE(answer) << size;
        EXPECT_EQ(answer->type(), 14U) << size;
        EXPECT_EQ(client.receive_rest(), "") << size;
    }
}

TEST_P(Malformed, OtherProtocols) {
    const std::vector<std::string> greetings{
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s + std::string(505, 'x'),
        "SSH-2.0-OpenSSH_9.2\r\n",
        connect({.id = "bad", .protocol_name = "MQIsdp", .level = 3}),
        connect({.id = "bad", .protocol_name = "mqtt"}),
        connect({.id = "bad", .protocol_name = ""}),
        connect({.id = "bad", .level = 6}),
        connect({.id = "bad", .level = 0xFF}),
        pingreq(),
        publish(Version::v311, "bystander/a", "before CONNECT"),
    };
    for (const auto& greeting : greetings) {
        RawClient client{broker.port()};
        client.send(greeting);
        const auto answer = client.receive();
        if (!answer) continue;
        EXPECT_EQ(answer->type(), 2U) << "only CONNACK may answer: " << greeting;
        EXPECT_NE(answer->body.at(1), 0) << greeting;
        EXPECT_EQ(client.receive_rest(), "") << greeting;
    }
}

// The reason in the DISCONNECT that comes, with whatever Reason String, before the close.
int disconnect_reason(RawClient& client) {
    const auto answer = client.receive();
    if (!answer || answer->type() != 14U || client.receive_rest() != "") return -1;
    return static_cast<std::uint8_t>(answer->body.at(0));
}

TEST_P(Malformed, AGiantLengthIsRefusedBeforeItsBody) {
    const std::size_t before = broker.resident_bytes();
    for (int i = 0; i < 100; ++i) {
        RawClient connects{broker.port()};
        connects.send("\x10\xFF\xFF\xFF\x7F");
        EXPECT_EQ(connects.receive_rest(), "");
        RawClient publishes = opened(Version::v5);
        publishes.send("\x30\xFF\xFF\xFF\x7F");
        EXPECT_EQ(disconnect_reason(publishes), 0x95);
        RawClient endless = opened(Version::v5);
        endless.send("\x30\xFF\xFF\xFF\xFF\x01");
        EXPECT_EQ(disconnect_reason(endless), 0x81);
        RawClient old = opened(Version::v311);
        old.send("\x30\xFF\xFF\xFF\x7F");
        EXPECT_EQ(old.receive_rest(), "");
    }
    EXPECT_LT(broker.resident_bytes(), before + 64 * kMiB);
}

TEST_P(Malformed, ForbiddenTopicsAndText) {
    RawClient watches = watcher();
    const std::vector<std::string> topics{
        "a/#",
        "#",
        "a/+/b",
        "+",
        "",
        "a\0b"s,
        "\xC0\x80",
        "\xED\xA0\x80",
        "\xF4\x90\x80\x80",
        "\xFF",
        "a\x80",
        "\xE2\x82",
        "\xF0\x9F\x98",
    };
    for (const auto& topic : topics) {
        for (const unsigned qos : {0U, 1U, 2U}) {
            RawClient old = opened(Version::v311);
            old.send(publish(Version::v311, topic, "bad", qos));
            EXPECT_EQ(old.receive_rest(), "") << topic;

            RawClient client = opened(Version::v5);
            client.send(publish(Version::v5, topic, "bad", qos));
            const auto answer = client.receive();
            ASSERT_TRUE(answer) << topic;
            EXPECT_EQ(answer->type(), 14U) << topic;
            EXPECT_EQ(client.receive_rest(), "") << topic;
        }
        RawClient with_will{broker.port()};
        with_will.send(connect({.id = "bad", .will_topic = topic.empty() ? "#" : topic}));
        const auto refusal = with_will.receive();
        EXPECT_TRUE(!refusal || refusal->body.at(1) != 0) << topic;
    }
    expect_undisturbed();
    EXPECT_EQ(watches.receive(3).body.substr(2, 11), "bystander/a");
}

TEST_P(Malformed, ForbiddenFilters) {
    const std::vector<std::string> filters{
        "",
        "a/#/b",
        "a#",
        "#/a",
        "a+",
        "+a/b",
        "a\0b"s,
        "\xED\xA0\x80",
        "$share/g",
        "$share//a/b",
        "$share/g/",
        "$share/+/a",
        "$share/a#/b",
    };
    for (const auto& filter : filters) {
        RawClient old = opened(Version::v311);
        old.send(subscribe(Version::v311, filter, 1));
        const auto refusal = old.receive();
        EXPECT_TRUE(!refusal || refusal->body == u16(1) + "\x80") << filter;

        RawClient client = opened(Version::v5);
        client.send(subscribe(Version::v5, filter, 1));
        const auto answer = client.receive();
        ASSERT_TRUE(answer) << filter;
        const auto reason = static_cast<unsigned char>(answer->type() == 9 ? answer->body.back()
                                                                           : answer->body.at(0));
        EXPECT_GE(reason, 0x80U) << filter;
    }
}

}  // namespace
}  // namespace stentor::scenario
