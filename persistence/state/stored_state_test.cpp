#include "persistence/state/stored_state.hpp"

#include "base/random.hpp"
#include "persistence/contract/samples.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

using samples::attached;
using samples::delivered;
using samples::logged;
using samples::retained;
using samples::subscribed;
using samples::unfinished;
using testing::ElementsAre;
using testing::IsEmpty;

WillRecord will(std::string_view topic) {
    return {.message = samples::message(topic), .delay_seconds = 30};
}

Detached detached(std::string_view client, DeliveryState delivery = {}) {
    Detached record;
    record.client = client;
    record.expiry_seconds = kNeverExpires;
    record.at = Instant{Duration{5}};
    record.delivery = std::move(delivery);
    record.delivery.whole = true;
    return record;
}

Subscribed replaying(std::string_view client, std::string_view filter) {
    Subscribed record = subscribed(client, filter);
    record.subscriptions[0].replays_retained = true;
    return record;
}

RetainedReplay replay(std::string_view client,
                      std::string_view filter,
                      Seq until,
                      std::string_view next_topic,
                      DeliveryState delivery = {}) {
    RetainedReplay record;
    record.client = client;
    record.filter = filter;
    record.until = until;
    record.next_topic = next_topic;
    record.delivery = std::move(delivery);
    return record;
}

class StoredStateTest : public testing::Test {
  protected:
    Seq apply(const Record& record) {
        last_ = next(last_);
        state_.apply(last_, record);
        return last_;
    }
    const StoredSession& session(const ClientId& client = "c") {
        return state_.sessions().at(client);
    }
    const StoredSubscription& subscription(const std::string& filter) {
        for (const auto& candidate : session().subscriptions) {
            if (candidate.filter == filter) return candidate;
        }
        throw std::out_of_range{filter};
    }
    bool exists(const ClientId& client = "c") { return state_.sessions().contains(client); }
    std::string pinned(Seq seq) {
        const auto place = state_.pinned().find(seq);
        if (place == state_.pinned().end()) return "(none)";
        return std::string{as_text(place->second->payload())};
    }

    StoredState state_;
    Seq last_;
};

// --- sessions (rule 10) ---

TEST_F(StoredStateTest, ANewSessionBeginsAtItsAttach) {
    apply(logged("t"));
    Attached record = attached("c", 60);
    record.version = mqtt::ProtocolVersion::v3_1_1;
    record.user = "u";
    const Seq at = apply(record);
    EXPECT_EQ(session().client, "c");
    EXPECT_EQ(session().sent_through, at);
    EXPECT_TRUE(session().attached);
    EXPECT_FALSE(session().transient);
    EXPECT_EQ(session().expiry_seconds, 60U);
    EXPECT_EQ(session().user, "u");
    EXPECT_EQ(session().version, mqtt::ProtocolVersion::v3_1_1);
}

TEST_F(StoredStateTest, ReattachingKeepsEverything) {
    const Seq begin = apply(attached("c"));
    const Seq since = apply(subscribed("c", "t"));
    const Seq message = apply(logged("t"));
    MessageRecord inbound = logged("u");
    inbound.inbound = InboundQos2{.client = "c", .packet_id = PacketId{9}};
    apply(inbound);
    apply(detached("c", delivered("", begin, {unfinished(message, 1)})));
    EXPECT_FALSE(session().attached);
    EXPECT_EQ(session().detached_at, Instant{Duration{5}});

    apply(attached("c", 10));
    EXPECT_TRUE(session().attached);
    EXPECT_EQ(session().expiry_seconds, 10U);
    EXPECT_EQ(subscription("t").since, since);
    EXPECT_THAT(session().unfinished, ElementsAre(unfinished(message, 1)));
    EXPECT_THAT(session().inbound, ElementsAre(PacketId{9}));
    EXPECT_EQ(session().sent_through, begin);
}

