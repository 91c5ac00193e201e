#include "persistence/sqlite/log_collector.hpp"

#include "base/random.hpp"
#include "persistence/sqlite/faulty_vfs.hpp"
#include "persistence/sqlite/store_under_test.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::store {
namespace {

constexpr std::size_t kPayloadBytes = 500;
constexpr std::uint64_t kEnoughPower = 1'000'000;

class LogCollectorTest : public testing::Test {
  protected:
    [[nodiscard]] SqliteEngineOptions options() const {
        SqliteEngineOptions small;
        small.directory = directory_.path().string();
        small.segment_bytes_max = 10'000;
        small.row_bytes_max = 2000;
        small.tail_bytes_max = 0;
        small.apply_chunk_bytes = 1;
        small.survey_pause_min = Duration{1};
        small.survey_pause_max = Duration{1};
        return small;
    }
    [[nodiscard]] std::size_t segments() const { return segments(options()); }
    static std::size_t segments(const SqliteEngineOptions& options) {
        std::size_t count = 0;
        for (const auto& file : std::filesystem::directory_iterator{log_directory(options)}) {
            if (segment_id(file.path().filename().string())) ++count;
        }
        return count;
    }
    [[nodiscard]] std::uint64_t bytes_on_disk() const {
        std::uint64_t bytes = 0;
        for (const auto& file : std::filesystem::recursive_directory_iterator{directory_.path()}) {
            std::error_code error;
            const auto size = file.file_size(error);  // it may go meanwhile
            if (!error && file.is_regular_file(error)) bytes += size;
        }
        return bytes;
    }
    /// In the one file that has it.
    void damage(std::string_view payload) const {
        for (const auto& file : std::filesystem::directory_iterator{log_directory(options())}) {
            if (!segment_id(file.path().filename().string())) continue;
            std::fstream bytes{file.path(), std::ios::in | std::ios::out | std::ios::binary};
            const std::string all{std::istreambuf_iterator<char>{bytes}, {}};
            const std::size_t at = all.find(payload);
            if (at == std::string::npos) continue;
            bytes.clear();
            bytes.seekp(static_cast<std::streamoff>(at)).put('#');
            return;
        }
        FAIL() << payload;
    }
    /// Of this store, by this process.
    [[nodiscard]] std::size_t removed_files_held() const {
        std::size_t count = 0;
        for (const auto& link : std::filesystem::directory_iterator{"/proc/self/fd"}) {
            std::error_code error;
            const std::string file = std::filesystem::read_symlink(link.path(), error).string();
            if (error || !file.starts_with(directory_.path().string())) continue;
            if (file.ends_with("(deleted)")) ++count;
        }
        return count;
    }
    /// One in `rare_every` on the topic "rare"; their positions. Each is a group of its own.
    static std::vector<Seq> publish(Store& store, int messages, int rare_every) {
        std::vector<Seq> rare;
        for (int i = 1; i <= messages; ++i) {
            const bool is_rare = rare_every != 0 && i % rare_every == 0;
            const std::string payload(kPayloadBytes, static_cast<char>('a' + i % 26));
            const std::string topic = is_rare ? "rare" : "t/" + std::to_string(i % 7);
            EXPECT_TRUE(store.commit(samples::logged(topic, payload)).has_value());
            if (is_rare) rare.push_back(store.sink().last());
        }
        return rare;
    }
    /// A shard whose only session needs "rare" from the beginning.
    static void answer_surveys(Store& store) {
        if (!store.engine().wants_survey(kShard)) return;
        NeedSurvey survey{store.sink().last()};
        survey.add("rare", Seq{1});
        store.engine().survey(kShard, std::move(survey));
    }
    /// Until the power goes, or all is done; then power is back. How much there was to do.
    static std::uint64_t cut_power_while_collecting(Store& store,
                                                    FaultyVfs& vfs,
                                                    std::uint64_t cut) {
        const std::uint64_t before = vfs.operations();
        store.engine().needed_from(kShard, Seq{1});
        vfs.cut_power_after(cut);
        (void)store.wait([&] {
            answer_surveys(store);
            return !vfs.has_power() || segments(store.options()) <= 3;
        });
        const std::uint64_t operations = vfs.operations() - before;
        store.close();
        vfs.power_up();
        return operations;
    }
    [[nodiscard]] SqliteEngineOptions options_on(const kit::TempDir& directory,
                                                 const FaultyVfs& vfs) const {
        SqliteEngineOptions small = options();
        small.directory = directory.path().string();
        small.vfs = vfs.name();
        small.segment_bytes_max = 4000;
        small.apply_interval = std::chrono::milliseconds{1};
        return small;
    }
    /// A dozen deliveries of a session are unfinished in segments that nobody needs otherwise.
    std::uint64_t collect_what_is_unfinished(std::uint64_t cut) {
        const kit::TempDir directory;
        FaultyVfs vfs{cut};
        Store store{options_on(directory, vfs)};
        EXPECT_TRUE(store.open().has_value());
        EXPECT_TRUE(store.commit(samples::attached("c")).has_value());
        const std::vector<Seq> rare = publish(store, 60, 10);
        std::vector<Unfinished> unfinished;
        unfinished.reserve(12);
        for (std::uint16_t id = 1; id <= 12; ++id) {
            unfinished.push_back(samples::unfinished(Seq{std::uint64_t{4} * id}, id));
        }
        EXPECT_TRUE(
            store.commit(samples::delivered("c", store.sink().last(), unfinished)).has_value());
        const auto operations = cut_power_while_collecting(store, vfs, cut);
        EXPECT_TRUE(store.open().has_value());
        if (HasFailure()) return operations;
        for (const Unfinished& item : unfinished) {
            EXPECT_TRUE(store.read_one(item.seq) != nullptr) << item.seq.value();
        }
        EXPECT_EQ(positions(store.read_all({"rare"})), rare);
        return operations;
    }
    static std::vector<Seq> positions(const std::vector<PageEntry>& entries) {
        std::vector<Seq> seqs;
        seqs.reserve(entries.size());
        for (const PageEntry& entry : entries) seqs.push_back(entry.seq);
        return seqs;
    }

