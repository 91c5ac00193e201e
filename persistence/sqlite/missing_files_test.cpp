// What becomes of a store whose files are gone in part: it is refused, whole stores are not. Where
// only a full file of the log is gone the operator may go on without it, and a broker that runs
// does: whoever wanted what was in it is told.

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

    /// Several full segments, of which all is in state.db, and one that has just been begun.
    [[nodiscard]] std::vector<std::string> closed_with_full_segments(Store& store) const {
        EXPECT_TRUE(store.open().has_value());
        publish(store, 30);
        store.close();
        auto files = segments(store.options());
        EXPECT_GT(files.size(), 3U);
        return files;
    }
    [[nodiscard]] static std::vector<std::uint64_t> positions(const std::vector<PageEntry>& found) {
        std::vector<std::uint64_t> list;
        for (const PageEntry& entry : found) list.push_back(entry.seq.value());
        return list;
    }
    static std::uint64_t first_of(const std::string& file) {
        return segment_id(fs::path{file}.filename().string()).value_or(SegmentId{}).first.value();
    }
    /// All but those from the first of one file to that of the next.
    static std::vector<std::uint64_t> all_but(const std::string& file, const std::string& after) {
        std::vector<std::uint64_t> list;
        for (std::uint64_t seq = 1; seq <= 30; ++seq) {
            if (seq < first_of(file) || seq >= first_of(after)) list.push_back(seq);
        }
        return list;
    }
    static void accept(Store& store) {
        store.options().missing_segments = SqliteEngineOptions::MissingSegments::accept;
    }
    static void refuse(Store& store) {
        store.options().missing_segments = SqliteEngineOptions::MissingSegments::refuse;
    }
    static std::int64_t sql(const SqliteEngineOptions& options, const std::string& text) {
        sqlite3* connection = nullptr;
        EXPECT_EQ(sqlite3_open(state_path(options).c_str(), &connection), SQLITE_OK);
        sqlite3_stmt* statement = nullptr;
        EXPECT_EQ(sqlite3_prepare_v2(connection, text.c_str(), -1, &statement, nullptr), SQLITE_OK);
        const int step = sqlite3_step(statement);
        EXPECT_TRUE(step == SQLITE_ROW || step == SQLITE_DONE) << text;
        const std::int64_t value = step == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_finalize(statement);
        sqlite3_close(connection);
        return value;
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
    const std::vector<std::string> probes{before + "-probe", "../state.db-probe"};
    std::vector<std::string> leftovers{
        before + "-wal", before + "-shm", rewritten + "-wal", rewritten + "-shm"};
    const std::vector<std::string> kept{
        later + "-wal", "notes-wal", "notes.txt", "notes.db-probe", "../notes-probe"};
    std::for_each(leftovers.begin(), leftovers.end(), touch);
    std::for_each(kept.begin(), kept.end(), touch);
    for (const std::string& name : probes) std::ofstream{log + name};
    leftovers.insert(leftovers.end(), probes.begin(), probes.end());
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.read_all().size(), 3U);
    for (const std::string& name : leftovers) EXPECT_FALSE(fs::exists(log + name)) << name;
    for (const std::string& name : kept) EXPECT_TRUE(fs::exists(log + name)) << name;
    EXPECT_TRUE(fs::exists(segments(options()).back() + "-wal")) << "that of the one in use";
}

TEST_F(MissingFilesTest, AFullSegmentThatIsGoneIsRefusedUntilItIsBack) {
    Store store{options()};
    const auto files = closed_with_full_segments(store);
    for (std::size_t i = 0; i + 1 < files.size(); ++i) {
        const std::string elsewhere = directory_.file("elsewhere");
        fs::rename(files[i], elsewhere);
        for (int attempt = 0; attempt < 2; ++attempt) {
            EXPECT_EQ(error_of_opening(store), StoreErrc::damaged) << files[i];
        }
        fs::rename(elsewhere, files[i]);
    }
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.read_all().size(), 30U);
    EXPECT_EQ(store.lost(), 0U);
}

