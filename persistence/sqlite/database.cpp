#include "persistence/sqlite/database.hpp"

#include "base/log.hpp"

#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

// Another connection of ours may hold a lock for the length of a checkpoint.
constexpr int kBusyTimeoutMs = 10'000;

[[nodiscard]] StoreErrc errc_of(int code) noexcept {
    switch (code & 0xFF) {
        case SQLITE_FULL:
            return StoreErrc::store_full;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return StoreErrc::damaged;
        default:
            return StoreErrc::io_error;
    }
}

[[nodiscard]] boost::system::error_code failure(sqlite3* connection, int code) {
    const char* file = connection == nullptr ? nullptr : sqlite3_db_filename(connection, "main");
    // A disk that stays full fails every commit; one line in a while is enough.
    static LogEvery every{20, std::chrono::seconds{10}};
    if (const auto pass = every.admit(monotonic_now())) {
        STENTOR_LOG(
            error,
            LogEvent("store_error",
                     {{"file", file == nullptr ? "" : file},
                      {"code", code},
                      {"os_error", connection == nullptr ? 0 : sqlite3_system_errno(connection)},
                      {"suppressed", pass.suppressed}}),
            "{}",
            connection == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(connection));
    }
    return make_error_code(errc_of(code));
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
    sqlite3* connection = nullptr;
    const int code = sqlite3_open_v2(path.c_str(),
                                     &connection,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                         (how == Open::or_create ? SQLITE_OPEN_CREATE : 0),
                                     vfs.empty() ? nullptr : vfs.c_str());
    Database database{connection, path};
    if (code != SQLITE_OK) {
        STENTOR_LOG(error, LogEvent("store_error", {{"file", path}}), "cannot open the file");
        return failure(connection, code);
    }
    sqlite3_extended_result_codes(connection, 1);
    sqlite3_busy_timeout(connection, kBusyTimeoutMs);
    sqlite3_wal_autocheckpoint(connection, 0);
    STENTOR_TRY_VOID(database.prepare_file(format));
    return database;
}

Result<void> Database::prepare_file(const FileFormat& format) {
    STENTOR_TRY(const std::int64_t id, integer("PRAGMA application_id"));
    STENTOR_TRY(const std::int64_t version, integer("PRAGMA user_version"));
    if (id == format.application_id && version == format.version) return {};
    if (id == format.application_id && version > format.version) {
        STENTOR_LOG(error,
                    LogEvent("store_newer", {{"file", path_}, {"version", version}}),
                    "written by a newer Stentor (format {}, this program knows {})",
                    version,
                    format.version);
        return StoreErrc::newer_version;
    }
    STENTOR_TRY(const std::int64_t tables, integer("SELECT count(*) FROM sqlite_schema"));
    if (tables != 0 || id != 0) {
        STENTOR_LOG(error, LogEvent("store_damaged", {{"file", path_}}), "not a file of Stentor");
        return StoreErrc::damaged;
    }
    STENTOR_TRY_VOID(run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"));
    // Tables and marks appear in one transaction: a file that a crash left half made is empty.
    STENTOR_TRY(Transaction transaction, Transaction::begin(*this, Transaction::Kind::write));
    STENTOR_TRY_VOID(run(format.schema));
    const std::string marks = "PRAGMA application_id=" + std::to_string(format.application_id) +
                              "; PRAGMA user_version=" + std::to_string(format.version);
    STENTOR_TRY_VOID(run(marks.c_str()));
    return transaction.commit();
}

Result<Statement> Database::prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(
        connection_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return failure(connection_.get(), code);
    return Statement{statement};
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

Result<void> Database::check_in_place() {
    int has_moved = 0;
    sqlite3_file_control(connection_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
    if (has_moved == 0) return {};
    STENTOR_LOG(error,
                LogEvent("store_gone", {{"file", path_}}),
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
    if (code != SQLITE_OK) return failure(nullptr, code);
    return {};
}

Result<Transaction> Transaction::begin(Database& database, Kind kind) {
    STENTOR_TRY_VOID(database.run(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN"));
    return Transaction{database};
}

Transaction::~Transaction() {
    // After some failures SQLite has rolled back by itself, and says so; either way it is over.
    if (database_ != nullptr) (void)database_->run("ROLLBACK");
}

Result<void> Transaction::commit() {
    STENTOR_TRY_VOID(database_->run("COMMIT"));
    database_ = nullptr;
    return {};
}

}  // namespace stentor::store