    kit::TempDir directory_;
};

TEST_F(LogCollectorTest, OneWhoIsAwayWithANarrowFilterHoldsNothingOfOthers) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 200, 0);
    EXPECT_GT(segments(), 8U);
    store.engine().needed_from(kShard, Seq{1});
    EXPECT_TRUE(store.wait([&] {
        answer_surveys(store);
        return segments() <= 2;
    }));
    EXPECT_TRUE(store.read_all({"rare"}).empty());
}

TEST_F(LogCollectorTest, WhatIsNeededOfNearlyDeadSegmentsKeepsItsPosition) {
    SqliteEngineOptions big = options();
    big.segment_bytes_max = 40'000;
    Store store{big};
    ASSERT_TRUE(store.open().has_value());
    const std::vector<Seq> rare = publish(store, 1500, 40);
    const std::size_t before = segments();
    EXPECT_GT(before, 15U);
    store.engine().needed_from(kShard, Seq{1});
    EXPECT_TRUE(store.wait([&] {
        answer_surveys(store);
        return segments() <= 3;
    }));
    EXPECT_EQ(positions(store.read_all({"rare"})), rare);
    std::vector<Seq> all = positions(store.read_all({"#"}));
    for (const Seq seq : rare) EXPECT_TRUE(std::find(all.begin(), all.end(), seq) != all.end());
    EXPECT_EQ(store.sink().complaints(), "");

    store.close();
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(positions(store.read_all({"rare"})), rare);
    EXPECT_EQ(store.read_all({"rare"}).front().message->payload().size(), kPayloadBytes);
    // Written anew once more, with what has come since.
    std::vector<Seq> more = publish(store, 500, 40);
    more.insert(more.begin(), rare.begin(), rare.end());
    store.engine().needed_from(kShard, Seq{1});
    EXPECT_TRUE(store.wait([&] {
        answer_surveys(store);
        return segments() <= 4;
    }));
    EXPECT_EQ(positions(store.read_all({"rare"})), more);
    store.engine().needed_from(kShard, next(store.sink().last()));
    EXPECT_TRUE(store.wait([&] { return segments() <= 1; }));
}

