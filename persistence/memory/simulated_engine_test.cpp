#include "persistence/memory/simulated_engine.hpp"

#include "base/random.hpp"
#include "persistence/contract/recording_sink.hpp"
#include "persistence/contract/samples.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

constexpr std::uint16_t kShards = 3;

/// Writes down everything in the order it comes.
class Diary final : public CommitSink {
  public:
    void group_committed(CommitGroupPtr group) override {
        text += "g" + std::to_string(group->first.value()) + "-" +
                std::to_string(group->last().value()) + " ";
    }
    void ticket_done(ShardId shard, CommitTicket ticket, Result<void> result) override {
        text += "t" + std::to_string(shard.value()) + ":" + std::to_string(ticket) +
                (result.has_value() ? " " : "! ");
    }
    void page_read(ShardId shard, Page page) override {
        text += "p" + std::to_string(shard.value()) + ":" + std::to_string(page.entries.size()) +
                "@" + std::to_string(page.complete_through.value()) +
                (page.result.has_value() ? " " : "! ");
    }

    std::string text;
};

SimulatedEngineOptions options(std::uint64_t seed) {
    return {
        .seed = seed,
        .log = {.shards = kShards},
        .faults = {.full_per_mille = 50, .fail_commit_per_mille = 200, .fail_read_per_mille = 100}};
}

/// Drives the engine with the simulator's randomness, apart from the engine's.
class Shards {
  public:
    Shards(SimulatedEngine& engine, std::uint64_t seed) : engine_{engine}, random_{seed} {}

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            const ShardId shard{static_cast<std::uint16_t>(random_.below(kShards))};
            if (random_.chance(1, 2)) {
                auto batch = samples::batch(shard, tickets_[shard.value()] + 1, {});
                for (std::uint64_t n = random_.between(1, 3); n != 0; --n) {
                    batch.add(samples::logged("t"));
                }
                if (engine_.submit(batch) == Push::ok) ++tickets_[shard.value()];
            }
            if (random_.chance(1, 4)) {
                ReadRequest request;
                request.shard = shard;
                request.cookie = ++cookie_;
                request.filters = filters_;
                if (engine_.read(request) == Push::ok) ++reads;
            }
            now_ += Duration{static_cast<Duration::rep>(random_.below(3'000))};
            engine_.step(now_);
        }
    }

    [[nodiscard]] CommitTicket submitted() const {
        CommitTicket sum = 0;
        for (const CommitTicket tickets : tickets_) sum += tickets;
        return sum;
    }

    std::size_t reads = 0;

  private:
    SimulatedEngine& engine_;
    Random random_;
    Instant now_;
    std::vector<CommitTicket> tickets_ = std::vector<CommitTicket>(kShards);
    std::uint64_t cookie_ = 0;
    FilterSetPtr filters_ = make_intrusive<FilterSet>(std::vector<std::string>{"t"});
};

TEST(SimulatedEngine, TheSameSeedTellsTheSameStory) {
    const auto story = [](std::uint64_t seed) {
        SimulatedEngine engine{options(seed)};
        EXPECT_TRUE(engine.recover().has_value());
        Diary diary;
        engine.start(diary);
        Shards shards{engine, 1};
        shards.run(500);
        engine.drain_and_close();
        return diary.text;
    };
    EXPECT_EQ(story(1), story(1));
    EXPECT_NE(story(1), story(2));
}

TEST(SimulatedEngine, KeepsTheContractWithAllFaults) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        SimulatedEngine engine{options(seed)};
        ASSERT_TRUE(engine.recover().has_value());
        RecordingSink sink{kNoSeq};
        engine.start(sink);
        Shards shards{engine, seed};
        shards.run(200);
        engine.drain_and_close();
        ASSERT_EQ(sink.complaints(), "");
        EXPECT_EQ(sink.tickets_done(), shards.submitted());
        EXPECT_EQ(sink.pages(), shards.reads);
        EXPECT_EQ(sink.last(), engine.log().last());
    }
}

TEST(SimulatedEngine, BatchesOfAGroupFailTogetherAndLeaveNothing) {
    SimulatedEngineOptions failing = options(1);
    failing.faults = {.fail_commit_per_mille = 1000};
    SimulatedEngine engine{failing};
    ASSERT_TRUE(engine.recover().has_value());
    RecordingSink sink{kNoSeq};
    engine.start(sink);
    for (CommitTicket ticket = 1; ticket <= 20; ++ticket) {
        auto batch = samples::batch(ShardId{0}, ticket, {samples::logged("t")});
        ASSERT_EQ(engine.submit(batch), Push::ok);
    }
    engine.drain_and_close();
    EXPECT_EQ(sink.tickets_done(), 20U);
    EXPECT_EQ(sink.groups(), 0U);
    EXPECT_EQ(engine.log().last(), kNoSeq);
    EXPECT_EQ(*sink.result(ShardId{0}, 20),
              Result<void>{make_error_code(StoreErrc::commit_failed)});
}