TEST_F(StoredStateTest, WhatIsLostWaitsUntilItIsTold) {
    const SessionLoss lost{.messages = 7, .reason = LossReason::too_old};
    const Seq begin = apply(attached("c"));
    DeliveryState state = delivered("c", begin);
    state.loss = lost;
    apply(state);
    EXPECT_EQ(session().loss, lost);
    apply(delivered("c", begin));
    apply(detached("c", delivered("", begin)));
    apply(attached("c"));
    EXPECT_EQ(session().loss, lost) << "records that say nothing of it leave it as it is";
    state.loss = SessionLoss{};
    apply(state);
    EXPECT_EQ(session().loss, SessionLoss{});
    state.loss = lost;
    apply(state);
    Attached clean = attached("c");
    clean.discards_earlier_state = true;
    apply(clean);
    EXPECT_EQ(session().loss, SessionLoss{});
}

TEST_F(StoredStateTest, CleanStartDiscardsEverything) {
    apply(attached("c"));
    apply(subscribed("c", "t"));
    const Seq message = apply(logged("t"));
    apply(delivered("c", message, {unfinished(message, 1)}));
    Attached clean = attached("c");
    clean.discards_earlier_state = true;
    const Seq again = apply(clean);
    EXPECT_THAT(session().subscriptions, IsEmpty());
    EXPECT_THAT(session().unfinished, IsEmpty());
    EXPECT_EQ(session().sent_through, again);
    EXPECT_FALSE(state_.is_referenced(message));
}

TEST_F(StoredStateTest, ResumedWithExpiryZeroKeepsItsStateUntilClose) {
    apply(attached("c"));
    apply(subscribed("c", "t"));
    apply(detached("c"));
    apply(attached("c", 0));
    EXPECT_FALSE(session().transient);
    EXPECT_EQ(session().subscriptions.size(), 1U);
    Detached close = detached("c");
    close.expiry_seconds = 0;
    apply(close);
    EXPECT_FALSE(exists());
}

TEST_F(StoredStateTest, EndingRemovesEverything) {
    Attached record = attached("c");
    record.will = will("w");
    apply(record);
    apply(replaying("c", "t"));
    const Seq message = apply(logged("t"));
    apply(delivered("c", message, {unfinished(message, 1)}));
    apply(SessionEnded{.client = "c"});
    EXPECT_FALSE(exists());
    EXPECT_FALSE(state_.is_referenced(message));
    EXPECT_EQ(state_.message_bytes(), 0U);
}

TEST_F(StoredStateTest, RecordsOfUnknownSessionsChangeNothing) {
    apply(detached("c"));
    apply(SessionEnded{.client = "c"});
    apply(subscribed("c", "t"));
    apply(Unsubscribed{.client = "c", .filters = {"t"}});
    apply(delivered("c", Seq{1}, {unfinished(Seq{1}, 1)}));
    apply(replay("c", "t", Seq{1}, "u", delivered("", Seq{1}, {unfinished(Seq{1}, 1)})));
    apply(WillForgotten{.client = "c"});
    apply(InboundForgotten{.client = "c", .packet_id = PacketId{1}});
    MessageRecord record = logged("t");
    record.inbound = InboundQos2{.client = "c", .packet_id = PacketId{1}};
    record.fires_will_of = "c";
    apply(record);
    EXPECT_TRUE(state_.sessions().empty());
    EXPECT_FALSE(state_.is_referenced(Seq{1}));
}

// --- wills (rule 10) ---

TEST_F(StoredStateTest, AWillWaitsUntilItIsFired) {
    Attached record = attached("c");
    record.will = will("w");
    apply(record);
    Detached close = detached("c");
    close.keeps_will = true;
    apply(close);
    ASSERT_TRUE(session().will);
    EXPECT_EQ(session().will->message->topic(), "w");
    EXPECT_EQ(session().will->delay_seconds, 30U);
    MessageRecord fired = logged("w");
    fired.fires_will_of = "c";
    apply(fired);
    EXPECT_FALSE(session().will);
    EXPECT_TRUE(exists());
}