/// A copy that a full disk cut short, or an older one.
TEST_F(MissingFilesTest, AFullSegmentWithoutItsContentsIsRefusedUntilTheyAreBack) {
    Store store{options()};
    const auto files = closed_with_full_segments(store);
    for (std::size_t i = 0; i + 1 < files.size(); ++i) {
        const std::string whole = directory_.file("whole");
        fs::rename(files[i], whole);
        std::ofstream{files[i]};
        for (int attempt = 0; attempt < 2; ++attempt) {
            EXPECT_EQ(error_of_opening(store), StoreErrc::damaged) << files[i];
        }
        fs::rename(whole, files[i]);
    }
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.read_all().size(), 30U);
    EXPECT_EQ(store.lost(), 0U);
}

TEST_F(MissingFilesTest, AFullSegmentThatIsGoneMayBeAccepted) {
    Store store{options()};
    const auto files = closed_with_full_segments(store);
    fs::remove(files[1]);
    accept(store);
    for (int run = 0; run < 3; ++run) {
        ASSERT_TRUE(store.open().has_value());
        EXPECT_EQ(positions(store.read_all()), all_but(files[1], files[2]));
        EXPECT_EQ(store.lost(), 1U);
        EXPECT_EQ(store.read_one(Seq{first_of(files[1])}), nullptr);
        EXPECT_EQ(store.lost(), 1U);
        store.close();
        refuse(store);  // once is enough
    }
    fs::remove(files[0]);
    EXPECT_EQ(error_of_opening(store), StoreErrc::damaged) << "another one is";
}

TEST_F(MissingFilesTest, WhatWasAcceptedAndIsBackIsRead) {
    Store store{options()};
    const auto files = closed_with_full_segments(store);
    const std::string elsewhere = directory_.file("elsewhere");
    fs::rename(files[1], elsewhere);
    accept(store);
    ASSERT_TRUE(store.open().has_value());
    store.close();
    refuse(store);
    fs::rename(elsewhere, files[1]);
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.read_all().size(), 30U);
    EXPECT_EQ(store.lost(), 0U);
    store.close();
    fs::remove(files[1]);
    EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
}

// The next one could not be made, and the log went on in the one before; or a crash came while it
// was being written from others.
TEST_F(MissingFilesTest, AFileThatNeverCameToBeOneOfTheLogDoesNotHinderThat) {
    for (const std::uint32_t generation : {0U, 1U}) {
        fs::remove_all(options().directory);
        Store store{options()};
        refuse(store);
        const auto files = closed_with_full_segments(store);
        const std::string unused = log_directory(options()) + '/' +
                                   segment_name({.first = Seq{first_of(files[1]) + 1 - generation},
                                                 .generation = generation});
        fs::remove(files[1]);
        ASSERT_TRUE(SegmentWriter::open(unused, AcknowledgeAfter::disk, "").has_value());
        EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
        accept(store);
        for (int run = 0; run < 2; ++run) {
            ASSERT_TRUE(store.open().has_value());
            EXPECT_EQ(positions(store.read_all()), all_but(files[1], files[2]));
            EXPECT_EQ(store.lost(), 1U);
            EXPECT_TRUE(store.commit(samples::attached("c")).has_value());
            store.close();
            refuse(store);
        }
    }
}

// What is beside it may hold the end of it, until it is back or nobody wants it any more.
TEST_F(MissingFilesTest, WhatIsBesideAMissingFileStays) {
    Store store{options()};
    const auto files = closed_with_full_segments(store);
    const std::string elsewhere = directory_.file("elsewhere");
    fs::rename(files[1], elsewhere);
    const std::string beside = files[1] + "-wal";
    std::ofstream{beside} << "what had not been copied";
    accept(store);
    for (int run = 0; run < 2; ++run) {
        ASSERT_TRUE(store.open().has_value());
        EXPECT_TRUE(fs::exists(beside));
        store.close();
        refuse(store);
    }
    ASSERT_TRUE(store.open().has_value());
    store.engine().needed_from(kShard, Seq{31});
    EXPECT_TRUE(store.wait([&] { return !fs::exists(beside); }));
}

