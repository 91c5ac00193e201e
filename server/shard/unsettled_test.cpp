// What a store that takes nothing for a while does to sessions: what could not be written is
// written later, and then all is as if it had been; and a client that was refused has not come
// back, so that its session's will is published when its time has come.

#include "base/bytes.hpp"
#include "persistence/memory/simulated_engine.hpp"
#include "server/shard/commit_fanout.hpp"
#include "server/shard/shard.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

/// A kernel that takes everything at once, and keeps what it was given.
class Wire final : public TransportPort {
  public:
    void write(ConnectionId connection, mqtt::WireBuffer& out) override {
        told[connection.slot] += as_text(out.take());
    }
    void set_reading(ConnectionId /*connection*/, bool /*enabled*/) override {}
    void close(ConnectionId connection, mqtt::WireBuffer out) override {
        told[connection.slot] += as_text(out.take());
        closed.push_back(connection);
    }
    std::unique_ptr<MovedSocket> detach(ConnectionId /*connection*/) override { return nullptr; }
    void attach(ConnectionId /*connection*/, std::unique_ptr<MovedSocket> /*socket*/) override {}

    std::map<std::uint32_t, std::string> told;  // by slot
    std::vector<ConnectionId> closed;
};

class Everybody final : public AccessControl {
  public:
    std::optional<Admission> admit(const mqtt::ConnectRequest& /*request*/,
                                   const PeerInfo& /*peer*/,
                                   ShardId /*shard*/,
                                   ConnectionId /*connection*/) override {
        Admission admission;
        admission.accepted = true;
        return admission;
    }
    std::unique_ptr<AuthExchange> begin_exchange(const mqtt::ConnectRequest& /*request*/,
                                                 const PeerInfo& /*peer*/) override {
        return nullptr;
    }
    bool allows(TopicAction /*action*/,
                const Identity& /*identity*/,
                std::string_view /*client_id*/,
                std::string_view /*topic*/) const override {
        return true;
    }
    bool checks_deliveries(const Identity& /*identity*/) const noexcept override { return false; }
};

std::string number(std::uint32_t value, int bytes) {
    std::string text;
    for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i) & 0xFF);
    return text;
}
std::string text(std::string_view content) {
    return number(static_cast<std::uint32_t>(content.size()), 2).append(content);
}
/// All lengths are below 128.
std::string packet(unsigned char first, const std::string& body) {
    return std::string{static_cast<char>(first), static_cast<char>(body.size())} + body;
}

/// The topic of a will is "w", its payload `will`; empty: none.
struct Comes {
    std::string will = {};
    std::uint32_t will_delay = 0;
    bool clean = false;
    std::uint32_t expiry = 3600;
};

/// CONNECT of MQTT 5.0.
std::string connect(std::string_view client, const Comes& how) {
    const unsigned flags = (how.clean ? 2U : 0U) | (how.will.empty() ? 0U : 0x0CU);
    std::string body = text("MQTT") + '\5' + static_cast<char>(flags) + number(0, 2);
    body += number(5, 1) + '\x11' + number(how.expiry, 4) + text(client);
    if (!how.will.empty()) {
        body += number(5, 1) + '\x18' + number(how.will_delay, 4) + text("w") + text(how.will);
    }
    return packet(0x10, body);
}

class Unsettled : public testing::Test {
  protected:
    Unsettled() {
        const auto recovered = engine_.recover();
        shard_.recover(*recovered, now_);
        engine_.start(fanout_);
    }
    ~Unsettled() override { engine_.drain_and_close(); }
    Unsettled(const Unsettled&) = delete;
    Unsettled& operator=(const Unsettled&) = delete;

    /// Until the store has nothing to do.
    void settle() {
        shard_.step(now_);
        while (const auto due = engine_.next_due()) {
            now_ = std::max(now_, *due);
            engine_.step(now_);
            shard_.step(now_);
        }
        shard_.step(now_);
    }
    void pass(Duration time) {
        for (const Instant end = now_ + time; now_ < end; now_ += 50ms) settle();
    }
    void fail_commits(bool fails) {
        engine_.set_faults({.fail_commit_per_mille = fails ? 1000U : 0U});
    }
    void says(ConnectionId from, const std::string& bytes) {
        ASSERT_EQ(shard_.received(from, as_bytes(bytes), now_), bytes.size());
    }
    /// A connection that has sent CONNECT, of which nothing has come back yet.
    ConnectionId knocks(std::string_view client, const Comes& how = {}) {
        const ConnectionId id = shard_.opened({}, now_);
        wire_.told[id.slot].clear();
        says(id, connect(client, how));
        return id;
    }
    ConnectionId comes(std::string_view client, const Comes& how = {}) {
        const ConnectionId id = knocks(client, how);
        settle();
        return id;
    }
    void subscribes(ConnectionId who, std::string_view filter, int qos) {
        says(who, packet(0x82, number(1, 2) + '\0' + text(filter) + static_cast<char>(qos)));
        settle();
    }
    void leaves(ConnectionId who) {
        says(who, packet(0xE0, ""));
        settle();
    }
    void loses(ConnectionId who) { shard_.disconnected(who, now_); }
    /// Somebody who sees all wills.
    void watch() {
        watcher_ = comes("watcher", {.clean = true, .expiry = 0});
        subscribes(watcher_, "w", 0);
        wire_.told[watcher_.slot].clear();
    }
    /// The payloads of what the watcher was sent.
    std::string wills() {
        const std::string& got = wire_.told[watcher_.slot];
        std::string payloads;
        for (std::size_t at = 0; at + 1 < got.size();) {
            const auto length = static_cast<std::size_t>(got[at + 1]);
            if ((got[at] & '\xF0') == '\x30') payloads += got.substr(at + 6, length - 4);
            at += 2 + length;
        }
        return payloads;
    }
    /// The reason code of CONNACK; nothing: none has come.
    std::optional<int> connack(ConnectionId who) {
        const std::string& got = wire_.told[who.slot];
        if (got.size() < 4 || got[0] != '\x20') return std::nullopt;
        return static_cast<unsigned char>(got[3]);
    }
    const store::StoredSession& stored(const std::string& client) {
        return engine_.log().state().sessions().at(client);
    }

