#include "persistence/sqlite/sqlite_error.hpp"

#include "base/descriptor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <sys/stat.h>
#include <utility>

namespace stentor::store {
namespace {

[[nodiscard]] bool is_kind(int code, int kind) noexcept { return (code & 0xFF) == kind; }

[[nodiscard]] bool is_read_only(sqlite3* connection) noexcept {
    return connection != nullptr && sqlite3_db_readonly(connection, "main") == 1;
}

/// A file that SQLite cannot make it tries to open instead, which finds none.
[[nodiscard]] int why_none_can_be_made(const std::string& database) {
    const std::string path = database + "-probe";
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open(2) is what it is
    const Descriptor probe{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
    if (!probe) return errno;
    ::unlink(path.c_str());
    return ENOENT;
}

/// Whether a disk answers a read or a write like that.
[[nodiscard]] bool is_of_a_disk(int os_error) noexcept {
    switch (os_error) {
        case EIO:
        case ENOSPC:
        case EDQUOT:
        case EROFS:
        case EFBIG:
        case ENOMEM:
        case ENODEV:
        case ENXIO:
        case ESTALE:
        case ETIMEDOUT:
            return true;
        default:
            return false;
    }
}

/// SQLite calls it full only where the system says ENOSPC to a write into a database or a log. Not
/// of a sync: what it was to sync is in doubt, whatever the reason.
[[nodiscard]] bool lacks_room(const SqliteError& error) noexcept {
    if (is_kind(error.code, SQLITE_FULL)) return true;
    if (error.os_error != ENOSPC && error.os_error != EDQUOT) return false;
    switch (error.code) {
        case SQLITE_IOERR_WRITE:
        case SQLITE_IOERR_TRUNCATE:
        case SQLITE_IOERR_SHMOPEN:
        case SQLITE_IOERR_SHMSIZE:
            return true;
        default:
            return is_kind(error.code, SQLITE_CANTOPEN);
    }
}

/// What keeps us from a file; 0: nothing does, or there is none.
[[nodiscard]] int obstacle(const std::string& path, int wanted) noexcept {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return EISDIR;
    if (::faccessat(AT_FDCWD, path.c_str(), wanted, AT_EACCESS) == 0 || errno == ENOENT) return 0;
    return errno;
}

/// Without a text. SQLite names the database, but may have failed to open, make or write one of
/// those beside it.
[[nodiscard]] Explanation culprit(const std::string& database, int code, bool only_reads) {
    const bool wants_to_write = is_kind(code, SQLITE_READONLY);
    if (!is_kind(code, SQLITE_CANTOPEN) && !wants_to_write) return {.file = database, .text = {}};
    for (const int wanted : {R_OK, W_OK}) {
        if (wanted == W_OK && only_reads && !wants_to_write) break;
        for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
            const int why = obstacle(database + suffix, wanted);
            if (why != 0) return {.file = database + suffix, .os_error = why, .text = {}};
        }
    }
    std::string directory = std::filesystem::path{database}.parent_path().string();
    if (directory.empty()) directory = ".";
    const bool is_open = ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
    if (is_open || errno == ENOENT) return {.file = database, .text = {}};
    return {.file = std::move(directory), .os_error = errno, .text = {}};
}

/// What to do about it; empty where there is no general answer.
[[nodiscard]] std::string_view remedy(const SqliteError& error) noexcept {
    if (lacks_room(error)) return "make room on the disk";
    switch (error.os_error) {
        case EMFILE:
            return "let the process open more files: ulimit -n, LimitNOFILE= of systemd";
        case ENFILE:
            return "let the system open more files: sysctl fs.file-max";
        case EACCES:
        case EPERM:
            return "let the broker's user read and write it: chown, chmod";
        case EROFS:
            return "its file system is mounted read-only";
        case EISDIR:
            return "a directory is in its place: move it away";
        case EIO:
            return "the disk fails: the system's log (dmesg) says more";
        default:
            return {};
    }
}

}  // namespace

/// SQLite asks the system about these two only; by the time that it asks what a read or a write has
/// met, it may have looked for other files.
SqliteError sqlite_error(sqlite3* connection, int code, const std::string& database) {
    const bool opens = is_kind(code, SQLITE_CANTOPEN);
    if (!opens && !is_kind(code, SQLITE_IOERR)) return {.code = code};
    const int os_error = connection == nullptr ? errno : sqlite3_system_errno(connection);
    if (opens && os_error == ENOENT && !database.empty() && !is_read_only(connection)) {
        return {.code = code, .os_error = why_none_can_be_made(database)};
    }
    return {.code = code, .os_error = opens || is_of_a_disk(os_error) ? os_error : 0};
}

StoreErrc errc_of(const SqliteError& error) noexcept {
    if (lacks_room(error)) return StoreErrc::store_full;
    const int why = error.os_error;
    if (is_kind(error.code, SQLITE_CANTOPEN) && (why == EMFILE || why == ENFILE)) {
        return StoreErrc::no_descriptors;
    }
    if (is_kind(error.code, SQLITE_CORRUPT) || is_kind(error.code, SQLITE_NOTADB)) {
        return StoreErrc::damaged;
    }
    return StoreErrc::io_error;
}

Explanation explain(sqlite3* connection, const SqliteError& error, const std::string& database) {
    const char* what =
        connection == nullptr ? sqlite3_errstr(error.code) : sqlite3_errmsg(connection);
    Explanation found = culprit(database, error.code, is_read_only(connection));
    if (error.os_error != 0) found.os_error = error.os_error;
    found.text = what;
    if (found.os_error != 0) found.text += std::string{": "} + std::strerror(found.os_error);
    const std::string_view help = remedy({.code = error.code, .os_error = found.os_error});
    if (!help.empty()) found.text.append(" (").append(help).append(")");
    return found;
}

}  // namespace stentor::store