TEST_F(MissingFilesTest, WhatNobodyNeedsAnyMoreIsNotMissed) {
    Store store{options()};
    const auto files = closed_with_full_segments(store);
    fs::remove(files[1]);
    accept(store);
    ASSERT_TRUE(store.open().has_value());
    store.engine().needed_from(kShard, Seq{31});
    EXPECT_TRUE(store.wait([&] { return segments(options()).size() == 1; }));
    store.close();
    EXPECT_EQ(sql(options(), "SELECT count(*) FROM segment"), 1);
    refuse(store);
    EXPECT_TRUE(store.open().has_value());
}

// Its records would be missing in the state.
TEST_F(MissingFilesTest, WhatHasNotBeenAppliedCannotBeAccepted) {
    Store store{options()};
    const auto files = closed_with_full_segments(store);
    fs::remove(files[1]);
    sql(options(), "UPDATE meta SET applied_through = " + std::to_string(first_of(files[1])));
    accept(store);
    EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
}

TEST_F(MissingFilesTest, TheFileThatWasBeingWrittenCannotBeAccepted) {
    for (const AcknowledgeAfter mode : {AcknowledgeAfter::disk, AcknowledgeAfter::os}) {
        fs::remove_all(options().directory);
        Store store{options()};
        store.options().acknowledge_after = mode;
        const auto files = closed_with_full_segments(store);
        // As if the power had gone: a missing end is no wonder then, a missing file is.
        sql(options(), "UPDATE meta SET run_state = 2");
        fs::remove(files.back());
        accept(store);
        EXPECT_EQ(error_of_opening(store), StoreErrc::damaged);
    }
}

// A crash came between the file that was written from others and their removal; state.db still
// names those.
TEST_F(MissingFilesTest, WhatAnotherHasTakenThePlaceOfIsNotMissed) {
    Store store{options()};
    const auto files = closed_with_full_segments(store);
    const std::string first = std::to_string(first_of(files[0]));
    fs::rename(files[1], directory_.file("source"));
    const std::string successor = log_directory(options()) + '/' +
                                  segment_name({.first = Seq{first_of(files[0])}, .generation = 1});
    fs::rename(files[0], successor);
    ASSERT_EQ(error_of_opening(store), StoreErrc::damaged) << "it ends before the second one";
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open(successor.c_str(), &connection), SQLITE_OK);
    const std::string sealed = "UPDATE seal SET last = " + std::to_string(first_of(files[2]) - 1);
    EXPECT_EQ(sqlite3_exec(connection, sealed.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(connection);
    for (int run = 0; run < 2; ++run) {
        ASSERT_TRUE(store.open().has_value());
        EXPECT_EQ(store.lost(), 0U);
        store.close();
    }
    EXPECT_EQ(sql(options(), "SELECT generation FROM segment WHERE first = " + first), 1);
}

TEST_F(MissingFilesTest, AFileThatGoesWhileTheStoreIsOpenIsTold) {
    SqliteEngineOptions small = options();
    small.tail_bytes_max = 600;
    Store store{small};
    ASSERT_TRUE(store.open().has_value());
    ASSERT_TRUE(store.commit(samples::logged("other")).has_value());
    publish(store, 29);
    const auto files = segments(small);
    ASSERT_GT(files.size(), 3U);
    fs::remove(files[1]);
    for (int reader = 0; reader < 2; ++reader) {
        EXPECT_EQ(positions(store.read_all()), all_but(files[1], files[2]));
        EXPECT_EQ(store.lost(), 1U) << "at least";
    }
    EXPECT_EQ(store.read_all({"other"}).size(), 1U);
    EXPECT_EQ(store.lost(), 0U) << "it was not in that file";
    EXPECT_EQ(store.read_one(Seq{first_of(files[1])}), nullptr);
    EXPECT_EQ(store.lost(), 1U);
    EXPECT_TRUE(store.commit(samples::logged("t")).has_value()) << "the others go on";
    EXPECT_FALSE(store.sink().has_failed());
}

// An empty file is a new one to SQLite, with nothing in it.
TEST_F(MissingFilesTest, AFileThatLosesItsContentsWhileTheStoreIsOpenIsTold) {
    SqliteEngineOptions small = options();
    small.tail_bytes_max = 600;
    Store store{small};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 30);
    const auto files = segments(small);
    ASSERT_GT(files.size(), 3U);
    fs::resize_file(files[1], 0);
    for (int reader = 0; reader < 2; ++reader) {
        EXPECT_EQ(positions(store.read_all()), all_but(files[1], files[2]));
        EXPECT_EQ(store.lost(), 1U) << "at least";
    }
    EXPECT_EQ(store.read_one(Seq{first_of(files[1])}), nullptr);
    EXPECT_TRUE(store.commit(samples::logged("t")).has_value()) << "the others go on";
    EXPECT_FALSE(store.sink().has_failed());
}

