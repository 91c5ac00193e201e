#include "persistence/sqlite/database.hpp"

#include "base/log.hpp"
#include "persistence/sqlite/sqlite_error.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

// Another connection of ours may hold a lock for the length of a checkpoint.
constexpr int kBusyTimeoutMs = 10'000;

[[nodiscard]] bool only_reads(Database::Open how) noexcept {
    return how == Database::Open::read_only || how == Database::Open::at_rest;
}

/// A crash came before its first transaction had ended, which turns it into one with a write-ahead
/// log (create_tables()); there is never a rollback journal afterwards.
[[nodiscard]] bool is_half_made(const std::string& path) {
    std::error_code error;
    const std::uintmax_t bytes = std::filesystem::file_size(path + "-journal", error);
    return !error && bytes != 0;
}

/// As SQLite's file names with parameters want it.
[[nodiscard]] std::string as_uri(const std::string& path) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string uri = "file:";
    for (const char c : path) {
        if (c != '%' && c != '?' && c != '#') {
            uri += c;
            continue;
        }
        const auto octet = static_cast<unsigned char>(c);
        uri += '%';
        uri += kDigits[octet >> 4U];
        uri += kDigits[octet & 15U];
    }
    return uri;
}

/// `path` where there is no connection that knows it.
[[nodiscard]] boost::system::error_code failure(sqlite3* connection,
                                                int code,
                                                const char* path = nullptr) {
    if (path == nullptr && connection != nullptr) path = sqlite3_db_filename(connection, "main");
    const std::string database = path == nullptr ? "" : path;
    const SqliteError error = sqlite_error(connection, code, database);
    const StoreErrc errc = errc_of(error);
    // A disk that stays full fails every commit; one line in a while is enough. Descriptors lack
    // wherever a file is to be opened, and one line says it all.
    static LogEvery every{20, std::chrono::seconds{10}};
    static LogEvery every_open{1, std::chrono::seconds{10}};
    const bool is_expected = code == SQLITE_READONLY_ROLLBACK;  // see open_read_only()
    const bool lacks_descriptors = errc == StoreErrc::no_descriptors;
    const auto pass = (lacks_descriptors ? every_open : every).admit(monotonic_now());
    if (pass && !is_expected) {
        const Explanation why = explain(connection, error, database);
        STENTOR_LOG(error,
                    LogEvent("store_error",
                             {{"file", why.file},
                              {"code", code},
                              {"os_error", why.os_error},
                              {"suppressed", pass.suppressed}}),
                    "{}",
                    why.text);
    }
    return make_error_code(errc);
}

}  // namespace

Statement& Statement::bind(int parameter, std::int64_t value) noexcept {
    sqlite3_bind_int64(statement_.get(), parameter, value);
    return *this;
}

Statement& Statement::bind(int parameter, Seq value) noexcept {
    return bind(parameter, static_cast<std::int64_t>(value.value()));
}

Statement& Statement::bind(int parameter, std::string_view text) noexcept {
    // A null pointer would bind NULL instead of the empty text.
    const char* data = text.empty() ? "" : text.data();
    sqlite3_bind_text(
        statement_.get(), parameter, data, static_cast<int>(text.size()), SQLITE_STATIC);
    return *this;
}

Statement& Statement::bind(int parameter, ByteView blob) noexcept {
    const void* data = blob.empty() ? static_cast<const void*>("") : blob.data();
    sqlite3_bind_blob64(statement_.get(), parameter, data, blob.size(), SQLITE_STATIC);
    return *this;
}

Statement& Statement::bind_null(int parameter) noexcept {
    sqlite3_bind_null(statement_.get(), parameter);
    return *this;
}

Result<Statement::Step> Statement::step() {
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return Step::row;
    if (code == SQLITE_DONE) return Step::done;
    return failure(sqlite3_db_handle(statement_.get()), code);
}

Result<void> Statement::run() {
    const ResetAtEnd reset_at_end{*this};
    for (;;) {
        STENTOR_TRY(const Step now, step());
        if (now == Step::done) return {};
    }
}

void Statement::reset() noexcept { sqlite3_reset(statement_.get()); }

std::int64_t Statement::integer(int column) const noexcept {
    return sqlite3_column_int64(statement_.get(), column);
}

Seq Statement::seq(int column) const noexcept {
    return Seq{static_cast<std::uint64_t>(integer(column))};
}

std::string_view Statement::text(int column) const noexcept {
    return as_text({static_cast<const std::byte*>(sqlite3_column_blob(statement_.get(), column)),
                    static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))});
}

ByteView Statement::blob(int column) const noexcept { return as_bytes(text(column)); }