TEST_F(StoredStateTest, AWillIsReplacedOrCancelledByReattaching) {
    Attached record = attached("c");
    record.will = will("w1");
    apply(record);
    record.will = will("w2");
    apply(record);
    EXPECT_EQ(session().will->message->topic(), "w2");
    apply(attached("c"));
    EXPECT_FALSE(session().will);
    EXPECT_EQ(state_.message_bytes(), 0U);
}

TEST_F(StoredStateTest, ACleanCloseForgetsTheWill) {
    Attached record = attached("c");
    record.will = will("w");
    apply(record);
    apply(WillForgotten{.client = "c"});
    EXPECT_FALSE(session().will);
    apply(record);
    apply(detached("c"));  // keeps_will == false
    EXPECT_FALSE(session().will);
}

TEST_F(StoredStateTest, ATransientSessionIsThereForItsWillOnly) {
    Attached record = attached("c", 0);
    record.will = will("w");
    apply(record);
    EXPECT_TRUE(session().transient);
    EXPECT_EQ(needed_from(session()), std::nullopt);
    apply(WillForgotten{.client = "c"});
    EXPECT_FALSE(exists());

    apply(record);
    Detached close = detached("c");
    close.expiry_seconds = 0;
    close.keeps_will = true;
    apply(close);
    EXPECT_TRUE(session().transient);
    MessageRecord fired = logged("w");
    fired.fires_will_of = "c";
    apply(fired);
    EXPECT_FALSE(exists());
}

TEST_F(StoredStateTest, ADurableSessionAfterATransientOneIsNew) {
    Attached record = attached("c", 0);
    record.will = will("w");
    apply(record);
    const Seq again = apply(attached("c"));
    EXPECT_FALSE(session().transient);
    EXPECT_EQ(session().sent_through, again);
    EXPECT_FALSE(session().will);
}

TEST_F(StoredStateTest, ASessionThatEndsAtCloseLeavesItsKeptWill) {
    Attached record = attached("c", 60);
    record.will = will("w");
    apply(record);
    apply(subscribed("c", "t"));
    const Seq message = apply(logged("t"));
    Detached close = detached("c", delivered("", message, {unfinished(message, 1)}));
    close.expiry_seconds = 0;
    close.keeps_will = true;
    apply(close);
    EXPECT_TRUE(session().transient);
    EXPECT_TRUE(session().will);
    EXPECT_THAT(session().subscriptions, IsEmpty());
    EXPECT_FALSE(state_.is_referenced(message));
    apply(SessionEnded{.client = "c"});
    EXPECT_EQ(state_.message_bytes(), 0U);
}

// --- delivery (rules 3, 4, 5) ---

TEST_F(StoredStateTest, ADeltaAddsChangesAndRemoves) {
    apply(attached("c"));
    DeliveryState delta;
    delta.client = "c";
    delta.sent_through = Seq{10};
    delta.changed = {unfinished(Seq{10}, 2, mqtt::QoS::exactly_once), unfinished(Seq{8}, 1)};
    apply(delta);
    EXPECT_THAT(
        session().unfinished,
        ElementsAre(unfinished(Seq{8}, 1), unfinished(Seq{10}, 2, mqtt::QoS::exactly_once)));

    const Unfinished received =
        unfinished(Seq{10}, 2, mqtt::QoS::exactly_once, DeliveryPhase::received);
    delta.changed = {received};
    delta.done = {PacketId{1}};
    apply(delta);
    EXPECT_THAT(session().unfinished, ElementsAre(received));
    EXPECT_FALSE(state_.is_referenced(Seq{8}));
    EXPECT_TRUE(state_.is_referenced(Seq{10}));
}

TEST_F(StoredStateTest, AnIdentifierMayBeDoneAndUsedAgainInOneDelta) {
    apply(attached("c"));
    apply(delivered("c", Seq{10}, {unfinished(Seq{10}, 1)}));
    DeliveryState delta;
    delta.client = "c";
    delta.sent_through = Seq{11};
    delta.done = {PacketId{1}};
    delta.changed = {unfinished(Seq{11}, 1)};
    apply(delta);
    EXPECT_THAT(session().unfinished, ElementsAre(unfinished(Seq{11}, 1)));
    EXPECT_EQ(session().sent_through, Seq{11});
}