    Instant now_{std::chrono::hours{1}};
    static constexpr Duration kLong = 10s;
    static constexpr int kUnavailable = 0x88;
    Wire wire_;
    Everybody access_;
    InterestTable interest_;
    const Placement placement_{1, HashKey{.k0 = 1, .k1 = 7}};
    store::SimulatedEngine engine_{{}};
    Mailbox mailbox_{1024, [] {}};
    const std::vector<Mailbox*> mailboxes_{&mailbox_};
    CommitFanout fanout_{mailboxes_};
    Shard shard_{ShardId{0},
                 {},
                 {.interest = &interest_,
                  .placement = &placement_,
                  .engine = &engine_,
                  .access = &access_,
                  .mailboxes = mailboxes_},
                 wire_};
    ConnectionId watcher_;
};

TEST_F(Unsettled, ASessionRestsOnceTheEndOfItsConnectionIsWritten) {
    const ConnectionId client = comes("c");
    subscribes(client, "t", 1);
    fail_commits(true);
    leaves(client);
    pass(kLong);
    EXPECT_EQ(shard_.sessions_at_rest(), 0U);
    EXPECT_TRUE(stored("c").attached);
    fail_commits(false);
    pass(kLong);
    EXPECT_FALSE(stored("c").attached);
    EXPECT_EQ(shard_.sessions_at_rest(), 1U);
}

TEST_F(Unsettled, SoDoesOneWhoseDeliveriesCouldNotBeWritten) {
    const ConnectionId client = comes("c");
    subscribes(client, "t", 1);
    const ConnectionId publisher = comes("p", {.clean = true, .expiry = 0});
    says(publisher, packet(0x32, text("t") + number(1, 2) + '\0' + "x"));
    settle();
    says(client, packet(0x40, number(1, 2)));  // PUBACK
    fail_commits(true);
    pass(kLong);
    ASSERT_EQ(wire_.closed.size(), 1U) << "the store could not say what it has done";
    fail_commits(false);
    pass(kLong);
    EXPECT_FALSE(stored("c").attached);
    EXPECT_TRUE(stored("c").unfinished.empty());
    EXPECT_EQ(shard_.sessions_at_rest(), 1U);
}

TEST_F(Unsettled, SoDoesOneWhoseClientWasRefused) {
    leaves(comes("c"));
    pass(kLong);
    ASSERT_EQ(shard_.sessions_at_rest(), 1U);
    fail_commits(true);
    EXPECT_EQ(connack(comes("c")), kUnavailable);
    pass(kLong);
    fail_commits(false);
    pass(kLong);
    EXPECT_EQ(shard_.sessions_at_rest(), 1U);
}

// What it asked for cannot be in the log, which has the earlier connection still.
TEST_F(Unsettled, TheEndOfAConnectionThatARefusedClientTookOverIsWritten) {
    const ConnectionId first = comes("c");
    fail_commits(true);
    EXPECT_EQ(connack(comes("c")), kUnavailable);
    EXPECT_EQ(wire_.closed.front(), first);
    EXPECT_TRUE(stored("c").attached);
    fail_commits(false);
    pass(kLong);
    EXPECT_FALSE(stored("c").attached);
    EXPECT_EQ(shard_.sessions_at_rest(), 1U);
}

TEST_F(Unsettled, RefusedPublishesAreCounted) {
    const ConnectionId publisher = comes("p");
    fail_commits(true);
    says(publisher, packet(0x33, text("t") + number(1, 2) + '\0' + "x"));  // RETAIN
    settle();
    const auto& refused = shard_.counters().messages_refused;
    EXPECT_EQ(refused[static_cast<std::size_t>(RefusedMessage::not_committed)], 1U);
    EXPECT_EQ(refused[static_cast<std::size_t>(RefusedMessage::quota_exceeded)], 0U);
    says(publisher, packet(0x31, text("t") + '\0' + "x"));  // QoS 0: nobody is told
    settle();
    EXPECT_EQ(refused[static_cast<std::size_t>(RefusedMessage::not_committed)], 1U);
}

