#include "persistence/memory/memory_engine.hpp"

#include "persistence/contract/engine_under_test.hpp"
#include "persistence/contract/recording_sink.hpp"
#include "persistence/contract/samples.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace stentor::store {
namespace {

constexpr std::chrono::seconds kPatience{60};

MemoryEngineOptions options() { return {.log = {.shards = 3}}; }

TEST(MemoryEngine, BeginsEmpty) {
    MemoryEngine engine{options()};
    const auto recovered = engine.recover();
    ASSERT_TRUE(recovered.has_value());
    EXPECT_EQ(recovered->last, kNoSeq);
    EXPECT_TRUE(recovered->clean);
    EXPECT_TRUE(recovered->state.sessions().empty());
}

// While the sink is busy with one group, everything that comes is the next one.
TEST(MemoryEngine, CommitsTheWaitingBatchesOfAllShardsAsOneGroup) {
    MemoryEngine engine{options()};
    RecordingSink sink{kNoSeq};
    engine.start(sink);
    EngineUnderTest::Pause pause{sink};
    for (std::uint16_t i = 0; i < 30; ++i) {
        auto batch = samples::batch(
            ShardId{static_cast<std::uint16_t>(i % 3)}, i / 3U + 1, {samples::logged("t")});
        ASSERT_EQ(engine.submit(batch), Push::ok);
    }
    pause.end();
    ASSERT_TRUE(sink.wait([&] { return sink.tickets_done() == 30; }, kPatience));
    EXPECT_LE(sink.groups(), 2U) << "at most the one the writer had begun, and all others";
    EXPECT_EQ(sink.complaints(), "");
    engine.drain_and_close();
}

TEST(MemoryEngine, AGroupIsBounded) {
    MemoryEngineOptions small = options();
    small.group_bytes_max = 1;
    MemoryEngine engine{small};
    RecordingSink sink{kNoSeq};
    engine.start(sink);
    EngineUnderTest::Pause pause{sink};
    for (CommitTicket ticket = 1; ticket <= 10; ++ticket) {
        auto batch = samples::batch(ShardId{0}, ticket, {samples::logged("t")});
        ASSERT_EQ(engine.submit(batch), Push::ok);
    }
    pause.end();
    ASSERT_TRUE(sink.wait([&] { return sink.tickets_done() == 10; }, kPatience));
    EXPECT_EQ(sink.groups(), 10U);
    engine.drain_and_close();
}

TEST(MemoryEngine, ALargeBatchFitsAnEmptyQueueOnly) {
    MemoryEngineOptions small = options();
    small.queue_bytes_max = 100;
    MemoryEngine engine{small};
    RecordingSink sink{kNoSeq};
    engine.start(sink);
    EngineUnderTest::Pause pause{sink};
    CommitTicket ticket = 0;
    WriteBatch batch;
    do {
        batch = samples::batch(ShardId{0}, ++ticket, {samples::logged("t", std::string(500, 'x'))});
    } while (engine.submit(batch) == Push::ok && ticket < 10);
    EXPECT_LE(ticket, 3U) << "one in the writer's hands, one in the queue";
    EXPECT_GE(ticket, 2U);
    pause.end();
    ASSERT_TRUE(sink.wait([&] { return engine.submit(batch) == Push::ok; }, kPatience));
    engine.drain_and_close();
    EXPECT_EQ(sink.tickets_done(), ticket);
}

TEST(MemoryEngineDeathTest, MustBeClosedBeforeItGoes) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            RecordingSink sink{kNoSeq};
            MemoryEngine engine{options()};
            engine.start(sink);
        },
        "drain_and_close");
}

}  // namespace
}  // namespace stentor::store
