// The steady path through a shard takes one allocation per message, the Message itself: bytes are
// received, decoded, routed to a subscriber of the same shard, encoded and handed to the transport.
//
// A program of its own, because it counts what operator new is asked for.

#include "persistence/memory/simulated_engine.hpp"
#include "server/shard/commit_fanout.hpp"
#include "server/shard/shard.hpp"
#include "tests/kit/allocations.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

constexpr int kMessagesPerTurn = 8;
constexpr int kTurns = 500;
constexpr int kWarmUpTurns = 50;

/// A kernel that takes everything at once. Counts the bytes.
class Sink final : public TransportPort {
  public:
    void write(ConnectionId /*connection*/, mqtt::WireBuffer& out) override {
        bytes += out.size();
        out.consume(out.size());
    }
    void set_reading(ConnectionId /*connection*/, bool /*enabled*/) override {}
    void close(ConnectionId /*connection*/, mqtt::WireBuffer /*out*/) override {
        ADD_FAILURE() << "the shard closes";
    }
    std::unique_ptr<MovedSocket> detach(ConnectionId /*connection*/) override { return nullptr; }
    void attach(ConnectionId /*connection*/, std::unique_ptr<MovedSocket> /*socket*/) override {}

    std::size_t bytes = 0;
};

/// Everybody may do everything.
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

class SteadyPath : public testing::Test {
  protected:
    SteadyPath() {
        const auto recovered = engine_.recover();
        shard_.recover(*recovered, now_);
        engine_.start(fanout_);
    }
    ~SteadyPath() override { engine_.drain_and_close(); }
    SteadyPath(const SteadyPath&) = delete;
    SteadyPath& operator=(const SteadyPath&) = delete;

    /// Time passes until the store has nothing to do.
    void settle() {
        shard_.step(now_);
        while (const auto due = engine_.next_due()) {
            now_ = std::max(now_, *due);
            engine_.step(now_);
            shard_.step(now_);
        }
        shard_.step(now_);
    }
    void bring(ConnectionId from, std::string_view hex) {
        const Bytes bytes = from_hex(hex).value();
        ASSERT_EQ(shard_.received(from, bytes, now_), bytes.size());
        settle();
    }
    /// A connection of a transient session of 5.0, identifier `letter`.
    ConnectionId connected(std::string_view letter) {
        const ConnectionId id = shard_.opened({}, now_);
        bring(id, "10 0e 00044d515454 05 02 0000 00 0001" + std::string{letter});
        return id;
    }

    Instant now_{std::chrono::hours{1}};
    Sink transport_;
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
                 transport_};
};

TEST_F(SteadyPath, TakesOneAllocationForAMessageOfQos0) {
    const ConnectionId subscriber = connected("62");
    bring(subscriber, "82 09 0001 00 0003 612f62 00");  // SUBSCRIBE a/b
    const ConnectionId publisher = connected("61");
    Bytes turn;
    for (int i = 0; i < kMessagesPerTurn; ++i) {
        const Bytes publish = from_hex("30 07 0003 612f62 00 78").value();  // a/b, "x"
        turn.insert(turn.end(), publish.begin(), publish.end());
    }
    const auto run = [&](int turns) {
        for (int i = 0; i < turns; ++i) {
            ASSERT_EQ(shard_.received(publisher, turn, now_), turn.size());
            shard_.step(now_);
        }
    };
    run(kWarmUpTurns);
    const std::size_t before = kit::allocations;
    ASSERT_GT(before, 0U) << "the counter counts";
    const std::size_t bytes_before = transport_.bytes;
    run(kTurns);
    EXPECT_EQ(transport_.bytes - bytes_before, kTurns * turn.size()) << "each arrives";
    EXPECT_EQ(kit::allocations - before, std::size_t{kTurns} * kMessagesPerTurn);
}

}  // namespace
}  // namespace stentor::server