constexpr std::uint32_t kDelay = 20;

TEST_F(Unsettled, AWillWaitsOnWhenItsClientIsRefused) {
    watch();
    loses(comes("c", {.will = "old", .will_delay = kDelay}));
    settle();
    fail_commits(true);
    EXPECT_EQ(connack(comes("c", {.will = "new"})), kUnavailable);
    pass(kLong);
    EXPECT_EQ(wills(), "");
    fail_commits(false);
    pass(kLong + kLong);
    EXPECT_EQ(wills(), "old");
    EXPECT_FALSE(stored("c").will.has_value());
}

TEST_F(Unsettled, AWillWhoseTimeComesWhileNothingIsStoredIsPublishedAfterwards) {
    watch();
    loses(comes("c", {.will = "old", .will_delay = kDelay}));
    settle();
    fail_commits(true);
    EXPECT_EQ(connack(comes("c")), kUnavailable);
    pass(3 * kLong);
    EXPECT_EQ(wills(), "");
    fail_commits(false);
    pass(kLong);
    EXPECT_EQ(wills(), "old");
}

// Whether the store has its CONNECT turns out when its connection has ended.
class WithoutAnAnswer : public Unsettled, public testing::WithParamInterface<bool> {
  protected:
    WithoutAnAnswer() {
        watch();
        loses(comes("c", {.will = "old", .will_delay = kDelay}));
        settle();
    }
    /// What has been asked for is in the log, or not, and then everything is well again.
    void decide() {
        fail_commits(fails());
        settle();
        fail_commits(false);
    }
    static bool fails() { return GetParam(); }
};

TEST_P(WithoutAnAnswer, AConnectionWithoutAWillEnds) {
    loses(knocks("c"));
    decide();
    pass(3 * kLong);
    EXPECT_EQ(wills(), fails() ? "old" : "");
    EXPECT_FALSE(stored("c").will.has_value());
    EXPECT_EQ(shard_.sessions_at_rest(), 1U);
}

TEST_P(WithoutAnAnswer, AConnectionWithAWillEnds) {
    loses(knocks("c", {.will = "new"}));
    decide();
    pass(1s);
    EXPECT_EQ(wills(), fails() ? "" : "new");
    pass(3 * kLong);
    EXPECT_EQ(wills(), fails() ? "old" : "new");
    EXPECT_FALSE(stored("c").will.has_value());
    EXPECT_EQ(shard_.sessions_at_rest(), 1U);
}

TEST_P(WithoutAnAnswer, AConnectionWithAWillThatWaitsEnds) {
    loses(knocks("c", {.will = "new", .will_delay = kDelay}));
    decide();
    EXPECT_EQ(stored("c").will->message->payload().size(), 3U) << "a crash does not lose it";
    EXPECT_EQ(as_text(stored("c").will->message->payload()), fails() ? "old" : "new");
    pass(3 * kLong);
    EXPECT_EQ(wills(), fails() ? "old" : "new");
    EXPECT_EQ(shard_.sessions_at_rest(), 1U);
}

TEST_P(WithoutAnAnswer, AnotherConnectionTakesOver) {
    const ConnectionId first = knocks("c", {.will = "new"});
    const ConnectionId second = knocks("c", {.will = "newest", .will_delay = kDelay});
    EXPECT_EQ(wire_.closed.back(), first);
    decide();
    EXPECT_EQ(connack(second), fails() ? kUnavailable : 0);
    pass(1s);
    EXPECT_EQ(wills(), fails() ? "" : "new");
    pass(3 * kLong);
    EXPECT_EQ(wills(), fails() ? "old" : "new");
    if (fails()) return;
    loses(second);
    pass(3 * kLong);
    EXPECT_EQ(wills(), "newnewest");
}

TEST_P(WithoutAnAnswer, NeitherOfTwoIsAnswered) {
    loses(knocks("c", {.will = "new", .will_delay = kDelay}));
    loses(knocks("c", {.will = "newest", .will_delay = kDelay}));
    decide();
    pass(3 * kLong);
    EXPECT_EQ(wills(), fails() ? "old" : "newest");
    EXPECT_EQ(shard_.sessions_at_rest(), 1U);
}

TEST_P(WithoutAnAnswer, TheSessionIsTheOneBeforeIfItFails) {
    loses(knocks("c", {.expiry = 5}));
    decide();
    pass(kLong);
    EXPECT_EQ(shard_.sessions(), fails() ? 2U : 1U) << "the watcher, and perhaps the session";
}

std::string name_of(const testing::TestParamInfo<bool>& info) {
    return info.param ? "Fails" : "Committed";
}
INSTANTIATE_TEST_SUITE_P(Attach, WithoutAnAnswer, testing::Bool(), name_of);

}  // namespace
}  // namespace stentor::server
