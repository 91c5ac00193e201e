// Paho C++: what becomes of sessions, messages in flight and wills when connections end, in both
// versions.

#include "tests/scenario/paho/paho_scenario.hpp"
#include "tests/scenario/paho/relay.hpp"

#include <map>
#include <string>
#include <vector>

namespace stentor::scenario {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class Sessions : public PahoScenario {
  protected:
    /// Through the network that a test can interrupt.
    [[nodiscard]] std::unique_ptr<Client> through_relay(const ClientOptions& options) {
        auto client = std::make_unique<Client>(relay.port(), options);
        client->connect();
        return client;
    }

    /// All messages up to one on "end".
    [[nodiscard]] static std::vector<std::string> until_end(Client& subscriber) {
        std::vector<std::string> texts;
        for (auto message = subscriber.receive(); message->get_topic() != "end";
             message = subscriber.receive()) {
            texts.push_back(text(message));
        }
        return texts;
    }

    Relay relay{broker.port()};
};

INSTANTIATE_TEST_SUITE_P(Paho,
                         Sessions,
                         ::testing::Values(Setting{1, MQTTVERSION_3_1_1},
                                           Setting{2, MQTTVERSION_3_1_1},
                                           Setting{5, MQTTVERSION_3_1_1},
                                           Setting{1, MQTTVERSION_5},
                                           Setting{2, MQTTVERSION_5},
                                           Setting{5, MQTTVERSION_5}),
                         name_of);

TEST_P(Sessions, AKeptSessionReceivesWhatWasPublishedMeanwhile) {
    const auto publisher = connected("publisher");
    Client subscriber{broker.port(), kept("subscriber")};
    EXPECT_FALSE(subscriber.connect());
    subscriber.subscribe("a/+", 2);
    subscriber.disconnect();

    publisher->publish("a/1", "first", 1);
    publisher->publish("a/2", "second", 1);
    publisher->publish("a/3", "third", 2);  // handed out by Paho at PUBREL, so expected last

    EXPECT_TRUE(subscriber.connect());
    EXPECT_THAT(subscriber.receive(3), ElementsAre("a/1 first", "a/2 second", "a/3 third"));
    publisher->publish("a/4", "live", 1);
    EXPECT_EQ(text(subscriber.receive()), "a/4 live");
}

TEST_P(Sessions, ACleanStartForgets) {
    const auto publisher = connected("publisher");
    Client subscriber{broker.port(), kept("subscriber")};
    subscriber.connect();
    subscriber.subscribe("a", 1);
    subscriber.disconnect();
    publisher->publish("a", "forgotten", 1);

    EXPECT_FALSE(subscriber.connect(true));
    publisher->publish("a", "not subscribed any more", 1);
    subscriber.subscribe("b", 1);
    publisher->publish("b", "end", 1);
    EXPECT_EQ(text(subscriber.receive()), "b end");
}

TEST_P(Sessions, ASessionThatIsNotKeptEndsWithItsConnection) {
    const auto publisher = connected("publisher");
    {
        const auto subscriber = connected("subscriber");
        subscriber->subscribe("a", 1);
    }
    Client subscriber{broker.port(), kept("subscriber")};
    EXPECT_FALSE(subscriber.connect());
}

TEST_P(Sessions, APublishersMessagesInFlightArriveAfterTheInterruption) {
    const auto subscriber = connected("subscriber");
    subscriber->subscribe("#", 2);
    const auto publisher = through_relay(kept("publisher"));

    // The broker has the messages, the publisher has no answer: it sends all of them again.
    relay.hold(Direction::to_client);
    for (const std::string n : {"1", "2", "3"}) {
        publisher->publish_unanswered("once", n, 2);
        publisher->publish_unanswered("least", n, 1);
    }
    EXPECT_THAT(
        subscriber->receive(6),
        UnorderedElementsAre("once 1", "least 1", "once 2", "least 2", "once 3", "least 3"));
    relay.cut();
    publisher->wait_until_lost();
    EXPECT_TRUE(publisher->connect());
    publisher->wait_until_answered();
    publisher->publish("end", "", 2);

    // QoS 1 may come twice, and in this situation does; QoS 2 never.
    EXPECT_THAT(until_end(*subscriber), ElementsAre("least 1", "least 2", "least 3"));
}

TEST_P(Sessions, ASubscribersMessagesInFlightAreSentAgain) {
    const auto publisher = connected("publisher");
    const auto subscriber = through_relay(kept("subscriber"));
    subscriber->subscribe("#", 2);

    // The subscriber has the messages, the broker has no answer.
    relay.hold(Direction::to_broker);
    for (const std::string n : {"1", "2"}) {
        publisher->publish("once", n, 2);
        publisher->publish("least", n, 1);
    }
    // In 3.1.1 Paho hands out QoS 2 at PUBREL, in 5.0 at PUBLISH.
    std::map<std::string, std::vector<std::string>> received;
    while (received["least"].size() < 2) {
        const auto message = subscriber->receive();
        received[message->get_topic()].push_back(message->get_payload_str());
    }
    relay.cut();
    subscriber->wait_until_lost();
    publisher->publish("least", "3", 1);
    EXPECT_TRUE(subscriber->connect());
    publisher->publish("end", "", 1);

    while (received["once"].size() < 2 || received["end"].empty()) {
        const auto message = subscriber->receive();
        if (message->get_topic() == "least") {
            EXPECT_EQ(message->is_duplicate(), message->get_payload_str() != "3");
        }
        received[message->get_topic()].push_back(message->get_payload_str());
    }
    EXPECT_THAT(received["once"], ElementsAre("1", "2"));
    EXPECT_THAT(received["least"], ElementsAre("1", "2", "1", "2", "3"));
}

TEST_P(Sessions, TheWillIsPublishedWhenTheConnectionBreaks) {
    const auto watcher = connected("watcher");
    watcher->subscribe("will/#", 2);
    auto options = named("mortal");
    options.will = mqtt::message{"will/mortal", "gone", 1, true};
    const auto mortal = through_relay(options);
    relay.cut();
    EXPECT_EQ(text(watcher->receive()), "will/mortal gone");
    const auto late = connected("late");
    late->subscribe("will/#", 1);
    EXPECT_TRUE(late->receive()->is_retained());
}

TEST_P(Sessions, TheWillIsForgottenAtDisconnect) {
    const auto watcher = connected("watcher");
    watcher->subscribe("#", 2);
    auto options = named("polite");
    options.will = mqtt::message{"will", "wrong", 1, false};
    connected(options)->disconnect();
    // The same identifier again: the broker has dealt with the first connection.
    connected(options)->disconnect();
    watcher->publish("end", "", 1);
    EXPECT_EQ(text(watcher->receive()), "end ");
}

TEST_P(Sessions, ASecondConnectionTakesTheSessionOver) {
    const auto publisher = connected("publisher");
    publisher->subscribe("will", 1);
    auto options = kept("subscriber");
    options.will = mqtt::message{"will", "taken over", 1, false};
    const auto first = connected(options);
    first->subscribe("a", 1);

    Client second{broker.port(), kept("subscriber")};
    EXPECT_TRUE(second.connect());
    EXPECT_EQ(first->wait_until_lost(), is_v5() ? mqtt::ReasonCode::SESSION_TAKEN_OVER : -1);
    EXPECT_EQ(text(publisher->receive()), "will taken over");
    publisher->publish("a", "for the second", 1);
    EXPECT_EQ(text(second.receive()), "a for the second");
}

TEST_P(Sessions, SilenceBeyondKeepAliveEndsTheConnection) {
    const auto watcher = connected("watcher");
    watcher->subscribe("will", 1);
    auto options = named("silent");
    options.keep_alive_seconds = 1;
    options.will = mqtt::message{"will", "silence", 1, false};
    const auto silent = through_relay(options);
    relay.hold(Direction::to_broker);  // the broker's words still arrive
    EXPECT_EQ(text(watcher->receive()), "will silence");
    EXPECT_EQ(silent->wait_until_lost(), is_v5() ? mqtt::ReasonCode::KEEP_ALIVE_TIMEOUT : -1);
}

}  // namespace
}  // namespace stentor::scenario
