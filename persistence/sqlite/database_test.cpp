#include "persistence/sqlite/database.hpp"

#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace stentor::store {
namespace {

constexpr std::int32_t kId = 0x54'65'73'74;

constexpr FileFormat kFirst{
    .application_id = kId, .version = 1, .schema = "CREATE TABLE t(a INTEGER PRIMARY KEY)"};

constexpr std::array<Migration, 2> kSteps{
    Migration{.from = 1, .sql = "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 0"},
    Migration{.from = 2, .sql = "UPDATE t SET b = a * 10; CREATE INDEX t_b ON t(b)"}};
constexpr FileFormat kThird{
    .application_id = kId,
    .version = 3,
    .schema = "CREATE TABLE t(a INTEGER PRIMARY KEY, b INTEGER NOT NULL); CREATE INDEX t_b ON t(b)",
    .migrations = kSteps};

constexpr std::array<Migration, 2> kBrokenSteps{
    kSteps[0], Migration{.from = 2, .sql = "UPDATE t SET b = 1; UPDATE nowhere SET x = 1"}};
constexpr FileFormat kBroken{
    .application_id = kId, .version = 3, .schema = "", .migrations = kBrokenSteps};

class DatabaseTest : public testing::Test {
  protected:
    Result<Database> open(const FileFormat& format, Database::Open how = Database::Open::existing) {
        return Database::open(path_, how, format, {});
    }
    void make(const FileFormat& format) {
        auto made = open(format, Database::Open::or_create);
        ASSERT_TRUE(made.has_value());
        ASSERT_TRUE(made->run("INSERT INTO t(a) VALUES(4)").has_value());
    }
    kit::TempDir directory_;
    const std::string path_ = directory_.file("file with %41?#.db");
};

TEST_F(DatabaseTest, AnEarlierFormIsMigratedStepByStep) {
    make(kFirst);
    {
        auto opened = open(kThird);
        ASSERT_TRUE(opened.has_value());
        EXPECT_EQ(*opened->integer("SELECT b FROM t WHERE a = 4"), 40);
        EXPECT_EQ(*opened->integer("PRAGMA user_version"), 3);
    }
    EXPECT_EQ(*open(kThird)->integer("SELECT b FROM t"), 40) << "once";
    EXPECT_EQ(open(kFirst).error(), StoreErrc::newer_version);
}

TEST_F(DatabaseTest, AMigrationThatFailsHasNotHappened) {
    make(kFirst);
    EXPECT_FALSE(open(kBroken).has_value());
    auto as_it_was = open(kFirst);
    ASSERT_TRUE(as_it_was.has_value());
    EXPECT_EQ(*as_it_was->integer("SELECT a FROM t"), 4);
    EXPECT_FALSE(as_it_was->integer("SELECT b FROM t").has_value());
}

TEST_F(DatabaseTest, AFormWithoutAWayIsRefused) {
    make(kFirst);
    FileFormat without = kThird;
    without.migrations = std::span{kSteps}.last(1);
    EXPECT_EQ(open(without).error(), StoreErrc::damaged);
    EXPECT_TRUE(open(kThird).has_value());
}

TEST_F(DatabaseTest, ReadingAFileAtRestLeavesNothingBehind) {
    make(kFirst);
    EXPECT_EQ(open(kThird, Database::Open::at_rest).error(), StoreErrc::older_version);
    EXPECT_EQ(open(kThird, Database::Open::read_only).error(), StoreErrc::older_version);
    std::filesystem::remove(path_ + "-wal");
    std::filesystem::remove(path_ + "-shm");
    {
        auto opened = open(kFirst, Database::Open::at_rest);
        ASSERT_TRUE(opened.has_value());
        EXPECT_EQ(*opened->integer("SELECT a FROM t"), 4);
        EXPECT_FALSE(opened->run("INSERT INTO t(a) VALUES(5)").has_value());
    }
    std::size_t files = 0;
    for (const auto& file : std::filesystem::directory_iterator{directory_.path()}) {
        EXPECT_EQ(file.path(), path_);
        ++files;
    }
    EXPECT_EQ(files, 1U);
}

TEST_F(DatabaseTest, ReadingOnlySeesWhatAWriterCommits) {
    make(kFirst);
    auto writer = open(kFirst);
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE(writer->run("INSERT INTO t(a) VALUES(5)").has_value());
    auto reader = open(kFirst, Database::Open::read_only);
    ASSERT_TRUE(reader.has_value());
    EXPECT_EQ(*reader->integer("SELECT count(*) FROM t"), 2);
    ASSERT_TRUE(writer->run("INSERT INTO t(a) VALUES(6)").has_value());
    EXPECT_EQ(*reader->integer("SELECT count(*) FROM t"), 3);
}

TEST_F(DatabaseTest, ReadingOnlyOpensAFileThatACrashLeftEmpty) {
    directory_.write("file with %41?#.db", "");
    auto opened = open(kFirst, Database::Open::read_only);
    ASSERT_TRUE(opened.has_value());
    EXPECT_FALSE(opened->has_tables());
    EXPECT_FALSE(open(kFirst, Database::Open::at_rest)->has_tables());
    EXPECT_TRUE(open(kFirst)->has_tables());
}

/// A file whose first transaction, which is not in the write-ahead log, has been cut off.
void leave_half_made(const std::string& path, const std::string& scratch) {
    sqlite3* maker = nullptr;
    ASSERT_EQ(sqlite3_open(scratch.c_str(), &maker), SQLITE_OK);
    // More than its cache holds: a part is in the file, and what it was before in the journal.
    ASSERT_EQ(
        sqlite3_exec(maker,
                     "PRAGMA cache_size=1; BEGIN; CREATE TABLE t(a);"
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 99)"
                     " INSERT INTO t SELECT zeroblob(2000) FROM n",
                     nullptr,
                     nullptr,
                     nullptr),
        SQLITE_OK);
    std::filesystem::copy_file(scratch, path);
    std::filesystem::copy_file(scratch + "-journal", path + "-journal");
    ASSERT_EQ(sqlite3_close(maker), SQLITE_OK);
}

