// A turn of a shard does a bounded amount of work, and what it leaves is neither lost nor
// overtaken; and nobody is closed for a silence that only the shard's own absence has made.

#include "base/log.hpp"
#include "tests/sim/broker.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace stentor::sim {
namespace {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

constexpr std::size_t kWork = 8;
constexpr int kMessages = 50;
constexpr int kTurns = 200;
constexpr std::uint16_t kKeepAliveSeconds = 60;

/// MQTT 3.1.1, spelt out: all lengths are below 128, but for `long_publish`.
std::string connect(std::string_view client, bool clean) {
    std::string packet{"\x10", 1};
    packet += static_cast<char>(12 + client.size());
    packet += std::string{"\0\4MQTT\4", 7};
    packet += clean ? '\2' : '\0';
    packet += std::string{"\0", 1};
    packet += static_cast<char>(kKeepAliveSeconds);
    packet += '\0';
    packet += static_cast<char>(client.size());
    return packet.append(client);
}
const std::string kSubscribe{"\x82\6\0\1\0\1a\0", 8};      // to "a", QoS 0
const std::string kSubscribeQos1{"\x82\6\0\1\0\1a\1", 8};  // to "a", QoS 1
const std::string kSuback{"\x90\3\0\1\0", 5};              // QoS 0 granted
const std::string kPublish{"\x30\4\0\1ax", 6};             // "x" to "a", QoS 0
const std::string kPingreq{"\xC0\0", 2};
const std::string kPingresp{"\xD0\0", 2};

std::string publish_qos1(int packet_id) {
    std::string packet{"\x32\6\0\1a", 5};
    packet += '\0';
    packet += static_cast<char>(packet_id);
    return packet + "x";
}

/// 64 KiB to "a", QoS 0.
std::string long_publish() {
    return std::string{"\x30\x83\x80\4\0\1a", 7} + std::string(std::size_t{64} * 1024, 'x');
}

std::size_t count(std::string_view in, std::string_view what) {
    std::size_t found = 0;
    for (std::size_t at = in.find(what); at != std::string_view::npos; at = in.find(what, at + 1)) {
        ++found;
    }
    return found;
}

class Stage {
  public:
    explicit Stage(std::uint16_t shards,
                   std::size_t work_per_turn = kWork,
                   std::size_t mailbox_bytes_max = std::size_t{8} << 20U) {
        log_start({.level = LogLevel::error, .descriptor = -1});
        BrokerOptions options;
        options.seed = 1;
        options.shards = shards;
        options.shard.work_per_turn = work_per_turn;
        options.mailbox_bytes_max = mailbox_bytes_max;
        broker_ = std::make_unique<Broker>(options, now_);
        broker_->be_gentle();
    }

    /// A connected client whose session is at home on `shard`.
    WirePtr arrived(std::size_t shard, bool clean = true) {
        for (;;) {
            const std::size_t before = broker_->shard(shard).sessions();
            auto wire = std::make_shared<Wire>();
            wire->kernel_bytes = std::size_t{8} << 20U;
            broker_->accept(shard, wire);
            say(*wire, connect("client" + std::to_string(next_++), clean));
            run_all();
            wire->down.clear();
            if (broker_->shard(shard).sessions() != before) return wire;
        }
    }
    /// The same with a subscription that has begun; SUBACK lies in `down`.
    WirePtr subscribed(std::size_t shard, const std::string& subscribe, bool clean = true) {
        WirePtr wire = arrived(shard, clean);
        say(*wire, subscribe);
        run_all();
        return wire;
    }
    static void say(Wire& wire, std::string_view bytes, int times = 1) {
        for (; times > 1; --times) say(wire, bytes);
        const ByteView view = as_bytes(bytes);
        wire.up.insert(wire.up.end(), view.begin(), view.end());
    }
    static std::string heard(const Wire& wire) {
        return std::string{as_text({wire.down.data(), wire.down.size()})};
    }
    void run(std::size_t shard, int turns = 1) {
        for (int i = 0; i < turns; ++i) broker_->run_shard(shard);
    }
    void run_all() {
        for (int i = 0; i < kTurns; ++i) {
            for (std::size_t shard = 0; shard < broker_->shards(); ++shard) run(shard);
            pass(1ms);
            broker_->run_engine();
        }
    }
    void run_engine() {
        for (int i = 0; i < kTurns; ++i) {
            pass(1ms);
            broker_->run_engine();
        }
    }
    void pass(Duration time) { now_ = saturating_add(now_, time); }
    [[nodiscard]] Instant now() const noexcept { return now_; }
    [[nodiscard]] Broker& broker() { return *broker_; }
    /// The number of the client that arrived() has made last.
    [[nodiscard]] int last() const noexcept { return next_ - 1; }
    [[nodiscard]] std::uint64_t matched(std::size_t shard) const {
        return broker_->shard(shard).counters().messages_matched;
    }
    [[nodiscard]] std::uint64_t received(std::size_t shard) const {
        const auto& by_qos = broker_->shard(shard).counters().messages_received;
        return by_qos[0] + by_qos[1] + by_qos[2];
    }

