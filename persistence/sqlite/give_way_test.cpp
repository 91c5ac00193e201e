// Whom the store asks to give way: by the age of its segments and by its size.

#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/store_under_test.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

namespace stentor::store {
namespace {

using std::chrono::seconds;

class GiveWayTest : public testing::Test {
  protected:
    [[nodiscard]] SqliteEngineOptions options() const {
        SqliteEngineOptions options;
        options.directory = directory_.path().string();
        options.segment_bytes_max = 4000;
        options.apply_chunk_bytes = 1;
        options.apply_interval = std::chrono::milliseconds{5};
        options.monotonic_now = []() noexcept { return Instant{}; };  // the commits say the time
        return options;
    }
    static void commit(Store& store, int messages, Instant at) {
        store.set_now(at);
        for (int i = 0; i < messages; ++i) {
            ASSERT_TRUE(store.commit(samples::logged("t", std::string(500, 'x'))).has_value());
        }
    }
    kit::TempDir directory_;
};

TEST_F(GiveWayTest, NobodyDoesWithinTheBounds) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    commit(store, 20, Instant{seconds{100}});
    EXPECT_EQ(store.engine().give_way().highest(), kNoSeq);
}

TEST_F(GiveWayTest, WhoNeedsWhatIsTooOldDoes) {
    SqliteEngineOptions aged = options();
    aged.age_max = seconds{60};
    Store store{aged};
    ASSERT_TRUE(store.open().has_value());
    commit(store, 30, Instant{seconds{100}});
    commit(store, 10, Instant{seconds{159}});
    EXPECT_EQ(store.engine().give_way().highest(), kNoSeq);
    commit(store, 1, Instant{seconds{161}});
    const auto some_are_old = [&] { return store.engine().give_way().too_old_below > Seq{20}; };
    EXPECT_TRUE(store.wait(some_are_old));
    EXPECT_LE(store.engine().give_way().too_old_below, Seq{31}) << "only what is older";
    EXPECT_EQ(store.engine().give_way().everybody_below, kNoSeq);
    EXPECT_EQ(store.engine().give_way().large_below, kNoSeq);

    store.close();
    ASSERT_TRUE(store.open().has_value());
    EXPECT_TRUE(store.wait(some_are_old)) << "segments keep their age across a restart";
    EXPECT_LE(store.engine().give_way().too_old_below, Seq{31});
}

TEST_F(GiveWayTest, ASegmentThatFillsSlowlyDoesNotKeepWhatIsInIt) {
    SqliteEngineOptions aged = options();
    aged.age_max = seconds{60};
    Store store{aged};
    ASSERT_TRUE(store.open().has_value());
    commit(store, 1, Instant{seconds{100}});
    for (int at = 101; at <= 175; ++at) commit(store, 1, Instant{seconds{at}});
    EXPECT_TRUE(store.wait([&] { return store.engine().give_way().too_old_below > Seq{1}; }));
}

TEST_F(GiveWayTest, AnIdleLogGrowsOldAsWell) {
    static std::atomic<std::int64_t> passed;
    passed = 0;
    SqliteEngineOptions aged = options();
    aged.age_max = seconds{60};
    aged.monotonic_now = []() noexcept { return Instant{seconds{passed.load()}}; };
    Store store{aged};
    ASSERT_TRUE(store.open().has_value());
    commit(store, 1, Instant{seconds{100}});
    EXPECT_EQ(store.engine().give_way().highest(), kNoSeq);
    passed = 62;
    EXPECT_TRUE(store.wait([&] { return store.engine().give_way().too_old_below > Seq{1}; }));
}

TEST_F(GiveWayTest, AFullLogAsksFirstWhoHoldsMuchAndThenEverybody) {
    SqliteEngineOptions small = options();
    small.log_bytes_max = 100'000;
    small.give_way_patience = seconds{1};
    Store store{small};
    ASSERT_TRUE(store.open().has_value());
    const auto asked = [&] { return store.engine().give_way(); };
    const auto send = [&] { return store.commit(samples::logged("t", std::string(500, 'x'))); };
    int committed = 0;
    Result<void> result;
    while (asked().large_below == kNoSeq && (result = send()) && committed < 1000) ++committed;
    EXPECT_GT(committed, 100);
    // Before publishes are refused; but the background thread may not have run at all meanwhile.
    if (result) {
        EXPECT_EQ(store.engine().room(), Room::enough);
    }
    EXPECT_TRUE(store.wait([&] { return asked().large_below != kNoSeq; }));
    EXPECT_GT(asked().large_bytes, 0U);
    while (result && committed++ < 1000) result = send();
    EXPECT_EQ(result.error(), StoreErrc::store_full);
    EXPECT_TRUE(store.wait([&] { return asked().everybody_below != kNoSeq; }));
    EXPECT_GE(asked().large_below, asked().everybody_below);

    store.engine().needed_from(kShard, next(store.sink().last()));
    EXPECT_TRUE(store.wait([&] { return asked().highest() == kNoSeq; }));
}

}  // namespace
}  // namespace stentor::store