TEST_F(LogCollectorTest, WhatIsWrittenAnewGrowsOldAsWell) {
    SqliteEngineOptions aged = options();
    aged.age_max = std::chrono::seconds{60};
    aged.monotonic_now = []() noexcept { return Instant{}; };  // the commits say the time
    aged.wall_clock_unix_ms = []() noexcept { return std::int64_t{1'000'000}; };
    Store store{aged};
    ASSERT_TRUE(store.open().has_value());
    int polls = 0;
    const auto collected = [&] {
        // Nobody asks for a survey where nothing has come; they are not as fast as that.
        if (++polls % 100 == 0) publish(store, 1, 0);
        answer_surveys(store);
        return segments() <= 40;  // without being copied: one for each second
    };
    constexpr std::size_t kBegan = 100;
    std::vector<Seq> rare;  // one a second
    for (std::size_t at = kBegan; at <= kBegan + 140; ++at) {
        store.set_now(Instant{std::chrono::seconds{at}});
        rare.push_back(publish(store, 20, 20).back());
        store.engine().needed_from(kShard, Seq{1});
        answer_surveys(store);
        if (at % 40 == 0) {
            EXPECT_TRUE(store.wait(collected)) << segments();
        }
    }
    // A quarter, and the second in which a file is ended.
    const auto are_old = [&] {
        answer_surveys(store);
        return store.engine().give_way().too_old_below > rare[140 - 60 - 15 - 2];
    };
    EXPECT_TRUE(store.wait(are_old)) << store.engine().give_way().too_old_below.value();
    EXPECT_LE(store.engine().give_way().too_old_below, rare[140 - 60 + 1]) << "nothing younger";
    EXPECT_TRUE(store.wait(collected)) << segments();

    store.close();
    ASSERT_TRUE(store.open().has_value());
    EXPECT_TRUE(store.wait(are_old)) << "files keep their age across a restart";
    EXPECT_LE(store.engine().give_way().too_old_below, rare[140 - 60 + 1]);
}

TEST_F(LogCollectorTest, UnfinishedMessagesOutliveTheirSegment) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    ASSERT_TRUE(store.commit(samples::attached("c")).has_value());
    ASSERT_TRUE(store.commit(samples::logged("t", "pinned")).has_value());
    const Seq pinned = store.sink().last();
    ASSERT_TRUE(store.commit(samples::delivered("c", pinned, {samples::unfinished(pinned, 1)}))
                    .has_value());
    publish(store, 200, 0);
    store.engine().needed_from(kShard, Seq{1});
    EXPECT_TRUE(store.wait([&] {
        answer_surveys(store);
        return segments() <= 2;
    }));
    store.close();
    ASSERT_TRUE(store.open().has_value());
    EXPECT_TRUE(store.recovered().state.pinned().contains(pinned));
}

TEST_F(LogCollectorTest, TheFilesDoNotGrowOverTenRounds) {
    SqliteEngineOptions usual = options();
    usual.segment_bytes_max = SqliteEngineOptions{}.segment_bytes_max;
    usual.apply_interval = std::chrono::milliseconds{10};
    Store store{usual};
    ASSERT_TRUE(store.open().has_value());
    constexpr std::uint64_t kEmptyBytesMax = 300'000;
    for (int round = 0; round < 10; ++round) {
        publish(store, 300, 0);
        EXPECT_GT(bytes_on_disk(), 150'000U);
        store.engine().needed_from(kShard, next(store.sink().last()));
        EXPECT_TRUE(store.wait([&] { return bytes_on_disk() < kEmptyBytesMax; }))
            << "round " << round << ": " << bytes_on_disk();
    }
}

TEST_F(LogCollectorTest, WhatIsUnfinishedAndDamagedKeepsItsSegmentAndNothingElse) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    ASSERT_TRUE(store.commit(samples::attached("c")).has_value());
    std::vector<Unfinished> unfinished;
    for (std::uint16_t id = 1; id <= 2; ++id) {
        const std::string payload = id == 1 ? "to be damaged" : "sound";
        ASSERT_TRUE(store.commit(samples::logged("t", payload)).has_value());
        unfinished.push_back(samples::unfinished(store.sink().last(), id));
    }
    ASSERT_TRUE(store.commit(samples::delivered("c", store.sink().last(), unfinished)).has_value());
    publish(store, 200, 0);
    store.close();
    damage("to be damaged");
    ASSERT_TRUE(store.open().has_value());
    store.engine().needed_from(kShard, next(store.sink().last()));
    EXPECT_TRUE(store.wait([&] { return segments() <= 2; }));
    EXPECT_FALSE(store.sink().has_failed());
    EXPECT_TRUE(store.commit(samples::logged("t", "more")).has_value());
    EXPECT_TRUE(store.read_one(unfinished[1].seq) != nullptr);
    // Nobody refers to it any more.
    ASSERT_TRUE(store.commit(samples::delivered("c", store.sink().last())).has_value());
    store.engine().needed_from(kShard, next(store.sink().last()));
    EXPECT_TRUE(store.wait([&] { return segments() <= 1; }));
    EXPECT_FALSE(store.sink().has_failed());
}

TEST_F(LogCollectorTest, DamageEndsTheCopyingOfItsSegmentOnly) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    std::vector<Seq> rare = publish(store, 200, 25);
    ASSERT_TRUE(store.commit(samples::logged("rare", "to be damaged")).has_value());
    publish(store, 200, 25);
    store.close();
    damage("to be damaged");
    ASSERT_TRUE(store.open().has_value());
    EXPECT_GT(segments(), 15U);
    store.engine().needed_from(kShard, Seq{1});
    // One file on either side of it, and the newest.
    EXPECT_TRUE(store.wait([&] {
        answer_surveys(store);
        return segments() <= 4;
    })) << segments();
    EXPECT_FALSE(store.sink().has_failed());
}

