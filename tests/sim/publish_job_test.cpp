// What somebody without a connection publishes reaches whom it is for, in its order, and is
// answered when it is where it belongs: in the log, or in the mailboxes of those who are connected.

#include "server/shard/publish_job.hpp"

#include "tests/sim/broker.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::sim {
namespace {

using mqtt::QoS;
using mqtt::ReasonCode;
using server::PublishOutcome;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

/// MQTT 3.1.1, spelt out: all lengths are below 128.
std::string connect(std::string_view client, bool clean) {
    std::string packet{"\x10", 1};
    packet += static_cast<char>(12 + client.size());
    packet += std::string{"\0\4MQTT\4", 7};
    packet += clean ? '\2' : '\0';
    packet += std::string{"\0\0\0", 3};
    packet += static_cast<char>(client.size());
    return packet.append(client);
}
const std::string kSubscribe{"\x82\6\0\1\0\1a\1", 8};  // to "a", QoS 1
const std::string kDisconnect{"\xE0\0", 2};

class Answers final : public server::PublishSink {
  public:
    void published(std::uint64_t cookie, std::vector<PublishOutcome> outcomes) noexcept override {
        EXPECT_EQ(cookie, 7U);
        ++count;
        last = std::move(outcomes);
    }
    int count = 0;
    std::vector<PublishOutcome> last;
};

class PublishJobTest : public testing::TestWithParam<std::uint16_t> {
  public:
    void SetUp() override { begin(false); }

    void begin(bool fails, std::size_t work_per_turn = 65'536) {
        BrokerOptions options;
        options.shards = GetParam();
        options.shard.work_per_turn = work_per_turn;
        options.shard.takes_messages = takes_messages;
        options.faults.fail_commit_per_mille = fails ? 1000 : 0;
        broker = std::make_unique<Broker>(options, now);
    }
    WirePtr client(std::string_view name, bool clean) {
        auto wire = std::make_shared<Wire>();
        wire->kernel_bytes = std::size_t{1} << 20U;
        broker->accept(0, wire);
        say(*wire, connect(name, clean));
        say(*wire, kSubscribe);
        run();
        wire->down.clear();
        return wire;
    }
    static void say(Wire& wire, std::string_view bytes) {
        const ByteView view = as_bytes(bytes);
        wire.up.insert(wire.up.end(), view.begin(), view.end());
    }
    /// The payloads, one letter each, of what a client was sent.
    static std::string payloads(const Wire& wire) {
        const std::string got{as_text({wire.down.data(), wire.down.size()})};
        std::string letters;
        for (std::size_t at = 0; at + 1 < got.size();) {
            const auto length = static_cast<std::size_t>(got[at + 1]);
            if ((got[at] & '\xF0') == '\x30') letters += got[at + 1 + length];
            at += 2 + length;
        }
        return letters;
    }
    static server::MessagePtr message(QoS qos, std::string_view payload, bool retain = false) {
        return mqtt::Message::create(
            {.topic = "a", .payload = as_bytes(payload), .qos = qos, .retain = retain});
    }
    void publish(server::PublishJob::Messages messages) {
        broker->post(
            0, server::PublishAsked{server::PublishJob::make(answers, 7, std::move(messages)), 0});
    }
    void turn() {
        for (std::size_t shard = 0; shard < broker->shards(); ++shard) broker->run_shard(shard);
    }
    void run() {
        for (int i = 0; i < 200; ++i) {
            turn();
            now = saturating_add(now, 1ms);
            broker->run_engine();
        }
    }

