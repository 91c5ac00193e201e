// What becomes of a store whose files are gone in part: it is refused, whole stores are not.

#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/store_files.hpp"
#include "persistence/sqlite/store_under_test.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

namespace fs = std::filesystem;

class MissingFilesTest : public testing::Test {
  protected:
    [[nodiscard]] SqliteEngineOptions options() const {
        SqliteEngineOptions options;
        options.directory = directory_.file("store");
        options.segment_bytes_max = 4000;
        return options;
    }

    static void publish(Store& store, int messages) {
        const std::string payload(500, 'x');
        for (int i = 0; i < messages; ++i) {
            ASSERT_TRUE(store.commit(samples::logged("t", payload)).has_value());
        }
    }

    [[nodiscard]] static std::vector<std::string> segments(const SqliteEngineOptions& options) {
        std::vector<std::string> found;
        for (const auto& file : fs::directory_iterator{log_directory(options)}) {
            if (segment_id(file.path().filename().string())) found.push_back(file.path());
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    [[nodiscard]] static boost::system::error_code error_of_opening(Store& store) {
        const auto opened = store.open();
        store.close();
        return opened ? boost::system::error_code{} : opened.error();
    }

    static void remove_state(const SqliteEngineOptions& options) {
        for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(state_path(options) + suffix);
    }

    /// As if nothing of the log had been applied yet.
    static void apply_nothing(const SqliteEngineOptions& options) {
        sqlite3* connection = nullptr;
        ASSERT_EQ(sqlite3_open(state_path(options).c_str(), &connection), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(
                      connection, "UPDATE meta SET applied_through = 0", nullptr, nullptr, nullptr),
                  SQLITE_OK);
        sqlite3_close(connection);
    }

    using Files = std::map<std::string, std::pair<std::uintmax_t, fs::file_time_type>>;
    [[nodiscard]] static Files files_of(const std::string& directory) {
        Files files;
        for (const auto& each : fs::recursive_directory_iterator{directory}) {
            if (each.is_regular_file()) {
                files[each.path().string()] = {each.file_size(), each.last_write_time()};
            }
        }
        return files;
    }
    /// At a moment in which the background changes nothing: it may be sealing or tidying.
    static void copy_as_it_is(const std::string& from, const std::string& to) {
        for (int attempt = 0; attempt < 10'000; ++attempt) {
            try {
                const Files before = files_of(from);
                fs::remove_all(to);
                fs::copy(from, to, fs::copy_options::recursive);
                if (files_of(from) == before) return;
            } catch (const fs::filesystem_error&) {  // a file went away meanwhile
            }
        }
        FAIL() << "it never rests";
    }

    /// What kill -9 would leave of a store of so many messages.
    [[nodiscard]] SqliteEngineOptions killed(int messages) const {
        SqliteEngineOptions running = options();
        running.directory = directory_.file("running");
        running.apply_interval = std::chrono::hours{1};
        Store store{running};
        EXPECT_TRUE(store.open().has_value());
        publish(store, messages);
        SqliteEngineOptions left = options();
        copy_as_it_is(running.directory, left.directory);
        store.close();
        fs::remove_all(running.directory);
        return left;
    }

    kit::TempDir directory_;
};

TEST_F(MissingFilesTest, ALogThatIsGoneIsRefused) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 3);
    store.close();
    fs::remove_all(log_directory(options()));
    for (int attempt = 0; attempt < 2; ++attempt) {
        EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
    }
}

TEST_F(MissingFilesTest, ALogThatIsGoneBeforeAnythingWasAppliedIsRefused) {
    Store store{killed(3)};
    fs::remove_all(log_directory(options()));
    for (int attempt = 0; attempt < 2; ++attempt) {
        EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
    }
}

TEST_F(MissingFilesTest, AKilledStoreIsWhole) {
    Store store{killed(30)};
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.recovered().last, Seq{30});
}

TEST_F(MissingFilesTest, ALogWithoutItsBeginningIsRefused) {
    Store store{killed(30)};
    apply_nothing(options());
    const auto files = segments(options());
    ASSERT_GT(files.size(), 2U);
    remove_segment_files(files.front());
    EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
}

TEST_F(MissingFilesTest, ALogWithAHoleIsRefused) {
    Store store{killed(30)};
    apply_nothing(options());
    const auto files = segments(options());
    ASSERT_GT(files.size(), 2U);
    remove_segment_files(files[1]);
    EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
}

TEST_F(MissingFilesTest, ALogWithoutItsEndIsRefused) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 10);
    store.close();
    remove_segment_files(segments(options()).back());
    EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
}

TEST_F(MissingFilesTest, AStateThatIsGoneIsRefusedAndNotBegunAnew) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 3);
    store.close();
    remove_state(options());
    for (int attempt = 0; attempt < 2; ++attempt) {
        EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
        EXPECT_FALSE(fs::exists(state_path(options())));
    }
}