// `stentor store backup` beside a broker that is killed when it begins a new file.
TEST_F(DatabaseTest, ReadingOnlyOpensAFileThatACrashLeftHalfMade) {
    leave_half_made(path_, directory_.file("scratch.db"));
    auto opened = open(kFirst, Database::Open::read_only);
    ASSERT_TRUE(opened.has_value()) << opened.error().message();
    EXPECT_FALSE(opened->has_tables());
    EXPECT_FALSE(open(kFirst, Database::Open::at_rest)->has_tables());
    EXPECT_TRUE(std::filesystem::exists(path_ + "-journal")) << "it is the writer's to roll back";
    auto again = open(kFirst, Database::Open::or_create);
    ASSERT_TRUE(again.has_value()) << again.error().message();
    EXPECT_EQ(*again->integer("SELECT count(*) FROM t"), 0);
}

// `stentor store backup` beside a broker that begins a new file.
TEST_F(DatabaseTest, ReadingOnlySeesAFileBeingMadeWithoutItsTablesOrWithAllOfThem) {
    const auto path = [&](int i) { return directory_.file("n" + std::to_string(i) + ".db"); };
    constexpr int kFiles = 60;
    std::atomic<int> made{0};
    std::jthread maker{[&] {
        for (int i = 0; i < kFiles; ++i) {
            EXPECT_TRUE(Database::open(path(i), Database::Open::or_create, kFirst, {}).has_value());
            ++made;
        }
    }};
    for (int now = 0; now < kFiles; now = made) {
        if (!std::filesystem::exists(path(now))) continue;
        const auto opened = Database::open(path(now), Database::Open::read_only, kFirst, {});
        ASSERT_TRUE(opened.has_value()) << opened.error().message();
    }
}

TEST_F(DatabaseTest, ACopyHoldsWhatIsInTheWriteAheadLog) {
    make(kFirst);
    auto writer = open(kFirst);
    ASSERT_TRUE(writer->run("INSERT INTO t(a) VALUES(5)").has_value());
    const std::string copied = directory_.file("copy.db");
    ASSERT_TRUE(open(kFirst, Database::Open::read_only)->copy_to(copied).has_value());
    EXPECT_FALSE(std::filesystem::exists(copied + "-wal"));
    auto copy = Database::open(copied, Database::Open::existing, kFirst, {});
    ASSERT_TRUE(copy.has_value());
    EXPECT_EQ(*copy->integer("SELECT count(*) FROM t"), 2);
}

// What SQLite has no better word for than "error".
TEST_F(DatabaseTest, AFileInAnotherFormIsDamaged) {
    make(kFirst);
    {
        auto opened = open(kFirst);
        ASSERT_TRUE(opened.has_value());
        EXPECT_EQ(opened->prepare("SELECT a FROM nowhere").error(), StoreErrc::damaged);
        EXPECT_EQ(opened->integer("SELECT nothing FROM t").error(), StoreErrc::damaged);
    }
    constexpr std::streamoff kSchemaFormat = 47;
    std::fstream file{path_, std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(kSchemaFormat).put('\x7f');
    file.close();
    EXPECT_EQ(open(kFirst).error(), StoreErrc::damaged);
}

TEST_F(DatabaseTest, AFileThatWasReplacedIsNoticed) {
    make(kFirst);
    auto opened = open(kFirst);
    ASSERT_TRUE(opened.has_value());
    EXPECT_TRUE(opened->check_in_place().has_value());
    std::filesystem::rename(path_, directory_.file("elsewhere"));
    EXPECT_EQ(opened->check_in_place().error(), StoreErrc::io_error);
}

}  // namespace
}  // namespace stentor::store