TEST_F(StoredStateTest, AWholeStateReplacesTheList) {
    apply(attached("c"));
    apply(delivered("c", Seq{10}, {unfinished(Seq{9}, 1), unfinished(Seq{10}, 2)}));
    apply(delivered("c", Seq{12}, {unfinished(Seq{10}, 2)}));
    EXPECT_THAT(session().unfinished, ElementsAre(unfinished(Seq{10}, 2)));
    EXPECT_FALSE(state_.is_referenced(Seq{9}));
}

TEST_F(StoredStateTest, SentThroughNeverGoesBack) {
    apply(attached("c"));
    apply(delivered("c", Seq{10}));
    apply(detached("c", delivered("", Seq{3})));
    EXPECT_EQ(session().sent_through, Seq{10});
}

TEST_F(StoredStateTest, InboundIdentifiersAreKeptUntilForgotten) {
    apply(attached("c"));
    MessageRecord record;
    record.message = samples::message("nobody/listens");
    record.inbound = InboundQos2{.client = "c", .packet_id = PacketId{7}};
    apply(record);
    EXPECT_THAT(session().inbound, ElementsAre(PacketId{7}));
    apply(InboundForgotten{.client = "c", .packet_id = PacketId{7}});
    EXPECT_THAT(session().inbound, IsEmpty());
}

// --- subscriptions (rule 6) ---

TEST_F(StoredStateTest, SubscribingAgainKeepsSinceAndChangesOptions) {
    apply(attached("c"));
    const Seq since = apply(subscribed("c", "t"));
    Subscribed again = subscribed("c", "t");
    again.subscriptions[0].keeps_since = true;
    again.subscriptions[0].options.qos = mqtt::QoS::at_least_once;
    again.subscriptions[0].subscription_identifier = 4;
    apply(again);
    ASSERT_EQ(session().subscriptions.size(), 1U);
    EXPECT_EQ(subscription("t").since, since);
    EXPECT_EQ(subscription("t").options.qos, mqtt::QoS::at_least_once);
    EXPECT_EQ(subscription("t").subscription_identifier, 4U);
}

TEST_F(StoredStateTest, UnsubscribingStartsAfreshAndLeavesUnfinishedAlone) {
    apply(attached("c"));
    apply(subscribed("c", "t"));
    const Seq message = apply(logged("t"));
    apply(delivered("c", message, {unfinished(message, 1)}));
    apply(Unsubscribed{.client = "c", .filters = {"t", "never"}});
    EXPECT_THAT(session().subscriptions, IsEmpty());
    EXPECT_THAT(session().unfinished, ElementsAre(unfinished(message, 1)));
    Subscribed again = subscribed("c", "t");
    again.subscriptions[0].keeps_since = true;  // there is none to keep
    const Seq fresh = apply(again);
    EXPECT_EQ(subscription("t").since, fresh);
}

TEST_F(StoredStateTest, ASessionNeedsTheLogFromItsPositionOrItsFirstSubscription) {
    const Seq begin = apply(attached("c"));
    EXPECT_EQ(needed_from(session()), std::nullopt);
    const Seq first = apply(subscribed("c", "a"));
    apply(subscribed("c", "b"));
    EXPECT_EQ(needed_from(session()), next(first));
    EXPECT_GT(first, begin);
    apply(delivered("c", Seq{50}, {unfinished(Seq{40}, 1)}));
    EXPECT_EQ(needed_from(session()), Seq{51});
}

Subscribed with_qos(mqtt::QoS qos, bool keeps_since, const std::string& filter = "t") {
    Subscribed record = subscribed("c", filter);
    record.subscriptions[0].options.qos = qos;
    record.subscriptions[0].keeps_since = keeps_since;
    return record;
}