bool Statement::is_null(int column) const noexcept {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Result<Database> Database::open(const std::string& path,
                                Open how,
                                const FileFormat& format,
                                const std::string& vfs) {
    if (only_reads(how)) return open_read_only(path, how, format, vfs);
    const int create = how == Open::or_create ? SQLITE_OPEN_CREATE : 0;
    STENTOR_TRY(Database database, open_file(path, SQLITE_OPEN_READWRITE | create, vfs));
    STENTOR_TRY_VOID(database.prepare_file(format, how));
    database.log_ = database.write_ahead_log();
    return database;
}

/// SQLITE_OPEN_URI: as a file that nobody changes.
Result<Database> Database::open_file(const std::string& path, int flags, const std::string& vfs) {
    sqlite3* connection = nullptr;
    const bool is_uri = (flags & SQLITE_OPEN_URI) != 0;
    const std::string name = is_uri ? as_uri(path) + "?immutable=1" : path;
    const int code = sqlite3_open_v2(name.c_str(),
                                     &connection,
                                     flags | SQLITE_OPEN_NOMUTEX,
                                     vfs.empty() ? nullptr : vfs.c_str());
    Database database{connection, path};
    if (code != SQLITE_OK) return failure(connection, code, path.c_str());
    sqlite3_extended_result_codes(connection, 1);
    sqlite3_busy_timeout(connection, kBusyTimeoutMs);
    sqlite3_wal_autocheckpoint(connection, 0);
    return database;
}

/// Said to be immutable, a file needs no others beside it, which SQLite would leave there, or could
/// not make in a directory of somebody else. It must have no write-ahead log then.
Result<Database> Database::open_read_only(const std::string& path,
                                          Open how,
                                          const FileFormat& format,
                                          const std::string& vfs) {
    std::error_code error;
    const std::string log = path + "-wal";
    const bool has_log =
        std::filesystem::exists(log, error) && std::filesystem::file_size(log, error) != 0;
    const bool is_immutable = how == Open::at_rest && !has_log && !error;
    const int immutable = is_immutable ? SQLITE_OPEN_URI : 0;
    STENTOR_TRY(Database database, open_file(path, SQLITE_OPEN_READONLY | immutable, vfs));
    if (how == Open::at_rest && is_half_made(path)) {
        database.has_tables_ = false;
        return database;
    }
    if (const auto prepared = database.prepare_file(format, how); !prepared) {
        // Its writer is no more; the next one rolls back.
        if (!is_half_made(path)) return prepared.error();
        database.has_tables_ = false;
    }
    return database;
}

/// As of one moment: another connection may be making the tables.
Result<Database::Marks> Database::marks() {
    STENTOR_TRY(const Transaction as_of_now, Transaction::begin(*this, Transaction::Kind::read));
    Marks marks;
    STENTOR_TRY(marks.application_id, integer("PRAGMA application_id"));
    STENTOR_TRY(marks.version, integer("PRAGMA user_version"));
    STENTOR_TRY(marks.tables, integer("SELECT count(*) FROM sqlite_schema"));
    return marks;
}

Result<void> Database::prepare_file(const FileFormat& format, Open how) {
    STENTOR_TRY(const Marks found, marks());
    const auto [id, version, tables] = found;
    if (id == format.application_id && version == format.version) return {};
    if (id == format.application_id && version > format.version) {
        STENTOR_LOG(error,
                    LogEvent("store_newer", {{"file", path_}, {"version", version}}),
                    "written by a newer Stentor (format {}, this program knows {}): use that one, "
                    "or restore a backup made before it",
                    version,
                    format.version);
        return StoreErrc::newer_version;
    }
    if (id == format.application_id && !only_reads(how)) {
        return migrate(format, static_cast<std::int32_t>(version));
    }
    if (id == format.application_id) return StoreErrc::older_version;
    if (tables != 0 || id != 0) {
        STENTOR_LOG(error, LogEvent("store_damaged", {{"file", path_}}), "not a file of Stentor");
        return StoreErrc::damaged;
    }
    has_tables_ = !only_reads(how);
    if (!has_tables_) return {};
    return create_tables(format);
}

Result<void> Database::create_tables(const FileFormat& format) {
    STENTOR_TRY_VOID(run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"));
    // Tables and marks appear in one transaction: a file that a crash left half made is empty.
    STENTOR_TRY(Transaction transaction, Transaction::begin(*this, Transaction::Kind::write));
    STENTOR_TRY_VOID(run(format.schema));
    const std::string mark = "PRAGMA application_id=" + std::to_string(format.application_id);
    STENTOR_TRY_VOID(run(mark.c_str()));
    STENTOR_TRY_VOID(set_version(format.version));
    return transaction.commit();
}

/// All steps in one transaction: what is interrupted has not happened.
Result<void> Database::migrate(const FileFormat& format, std::int32_t from) {
    STENTOR_TRY_VOID(run("PRAGMA synchronous=FULL"));
    STENTOR_TRY(Transaction transaction, Transaction::begin(*this, Transaction::Kind::write));
    // Another connection of this process may have been first.
    STENTOR_TRY(std::int64_t version, integer("PRAGMA user_version"));
    for (const Migration& step : format.migrations) {
        if (step.from != version) continue;
        STENTOR_TRY_VOID(run(step.sql));
        ++version;
    }
    if (version != format.version) {
        STENTOR_LOG(error,
                    LogEvent("store_damaged", {{"file", path_}, {"version", from}}),
                    "no way from format {} to {}",
                    from,
                    format.version);
        return StoreErrc::damaged;
    }
    STENTOR_TRY_VOID(set_version(format.version));
    STENTOR_TRY_VOID(transaction.commit());
    STENTOR_LOG(info,
                LogEvent("store_migrated", {{"file", path_}, {"from", from}, {"to", version}}),
                "brought from format {} to {}",
                from,
                version);
    return {};
}

Result<void> Database::set_version(std::int32_t version) {
    return run(("PRAGMA user_version=" + std::to_string(version)).c_str());
}

Result<Statement> Database::prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(
        connection_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code == SQLITE_OK) return Statement{statement};
    const boost::system::error_code why = failure(connection_.get(), code);
    // Our statements are right: where SQLite finds none of their tables, or not a form of file that
    // it knows, somebody else has written to it.
    if ((code & 0xFF) == SQLITE_ERROR) return StoreErrc::damaged;
    return why;
}

Result<void> Database::run(const char* sql) {
    const int code = sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return failure(connection_.get(), code);
    return {};
}

Result<std::int64_t> Database::integer(const char* sql) {
    STENTOR_TRY(Statement statement, prepare(sql));
    STENTOR_TRY(const Statement::Step step, statement.step());
    if (step == Statement::Step::done || statement.is_null(0)) return std::int64_t{0};
    return statement.integer(0);
}

Result<void> Database::checkpoint() {
    const int code = sqlite3_wal_checkpoint_v2(
        connection_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    // Busy: readers are still in it; the rest is copied another time.
    if (code != SQLITE_OK && (code & 0xFF) != SQLITE_BUSY) return failure(connection_.get(), code);
    return {};
}

Result<void> Database::copy_to(const std::string& path) {
    STENTOR_TRY(Database copy,
                open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, std::string{}));
    sqlite3_backup* backup =
        sqlite3_backup_init(copy.connection_.get(), "main", connection_.get(), "main");
    if (backup == nullptr) return failure(copy.connection_.get(), SQLITE_ERROR);
    constexpr int kAllPages = -1;  // in one read transaction
    const int code = sqlite3_backup_step(backup, kAllPages);
    sqlite3_backup_finish(backup);
    if (code != SQLITE_DONE) return failure(copy.connection_.get(), code);
    return {};
}

std::optional<Database::FileIdentity> Database::write_ahead_log() const noexcept {
    struct stat status {};
    if (::stat((path_ + "-wal").c_str(), &status) != 0) return std::nullopt;
    return FileIdentity{.device = status.st_dev, .inode = status.st_ino};
}

/// SQLite looks at the database only. As long as it has the write-ahead log open, no other file has
/// that inode.
Result<void> Database::check_in_place() {
    int has_moved = 0;
    sqlite3_file_control(connection_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
    const bool is_log_in_place = !log_ || write_ahead_log() == log_;
    if (has_moved == 0 && is_log_in_place) return {};
    STENTOR_LOG(error,
                LogEvent("store_gone", {{"file", is_log_in_place ? path_ : path_ + "-wal"}}),
                "the file was removed or replaced while it was in use");
    return StoreErrc::io_error;
}

Result<void> Database::empty_log() {
    const int code = sqlite3_wal_checkpoint_v2(
        connection_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    if (code != SQLITE_OK && (code & 0xFF) != SQLITE_BUSY) return failure(connection_.get(), code);
    return {};
}

void Database::checkpoint_from(int pages) noexcept {
    sqlite3_wal_autocheckpoint(connection_.get(), pages);
}

// Never for a database itself: closing any descriptor of it drops the process's locks on it.
Result<void> sync_write_ahead_log(const std::string& database, const std::string& vfs) {
    const std::string path = database + "-wal";
    sqlite3_vfs* files = sqlite3_vfs_find(vfs.empty() ? nullptr : vfs.c_str());
    int exists = 0;
    int code = files->xAccess(files, path.c_str(), SQLITE_ACCESS_EXISTS, &exists);
    if (code == SQLITE_OK && exists == 0) return {};
    std::vector<std::max_align_t> place(
        static_cast<std::size_t>(files->szOsFile) / sizeof(std::max_align_t) + 1);
    auto* file = reinterpret_cast<sqlite3_file*>(place.data());
    constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL;
    if (code == SQLITE_OK) code = files->xOpen(files, path.c_str(), file, kFlags, nullptr);
    if (code == SQLITE_OK) code = file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    if (file->pMethods != nullptr) (void)file->pMethods->xClose(file);
    if (code != SQLITE_OK) return failure(nullptr, code, path.c_str());
    return {};
}

Result<Transaction> Transaction::begin(Database& database, Kind kind) {
    STENTOR_TRY_VOID(database.run(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN"));
    return Transaction{database};
}

Transaction::~Transaction() {
    // After some failures SQLite has rolled back by itself; either way it is over.
    if (database_ != nullptr && database_->is_in_transaction()) (void)database_->run("ROLLBACK");
}

Result<void> Transaction::commit() {
    STENTOR_TRY_VOID(database_->run("COMMIT"));
    database_ = nullptr;
    return {};
}

}  // namespace stentor::store