  private:
    Instant now_{1000s};
    std::unique_ptr<Broker> broker_;
    int next_ = 0;
};

TEST(SimTurns, WhatOneConnectionSendsIsSpreadOverTurns) {
    Stage stage{1};
    const WirePtr publisher = stage.arrived(0);
    const WirePtr other = stage.arrived(0);
    Stage::say(*publisher, kPublish, kMessages);
    Stage::say(*other, kPingreq);
    for (int turn = 0; turn < 3; ++turn) {
        const std::uint64_t before = stage.received(0);
        stage.run(0);
        EXPECT_LE(stage.received(0) - before, kWork);
    }
    EXPECT_EQ(Stage::heard(*other), kPingresp) << "before the publisher is through";
    EXPECT_LT(stage.received(0), static_cast<std::uint64_t>(kMessages));
    EXPECT_TRUE(stage.broker().shard(0).has_work() || !publisher->unconsumed.empty());
    stage.run(0, kTurns);
    EXPECT_EQ(stage.received(0), static_cast<std::uint64_t>(kMessages));
}

TEST(SimTurns, WhatAnotherShardSendsIsSpreadOverTurns) {
    Stage stage{2};
    const WirePtr publisher = stage.arrived(0);
    const WirePtr subscriber = stage.subscribed(1, kSubscribe);
    Stage::say(*publisher, kPublish, kMessages);
    stage.run(0, kTurns);
    ASSERT_EQ(stage.matched(1), 0U);
    stage.run(1);
    EXPECT_GT(stage.matched(1), 0U);
    EXPECT_LE(stage.matched(1), kWork);
    EXPECT_TRUE(stage.broker().shard(1).has_work());
    stage.run(1, kTurns);
    EXPECT_EQ(count(Stage::heard(*subscriber), kPublish), static_cast<std::size_t>(kMessages));
    EXPECT_FALSE(stage.broker().shard(1).has_work());
}

/// Of two shards; the second one has got messages for many turns.
class SimTurnsBehind : public testing::Test {
  protected:
    SimTurnsBehind() {
        Stage::say(*publisher, kPublish, kMessages);
        stage.run(0, kTurns);
        stage.run(1);
        EXPECT_TRUE(stage.broker().shard(1).has_work());
    }
    ~SimTurnsBehind() override {
        EXPECT_LT(stage.matched(1), static_cast<std::uint64_t>(kMessages)) << "is still behind";
    }

