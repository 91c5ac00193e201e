#include "server/shard/resting_session.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stentor::server {
namespace {

SessionEntry typical() {
    SessionEntry entry;
    entry.client_id = "client-00000000000000001";
    entry.born = 3;
    entry.generation = 7;
    entry.durable = true;
    entry.version = mqtt::ProtocolVersion::v5;
    entry.expiry_seconds = 3600;
    entry.identity.user = "anna";
    entry.sent_through = Seq{1000};
    entry.committed_through = Seq{1000};
    entry.backlog_count_at = 5;
    entry.detached_at = Instant{std::chrono::seconds{50}};
    for (const char* text :
         {"broadcast/to/everybody/no/000001", "user/00000000001/notifications/#"}) {
        Subscription& subscription = entry.subscriptions.emplace_back();
        subscription.text = text;
        subscription.options.qos = mqtt::QoS::at_least_once;
        subscription.since = Seq{10};
    }
    return entry;
}

/// As the log has it, too.
void lose_some(SessionEntry& entry) {
    entry.loss = std::make_unique<BacklogLoss>(
        BacklogLoss{.messages = UINT64_MAX, .reason = mqtt::DropReason::log_full});
    entry.loss_stored = true;
}

void expect_same(const SessionEntry& a, const SessionEntry& b) {
    EXPECT_EQ(a.client_id, b.client_id);
    EXPECT_EQ(a.born, b.born);
    EXPECT_EQ(a.generation, b.generation);
    EXPECT_EQ(a.durable, b.durable);
    EXPECT_EQ(a.version, b.version);
    EXPECT_EQ(a.last_end.code, b.last_end.code);
    EXPECT_EQ(a.expiry_seconds, b.expiry_seconds);
    EXPECT_EQ(a.identity.user, b.identity.user);
    EXPECT_EQ(a.identity.admin, b.identity.admin);
    EXPECT_EQ(a.sent_through, b.sent_through);
    EXPECT_EQ(a.committed_through, b.committed_through);
    EXPECT_EQ(a.backlog_count_at, b.backlog_count_at);
    EXPECT_EQ(a.detached_at, b.detached_at);
    ASSERT_EQ(a.subscriptions.size(), b.subscriptions.size());
    for (std::size_t i = 0; i < a.subscriptions.size(); ++i) {
        EXPECT_EQ(a.subscriptions[i].text, b.subscriptions[i].text);
        EXPECT_EQ(a.subscriptions[i].share_key, b.subscriptions[i].share_key);
        EXPECT_EQ(a.subscriptions[i].options, b.subscriptions[i].options);
        EXPECT_EQ(a.subscriptions[i].identifier, b.subscriptions[i].identifier);
        EXPECT_EQ(a.subscriptions[i].since, b.subscriptions[i].since);
        EXPECT_EQ(a.subscriptions[i].kept, b.subscriptions[i].kept);
    }
    EXPECT_EQ(a.loss_stored, b.loss_stored);
    ASSERT_EQ(a.loss == nullptr, b.loss == nullptr);
    if (a.loss) {
        EXPECT_EQ(a.loss->messages, b.loss->messages);
        EXPECT_EQ(a.loss->reason, b.loss->reason);
    }
    EXPECT_EQ(a.parts == nullptr, b.parts == nullptr);
    if (a.parts && b.parts) {
        EXPECT_EQ(a.parts->last_packet_id, b.parts->last_packet_id);
    }
}

TEST(RestingSession, WakesAsItWas) {
    SessionEntry plain = typical();
    SessionEntry full = typical();
    full.identity.admin = true;
    full.version = mqtt::ProtocolVersion::v3_1_1;
    full.last_end = {LastEnd::kLost};
    full.parts = std::make_unique<mqtt::SessionParts>();
    full.parts->last_packet_id = 65'535;
    full.subscriptions[0].identifier = 268'435'455;
    full.subscriptions[1].share_key = UINT64_MAX;
    full.subscriptions[1].options = {.qos = mqtt::QoS::exactly_once};
    full.subscriptions[1].options.retain_handling = mqtt::RetainHandling::do_not_send;
    full.subscriptions[0].options = {.qos = mqtt::QoS::at_most_once};
    full.subscriptions[0].kept.keep({.since = Seq{1}, .until = Seq{1100}}, Seq{1000});
    full.subscriptions[0].kept.keep({.since = Seq{1200}, .until = Seq{1300}}, Seq{1000});
    SessionEntry bare = typical();
    bare.client_id = "x";
    bare.identity.user.clear();
    bare.subscriptions.clear();
    lose_some(full);
    lose_some(bare);
    RestingBlocks blocks;
    for (const SessionEntry* entry : {&plain, &full, &bare}) {
        ASSERT_TRUE(RestingSession::can_rest(*entry));
        RestingSession resting{*entry, blocks};
        EXPECT_EQ(resting.client_id(), entry->client_id);
        EXPECT_EQ(resting.expires_at(), entry->expires_at());
        EXPECT_EQ(resting.user(), entry->identity.user);
        EXPECT_EQ(resting.version(), entry->version);
        EXPECT_EQ(resting.subscriptions(), entry->subscriptions.size());
        EXPECT_EQ(resting.detached_at(), entry->detached_at);
        EXPECT_EQ(resting.expiry_seconds(), entry->expiry_seconds);
        EXPECT_EQ(resting.last_end().code, entry->last_end.code);
        SessionEntry woken;
        resting.wake(woken);
        expect_same(woken, *entry);
        EXPECT_TRUE(RestingSession::can_rest(woken));
        resting.reset(blocks);
        EXPECT_FALSE(resting);
    }
}

TEST(RestingSession, IsSmall) {
    SessionEntry entry = typical();
    entry.identity.user.clear();
    RestingBlocks blocks;
    RestingSession resting{entry, blocks};
    EXPECT_LE(resting.bytes(), 24U + 2 * 32 + 80) << "80 bytes besides the texts";
    resting.reset(blocks);
    lose_some(entry);
    RestingSession with_loss{entry, blocks};
    EXPECT_LE(with_loss.bytes(), 24U + 2 * 32 + 80 + 16) << "with what it is to tell";
    with_loss.reset(blocks);
    EXPECT_EQ(sizeof(RestingSession), sizeof(void*));
}

TEST(RestingSession, WhatHasBeenSentIsNotKept) {
    SessionEntry entry = typical();
    RestingBlocks blocks;
    RestingSession plain{entry, blocks};
    entry.subscriptions[0].kept.keep({.since = Seq{1}, .until = Seq{1000}}, Seq{1});
    RestingSession resting{entry, blocks};
    EXPECT_EQ(resting.bytes(), plain.bytes());
    SessionEntry woken;
    resting.wake(woken);
    EXPECT_TRUE(woken.subscriptions[0].kept.empty());
    resting.reset(blocks);
    plain.reset(blocks);
}

TEST(RestingSession, NothingIsForgottenByLayingItToRest) {
    const auto can_rest = [](auto change) {
        SessionEntry entry = typical();
        change(entry);
        return RestingSession::can_rest(entry);
    };
    EXPECT_TRUE(can_rest([](SessionEntry&) {}));
    EXPECT_FALSE(can_rest([](SessionEntry& e) { e.durable = false; }));
    EXPECT_FALSE(can_rest([](SessionEntry& e) { e.detaches_on_their_way = 1; }));
    EXPECT_FALSE(can_rest([](SessionEntry& e) { e.state_unsure = true; }));
    EXPECT_FALSE(can_rest([](SessionEntry& e) { e.backlog_checking = true; }));
    EXPECT_FALSE(can_rest([](SessionEntry& e) { e.committed_through = Seq{999}; }));
    EXPECT_FALSE(can_rest([](SessionEntry& e) { e.will_stored = true; }));
    WillTotals wills;
    EXPECT_FALSE(can_rest([&](SessionEntry& e) {
        e.will = std::make_unique<PendingWill>(
            mqtt::WillMessage{mqtt::Message::create({.topic = "t"}), 1}, wills);
    }));
    EXPECT_TRUE(can_rest(lose_some));
    EXPECT_FALSE(can_rest([](SessionEntry& e) {
        lose_some(e);
        e.loss_stored = false;
    })) << "the log does not know of it";
    EXPECT_FALSE(can_rest(
        [](SessionEntry& e) { e.subscriptions[0].replay_next = std::make_unique<std::string>(); }));
    EXPECT_FALSE(can_rest([](SessionEntry& e) {
        e.parts = std::make_unique<mqtt::SessionParts>();
        e.parts->inflight.emplace_back();
    }));
    EXPECT_FALSE(can_rest([](SessionEntry& e) {
        e.parts = std::make_unique<mqtt::SessionParts>();
        e.parts->inbound_qos2.push_back(1);
    }));
}

}  // namespace
}  // namespace stentor::server