TEST_F(StoredStateTest, SubscribingWithQos0KeepsWhatWaits) {
    apply(attached("c"));
    const Seq first = apply(with_qos(mqtt::QoS::exactly_once, false));
    apply(logged("t"));
    const Seq until = apply(with_qos(mqtt::QoS::at_most_once, true));
    const KeptSpan kept{.since = first, .until = until, .qos = mqtt::QoS::exactly_once};
    EXPECT_THAT(subscription("t").kept.all(), ElementsAre(kept));
    const Seq again = apply(with_qos(mqtt::QoS::at_least_once, false));
    EXPECT_EQ(subscription("t").since, again);
    EXPECT_EQ(needed_from(session()), next(first)) << "what waited still does";
    const Seq later = apply(with_qos(mqtt::QoS::at_most_once, true));
    const KeptSpan newer{.since = again, .until = later, .qos = mqtt::QoS::at_least_once};
    EXPECT_THAT(subscription("t").kept.all(), ElementsAre(kept, newer));
    apply(delivered("c", until));
    EXPECT_EQ(needed_from(session()), next(again));
    apply(Unsubscribed{.client = "c", .filters = {"t"}});
    apply(with_qos(mqtt::QoS::at_most_once, false));
    EXPECT_TRUE(subscription("t").kept.empty());
}

TEST_F(StoredStateTest, SubscribingWithQos0KeepsNothingThatCannotWait) {
    apply(attached("c"));
    apply(with_qos(mqtt::QoS::at_most_once, false));
    apply(with_qos(mqtt::QoS::at_most_once, true));
    EXPECT_TRUE(subscription("t").kept.empty()) << "it was QoS 0 before";
    apply(with_qos(mqtt::QoS::at_least_once, false, "$share/g/t"));
    apply(with_qos(mqtt::QoS::at_most_once, true, "$share/g/t"));
    EXPECT_TRUE(subscription("$share/g/t").kept.empty()) << "a share does not wait in the log";
    apply(with_qos(mqtt::QoS::at_least_once, false));
    apply(delivered("c", Seq{100}));
    apply(with_qos(mqtt::QoS::at_most_once, true));
    EXPECT_TRUE(subscription("t").kept.empty()) << "all has been sent";
}

/// An UNSUBSCRIBE or a SUBSCRIBE with QoS 0 before it has failed to get into the log.
TEST_F(StoredStateTest, ASubscriptionThatStartsAnewByMistakeKeepsWhatWaits) {
    apply(attached("c"));
    const Seq first = apply(with_qos(mqtt::QoS::at_least_once, false));
    const Seq again = apply(with_qos(mqtt::QoS::at_least_once, false));
    const KeptSpan kept{.since = first, .until = again, .qos = mqtt::QoS::at_least_once};
    EXPECT_THAT(subscription("t").kept.all(), ElementsAre(kept));
    EXPECT_EQ(subscription("t").since, again);
}

// --- retained values (rule 9) ---

TEST_F(StoredStateTest, RetainedValuesAreSetReplacedAndCleared) {
    apply(retained("t", "1"));
    const Seq second = apply(retained("t", "2"));
    EXPECT_EQ(state_.retained().at("t").seq, second);
    EXPECT_EQ(as_text(state_.retained().at("t").message->payload()), "2");
    EXPECT_EQ(as_text(state_.held_message(second)->payload()), "2");
    apply(retained("t", ""));
    apply(retained("never", ""));
    EXPECT_TRUE(state_.retained().empty());
    EXPECT_EQ(state_.held_message(second), nullptr);
    EXPECT_EQ(state_.message_bytes(), 0U);
}

TEST_F(StoredStateTest, AnOlderRetainedValueDoesNotReplaceANewerOne) {
    state_.apply(Seq{10}, retained("t", "newer"));
    state_.apply(Seq{9}, retained("t", "older"));
    EXPECT_EQ(as_text(state_.retained().at("t").message->payload()), "newer");
}

RetainedForgotten forgotten(std::string_view topic, Seq seq) {
    return {.topic = std::string{topic}, .seq = seq};
}

TEST_F(StoredStateTest, AForgottenValueIsGone) {
    const Seq value = apply(retained("t", "1"));
    apply(retained("u", "1"));
    apply(forgotten("t", value));
    apply(forgotten("never", value));
    EXPECT_FALSE(state_.retained().contains("t"));
    EXPECT_TRUE(state_.retained().contains("u"));
    EXPECT_EQ(state_.held_message(value), nullptr);
    EXPECT_TRUE(state_.pinned().empty());
}