// Who has passed the last message of a file has lost nothing with it.
TEST_F(MissingFilesTest, BehindTheLastMessageOfAFileNothingIsLost) {
    SqliteEngineOptions small = options();
    small.tail_bytes_max = 600;
    Store store{small};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 3);
    while (segments(small).size() == 1) {
        ASSERT_TRUE(store.commit(samples::attached("c")).has_value());
    }
    publish(store, 3);
    const auto file = segments(small).front();
    for (int run = 0; run < 2; ++run) {
        fs::remove(file);
        for (const std::string filter : {"t", "#"}) {
            EXPECT_EQ(store.read_all({filter}, Seq{2}).size(), 3U);
            EXPECT_EQ(store.lost(), 1U);
            EXPECT_EQ(store.read_all({filter}, Seq{3}).size(), 3U);
            EXPECT_EQ(store.lost(), 0U);
        }
        store.close();
        accept(store);
        ASSERT_TRUE(store.open().has_value());
    }
}

// Nor has who wants only what memory has.
TEST_F(MissingFilesTest, WhatOnlyMemoryHasHadIsNotLost) {
    SqliteEngineOptions small = options();
    small.tail_bytes_max = 900;  // one message
    Store store{small};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 3);
    ASSERT_TRUE(store.commit(samples::logged("late", std::string(500, 'x'))).has_value());
    fs::remove(segments(small).front());
    EXPECT_TRUE(store.read_all({"t"}).empty());
    EXPECT_EQ(store.lost(), 1U);
    EXPECT_EQ(store.read_all({"late"}).size(), 1U);
    EXPECT_EQ(store.lost(), 0U);
}

TEST_F(MissingFilesTest, WhatMemoryHasOfAFileThatIsGoneIsRead) {
    Store store{options()};  // its tail has all of it
    ASSERT_TRUE(store.open().has_value());
    publish(store, 30);
    fs::remove(segments(options())[1]);
    EXPECT_EQ(store.read_all().size(), 30U);
    EXPECT_EQ(store.lost(), 0U);
}

TEST_F(MissingFilesTest, ALogThatIsElsewhereForAMomentIsNotLost) {
    SqliteEngineOptions small = options();
    small.tail_bytes_max = 600;
    Store store{small};
    ASSERT_TRUE(store.open().has_value());
    publish(store, 30);
    const std::string elsewhere = directory_.file("elsewhere");
    fs::rename(log_directory(small), elsewhere);
    ReadRequest request;
    request.shard = kShard;
    request.cookie = 1;
    request.filters = make_intrusive<FilterSet>(std::vector<std::string>{"#"});
    ASSERT_EQ(store.engine().read(request), Push::ok);
    ASSERT_TRUE(store.wait([&] { return store.sink().page(1).has_value(); }));
    EXPECT_FALSE(store.sink().page(1)->result.has_value());
    fs::rename(elsewhere, log_directory(small));
    store.close();
    ASSERT_TRUE(store.open().has_value());
    EXPECT_EQ(store.read_all().size(), 30U);
    EXPECT_EQ(store.lost(), 0U);
}

}  // namespace
}  // namespace stentor::store
