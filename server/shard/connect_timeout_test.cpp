// Who is closed for not having said in time who he is, and whose time is not running.

#include "base/bytes.hpp"
#include "persistence/memory/simulated_engine.hpp"
#include "server/shard/commit_fanout.hpp"
#include "server/shard/shard.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

using namespace std::chrono_literals;

class Wire final : public TransportPort {
  public:
    void write(ConnectionId /*connection*/, mqtt::WireBuffer& out) override {
        out.consume(out.size());
    }
    void set_reading(ConnectionId /*connection*/, bool /*enabled*/) override {}
    void close(ConnectionId /*connection*/, mqtt::WireBuffer /*out*/) override { ++closed; }
    std::unique_ptr<MovedSocket> detach(ConnectionId /*connection*/) override {
        ++moved;
        return nullptr;
    }
    void attach(ConnectionId /*connection*/, std::unique_ptr<MovedSocket> /*socket*/) override {}
    [[nodiscard]] bool is_put_off(ConnectionId /*connection*/) const noexcept override {
        return waits;
    }
    [[nodiscard]] Duration was_put_off_for(ConnectionId /*connection*/) const noexcept override {
        return waited;
    }

    int closed = 0;
    int moved = 0;
    bool waits = false;
    Duration waited{};
};

/// Thinks about everybody.
class Slow final : public AccessControl {
  public:
    std::optional<Admission> admit(const mqtt::ConnectRequest& /*request*/,
                                   const PeerInfo& /*peer*/,
                                   ShardId /*shard*/,
                                   ConnectionId /*connection*/) override {
        return std::nullopt;
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

class ConnectTimeout : public testing::Test {
  protected:
    ConnectTimeout() {
        const auto recovered = engine_.recover();
        shard_.recover(*recovered, now_);
        engine_.start(fanout_);
        client_ = shard_.opened({}, now_);
    }
    ~ConnectTimeout() override { engine_.drain_and_close(); }
    ConnectTimeout(const ConnectTimeout&) = delete;
    ConnectTimeout& operator=(const ConnectTimeout&) = delete;

    /// A client of the other shard.
    void connects() {
        char name = 'a';
        while (placement_.of_client(std::string(1, name)) == ShardId{0}) ++name;
        Bytes packet = from_hex("10 0e 00044d515454 05 02 0000 00 0001").value();
        packet.push_back(static_cast<std::byte>(name));
        ASSERT_EQ(shard_.received(client_, packet, now_), packet.size());
    }
    void passes(Duration time) {
        now_ += time;
        shard_.heard_all(now_);
        shard_.step(now_);
    }
    void is_admitted() {
        Admission admission;
        admission.accepted = true;
        mailbox_.push_reserved(Admitted{client_, std::move(admission)});
    }

    static constexpr Duration kTimeout = ShardOptions{}.connect_timeout;
    Instant now_{std::chrono::hours{1}};
    Wire wire_;
    Slow slow_;
    InterestTable interest_;
    const Placement placement_{2, HashKey{.k0 = 1, .k1 = 7}};
    store::SimulatedEngine engine_{{}};
    Mailbox mailbox_{1024, [] {}};
    Mailbox other_{1024, [] {}};
    const std::vector<Mailbox*> mailboxes_{&mailbox_, &other_};
    CommitFanout fanout_{mailboxes_};
    Shard shard_{ShardId{0},
                 {},
                 {.interest = &interest_,
                  .placement = &placement_,
                  .engine = &engine_,
                  .access = &slow_,
                  .mailboxes = mailboxes_},
                 wire_};
    ConnectionId client_;
};

TEST_F(ConnectTimeout, WhoSaysNothingIsClosed) {
    passes(kTimeout - 1s);
    EXPECT_EQ(wire_.closed, 0);
    passes(1s);
    EXPECT_EQ(wire_.closed, 1);
}

TEST_F(ConnectTimeout, WhoWaitsForADecisionHasThriceTheTime) {
    connects();
    passes(3 * kTimeout - 1s);
    EXPECT_EQ(wire_.closed, 0);
    passes(1s);
    EXPECT_EQ(wire_.closed, 1);
}

// It has left the half-open state already, though it is still to go home.
TEST_F(ConnectTimeout, WhoIsAdmittedInTheLastMomentIsNotLate) {
    connects();
    passes(3 * kTimeout - 1s);
    is_admitted();
    passes(1s);
    EXPECT_EQ(wire_.closed, 0);
    EXPECT_EQ(wire_.moved, 1);
}

TEST_F(ConnectTimeout, WhatItHasWaitedForItsTurnsIsNotTheClients) {
    wire_.waited = kTimeout - 1s;  // and it was answered just now
    passes(kTimeout);
    EXPECT_EQ(wire_.closed, 0);
    passes(kTimeout - 2s);
    EXPECT_EQ(wire_.closed, 0) << "it has the time that it had not used";
    passes(1s);
    EXPECT_EQ(wire_.closed, 1);
}

TEST_F(ConnectTimeout, NobodyWaitsForEver) {
    wire_.waits = true;
    passes(3 * kTimeout - 1s);
    EXPECT_EQ(wire_.closed, 0);
    passes(1s);
    EXPECT_EQ(wire_.closed, 1);
}

TEST_F(ConnectTimeout, NorWithOneTurnAfterTheOther) {
    wire_.waited = 100 * kTimeout;
    passes(3 * kTimeout - 1s);
    EXPECT_EQ(wire_.closed, 0);
    passes(1s);
    EXPECT_EQ(wire_.closed, 1);
}

}  // namespace
}  // namespace stentor::server
