// Paho C++: what only MQTT 5.0 has.

#include "tests/scenario/paho/paho_scenario.hpp"
#include "tests/scenario/paho/relay.hpp"

#include <string>
#include <vector>

namespace stentor::scenario {
namespace {

using mqtt::property;
using mqtt::subscribe_options;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class V5 : public PahoScenario {
  protected:
    [[nodiscard]] static mqtt::message with(mqtt::message message,
                                            std::vector<property> properties) {
        mqtt::properties list;
        for (auto& each : properties) list.add(each);
        message.set_properties(std::move(list));
        return message;
    }
    [[nodiscard]] static mqtt::properties subscription_identifier(int id) {
        mqtt::properties list;
        list.add({property::SUBSCRIPTION_IDENTIFIER, id});
        return list;
    }
    [[nodiscard]] static std::vector<int> subscription_identifiers(
        const mqtt::const_message_ptr& message) {
        const auto& list = message->get_properties();
        std::vector<int> ids;
        for (std::size_t i = 0; i < list.count(property::SUBSCRIPTION_IDENTIFIER); ++i) {
            ids.push_back(mqtt::get<int>(list, property::SUBSCRIPTION_IDENTIFIER, i));
        }
        return ids;
    }
    /// A second of the broker's time, seen as a delayed will: what was to expire within it has.
    void let_a_second_pass() {
        const auto watcher = connected("watcher of time");
        watcher->subscribe("$second", 1);
        Relay relay{broker.port()};
        auto options = kept("clock");
        options.will = mqtt::message{"$second", "", 1, false};
        options.will_delay_seconds = 1;
        Client clock{relay.port(), options};
        clock.connect();
        relay.cut();
        watcher->receive();
        clock.wait_until_lost();
    }
};

INSTANTIATE_TEST_SUITE_P(Paho, V5, ::testing::Values(Setting{1}, Setting{2}, Setting{5}), name_of);

TEST_P(V5, PropertiesArriveUntouched) {
    const auto publisher = connected("publisher");
    const auto subscriber = connected("subscriber");
    subscriber->subscribe("a", 1);
    publisher->publish(with({"a", "x", 1, false},
                            {{property::CONTENT_TYPE, "text/plain"},
                             {property::PAYLOAD_FORMAT_INDICATOR, 1},
                             {property::USER_PROPERTY, "z", "1"},
                             {property::USER_PROPERTY, "a", "2"},
                             {property::USER_PROPERTY, "z", "3"}}));
    const auto message = subscriber->receive();
    const auto& properties = message->get_properties();
    EXPECT_EQ(mqtt::get<std::string>(properties, property::CONTENT_TYPE), "text/plain");
    EXPECT_EQ(mqtt::get<int>(properties, property::PAYLOAD_FORMAT_INDICATOR), 1);
    std::vector<std::string> user;
    for (std::size_t i = 0; i < properties.count(property::USER_PROPERTY); ++i) {
        const auto [name, value] =
            mqtt::get<mqtt::string_pair>(properties, property::USER_PROPERTY, i);
        user.push_back(name + '=' + value);
    }
    EXPECT_THAT(user, ElementsAre("z=1", "a=2", "z=3"));
}

TEST_P(V5, RequestAndResponse) {
    const auto server = connected("server");
    const auto client = connected("client");
    server->subscribe("request", 1);
    client->subscribe("response/client", 1);
    const std::string correlation{"\0\1\xFE", 3};
    client->publish(with({"request", "2+2", 1, false},
                         {{property::RESPONSE_TOPIC, "response/client"},
                          {property::CORRELATION_DATA, correlation}}));
    const auto request = server->receive();
    const auto& properties = request->get_properties();
    server->publish(
        with({mqtt::get<std::string>(properties, property::RESPONSE_TOPIC), "4", 1, false},
             {{property::CORRELATION_DATA,
               mqtt::get<std::string>(properties, property::CORRELATION_DATA)}}));
    const auto response = client->receive();
    EXPECT_EQ(text(response), "response/client 4");
    EXPECT_EQ(mqtt::get<std::string>(response->get_properties(), property::CORRELATION_DATA),
              correlation);
}

TEST_P(V5, TheIdentifiersOfAllMatchingSubscriptionsComeWithOneMessage) {
    const auto publisher = connected("publisher");
    const auto subscriber = connected("subscriber");
    subscriber->subscribe("a/#", 0, {}, subscription_identifier(1));
    subscriber->subscribe("a/b", 1, {}, subscription_identifier(268'435'455));
    subscriber->subscribe("+/b", 2);
    publisher->publish("a/b", "x", 2);
    publisher->publish("a/c", "x", 2);
    const auto both = subscriber->receive();
    EXPECT_THAT(subscription_identifiers(both), UnorderedElementsAre(1, 268'435'455));
    EXPECT_EQ(both->get_qos(), 2);
    EXPECT_THAT(subscription_identifiers(subscriber->receive()), ElementsAre(1));
}

TEST_P(V5, SubscriptionOptions) {
    const auto publisher = connected("publisher");
    const auto subscriber = connected("subscriber");
    publisher->publish("a", "old", 1, true);

    subscriber->subscribe("a",
                          1,
                          subscribe_options{subscribe_options::SUBSCRIBE_NO_LOCAL,
                                            subscribe_options::RETAIN_AS_PUBLISHED,
                                            subscribe_options::DONT_SEND_RETAINED});
    subscriber->publish("a", "mine", 1);
    publisher->publish("a", "kept", 1, true);
    const auto kept = subscriber->receive();
    EXPECT_EQ(text(kept), "a kept");
    EXPECT_TRUE(kept->is_retained());

    const subscribe_options only_when_new{subscribe_options::SUBSCRIBE_LOCAL,
                                          subscribe_options::NO_RETAIN_AS_PUBLISHED,
                                          subscribe_options::SEND_RETAINED_ON_NEW};
    subscriber->subscribe("b", 1, only_when_new);
    publisher->publish("b", "live", 1, true);
    EXPECT_EQ(text(subscriber->receive()), "b live");
    subscriber->subscribe("b", 1, only_when_new);
    publisher->publish("b", "not the retained one", 1);
    EXPECT_EQ(text(subscriber->receive()), "b not the retained one");
}

TEST_P(V5, AnEmptyClientIdentifierIsReplaced) {
    const auto first = connected("");
    const auto second = connected("");
    const auto id = [](const Client& client) {
        return mqtt::get<std::string>(client.connack(), property::ASSIGNED_CLIENT_IDENTIFER);
    };
    EXPECT_NE(id(*first), "");
    EXPECT_NE(id(*first), id(*second));
}

TEST_P(V5, AnExpiredMessageIsNotDelivered) {
    const auto publisher = connected("publisher");
    Client subscriber{broker.port(), kept("subscriber")};
    subscriber.connect();
    subscriber.subscribe("a/#", 1);
    subscriber.disconnect();

    const property second{property::MESSAGE_EXPIRY_INTERVAL, 1};
    publisher->publish(with({"a/short", "x", 1, true}, {second}));
    publisher->publish(with({"a/long", "x", 1, true}, {{property::MESSAGE_EXPIRY_INTERVAL, 1000}}));
    let_a_second_pass();

    subscriber.connect();
    const auto message = subscriber.receive();
    EXPECT_EQ(text(message), "a/long x");
    EXPECT_THAT(mqtt::get<int>(message->get_properties(), property::MESSAGE_EXPIRY_INTERVAL),
                ::testing::AllOf(::testing::Ge(900), ::testing::Le(999)));

    const auto late = connected("late");
    late->subscribe("a/#", 1);
    EXPECT_EQ(text(late->receive()), "a/long x");
}

TEST_P(V5, ADelayedWillIsCancelledByTheClientsReturn) {
    Relay relay{broker.port()};
    const auto watcher = connected("watcher");
    watcher->subscribe("#", 1);
    auto options = kept("mortal");
    options.will = mqtt::message{"will", "wrong", 1, false};
    options.will_delay_seconds = 1;
    Client mortal{relay.port(), options};
    mortal.connect();
    relay.cut();
    mortal.wait_until_lost();
    EXPECT_TRUE(mortal.connect());

    // The same delay somewhere else is over: so would be the first.
    auto other = kept("other");
    other.will = mqtt::message{"will", "right", 1, false};
    other.will_delay_seconds = 1;
    Relay other_relay{broker.port()};
    Client second{other_relay.port(), other};
    second.connect();
    other_relay.cut();
    EXPECT_EQ(text(watcher->receive()), "will right");
}

TEST_P(V5, ASessionExpiresAndItsDelayedWillIsPublished) {
    Relay relay{broker.port()};
    const auto watcher = connected("watcher");
    watcher->subscribe("will", 1);
    auto options = kept("mortal");
    options.session_expiry_seconds = 1;
    options.will = mqtt::message{"will", "session has ended", 1, false};
    options.will_delay_seconds = 3600;  // whatever comes first: the end of the session
    Client mortal{relay.port(), options};
    mortal.connect();
    mortal.subscribe("a", 1);
    relay.cut();
    mortal.wait_until_lost();
    EXPECT_EQ(text(watcher->receive()), "will session has ended");
    EXPECT_FALSE(mortal.connect());
}

TEST_P(V5, TheBrokerSaysWhyItCloses) {
    const auto too_large = connected("too large");
    too_large->publish_unanswered("a", std::string(1'200'000, 'x'), 1);
    EXPECT_EQ(too_large->wait_until_lost(), mqtt::ReasonCode::PACKET_TOO_LARGE);

    const auto last = connected("last");
    broker.process().terminate();
    EXPECT_EQ(last->wait_until_lost(), mqtt::ReasonCode::SERVER_SHUTTING_DOWN);
}

}  // namespace
}  // namespace stentor::scenario