TEST_F(MissingFilesTest, AnEmptyStateBesideALogIsRefused) {
    for (const int messages : {3, 30}) {
        fs::remove_all(options().directory);
        Store store{killed(messages)};
        remove_state(options());
        directory_.write("store/state.db", "");
        for (int attempt = 0; attempt < 2; ++attempt) {
            EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
        }
    }
}

TEST_F(MissingFilesTest, AnUnusedStoreIsWhole) {
    Store store{options()};
    for (int run = 0; run < 3; ++run) {
        ASSERT_TRUE(store.open().has_value());
        store.close();
    }
    ASSERT_TRUE(store.open().has_value());
    publish(store, 1);
}

TEST_F(MissingFilesTest, ALogThatNobodyNeededIsWhole) {
    SqliteEngineOptions collecting = options();
    collecting.apply_chunk_bytes = 1;
    Store store{collecting};
    for (int run = 0; run < 3; ++run) {
        ASSERT_TRUE(store.open().has_value());
        publish(store, 40);
        store.engine().needed_from(kShard, next(store.sink().last()));
        EXPECT_TRUE(store.wait([&] { return segments(collecting).size() <= 1; }));
        store.close();
    }
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.recovered().last, Seq{120});
}

TEST_F(MissingFilesTest, AJumpIsWhole) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 10);
    store.close();
    store.options().reopens_after = Seq{1000};
    for (int run = 0; run < 3; ++run) {
        ASSERT_TRUE(store.open().has_value());
        if (run == 1) publish(store, 20);
        store.close();
        store.options().reopens_after.reset();
    }
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.read_all({"t"}).size(), 30U);
}

TEST_F(MissingFilesTest, ALogThatIsGoneIsWaitedForByTheProcessThatHadIt) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 3);
    store.close();
    const std::string elsewhere = directory_.file("elsewhere");
    fs::rename(log_directory(options()), elsewhere);
    store.options().reopens_after = Seq{3};
    EXPECT_EQ(error_of_opening(store), StoreErrc::io_error);
    EXPECT_FALSE(fs::exists(log_directory(options())));
    fs::rename(elsewhere, log_directory(options()));
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.recovered().last, Seq{3});
}

TEST_F(MissingFilesTest, AWriteAheadLogThatIsGoneIsNoticed) {
    for (const bool is_replaced : {false, true}) {
        SCOPED_TRACE(is_replaced);
        fs::remove_all(options().directory);
        Store store{options()};
        ASSERT_TRUE(store.open().has_value());
        publish(store, 1);
        const std::string log = segments(options()).back() + "-wal";
        ASSERT_TRUE(fs::remove(log));
        if (is_replaced) directory_.write("store/log/" + fs::path{log}.filename().string(), "");
        EXPECT_EQ(store.commit(samples::logged("t")).error(), StoreErrc::io_error);
        EXPECT_TRUE(store.wait([&] { return store.sink().has_failed(); }));
        store.close();
        ASSERT_TRUE(store.open().has_value());
        EXPECT_GE(store.recovered().last, Seq{1}) << "what had been acknowledged";
        EXPECT_TRUE(store.commit(samples::logged("t")).has_value());
        store.close();
    }
}

TEST_F(MissingFilesTest, AWriteAheadLogOfTheStateThatIsGoneIsNoticed) {
    SqliteEngineOptions quick = options();
    quick.apply_interval = std::chrono::milliseconds{1};
    Store store{quick};
    ASSERT_TRUE(store.open().has_value());
    ASSERT_TRUE(fs::remove(state_path(quick) + "-wal"));
    EXPECT_TRUE(store.wait([&] { return store.sink().has_failed(); }));
}

// A crash came while a segment was being removed.
TEST_F(MissingFilesTest, WhatIsLeftOfRemovedSegmentsGoesAtTheStart) {
    Store store{options()};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 3);
    store.close();
    const std::string log = log_directory(options()) + '/';
    const auto touch = [&](const std::string& name) { std::ofstream{log + name} << "left"; };
    const std::string before = segment_name({.first = Seq{2}});
    const std::string rewritten = segment_name({.first = Seq{2}, .generation = 3});
    const std::string later = segment_name({.first = Seq{1000}});
    const std::vector<std::string> leftovers{
        before + "-wal", before + "-shm", rewritten + "-wal", rewritten + "-shm"};
    const std::vector<std::string> kept{later + "-wal", "notes-wal", "notes.txt"};
    for (const auto* names : {&leftovers, &kept})
        std::for_each(names->begin(), names->end(), touch);
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.read_all().size(), 3U);
    for (const std::string& name : leftovers) EXPECT_FALSE(fs::exists(log + name)) << name;
    for (const std::string& name : kept) EXPECT_TRUE(fs::exists(log + name)) << name;
    EXPECT_TRUE(fs::exists(segments(options()).back() + "-wal")) << "that of the one in use";
}

}  // namespace
}  // namespace stentor::store