TEST_F(StoredStateTest, OnlyTheValueOfThatPositionIsForgotten) {
    const Seq value = apply(retained("t", "1"));
    apply(retained("t", "2"));
    apply(forgotten("t", value));
    EXPECT_EQ(as_text(state_.retained().at("t").message->payload()), "2");
}

TEST_F(StoredStateTest, AForgottenValueStaysWhileItIsUnfinished) {
    const Seq value = apply(retained("t", "1"));
    apply(attached("c"));
    apply(delivered("c", value, {unfinished(value, 1)}));
    apply(forgotten("t", value));
    EXPECT_EQ(pinned(value), "1");
    EXPECT_NE(state_.held_message(value), nullptr);
    apply(delivered("c", value));
    EXPECT_EQ(pinned(value), "(none)");
    EXPECT_EQ(state_.message_bytes(), 0U);
}

// The shard sent the value before it expired, and lists it only afterwards.
TEST_F(StoredStateTest, AReplayMayListAValueThatWasForgottenMeanwhile) {
    const Seq value = apply(retained("t", "1"));
    apply(attached("c"));
    const Seq until = apply(replaying("c", "#"));
    apply(forgotten("t", value));
    EXPECT_EQ(pinned(value), "1");
    apply(replay("c", "#", until, "", delivered("", value, {unfinished(value, 1)})));
    EXPECT_EQ(pinned(value), "1");
    apply(delivered("c", value));
    EXPECT_EQ(pinned(value), "(none)");
}

TEST_F(StoredStateTest, OrdinaryMessagesAreNotRetained) {
    apply(logged("t"));
    EXPECT_TRUE(state_.retained().empty());
    EXPECT_TRUE(state_.pinned().empty());
}

TEST_F(StoredStateTest, ASupersededValueStaysWhileItIsUnfinished) {
    const Seq value = apply(retained("t", "1"));
    for (const char* client : {"c", "d"}) {
        apply(attached(client));
        apply(delivered(client, value, {unfinished(value, 1)}));
    }
    apply(retained("t", "2"));
    EXPECT_EQ(pinned(value), "1");
    EXPECT_NE(state_.held_message(value), nullptr);
    apply(delivered("c", value));
    EXPECT_EQ(pinned(value), "1");
    apply(SessionEnded{.client = "d"});
    EXPECT_EQ(pinned(value), "(none)");
}

TEST_F(StoredStateTest, WhatTheLogLetsGoStaysWhileItIsUnfinished) {
    apply(attached("c"));
    const MessageRecord record = logged("t", "p");
    const Seq message = apply(record);
    apply(delivered("c", message, {unfinished(message, 1)}));
    state_.keep(message, record.message);
    EXPECT_EQ(pinned(message), "p");
    apply(delivered("c", message));
    EXPECT_EQ(pinned(message), "(none)");
    EXPECT_EQ(state_.message_bytes(), 0U);
}

// The shard sent the value before it saw the next one, and lists it only after that was committed.
TEST_F(StoredStateTest, AReplayMayListAValueThatWasSupersededMeanwhile) {
    const Seq value = apply(retained("t", "1"));
    apply(attached("c"));
    const Seq until = apply(replaying("c", "#"));
    apply(retained("t", "2"));
    EXPECT_EQ(pinned(value), "1");
    apply(replay("c", "#", until, "u", delivered("", value, {unfinished(value, 1)})));
    EXPECT_EQ(pinned(value), "1");
    EXPECT_EQ(subscription("#").replay_next, "u");
    apply(replay("c", "#", until, "", delivered("", value, {unfinished(value, 1)})));
    EXPECT_EQ(subscription("#").replay_next, std::nullopt);
    EXPECT_EQ(pinned(value), "1");
    apply(delivered("c", value));
    EXPECT_EQ(pinned(value), "(none)");
}

