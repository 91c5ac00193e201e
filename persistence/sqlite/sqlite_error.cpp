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
    const std::string path = database + kProbeSuffix;
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

[[nodiscard]] bool means_full(int os_error) noexcept {
    return os_error == ENOSPC || os_error == EDQUOT;
}

/// Not the answer of a disk that is mounted read-only, or of a limit: those stay until somebody
/// changes them.
[[nodiscard]] bool means_failed(int os_error) noexcept {
    return is_of_a_disk(os_error) && !means_full(os_error) && os_error != EROFS &&
           os_error != EFBIG;
}

/// Of these nothing but a disk can be the reason, also where it is not known.
[[nodiscard]] bool asks_a_disk(int code) noexcept {
    switch (code) {
        case SQLITE_IOERR_READ:
        case SQLITE_IOERR_WRITE:
        case SQLITE_IOERR_FSYNC:
        case SQLITE_IOERR_DIR_FSYNC:
        case SQLITE_IOERR_TRUNCATE:
            return true;
        default:
            return false;
    }
}

/// SQLite calls it full only where the system says ENOSPC to a write into a database or a log. Not
/// of a sync: what it was to sync is in doubt, whatever the reason.
[[nodiscard]] bool lacks_room(const SqliteError& error) noexcept {
    if (is_kind(error.code, SQLITE_FULL)) return true;
    if (!means_full(error.os_error)) return false;
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
    if (lacks_room(error) || means_full(error.os_error)) return "make room on the disk";
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
        case EFBIG:
            return "its file system, or a limit of the process (ulimit -f), takes no larger file";
        case EIO:
        case ENXIO:
        case ENODEV:
        case ETIMEDOUT:
            return "the disk fails: the system's log (dmesg) says more";
        case ESTALE:
            return "its server does not know the file any more: mount the directory again";
        default:
            break;
    }
    if (error.os_error == 0 && asks_a_disk(error.code)) {
        return "the disk fails, or is full: the system's log (dmesg) may say more";
    }
    return {};
}

/// What the system said when a sync failed, of the database or its write-ahead log; 0: not known.
[[nodiscard]] int why_sync_failed(sqlite3* connection) noexcept {
    sqlite3_file* log = nullptr;
    sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    int why = 0;
    sqlite3_file_control(connection, "main", SQLITE_FCNTL_LAST_ERRNO, &why);
    if (!is_of_a_disk(why) && log != nullptr && log->pMethods != nullptr) {
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &why);
    }
    return is_of_a_disk(why) ? why : 0;
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
    if (opens || is_of_a_disk(os_error)) return {.code = code, .os_error = os_error};
    // Only of a sync: after a write a reason that is not its own could make a failure of it pass.
    const bool syncs = code == SQLITE_IOERR_FSYNC && connection != nullptr;
    return {.code = code, .os_error = syncs ? why_sync_failed(connection) : 0};
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
    if (means_full(why)) return StoreErrc::full_in_doubt;
    const bool is_unknown = why == 0 && asks_a_disk(error.code);
    return is_unknown || means_failed(why) ? StoreErrc::disk_error : StoreErrc::io_error;
}

StoreErrc errc_of_system(int os_error) noexcept {
    if (means_full(os_error)) return StoreErrc::store_full;
    if (os_error == EMFILE || os_error == ENFILE) return StoreErrc::no_descriptors;
    return means_failed(os_error) ? StoreErrc::disk_error : StoreErrc::io_error;
}

std::string explain_system(int os_error) {
    std::string text = std::strerror(os_error);
    const std::string_view help = remedy({.code = 0, .os_error = os_error});
    if (!help.empty()) text.append(" (").append(help).append(")");
    return text;
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