// What cannot be read now is not pinned and stays in its file. A file that is written from those
// around it would be taken for its successor by the next start.
TEST_F(LogCollectorTest, NoFileTakesThePlaceOfOneThatCouldNotGo) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    ASSERT_TRUE(store.commit(samples::attached("c")).has_value());
    std::vector<Seq> rare = publish(store, 60, 10);
    publish(store, 40, 0);
    ASSERT_TRUE(store.commit(samples::logged("t", "to be damaged")).has_value());
    const Seq damaged = store.sink().last();
    publish(store, 40, 0);
    const std::vector<Seq> more = publish(store, 60, 10);
    rare.insert(rare.end(), more.begin(), more.end());
    ASSERT_TRUE(
        store
            .commit(samples::delivered("c", store.sink().last(), {samples::unfinished(damaged, 1)}))
            .has_value());
    store.close();
    damage("to be damaged");
    const auto has_damage = [&] {
        for (const auto& file : std::filesystem::directory_iterator{log_directory(options())}) {
            std::ifstream bytes{file.path(), std::ios::binary};
            const std::string all{std::istreambuf_iterator<char>{bytes}, {}};
            if (all.find("#o be damaged") != std::string::npos) return true;
        }
        return false;
    };
    ASSERT_TRUE(store.open().has_value());
    store.engine().needed_from(kShard, Seq{1});
    EXPECT_TRUE(store.wait([&] {
        answer_surveys(store);
        return segments() <= 4;  // it, one on either side of it, and the newest
    })) << segments();
    for (int run = 0; run < 2; ++run) {
        EXPECT_EQ(positions(store.read_all({"rare"})), rare);
        EXPECT_TRUE(has_damage());
        store.close();
        ASSERT_TRUE(store.open().has_value());
    }
}

// Who has a removed file open keeps its space on the disk, and who reads nothing more would keep it
// for ever.
TEST_F(LogCollectorTest, SpaceOfRemovedSegmentsIsGivenBackWithoutAReader) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 200, 0);
    EXPECT_EQ(store.read_all({"#"}).size(), 200U);
    store.engine().needed_from(kShard, next(store.sink().last()));
    EXPECT_TRUE(store.wait([&] { return segments() <= 1; }));
    EXPECT_TRUE(store.wait([&] { return removed_files_held() == 0; })) << removed_files_held();
}

// The reader begins a page anew when a file went away under it.
TEST_F(LogCollectorTest, PagesAreWholeWhileSegmentsAreWrittenAnew) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    std::vector<Seq> rare;
    for (int round = 0; round < 12; ++round) {
        const std::vector<Seq> more = publish(store, 60, 20);
        rare.insert(rare.end(), more.begin(), more.end());
        store.engine().needed_from(kShard, Seq{1});
        answer_surveys(store);
        EXPECT_EQ(positions(store.read_all({"rare"})), rare);
        EXPECT_EQ(positions(store.read_all({"+", "none"})), rare);
    }
    EXPECT_EQ(store.sink().complaints(), "");
}

TEST_F(LogCollectorTest, APowerCutWhileCollectingLosesNothingNeeded) {
    std::uint64_t cut = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed, cut += 9) {
        SCOPED_TRACE(testing::Message() << "seed " << seed << ", power for " << cut);
        const kit::TempDir directory;
        FaultyVfs vfs{seed};
        Store store{options_on(directory, vfs)};
        ASSERT_TRUE(store.open().has_value());
        const std::vector<Seq> rare = publish(store, 60, 10);
        cut_power_while_collecting(store, vfs, cut);
        ASSERT_TRUE(store.open().has_value());
        EXPECT_EQ(positions(store.read_all({"rare"})), rare);
        EXPECT_EQ(positions(store.read_all({"+"})), rare);
        EXPECT_TRUE(store.commit(samples::logged("t")).has_value());
    }
}

// What deliveries refer to is kept elsewhere before a file that does not have it can take the place
// of one that does: after a crash the one written last counts.
TEST_F(LogCollectorTest, APowerCutWhileCollectingLosesNothingUnfinished) {
    const std::uint64_t operations = collect_what_is_unfinished(kEnoughPower);
    for (std::uint64_t cut = 0; cut < operations; cut += 4) {
        SCOPED_TRACE(testing::Message() << "power for " << cut);
        collect_what_is_unfinished(cut);
    }
}

}  // namespace
}  // namespace stentor::store