    bool takes_messages = true;
    Answers answers;
    Instant now{1000s};
    std::unique_ptr<Broker> broker;
};

TEST_P(PublishJobTest, ReachesWhoIsConnectedWithoutTheLog) {
    const WirePtr wire = client("here", true);
    publish({message(QoS::at_most_once, "1"), message(QoS::at_least_once, "2")});
    run();
    EXPECT_EQ(payloads(*wire), "12");
    ASSERT_EQ(answers.count, 1);
    ASSERT_EQ(answers.last.size(), 2U);
    for (const PublishOutcome& each : answers.last) {
        EXPECT_EQ(each.reason, ReasonCode::success);
        EXPECT_EQ(each.seq, kNoSeq);
        EXPECT_TRUE(each.live);
        EXPECT_FALSE(each.durable);
    }
}

TEST_P(PublishJobTest, NobodyThereIsSaid) {
    publish({message(QoS::at_least_once, "1")});
    run();
    ASSERT_EQ(answers.last.size(), 1U);
    EXPECT_EQ(answers.last[0].reason, ReasonCode::no_matching_subscribers);
    EXPECT_FALSE(answers.last[0].live);
}

TEST_P(PublishJobTest, WaitsInTheLogForWhoIsAwayAndIsAnsweredAfterTheCommit) {
    WirePtr wire = client("away", false);
    say(*wire, kDisconnect);
    run();
    publish({message(QoS::at_least_once, "1")});
    turn();
    EXPECT_EQ(answers.count, 0);
    run();
    ASSERT_EQ(answers.last.size(), 1U);
    EXPECT_NE(answers.last[0].seq, kNoSeq);
    EXPECT_TRUE(answers.last[0].live);
    EXPECT_TRUE(answers.last[0].durable);
    wire = std::make_shared<Wire>();
    broker->accept(0, wire);
    say(*wire, connect("away", false));
    run();
    EXPECT_EQ(payloads(*wire), "1");
}

TEST_P(PublishJobTest, WhatIsNotLoggedDoesNotOvertakeWhatIs) {
    const WirePtr wire = client("here", false);
    publish({message(QoS::at_least_once, "1"),
             message(QoS::at_most_once, "2"),
             message(QoS::at_least_once, "3", true),
             message(QoS::at_most_once, "4")});
    run();
    EXPECT_EQ(payloads(*wire).substr(0, 4), "1234");
    EXPECT_EQ(answers.count, 1);
}

TEST_P(PublishJobTest, AJobOfManyTurnsIsAnsweredOnce) {
    begin(false, 8);
    const WirePtr wire = client("here", true);
    server::PublishJob::Messages messages;
    for (int i = 0; i < 50; ++i) messages.push_back(message(QoS::at_most_once, "x"));
    publish(std::move(messages));
    turn();
    EXPECT_EQ(answers.count, 0);
    run();
    EXPECT_EQ(payloads(*wire), std::string(50, 'x'));
    EXPECT_EQ(answers.count, 1);
    EXPECT_EQ(answers.last.size(), 50U);
}

TEST_P(PublishJobTest, WhatTheStoreRefusesIsSaid) {
    begin(true);
    publish({message(QoS::at_most_once, "1"), message(QoS::at_least_once, "2", true)});
    run();
    ASSERT_EQ(answers.last.size(), 2U);
    EXPECT_EQ(answers.last[0].reason, ReasonCode::no_matching_subscribers);
    EXPECT_EQ(answers.last[1].reason, ReasonCode::implementation_specific_error);
    const auto& refused = broker->shard(0).counters().messages_refused;
    EXPECT_EQ(refused[static_cast<std::size_t>(server::RefusedMessage::not_committed)], 1U);
}

TEST_P(PublishJobTest, ABrokerThatStopsRefuses) {
    broker->post(0, server::Drain{});
    publish({message(QoS::at_least_once, "1")});
    run();
    ASSERT_EQ(answers.last.size(), 1U);
    EXPECT_EQ(answers.last[0].reason, ReasonCode::server_unavailable);
}

TEST_P(PublishJobTest, NothingIsAcceptedWhileTheStoreIsOpenedAgain) {
    takes_messages = false;
    begin(false);
    publish({message(QoS::at_most_once, "1"), message(QoS::at_least_once, "2", true)});
    run();
    ASSERT_EQ(answers.last.size(), 2U);
    for (const PublishOutcome& each : answers.last) {
        EXPECT_EQ(each.reason, ReasonCode::server_unavailable);
    }
}

TEST_P(PublishJobTest, WhoIsNotAnsweredAnyMoreIsToldSo) {
    const WirePtr wire = client("here", false);
    publish({message(QoS::at_least_once, "1")});
    turn();
    EXPECT_EQ(answers.count, 0);
    broker->crash();
    EXPECT_EQ(answers.count, 1);
    EXPECT_TRUE(answers.last.empty());
}

INSTANTIATE_TEST_SUITE_P(Shards, PublishJobTest, testing::Values(1, 2, 5));

}  // namespace
}  // namespace stentor::sim