TEST_F(StoredStateTest, AReplayDoesNotHoldValuesItNeverReads) {
    apply(attached("c"));
    apply(replaying("c", "#"));
    const Seq later = apply(retained("t", "1"));
    apply(retained("t", "2"));
    EXPECT_EQ(pinned(later), "(none)");
}

TEST_F(StoredStateTest, ADetachedReplayHoldsNothing) {
    const Seq value = apply(retained("t", "1"));
    apply(attached("c"));
    const Seq until = apply(replaying("c", "#"));
    apply(retained("t", "2"));
    EXPECT_EQ(pinned(value), "1");
    apply(detached("c"));
    EXPECT_EQ(pinned(value), "(none)");
    apply(attached("c"));
    EXPECT_EQ(subscription("#").replay_next, "");
    EXPECT_EQ(subscription("#").replay_until, until);
}

TEST_F(StoredStateTest, AHeldValuePassesToTheOlderReplay) {
    const Seq value = apply(retained("t", "1"));
    apply(attached("c"));
    apply(attached("d"));
    apply(replaying("c", "#"));
    apply(replaying("d", "#"));
    apply(retained("t", "2"));
    apply(Unsubscribed{.client = "d", .filters = {"#"}});
    EXPECT_EQ(pinned(value), "1");
    apply(Unsubscribed{.client = "c", .filters = {"#"}});
    EXPECT_EQ(pinned(value), "(none)");
}

TEST_F(StoredStateTest, APinnedMessageThatTheCallerKeepsTakesNoMemory) {
    const Seq value = apply(retained("t", "1"));
    apply(attached("c"));
    apply(delivered("c", value, {unfinished(value, 1)}));
    apply(retained("t", ""));
    EXPECT_NE(state_.message_bytes(), 0U);
    state_.hand_over(value);
    EXPECT_EQ(state_.message_bytes(), 0U);
    EXPECT_EQ(state_.held_message(value), nullptr);
    EXPECT_TRUE(state_.pinned().contains(value));
    state_.hand_over(value);
    state_.drop_unreferenced();
    EXPECT_TRUE(state_.pinned().contains(value));
    apply(delivered("c", value));
    EXPECT_TRUE(state_.pinned().empty());
    state_.restore_pinned(value);
    EXPECT_TRUE(state_.pinned().contains(value));
    state_.drop_unreferenced();
    EXPECT_TRUE(state_.pinned().empty());
    EXPECT_EQ(state_.message_bytes(), 0U);
}

TEST_F(StoredStateTest, ANewReplayTakesThePlaceOfTheOneUnderWay) {
    const Seq first = apply(retained("t", "1"));
    apply(attached("c"));
    const Seq earlier = apply(replaying("c", "#"));
    apply(replay("c", "#", earlier, "m"));
    EXPECT_EQ(subscription("#").replay_next, "m");
    apply(retained("t", "2"));
    const Seq until = apply(replaying("c", "#"));
    EXPECT_EQ(subscription("#").replay_next, "");
    EXPECT_EQ(subscription("#").replay_until, until);
    EXPECT_EQ(pinned(first), "(none)");
    Subscribed without = subscribed("c", "#");
    without.subscriptions[0].keeps_since = true;
    apply(without);
    EXPECT_EQ(subscription("#").replay_next, "") << "what an earlier SUBACK promised goes on";
}

// They were on their way to the log while the SUBSCRIBE was, or are written again after a failure.
TEST_F(StoredStateTest, ProgressOfAReplayIsNotThatOfTheNextOne) {
    apply(retained("t", "1"));
    apply(attached("c"));
    const Seq earlier = apply(replaying("c", "#"));
    const Seq until = apply(replaying("c", "#"));
    const Seq message = apply(logged("t"));
    apply(replay("c", "#", earlier, "m", delivered("", message, {unfinished(message, 1)})));
    EXPECT_EQ(subscription("#").replay_next, "");
    EXPECT_TRUE(state_.is_referenced(message));
    apply(replay("c", "#", earlier, ""));
    EXPECT_EQ(subscription("#").replay_next, "");
    apply(replay("c", "#", until, "n"));
    EXPECT_EQ(subscription("#").replay_next, "n");
    apply(replay("c", "#", until, ""));
    EXPECT_EQ(subscription("#").replay_next, std::nullopt);
}