    Stage stage{2};
    WirePtr publisher = stage.arrived(0);
    WirePtr subscriber = stage.subscribed(1, kSubscribe);
};

TEST_F(SimTurnsBehind, AStopDoesNotWaitForMessages) {
    stage.broker().tell(1, server::Drain{});
    stage.run(1);
    EXPECT_TRUE(subscriber->server_closed);
}

TEST_F(SimTurnsBehind, AnAdministratorDoesNotWaitForMessages) {
    stage.broker().tell(1, server::Kick{.client_id = "client" + std::to_string(stage.last())});
    stage.run(1);
    EXPECT_TRUE(subscriber->server_closed);
}

TEST_F(SimTurnsBehind, WhoComesFromAnotherShardDoesNotWaitForMessages) {
    bool has_come = false;
    for (int i = 0; i < kMessages && !has_come; ++i) {  // until one is at home there
        const auto wire = std::make_shared<Wire>();
        wire->kernel_bytes = std::size_t{8} << 20U;
        stage.broker().accept(0, wire);
        Stage::say(*wire, connect("comes" + std::to_string(i), true));
        const std::size_t before = stage.broker().shard(0).sessions();
        stage.run(0);
        if (stage.broker().shard(0).sessions() != before) continue;
        stage.run(1);
        EXPECT_TRUE(Stage::heard(*wire).starts_with("\x20\2"));
        has_come = true;
    }
    EXPECT_TRUE(has_come);
}

TEST(SimTurns, ACommitIsDeliveredOverTurns) {
    Stage stage{2};
    const WirePtr publisher = stage.arrived(0);
    const WirePtr subscriber = stage.subscribed(1, kSubscribeQos1, false);
    for (int i = 1; i <= kMessages; ++i) Stage::say(*publisher, publish_qos1(i));
    stage.run(0, kTurns);
    stage.run_engine();
    ASSERT_EQ(stage.matched(1), 0U);
    stage.run(1);
    EXPECT_GT(stage.matched(1), 0U);
    EXPECT_LE(stage.matched(1), kWork);
    EXPECT_TRUE(stage.broker().shard(1).has_work());
    stage.run(1, kTurns);
    EXPECT_EQ(stage.matched(1), static_cast<std::uint64_t>(kMessages));
}

/// A transient subscription is active at once: a message of before must not find it, however many
/// turns that takes.
TEST(SimTurns, ASubscribeWaitsForWhatWasSentBefore) {
    Stage stage{2};
    const WirePtr publisher = stage.arrived(0);
    const WirePtr first = stage.subscribed(1, kSubscribe);
    const WirePtr late = stage.arrived(1);
    Stage::say(*publisher, kPublish, kMessages);
    stage.run(0, kTurns);
    Stage::say(*late, kSubscribe);
    stage.run(1);
    EXPECT_EQ(Stage::heard(*late), "") << "there is more in the mailbox";
    stage.run(1, kTurns);
    EXPECT_EQ(Stage::heard(*late), kSuback);
    Stage::say(*publisher, kPublish);
    stage.run_all();
    EXPECT_EQ(Stage::heard(*late), kSuback + kPublish);
    EXPECT_EQ(count(Stage::heard(*first), kPublish), static_cast<std::size_t>(kMessages) + 1);
}

/// Who publishes without end, however it is cut, does not keep a SUBSCRIBE waiting.
TEST(SimTurns, ASubscribeDoesNotWaitForWhatIsSentAfterIt) {
    Stage stage{2};
    const WirePtr publisher = stage.arrived(0);
    const WirePtr first = stage.subscribed(1, kSubscribe);
    const WirePtr late = stage.arrived(1);
    const auto flood = [&] {
        Stage::say(*publisher, kPublish, kMessages);
        stage.run(0, kMessages);
    };
    flood();
    Stage::say(*late, kSubscribe);
    int turns = 0;
    while (Stage::heard(*late).empty() && turns < kTurns) {
        stage.run(1);
        flood();
        ++turns;
    }
    EXPECT_TRUE(Stage::heard(*late).starts_with(kSuback));
}

/// What lies in a mailbox is in memory: who publishes waits until its shard has caught up.
TEST(SimTurns, APublisherWaitsForAShardThatIsBehind) {
    Stage stage{2, 1'000'000, 1000};
    const WirePtr publisher = stage.arrived(0);
    const WirePtr subscriber = stage.subscribed(1, kSubscribe);
    for (int turn = 0; turn < kMessages; ++turn) {
        Stage::say(*publisher, kPublish);
        stage.run(0);
    }
    EXPECT_LT(stage.received(0), static_cast<std::uint64_t>(kMessages));
    EXPECT_FALSE(publisher->reading);
    const Instant deadline = stage.broker().shard(0).next_deadline();
    EXPECT_LE(deadline, saturating_add(stage.now(), 1ms)) << "nobody will tell it";
    Stage::say(*publisher, kPingreq);
    stage.run_all();
    EXPECT_EQ(count(Stage::heard(*subscriber), kPublish), static_cast<std::size_t>(kMessages));
    EXPECT_EQ(Stage::heard(*publisher), kPingresp);
}

TEST(SimTurns, PublishersThatWaitForAnotherShardHaveTheirTurns) {
    Stage stage{2, 1'000'000, 1000};
    const std::array<WirePtr, 3> publishers{stage.arrived(0), stage.arrived(0), stage.arrived(0)};
    const WirePtr subscriber = stage.subscribed(1, kSubscribe);
    for (int turn = 0; turn < kMessages; ++turn) {
        for (const WirePtr& each : publishers) {
            if (each->up.empty()) Stage::say(*each, kPublish + kPingreq);
        }
        stage.run(0);
        stage.run(1);
    }
    for (const WirePtr& each : publishers) {
        EXPECT_GT(count(Stage::heard(*each), kPingresp), static_cast<std::size_t>(kMessages) / 6);
    }
}

TEST(SimTurns, AnOutboxIsWrittenBeforeTheTurnEnds) {
    Stage stage{2, 1'000'000};
    const WirePtr publisher = stage.arrived(0);
    const WirePtr subscriber = stage.subscribed(1, kSubscribe);
    const std::string message = long_publish();
    Stage::say(*publisher, message, kMessages);
    stage.run(0);
    stage.run(1);
    EXPECT_EQ(subscriber->down.size(), kSuback.size() + kMessages * message.size());
    EXPECT_LT(stage.broker().most_offered(1), std::size_t{512} * 1024);
}

/// A process that was stopped, or a shard that was busy, for longer than the keep alive: what
/// clients have sent meanwhile lies in their sockets [MQTT-3.1.2-22].
TEST(SimTurns, NobodyIsClosedBeforeItHasBeenHeard) {
    Stage stage{1};
    const WirePtr alive = stage.arrived(0);
    const WirePtr silent = stage.arrived(0);
    auto connecting = std::make_shared<Wire>();
    stage.broker().accept(0, connecting);
    stage.run(0);
    Stage::say(*alive, kPingreq);
    Stage::say(*connecting, connect("late", true));
    stage.pass(200s);
    for (int i = 0; i < 5; ++i) {
        stage.broker().step_unheard(0);
        stage.pass(20ms);
    }
    EXPECT_FALSE(alive->server_closed);
    EXPECT_FALSE(silent->server_closed);
    EXPECT_FALSE(connecting->server_closed);
    for (int i = 0; i < 3; ++i) {
        stage.run(0);
        stage.pass(20ms);
    }
    EXPECT_FALSE(alive->server_closed);
    EXPECT_EQ(Stage::heard(*alive), kPingresp);
    EXPECT_FALSE(connecting->server_closed);
    EXPECT_TRUE(silent->server_closed) << "had time to speak and has not";
}

}  // namespace
}  // namespace stentor::sim
