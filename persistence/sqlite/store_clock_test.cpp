// The store's clock over stops and starts of a machine whose own clock is set (rule 11): what
// expires is what time has passed for.

#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/clock_anchor.hpp"
#include "persistence/sqlite/store_files.hpp"
#include "persistence/sqlite/store_under_test.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>

namespace stentor::store {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::int64_t kSomeDay = 1'700'000'000'000;
constexpr Instant kFirst{hours{10}};  // of the store's clock, when the tests commit

std::int64_t milliseconds(Duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

/// The machine's clocks, for engines whose options have no state of their own.
std::atomic<std::int64_t> machine_wall{0};
std::atomic<Instant> machine_monotonic{};

class StoreClockTest : public testing::Test {
  protected:
    StoreClockTest() {
        machine_wall = kSomeDay;
        machine_monotonic = Instant{hours{3}};
    }
    [[nodiscard]] SqliteEngineOptions options() const {
        SqliteEngineOptions options;
        options.directory = directory_.file("store");
        options.apply_interval = std::chrono::milliseconds{1};
        options.wall_clock_unix_ms = []() noexcept { return machine_wall.load(); };
        options.monotonic_now = []() noexcept { return machine_monotonic.load(); };
        return options;
    }
    static void pass(Duration time) {
        machine_monotonic = machine_monotonic.load() + time;
        machine_wall += milliseconds(time);
    }
    static void set_clock_by(Duration by) { machine_wall += milliseconds(by); }
    /// While the process, or the machine, is not there.
    static void be_away_for(Duration time) { machine_wall += milliseconds(time); }

    /// Something is in the store at kFirst.
    static void begin(Store& store) {
        ASSERT_TRUE(store.open().has_value());
        store.set_now(kFirst);
        ASSERT_TRUE(store.commit(samples::attached("c")).has_value());
    }
    [[nodiscard]] static Instant clock_at_start(Store& store) {
        EXPECT_TRUE(store.open().has_value());
        return store.recovered().at;
    }
    /// What a process that is killed would leave: read beside the engine, which goes on.
    [[nodiscard]] static StateMeta written(const SqliteEngineOptions& options) {
        const auto state =
            StateStore::open(state_path(options), options.vfs, Database::Open::existing);
        EXPECT_TRUE(state.has_value());
        return state ? state->meta() : StateMeta{};
    }

    kit::TempDir directory_;
};

TEST_F(StoreClockTest, AnHourBetweenStopAndStartCounts) {
    Store store{options()};
    begin(store);
    store.close();
    be_away_for(hours{1});
    EXPECT_EQ(clock_at_start(store), kFirst + hours{1});
}

TEST_F(StoreClockTest, AnIdleHourBeforeTheStopCounts) {
    Store store{options()};
    begin(store);
    pass(hours{1});
    store.close();
    EXPECT_EQ(clock_at_start(store), kFirst + hours{1});
}

TEST_F(StoreClockTest, AClockThatIsSetForwardWhileIdleIsNoTime) {
    Store store{options()};
    begin(store);
    pass(minutes{5});
    set_clock_by(hours{24});
    pass(minutes{5});
    store.close();
    be_away_for(minutes{10});
    EXPECT_EQ(clock_at_start(store), kFirst + minutes{20});
}

TEST_F(StoreClockTest, AClockThatIsSetBackWhileIdleTakesNoTime) {
    Store store{options()};
    begin(store);
    pass(minutes{5});
    set_clock_by(-hours{24});
    pass(minutes{5});
    store.close();
    be_away_for(minutes{10});
    EXPECT_EQ(clock_at_start(store), kFirst + minutes{20});
}

TEST_F(StoreClockTest, AClockThatIsSetBackWhileAwayExpiresNothing) {
    Store store{options()};
    begin(store);
    pass(minutes{5});
    store.close();
    be_away_for(-hours{24});
    EXPECT_EQ(clock_at_start(store), kFirst + minutes{5});
    store.close();
    be_away_for(minutes{7});
    EXPECT_EQ(clock_at_start(store), kFirst + minutes{12}) << "from there it goes on";
}

TEST_F(StoreClockTest, AClockThatIsSetIsWrittenAtOnce) {
    Store store{options()};
    begin(store);
    pass(seconds{5});
    for (const Duration by : {Duration{hours{24}}, Duration{-hours{48}}}) {
        set_clock_by(by);
        const auto is_written = [&] {
            return written(options()).wall_unix_ms == machine_wall.load();
        };
        ASSERT_TRUE(store.wait(is_written));
        EXPECT_EQ(written(options()).at, kFirst + seconds{5});
    }
}

TEST_F(StoreClockTest, AnIdleStoreWritesItsClockEveryMinute) {
    Store store{options()};
    begin(store);
    pass(seconds{61});
    EXPECT_TRUE(store.wait([&] { return written(options()).wall_unix_ms == machine_wall.load(); }));
    EXPECT_EQ(written(options()).at, kFirst + seconds{61});
}

TEST_F(StoreClockTest, CommitsCarryItOn) {
    Store store{options()};
    begin(store);
    pass(seconds{10});
    store.set_now(kFirst + seconds{20});  // shards know better
    ASSERT_TRUE(store.commit(samples::attached("d")).has_value());
    pass(seconds{1});
    store.set_now(kFirst);  // and are not all as fast as each other
    ASSERT_TRUE(store.commit(samples::attached("e")).has_value());
    pass(seconds{1});
    store.close();
    EXPECT_EQ(clock_at_start(store), kFirst + seconds{22});
}

TEST_F(StoreClockTest, NobodyWasAwayWhenTheSameProcessOpensAgain) {
    Store store{options()};
    begin(store);
    store.close();
    be_away_for(hours{24});
    store.options().reopens_after = store.sink().last();
    EXPECT_EQ(clock_at_start(store), kFirst);
}

TEST_F(StoreClockTest, WhatGrowsTooOldDoesSoWithoutCommits) {
    SqliteEngineOptions aged = options();
    aged.age_max = hours{1};
    aged.segment_bytes_max = 1;
    Store store{aged};
    ASSERT_TRUE(store.open().has_value());
    for (const Instant at : {kFirst, kFirst + minutes{5}}) {
        store.set_now(at);
        ASSERT_TRUE(store.commit(samples::logged("t")).has_value());
    }
    pass(minutes{54});
    EXPECT_EQ(store.engine().give_way().too_old_below, kNoSeq);
    pass(minutes{7});
    EXPECT_TRUE(store.wait([&] { return store.engine().give_way().too_old_below != kNoSeq; }));
}

TEST(ClockAnchor, SmallDifferencesAreNoJump) {
    const Instant start{hours{1}};
    const ClockAnchor anchor{kFirst, {.monotonic = start, .wall_unix_ms = kSomeDay}};
    const auto is_due = [&](Duration passed, std::int64_t wall_passed_ms) {
        return anchor.is_due(
            {.monotonic = start + passed, .wall_unix_ms = kSomeDay + wall_passed_ms});
    };
    EXPECT_FALSE(is_due(seconds{0}, 0));
    EXPECT_FALSE(is_due(seconds{30}, 30'000));
    EXPECT_FALSE(is_due(seconds{30}, 32'000));
    EXPECT_FALSE(is_due(seconds{30}, 28'000));
    EXPECT_TRUE(is_due(seconds{30}, 32'001));
    EXPECT_TRUE(is_due(seconds{30}, 27'999));
    EXPECT_TRUE(is_due(seconds{30}, INT64_MAX - kSomeDay));
    EXPECT_TRUE(is_due(seconds{30}, -kSomeDay));
    EXPECT_TRUE(is_due(seconds{60}, 60'000));
}

TEST(ClockAnchor, APauseIsBelievedWhenItIsPlausible) {
    constexpr std::int64_t kThen = kSomeDay;
    EXPECT_EQ(clock_after_pause(kFirst, kThen, kThen + 5000), kFirst + seconds{5});
    EXPECT_EQ(clock_after_pause(kFirst, kThen, 0), kFirst) << "booted in 1970";
    EXPECT_EQ(clock_after_pause(kFirst, kThen, kThen + 50LL * 365 * 86'400'000), kFirst);
    EXPECT_EQ(clock_after_pause(kFirst, INT64_MIN, INT64_MAX), kFirst);
}

}  // namespace
}  // namespace stentor::store
