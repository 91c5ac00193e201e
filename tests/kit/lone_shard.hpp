#pragma once
// For tests: one shard by itself, over a store of the simulator that does what it is asked to, and
// a kernel that takes everything at once. One thread.

#include "base/bytes.hpp"
#include "persistence/memory/simulated_engine.hpp"
#include "server/shard/commit_fanout.hpp"
#include "server/shard/shard.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {

/// Counts the bytes, and keeps them where a test wants to read them.
class Sink final : public TransportPort {
  public:
    void write(ConnectionId /*connection*/, mqtt::WireBuffer& out) override {
        bytes += out.size();
        if (!keeps) {
            out.consume(out.size());
            return;
        }
        const Bytes said = out.take();
        kept.insert(kept.end(), said.begin(), said.end());
    }
    void set_reading(ConnectionId /*connection*/, bool /*enabled*/) override {}
    void close(ConnectionId /*connection*/, mqtt::WireBuffer /*out*/) override { ++closed; }
    std::unique_ptr<MovedSocket> detach(ConnectionId /*connection*/) override { return nullptr; }
    void attach(ConnectionId /*connection*/, std::unique_ptr<MovedSocket> /*socket*/) override {}

    std::size_t bytes = 0;
    std::size_t closed = 0;  // connections, by the shard
    bool keeps = false;
    Bytes kept;
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

class LoneShard : public testing::Test {
  protected:
    explicit LoneShard(const ShardOptions& options = {}) : options_{options} {
        const auto recovered = engine_.recover();
        shard_.recover(*recovered, now_);
        engine_.start(fanout_);
    }
    ~LoneShard() override { engine_.drain_and_close(); }
    LoneShard(const LoneShard&) = delete;
    LoneShard& operator=(const LoneShard&) = delete;

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
    void bring(ConnectionId from, ByteView bytes) {
        ASSERT_EQ(shard_.received(from, bytes, now_), bytes.size());
        settle();
    }
    void bring(ConnectionId from, std::string_view hex) { bring(from, from_hex(hex).value()); }
    /// A connection of a transient session of 5.0, identifier `letter`.
    ConnectionId connected(std::string_view letter) {
        const ConnectionId id = shard_.opened({}, now_);
        bring(id, "10 0e 00044d515454 05 02 0000 00 0001" + std::string{letter});
        return id;
    }

    const ShardOptions options_;
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
                 options_,
                 {.interest = &interest_,
                  .placement = &placement_,
                  .engine = &engine_,
                  .access = &access_,
                  .mailboxes = mailboxes_},
                 transport_};
};

}  // namespace stentor::server
