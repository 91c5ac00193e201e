// Paho C++: who receives what, in both versions.

#include "base/clock.hpp"
#include "tests/scenario/paho/paho_scenario.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace stentor::scenario {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::UnorderedElementsAre;

class Exchange : public PahoScenario {};

INSTANTIATE_TEST_SUITE_P(Paho,
                         Exchange,
                         ::testing::Values(Setting{1, MQTTVERSION_3_1_1},
                                           Setting{2, MQTTVERSION_3_1_1},
                                           Setting{5, MQTTVERSION_3_1_1},
                                           Setting{1, MQTTVERSION_5},
                                           Setting{2, MQTTVERSION_5},
                                           Setting{5, MQTTVERSION_5}),
                         name_of);

TEST_P(Exchange, TheLowerQosOfPublisherAndSubscriberCounts) {
    const auto publisher = connected("publisher");
    for (const int granted : {0, 1, 2}) {
        const auto subscriber = connected("subscriber");
        EXPECT_EQ(subscriber->subscribe("a", granted), granted);
        for (const int sent : {0, 1, 2}) {
            publisher->publish("a", std::to_string(sent), sent);
            const auto message = subscriber->receive();
            EXPECT_EQ(text(message), "a " + std::to_string(sent));
            EXPECT_EQ(message->get_qos(), std::min(sent, granted));
            EXPECT_FALSE(message->is_retained());
            EXPECT_FALSE(message->is_duplicate());
        }
    }
}

TEST_P(Exchange, WildcardsMatchWholeLevelsAndNoDollarTopics) {
    const auto publisher = connected("publisher");
    const std::vector<std::string> topics{"a", "a/b", "a/b/c", "/a", "b/a", "$private/a", "end"};
    const std::map<std::string, std::vector<std::string>> expected{
        {"#", {"a x", "a/b x", "a/b/c x", "/a x", "b/a x", "end x"}},
        {"+", {"a x", "end x"}},
        {"+/a", {"/a x", "b/a x", "end x"}},
        {"a/#", {"a x", "a/b x", "a/b/c x", "end x"}},
        {"a/+", {"a/b x", "end x"}},
        {"+/+/#", {"a/b x", "a/b/c x", "/a x", "b/a x", "end x"}},
        {"$private/+", {"$private/a x", "end x"}},
    };
    std::map<std::string, std::unique_ptr<Client>> subscribers;
    for (const auto& [filter, messages] : expected) {
        auto& subscriber = subscribers[filter] = connected("for " + filter);
        subscriber->subscribe("end", 1);
        subscriber->subscribe(filter, 1);
    }
    for (const auto& topic : topics) publisher->publish(topic, "x", 1);
    for (const auto& [filter, messages] : expected) {
        EXPECT_EQ(subscribers[filter]->receive(messages.size()), messages) << filter;
    }
}

TEST_P(Exchange, OverlappingSubscriptionsDeliverOnceWithTheHighestQos) {
    const auto publisher = connected("publisher");
    const auto subscriber = connected("subscriber");
    subscriber->subscribe("a/#", 0);
    subscriber->subscribe("a/b", 2);
    subscriber->subscribe("+/b", 1);
    publisher->publish("a/b", "first", 2);
    publisher->publish("a/b", "second", 2);
    for (const std::string wanted : {"a/b first", "a/b second"}) {
        const auto message = subscriber->receive();
        EXPECT_EQ(text(message), wanted);
        EXPECT_EQ(message->get_qos(), 2);
    }
    subscriber->unsubscribe("a/b");
    publisher->publish("a/b", "third", 2);
    const auto message = subscriber->receive();
    EXPECT_EQ(text(message), "a/b third");
    EXPECT_EQ(message->get_qos(), 1);
}

TEST_P(Exchange, RetainedMessagesAreForNewSubscriptions) {
    const auto publisher = connected("publisher");
    publisher->publish("kept/a", "old", 1, true);
    publisher->publish("kept/a", "new", 2, true);
    publisher->publish("kept/b", "other", 0, true);
    publisher->publish("kept/c", "gone", 1, true);
    publisher->publish("kept/c", "", 1, true);

    const auto subscriber = connected("subscriber");
    subscriber->subscribe("kept/#", 1);
    std::vector<std::string> texts;
    for (int i = 0; i < 2; ++i) {
        const auto message = subscriber->receive();
        EXPECT_TRUE(message->is_retained()) << text(message);
        texts.push_back(text(message));
    }
    EXPECT_THAT(texts, UnorderedElementsAre("kept/a new", "kept/b other"));

    publisher->publish("kept/a", "live", 1, true);
    const auto live = subscriber->receive();
    EXPECT_EQ(text(live), "kept/a live");
    EXPECT_FALSE(live->is_retained());
}

