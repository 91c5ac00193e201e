// Messages for a shared subscription whose members come and go, or change what they can take, while
// they are on their way: somebody gets each of them, or it is counted.

#include "base/log.hpp"
#include "tests/sim/broker.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/oracle.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>

namespace stentor::sim {
namespace {

using mqtt::CleanStart;
using mqtt::QoS;

constexpr std::uint16_t kShards = 3;
constexpr std::uint64_t kMessages = 6;
// Long enough that a PUBLISH of it can be too large for who can still be sent CONNACK.
const std::string kTopic(22, 't');
const std::string kShare = "$share/g/" + kTopic;
constexpr int kRounds = 60;
constexpr std::size_t kNobody = kShards;

class Stage {
  public:
    explicit Stage(std::uint64_t seed, const Persona& worker = {}) : random_{seed} {
        BrokerOptions options;
        options.seed = random_.next();
        options.shards = kShards;
        broker_ = std::make_unique<Broker>(options, now_);
        broker_->be_gentle();
        worker_ = arrived("worker", worker);
        other_ = arrived("other");
        publisher_ = arrived("publisher");
        for (Client* each : {worker_.get(), other_.get()}) {
            each->subscribe(kShare, {.qos = QoS::at_most_once});
        }
        run();
    }

    Client& worker() { return *worker_; }
    void publish(QoS qos = QoS::at_most_once) {
        for (std::uint64_t i = 0; i < kMessages; ++i) publisher_->publish(kTopic, qos, false);
        publisher_->turn();
    }
    /// Everything goes on but shard `held`.
    void run(std::size_t held = kNobody) {
        for (int i = 0; i < kRounds; ++i) {
            step(held);
            broker_->run_engine();
            for (Client* each : {worker_.get(), other_.get(), publisher_.get()}) {
                if (each != nullptr && each->connected()) each->turn();
            }
        }
    }
    /// Nothing is committed.
    void run_without_the_store() {
        for (int i = 0; i < kRounds; ++i) step(kNobody);
    }
    [[nodiscard]] std::uint64_t given() const {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < kShards; ++i) {
            sum += broker_->shard(i).counters().messages_matched;
        }
        return sum;
    }
    [[nodiscard]] std::uint64_t dropped() const {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < kShards; ++i) {
            const auto& counted = broker_->shard(i).counters().messages_dropped;
            sum = std::accumulate(counted.begin(), counted.end(), sum);
        }
        return sum;
    }

  private:
    std::unique_ptr<Client> arrived(const std::string& name, Persona persona = {}) {
        persona.name = name;
        auto client = std::make_unique<Client>(
            persona, random_.split(), now_, oracle_, trace_, [this](const WirePtr& wire) {
                broker_->accept(accepting_++ % kShards, wire);
            });
        client->be_polite();
        client->connect(CleanStart::yes);
        for (int i = 0; i < kRounds; ++i) {
            step(kNobody);
            broker_->run_engine();
            client->turn();
        }
        EXPECT_TRUE(client->connected());
        return client;
    }
    void step(std::size_t held) {
        now_ = saturating_add(now_, std::chrono::milliseconds{1});
        oracle_.set_now(now_);
        for (std::size_t shard = 0; shard < kShards; ++shard) {
            if (shard != held) broker_->run_shard(shard);
        }
        broker_->run_others();
    }

    Random random_;
    Instant now_{std::chrono::seconds{1000}};
    Trace trace_{0};
    Oracle oracle_{trace_, {}};
    std::unique_ptr<Broker> broker_;
    std::unique_ptr<Client> worker_;
    std::unique_ptr<Client> other_;
    std::unique_ptr<Client> publisher_;
    std::size_t accepting_ = 0;
};

/// One of the held shards is the worker's: messages for it are in the mailbox when it finds that
/// the worker has gone.
TEST(SimShares, AMemberThatLeavesLeavesQos0ToTheOthers) {
    log_start({.level = LogLevel::error, .descriptor = -1});
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        for (std::size_t held = 0; held < kShards; ++held) {
            SCOPED_TRACE("seed " + std::to_string(seed) + ", shard " + std::to_string(held));
            Stage stage{seed};
            stage.worker().drop();
            stage.publish();
            stage.run(held);
            stage.run();
            EXPECT_EQ(stage.given() + stage.dropped(), kMessages);
            EXPECT_EQ(stage.dropped(), 0U);
        }
    }
}

TEST(SimShares, AMemberThatArrivesGetsItsQos0WhenItHas) {
    log_start({.level = LogLevel::error, .descriptor = -1});
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        SCOPED_TRACE(seed);
        Stage stage{seed};
        stage.worker().drop();
        stage.run();
        stage.worker().connect(CleanStart::no);
        stage.worker().turn();
        stage.run_without_the_store();
        stage.publish();
        stage.run_without_the_store();
        stage.run();
        EXPECT_EQ(stage.given() + stage.dropped(), kMessages);
        EXPECT_EQ(stage.dropped(), 0U);
    }
}

/// QoS 1 takes two bytes more than QoS 0: the home has chosen the worker by what it took before.
TEST(SimShares, AMemberThatCanTakeLessNowLeavesTheRestToTheOthers) {
    log_start({.level = LogLevel::error, .descriptor = -1});
    Persona worker;
    std::uint64_t by_worker = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        for (std::uint32_t bytes_max = 26; bytes_max <= 36; ++bytes_max) {
            for (std::size_t held = 0; held < kShards; ++held) {
                SCOPED_TRACE("seed " + std::to_string(seed) + ", " + std::to_string(bytes_max) +
                             " bytes, shard " + std::to_string(held));
                worker.packet_bytes_max = bytes_max;
                Stage stage{seed, worker};
                stage.worker().keep_transcript();
                stage.worker().subscribe(kShare, {.qos = QoS::at_least_once});
                stage.worker().turn();
                stage.run_without_the_store();
                stage.run(held);  // the SUBSCRIBE is committed, and its shard does not know yet
                stage.publish(QoS::at_least_once);
                stage.run(held);
                stage.run();
                EXPECT_EQ(stage.given(), kMessages);
                EXPECT_EQ(stage.dropped(), 0U);
                by_worker += stage.worker().transcript().size();
            }
        }
    }
    EXPECT_GT(by_worker, 0U);
}

}  // namespace
}  // namespace stentor::sim
