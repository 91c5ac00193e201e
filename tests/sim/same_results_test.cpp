// One, two and five shards: the same script gives every client the same packets in the same order.
// Between the acts of a script everything comes to rest, so that what follows is determined.

#include "base/log.hpp"
#include "tests/sim/broker.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/oracle.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stentor::sim {
namespace {

using mqtt::QoS;

constexpr std::size_t kClients = 5;
constexpr int kActs = 60;
constexpr int kRoundsMax = 20'000;
constexpr int kQuietRounds = 20;

const std::array<std::string, 5> kTopics{"a", "a/b", "a/c", "b/a", "b/b/c"};
const std::array<std::string, 7> kFilters{"a", "a/b", "b/b/c", "#", "a/#", "+/b", "b/+/c"};
const std::array<std::string, 3> kSharedFilters{"$share/g/a/#", "$share/g/+/b", "$share/h/#"};

enum class Filters : std::uint8_t { plain, shared };

class Stage {
  public:
    Stage(std::uint64_t seed, std::uint16_t shards, Filters filters)
        : random_{seed}, filters_{filters} {
        BrokerOptions options;
        options.seed = random_.next();
        options.shards = shards;
        broker_ = std::make_unique<Broker>(options, now_);
        broker_->be_gentle();
        for (std::size_t i = 0; i < kClients; ++i) {
            Persona persona;
            persona.name = "c" + std::to_string(i);
            persona.version =
                random_.chance(1, 3) ? mqtt::ProtocolVersion::v3_1_1 : mqtt::ProtocolVersion::v5;
            persona.durable = random_.chance(2, 3);
            persona.receive_maximum = random_.chance(1, 2) ? 2 : 0;
            clients_.push_back(std::make_unique<Client>(
                persona, random_.split(), now_, oracle_, trace_, [this](const WirePtr& wire) {
                    broker_->accept(accepting_++ % broker_->shards(), wire);
                }));
            clients_.back()->keep_transcript();
            clients_.back()->be_polite();
        }
    }

    void play() {
        settle();
        for (int i = 0; i < kActs && !oracle_.complaint(); ++i) {
            act(*clients_[random_.below(kClients)]);
            settle();
        }
        for (auto& client : clients_) arrive(*client);
        settle();
        oracle_.judge_end();
    }

    [[nodiscard]] std::vector<std::vector<std::string>> transcripts() const {
        std::vector<std::vector<std::string>> all;
        for (const auto& client : clients_) all.push_back(client->transcript());
        if (filters_ == Filters::shared) {  // groups with different homes have no order
            for (auto& each : all) std::sort(each.begin(), each.end());
        }
        return all;
    }
    [[nodiscard]] const Oracle& oracle() const { return oracle_; }

  private:
    /// The same draws whatever the number of shards.
    void act(Client& client) {
        const std::uint64_t what = random_.below(10);
        const std::string& topic = kTopics[random_.below(kTopics.size())];
        const std::string& filter = filters_ == Filters::plain
                                        ? kFilters[random_.below(kFilters.size())]
                                        : kSharedFilters[random_.below(kSharedFilters.size())];
        const auto qos = static_cast<QoS>(random_.below(3));
        // Whose turn it is in a group depends on who has done with the last one: one at a time.
        const std::uint64_t count = filters_ == Filters::plain ? random_.between(1, 8) : 1;
        const bool retain = random_.chance(1, 4);
        const bool clears = retain && random_.chance(1, 4);
        mqtt::SubscriptionOptions options{.qos = qos};
        options.retain_as_published = random_.chance(1, 3);
        options.retain_handling = static_cast<mqtt::RetainHandling>(random_.below(3));
        arrive(client);
        switch (what) {
            case 0:
            case 1:
            case 2:
                client.subscribe(filter, options);
                break;
            case 3:
                client.unsubscribe(filter);
                break;
            case 4:
                client.drop();
                break;
            case 5:
                client.leave();
                break;
            default:
                for (std::uint64_t i = 0; i < count; ++i) {
                    client.publish(topic, qos, retain, clears);
                }
        }
    }

    /// A client that left earlier is back.
    void arrive(Client& client) {
        if (client.connected()) return;
        client.connect(client.persona().durable ? mqtt::CleanStart::no : mqtt::CleanStart::yes);
        settle();
    }

    void settle() {
        int quiet = 0;
        for (int i = 0; i < kRoundsMax && quiet < kQuietRounds; ++i) {
            now_ = saturating_add(now_, std::chrono::milliseconds{1});
            oracle_.set_now(now_);
            for (std::size_t shard = 0; shard < broker_->shards(); ++shard) {
                broker_->run_shard(shard);
            }
            broker_->run_engine();
            broker_->run_others();
            for (auto& client : clients_) client->turn();
            bool all = broker_->idle();
            for (const auto& client : clients_) all = all && client->quiet();
            quiet = all ? quiet + 1 : 0;
        }
        if (quiet < kQuietRounds) oracle_.complain("it does not come to rest");
    }

    Random random_;
    Filters filters_;
    Instant now_{std::chrono::seconds{1000}};
    Trace trace_{0};
    Oracle oracle_{trace_, {}};
    std::unique_ptr<Broker> broker_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::size_t accepting_ = 0;
};

void compare(Filters filters) {
    log_start({.level = LogLevel::error, .descriptor = -1});
    std::size_t packets = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        std::vector<std::vector<std::string>> expected;
        for (const std::uint16_t shards : std::array<std::uint16_t, 3>{1, 2, 5}) {
            SCOPED_TRACE(shards);
            Stage stage{seed, shards, filters};
            stage.play();
            ASSERT_FALSE(stage.oracle().complaint()) << *stage.oracle().complaint();
            if (shards == 1) expected = stage.transcripts();
            const auto got = stage.transcripts();
            for (std::size_t i = 0; i < kClients; ++i) {
                const auto [a, b] = std::mismatch(
                    got[i].begin(), got[i].end(), expected[i].begin(), expected[i].end());
                ASSERT_TRUE(a == got[i].end() && b == expected[i].end())
                    << "client " << i << " packet " << a - got[i].begin() << ": "
                    << (a == got[i].end() ? "none" : *a) << ", at one shard "
                    << (b == expected[i].end() ? "none" : *b);
            }
            packets += stage.oracle().deliveries();
        }
    }
    EXPECT_GT(packets, 1000U);
}

TEST(SimSameResults, AtOneTwoAndFiveShards) { compare(Filters::plain); }

TEST(SimSameResults, OfSharedSubscriptions) { compare(Filters::shared); }

}  // namespace
}  // namespace stentor::sim
