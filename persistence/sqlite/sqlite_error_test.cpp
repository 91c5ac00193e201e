#include "persistence/sqlite/sqlite_error.hpp"

#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>

namespace stentor::store {
namespace {

namespace fs = std::filesystem;

/// Root may read everything: for as long as this lives, it is somebody else.
class Unprivileged {
  public:
    Unprivileged() {
        constexpr uid_t kNobody = 65534;
        if (was_ == 0) {
            EXPECT_EQ(::seteuid(kNobody), 0);
        }
    }
    ~Unprivileged() { EXPECT_EQ(::seteuid(was_), 0); }
    Unprivileged(const Unprivileged&) = delete;
    Unprivileged& operator=(const Unprivileged&) = delete;

  private:
    const uid_t was_ = ::geteuid();
};

class SqliteErrorTest : public testing::Test {
  protected:
    /// A database as a process leaves it that was killed: with a write-ahead log, for everybody.
    void SetUp() override {
        const std::string alive = directory_.file("alive.db");
        sqlite3* maker = nullptr;
        ASSERT_EQ(sqlite3_open(alive.c_str(), &maker), SQLITE_OK);
        ASSERT_EQ(run(maker, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)"), SQLITE_OK);
        fs::permissions(directory_.path(), fs::perms::all);
        for (const char* suffix : {"", "-wal", "-shm"}) {
            fs::copy_file(alive + suffix, path_ + suffix);
            fs::permissions(path_ + suffix, kForAll);
        }
        sqlite3_close(maker);
    }
    static int run(sqlite3* connection, const char* sql) {
        return sqlite3_exec(connection, sql, nullptr, nullptr, nullptr);
    }
    /// Why a row cannot be written.
    [[nodiscard]] Explanation why_not() const {
        sqlite3* connection = nullptr;
        EXPECT_EQ(sqlite3_open(path_.c_str(), &connection), SQLITE_OK);
        sqlite3_extended_result_codes(connection, 1);
        const int code = run(connection, "INSERT INTO t VALUES(1)");
        EXPECT_NE(code, SQLITE_OK);
        Explanation why = explain(connection, sqlite_error(connection, code, path_), path_);
        sqlite3_close(connection);
        return why;
    }
    static bool says(const Explanation& why, std::string_view words) {
        return why.text.find(words) != std::string::npos;
    }

    static constexpr fs::perms kForAll = fs::perms{0666};
    kit::TempDir directory_;
    const std::string path_ = directory_.file("a.db");
};

TEST_F(SqliteErrorTest, AFileOfSomebodyElseIsNamedAndNotItsDatabase) {
    for (const char* suffix : {"-shm", "-wal"}) {
        SCOPED_TRACE(suffix);
        fs::permissions(path_ + suffix, fs::perms::none);
        {
            const Unprivileged somebody;
            const Explanation why = why_not();
            EXPECT_EQ(why.file, path_ + suffix);
            EXPECT_TRUE(says(why, "Permission denied")) << why.text;
            EXPECT_TRUE(says(why, "chown")) << why.text;
        }
        fs::permissions(path_ + suffix, kForAll);
    }
}

TEST_F(SqliteErrorTest, AFileThatCanOnlyBeReadIsNamed) {
    for (const char* suffix : {"-shm", "-wal", ""}) {
        SCOPED_TRACE(suffix);
        fs::permissions(path_ + suffix, fs::perms{0444});
        {
            const Unprivileged somebody;
            const Explanation why = why_not();
            EXPECT_EQ(why.file, path_ + suffix);
            EXPECT_TRUE(says(why, "chown")) << why.text;
        }
        fs::permissions(path_ + suffix, kForAll);
    }
}

TEST_F(SqliteErrorTest, ADirectoryThatTakesNoFilesIsNamed) {
    fs::remove(path_ + "-wal");
    fs::remove(path_ + "-shm");
    fs::permissions(directory_.path(), fs::perms{0555});
    {
        const Unprivileged somebody;
        const Explanation why = why_not();
        EXPECT_EQ(why.file, directory_.path().string());
        EXPECT_TRUE(says(why, "Permission denied")) << why.text;
    }
    fs::permissions(directory_.path(), fs::perms::all);
}

TEST_F(SqliteErrorTest, ADirectoryInAFilesPlaceIsNamed) {
    fs::remove(path_ + "-wal");
    fs::create_directory(path_ + "-wal");
    const Explanation why = why_not();
    EXPECT_EQ(why.file, path_ + "-wal");
    EXPECT_EQ(why.os_error, EISDIR);
    EXPECT_TRUE(says(why, "move it away")) << why.text;
}

TEST_F(SqliteErrorTest, WhatTheProcessOrTheDiskLacksPasses) {
    const auto errc = [](int code, int os_error) { return errc_of({code, os_error}); };
    EXPECT_EQ(errc(SQLITE_CANTOPEN, EMFILE), StoreErrc::no_descriptors);
    EXPECT_EQ(errc(SQLITE_CANTOPEN, ENFILE), StoreErrc::no_descriptors);
    EXPECT_EQ(errc(SQLITE_FULL, 0), StoreErrc::store_full);
    for (const int os_error : {ENOSPC, EDQUOT}) {
        EXPECT_EQ(errc(SQLITE_CANTOPEN, os_error), StoreErrc::store_full);
        EXPECT_EQ(errc(SQLITE_IOERR_WRITE, os_error), StoreErrc::store_full);
        EXPECT_EQ(errc(SQLITE_IOERR_SHMSIZE, os_error), StoreErrc::store_full);
        EXPECT_EQ(errc(SQLITE_IOERR_FSYNC, os_error), StoreErrc::full_in_doubt);
        EXPECT_EQ(errc(SQLITE_IOERR_DELETE, os_error), StoreErrc::full_in_doubt);
        EXPECT_EQ(errc_of_system(os_error), StoreErrc::store_full);
    }
    EXPECT_EQ(errc(SQLITE_CANTOPEN, EACCES), StoreErrc::io_error);
    EXPECT_EQ(errc(SQLITE_IOERR_DELETE, EACCES), StoreErrc::io_error);
    EXPECT_EQ(errc(SQLITE_CORRUPT, 0), StoreErrc::damaged);
    EXPECT_EQ(errc(SQLITE_NOTADB, 0), StoreErrc::damaged);
}

// From what somebody has to change, because it stays as it is until then.
TEST_F(SqliteErrorTest, ADiskThatFailsIsToldFromOneThatMayNotBeWritten) {
    const auto errc = [](int code, int os_error) { return errc_of({code, os_error}); };
    for (const int os_error : {EIO, ENXIO, ENODEV, ESTALE, ETIMEDOUT}) {
        for (const int code : {SQLITE_IOERR_READ, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC}) {
            EXPECT_EQ(errc(code, os_error), StoreErrc::disk_error);
        }
        EXPECT_EQ(errc(SQLITE_CANTOPEN, os_error), StoreErrc::disk_error);
        EXPECT_EQ(errc_of_system(os_error), StoreErrc::disk_error);
    }
    EXPECT_EQ(errc(SQLITE_IOERR_FSYNC, 0), StoreErrc::disk_error);
    EXPECT_EQ(errc(SQLITE_IOERR_LOCK, 0), StoreErrc::io_error);
    EXPECT_EQ(errc(SQLITE_CANTOPEN, 0), StoreErrc::io_error);
    for (const int os_error : {EROFS, EFBIG}) {
        EXPECT_EQ(errc(SQLITE_IOERR_WRITE, os_error), StoreErrc::io_error);
        EXPECT_EQ(errc_of_system(os_error), StoreErrc::io_error);
    }
    EXPECT_EQ(errc_of_system(EACCES), StoreErrc::io_error);
}

TEST_F(SqliteErrorTest, EachHasAWayOut) {
    const auto says = [&](int code, int os_error, std::string_view reason, std::string_view help) {
        const Explanation why = explain(nullptr, {code, os_error}, path_);
        EXPECT_EQ(why.file, path_);
        EXPECT_EQ(why.os_error, os_error);
        EXPECT_TRUE(SqliteErrorTest::says(why, reason)) << why.text;
        EXPECT_TRUE(SqliteErrorTest::says(why, help)) << why.text;
    };
    says(SQLITE_CANTOPEN, EMFILE, "unable to open database file: Too many open files", "ulimit -n");
    says(SQLITE_CANTOPEN, ENFILE, "Too many open files in system", "fs.file-max");
    says(SQLITE_CANTOPEN, ENOSPC, "No space left on device", "make room on the disk");
    says(SQLITE_FULL, 0, "database or disk is full", "make room on the disk");
    says(SQLITE_IOERR_WRITE, EIO, "disk I/O error: Input/output error", "dmesg");
    says(SQLITE_IOERR_FSYNC, ENOSPC, "No space left on device", "make room on the disk");
    says(SQLITE_IOERR_WRITE, EROFS, "Read-only file system", "mounted read-only");
    EXPECT_EQ(explain_system(ENOSPC), "No space left on device (make room on the disk)");
    EXPECT_EQ(explain_system(ENOTDIR), "Not a directory");
}

// What SQLite looked for afterwards is not why a disk failed.
TEST_F(SqliteErrorTest, AnAnswerThatNoDiskGivesIsNotRepeated) {
    errno = ENOENT;
    EXPECT_EQ(sqlite_error(nullptr, SQLITE_IOERR_FSYNC, path_).os_error, 0);
    errno = EIO;
    EXPECT_EQ(sqlite_error(nullptr, SQLITE_IOERR_FSYNC, path_).os_error, EIO);
    errno = EACCES;
    EXPECT_EQ(sqlite_error(nullptr, SQLITE_CANTOPEN, path_).os_error, EACCES);
    EXPECT_EQ(sqlite_error(nullptr, SQLITE_CORRUPT, path_).os_error, 0);
}

// SQLite forgets it: it tries to open what it could not make, which is not there.
TEST_F(SqliteErrorTest, WhyAFileCannotBeMadeIsFoundOut) {
    errno = ENOENT;
    EXPECT_EQ(sqlite_error(nullptr, SQLITE_CANTOPEN, path_).os_error, ENOENT);
    EXPECT_FALSE(fs::exists(path_ + "-probe"));
    fs::permissions(directory_.path(), fs::perms{0555});
    {
        const Unprivileged somebody;
        errno = ENOENT;
        EXPECT_EQ(sqlite_error(nullptr, SQLITE_CANTOPEN, path_).os_error, EACCES);
    }
    fs::permissions(directory_.path(), fs::perms::all);
}

}  // namespace
}  // namespace stentor::store