TEST_P(Exchange, AMemberOfASharedSubscriptionReceivesEachMessageAlone) {
    constexpr std::size_t kMessages = 60;
    const auto publisher = connected("publisher");
    std::vector<std::unique_ptr<Client>> members;
    for (const std::string id : {"one", "two", "three"}) {
        members.push_back(connected(id));
        EXPECT_EQ(members.back()->subscribe("$share/group/work/+", 1), 1);
        members.back()->subscribe("end", 1);
    }
    const auto whole = connected("whole");
    whole->subscribe("work/+", 1);

    std::vector<std::string> sent;
    for (std::size_t i = 0; i < kMessages; ++i) {
        const std::string number = std::to_string(i);
        publisher->publish_unanswered("work/a", number, i % 2 == 0 ? 1 : 2);
        sent.push_back("work/a " + number);
    }
    publisher->wait_until_answered();
    EXPECT_EQ(whole->receive(kMessages), sent);
    // Shares come by way of another shard: "end" might be there first.
    const auto until = monotonic_now() + kit::kPatience;
    const auto have_come = [&] {
        std::size_t messages = 0;
        for (const auto& member : members) messages += member->waiting();
        return messages;
    };
    while (have_come() < kMessages && monotonic_now() < until) {
        publisher->publish("nobody/listens", "", 1);
    }

    publisher->publish("end", "", 1);
    std::vector<std::string> received;
    for (const auto& member : members) {
        std::size_t share = 0;
        for (auto message = member->receive(); message->get_topic() != "end";
             message = member->receive()) {
            received.push_back(text(message));
            ++share;
        }
        EXPECT_GT(share, 0U) << "a member that never gets its turn";
    }
    EXPECT_THAT(received, ::testing::UnorderedElementsAreArray(sent));
}

TEST_P(Exchange, EveryPublishersOrderIsKept) {
    constexpr int kPublishers = 4;
    constexpr int kMessages = 100;
    const auto subscriber = connected("subscriber");
    for (const int qos : {0, 1, 2}) {
        subscriber->subscribe("order/" + std::to_string(qos) + "/+", qos);
    }
    std::vector<std::unique_ptr<Client>> publishers;
    for (int i = 0; i < kPublishers; ++i) publishers.push_back(connected(std::to_string(i)));
    for (int n = 0; n < kMessages; ++n) {
        for (int i = 0; i < kPublishers; ++i) {
            for (const std::string qos : {"0", "1", "2"}) {
                publishers[static_cast<std::size_t>(i)]->publish_unanswered(
                    "order/" + qos + '/' + std::to_string(i), std::to_string(n), std::stoi(qos));
            }
        }
    }
    std::map<std::string, int> next;
    for (int n = 0; n < kMessages * kPublishers * 3; ++n) {
        const auto message = subscriber->receive();
        EXPECT_EQ(message->get_payload_str(), std::to_string(next[message->get_topic()]++))
            << message->get_topic();
    }
    EXPECT_EQ(next.size(), kPublishers * 3U);
    for (const auto& publisher : publishers) publisher->wait_until_answered();
}

TEST_P(Exchange, LargeAndEmptyAndBinaryPayloads) {
    const auto publisher = connected("publisher");
    const auto subscriber = connected("subscriber");
    subscriber->subscribe("#", 2);
    std::string binary;
    for (int i = 0; i < 1024; ++i) binary.push_back(static_cast<char>(i));
    const std::vector<std::string> payloads{"", std::string(1'000'000, 'x'), binary};
    for (const auto& payload : payloads) {
        for (const int qos : {0, 1, 2}) {
            publisher->publish("a", payload, qos);
            EXPECT_EQ(subscriber->receive()->get_payload_str(), payload);
        }
    }
}

}  // namespace
}  // namespace stentor::scenario