TEST(SimulatedEngine, SaysWhenItHasSomethingToDo) {
    SimulatedEngineOptions slow = options(1);
    slow.faults = {};
    SimulatedEngine engine{slow};
    ASSERT_TRUE(engine.recover().has_value());
    RecordingSink sink{kNoSeq};
    engine.start(sink);
    EXPECT_EQ(engine.next_due(), std::nullopt);
    auto batch = samples::batch(ShardId{0}, 1, {samples::logged("t")});
    ASSERT_EQ(engine.submit(batch), Push::ok);
    int steps = 0;
    for (; engine.next_due(); ++steps) {
        ASSERT_LT(steps, 10);
        engine.step(*engine.next_due());
    }
    EXPECT_EQ(sink.tickets_done(), 1U);
    EXPECT_GE(steps, 2) << "a group and its ticket are told apart in time";
    engine.drain_and_close();
}

/// Whatever a shard was told before the crash is there afterwards, in every mode that promises it.
TEST(SimulatedEngine, ACrashForgetsOnlyWhatWasNotCommitted) {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        SimulatedEngine engine{options(seed)};
        Seq told;
        for (int life = 0; life < 4; ++life) {
            const auto recovered = engine.recover();
            ASSERT_TRUE(recovered.has_value());
            EXPECT_EQ(recovered->clean, life == 0);
            EXPECT_GE(recovered->last, told) << "an answered commit is lost";
            RecordingSink sink{recovered->last};
            engine.start(sink);
            Shards shards{engine, seed};
            shards.run(50);
            told = sink.last();
            EXPECT_EQ(sink.complaints(), "");
            engine.crash();
        }
        // Committed messages are all readable, from the first position to the last.
        const auto recovered = engine.recover();
        EXPECT_EQ(engine.log().messages(), recovered->last.value());
    }
}

TEST(SimulatedEngine, PositionsJumpAheadWhenTheDiskMayHaveLostSome) {
    std::set<bool> lost_some;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        SCOPED_TRACE(seed);
        SimulatedEngineOptions os = options(seed);
        os.acknowledge_after = AcknowledgeAfter::os;
        SimulatedEngine engine{os};
        ASSERT_TRUE(engine.recover().has_value());
        auto sink = std::make_unique<RecordingSink>(kNoSeq);
        engine.start(*sink);
        Shards{engine, seed}.run(100);
        const Seq told = sink->last();
        engine.crash();
        lost_some.insert(engine.log().last() < told);
        const auto recovered = engine.recover();
        EXPECT_GT(recovered->last, told) << "a client would hold a position from the future";
        EXPECT_FALSE(recovered->clean);

        sink = std::make_unique<RecordingSink>(recovered->last);
        engine.start(*sink);
        Shards{engine, seed}.run(100);
        EXPECT_EQ(sink->complaints(), "");
        const Seq last = sink->last();
        engine.drain_and_close();
        const auto clean = engine.recover();
        EXPECT_TRUE(clean->clean);
        EXPECT_GE(clean->last, last);
    }
    EXPECT_EQ(lost_some.size(), 2U) << "some crashes lose commits, some do not";
}

/// What shards said they do not need by commits that a crash takes back is needed again.
TEST(SimulatedEngine, ACrashNeverTakesBackMoreThanTheLogStillHas) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        SCOPED_TRACE(seed);
        SimulatedEngineOptions os{
            .seed = seed, .log = {.shards = 1}, .acknowledge_after = AcknowledgeAfter::os};
        SimulatedEngine engine{os};
        ASSERT_TRUE(engine.recover().has_value());
        RecordingSink sink{kNoSeq};
        engine.start(sink);
        CommitTicket ticket = 0;
        Instant now;
        const auto commit = [&](std::vector<Record> records) {
            auto batch = samples::batch(ShardId{0}, ++ticket, std::move(records));
            ASSERT_EQ(engine.submit(batch), Push::ok);
            while (sink.tickets_done() < ticket) engine.step(now += Duration{1'000});
        };
        commit({samples::attached("c"), samples::subscribed("c", "t")});
        for (std::uint64_t i = 0; i < seed % 20; ++i) {
            commit({samples::logged("t")});
            commit({samples::delivered("c", sink.last())});
            engine.needed_from(ShardId{0}, next(sink.last()));
        }
        const Seq before = sink.last();
        engine.crash();
        const auto recovered = engine.recover();
        if (!recovered->state.sessions().contains("c")) continue;
        const auto needed = needed_from(recovered->state.sessions().at("c"));
        if (!needed) continue;
        // Messages and delivery states alternate from position 3 on.
        ReadRequest request;
        request.after = Seq{needed->value() - 1};
        request.filters = make_intrusive<FilterSet>(std::vector<std::string>{"t"});
        const Page page = engine.log().read(request, recovered->last);
        const Seq survived = std::min(before, Seq{recovered->last.value() - 1'000'000});
        for (std::uint64_t seq = 3; seq <= survived.value(); seq += 2) {
            if (Seq{seq} < *needed) continue;
            EXPECT_TRUE(std::any_of(page.entries.begin(), page.entries.end(), [&](auto& entry) {
                return entry.seq == Seq{seq};
            })) << seq;
        }
    }
}

}  // namespace
}  // namespace stentor::store