// --- all of it ---

/// References, pinned messages and bytes always add up, whatever comes.
TEST(StoredState, KeepsNothingOnceAllSessionsAreGone) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        Random random{seed};
        StoredState state;
        Seq seq;
        std::vector<Seq> replays;
        const auto name = [&](const char* prefix) {
            return prefix + std::to_string(random.below(4));
        };
        const auto some_delivery = [&] {
            DeliveryState delivery;
            delivery.sent_through = seq;
            delivery.whole = random.chance(1, 2);
            for (std::uint64_t i = random.below(3); i != 0 && seq != kNoSeq; --i) {
                const auto id = static_cast<std::uint16_t>(random.between(1, 4));
                if (!delivery.whole) delivery.done.emplace_back(id);
                if (std::none_of(delivery.changed.begin(), delivery.changed.end(), [&](auto& u) {
                        return u.packet_id == PacketId{id};
                    })) {
                    delivery.changed.push_back(unfinished(Seq{random.between(1, seq.value())}, id));
                }
            }
            return delivery;
        };
        for (int i = 0; i < 300; ++i) {
            Record record = SessionEnded{.client = name("c")};
            switch (random.below(10)) {
                case 0: {
                    Attached attach = attached(name("c"), random.chance(1, 3) ? 0 : 60);
                    attach.discards_earlier_state = random.chance(1, 3);
                    if (random.chance(1, 2)) attach.will = will("w");
                    record = attach;
                    break;
                }
                case 1: {
                    Detached detach = detached(name("c"), some_delivery());
                    detach.expiry_seconds = random.chance(1, 3) ? 0 : 60;
                    detach.keeps_will = random.chance(1, 2);
                    record = detach;
                    break;
                }
                case 2:
                    record = replaying(name("c"), name("t"));
                    replays.push_back(next(seq));
                    break;
                case 3:
                    record = Unsubscribed{.client = name("c"), .filters = {name("t")}};
                    break;
                case 4: {
                    DeliveryState delivery = some_delivery();
                    delivery.client = name("c");
                    record = delivery;
                    break;
                }
                case 5:
                    record = replay(name("c"),
                                    name("t"),
                                    random.chance(1, 2) || replays.empty()
                                        ? seq
                                        : replays[random.below(replays.size())],
                                    random.chance(1, 2) ? "" : "t2",
                                    some_delivery());
                    break;
                case 6: {
                    MessageRecord fired = retained(name("t"), random.chance(1, 3) ? "" : "v");
                    if (random.chance(1, 2)) fired.fires_will_of = name("c");
                    record = fired;
                    break;
                }
                case 7:
                    record = WillForgotten{.client = name("c")};
                    break;
                case 8: {
                    const std::string topic = name("t");
                    const auto value = state.retained().find(topic);
                    record =
                        forgotten(topic, value == state.retained().end() ? seq : value->second.seq);
                    break;
                }
                default:
                    break;
            }
            seq = next(seq);
            state.apply(seq, record);
            for (const auto& [pinned, message] : state.pinned()) {
                ASSERT_TRUE(state.is_referenced(pinned));
            }
        }
        for (int i = 0; i < 4; ++i) {
            seq = next(seq);
            state.apply(seq, SessionEnded{.client = "c" + std::to_string(i)});
        }
        for (int i = 0; i < 4; ++i) {
            seq = next(seq);
            state.apply(seq, retained("t" + std::to_string(i), ""));
        }
        EXPECT_TRUE(state.sessions().empty());
        EXPECT_TRUE(state.pinned().empty());
        for (std::uint64_t i = 1; i <= seq.value(); ++i) {
            ASSERT_FALSE(state.is_referenced(Seq{i})) << i;
        }
        EXPECT_EQ(state.message_bytes(), 0U);
    }
}

}  // namespace
}  // namespace stentor::store
