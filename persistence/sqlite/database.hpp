#pragma once
// SQLite's C interface as values that own what they open and Results that say what went wrong.
// One thread at a time per Database, with the statements made from it.
//
// Every failure is logged once, here, with the file and SQLite's own words; what callers get is the
// StoreErrc they act on: store_full (the disk is; roll back and go on), no_descriptors (the same),
// damaged, or io_error.

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "persistence/store_error.hpp"

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace stentor::store {

/// A prepared statement: bind, step until done, reset. Parameters and columns count as in SQLite:
/// parameters from 1, columns from 0. Bound bytes must live until the statement is reset.
class Statement {
  public:
    enum class Step : std::uint8_t { row, done };

    Statement() noexcept = default;
    explicit Statement(sqlite3_stmt* statement) noexcept : statement_{statement} {}

    Statement& bind(int parameter, std::int64_t value) noexcept;
    Statement& bind(int parameter, Seq value) noexcept;
    Statement& bind(int parameter, std::string_view text) noexcept;
    Statement& bind(int parameter, ByteView blob) noexcept;
    Statement& bind_null(int parameter) noexcept;

    [[nodiscard]] Result<Step> step();
    /// Steps to the end, ignoring rows, and resets.
    [[nodiscard]] Result<void> run();
    void reset() noexcept;

    /// Of the current row; texts and blobs are valid until the next step() or reset().
    [[nodiscard]] std::int64_t integer(int column) const noexcept;
    [[nodiscard]] Seq seq(int column) const noexcept;
    [[nodiscard]] std::string_view text(int column) const noexcept;
    [[nodiscard]] ByteView blob(int column) const noexcept;
    [[nodiscard]] bool is_null(int column) const noexcept;

  private:
    struct Finalize {
        void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
    };
    std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// Resets a statement at the end of a scope, so that its read transaction ends whatever happens.
class ResetAtEnd {
  public:
    explicit ResetAtEnd(Statement& statement) noexcept : statement_{statement} {}
    ~ResetAtEnd() { statement_.reset(); }
    ResetAtEnd(const ResetAtEnd&) = delete;
    ResetAtEnd& operator=(const ResetAtEnd&) = delete;

  private:
    Statement& statement_;
};

/// One step from a form of a file to the next.
struct Migration {
    std::int32_t from = 0;  // to from + 1
    const char* sql = "";
};

/// Which kind of file this is (PRAGMA application_id) and in which form (PRAGMA user_version).
struct FileFormat {
    std::int32_t application_id = 0;
    std::int32_t version = 0;
    const char* schema = "";                     // creates the tables of an empty file
    std::span<const Migration> migrations = {};  // ascending, ending at `version`
};

class Database {
  public:
    enum class Open : std::uint8_t {
        existing,
        or_create,
        read_only,  // beside a writer, if there is one
        at_rest,    // read_only where nobody writes meanwhile: leaves no files behind
    };

    /// Opens the file in WAL mode, with no automatic checkpoint. `vfs`: empty for the system's. A
    /// file of an earlier form is migrated, in one transaction, or not at all.
    /// Fails with newer_version for a file of a later Stentor, damaged for one that is not ours, or
    /// of a form that has no way here. The last two ways to open do not migrate: an earlier form is
    /// refused (older_version), and a file that a crash left without tables is opened: ask
    /// has_tables().
    [[nodiscard]] static Result<Database> open(const std::string& path,
                                               Open how,
                                               const FileFormat& format,
                                               const std::string& vfs);

    [[nodiscard]] bool has_tables() const noexcept { return has_tables_; }
    [[nodiscard]] Result<Statement> prepare(const char* sql);
    /// One or more statements without parameters or results.
    [[nodiscard]] Result<void> run(const char* sql);
    [[nodiscard]] Result<std::int64_t> integer(const char* sql);

    [[nodiscard]] bool is_in_transaction() const noexcept {
        return sqlite3_get_autocommit(connection_.get()) == 0;
    }

    /// Copies the write-ahead log into the file as far as no reader is in the way.
    [[nodiscard]] Result<void> checkpoint();
    /// The same for all of it, waiting for readers, and empties the log's file.
    [[nodiscard]] Result<void> empty_log();
    /// From here on every commit that finds so many pages in the write-ahead log copies them.
    void checkpoint_from(int pages) noexcept;

    /// Writes what a reader sees now into a new file, which is on disk when this returns.
    [[nodiscard]] Result<void> copy_to(const std::string& path);

    /// Fails with io_error if the file or its write-ahead log has been removed or replaced since it
    /// was opened: what is written goes nowhere then. Costs two stat().
    [[nodiscard]] Result<void> check_in_place();

    [[nodiscard]] const std::string& path() const noexcept { return path_; }

  private:
    struct Close {
        void operator()(sqlite3* connection) const noexcept { sqlite3_close_v2(connection); }
    };
    Database(sqlite3* connection, std::string path)
        : connection_{connection}, path_{std::move(path)} {}
    [[nodiscard]] static Result<Database> open_file(const std::string& path,
                                                    int flags,
                                                    const std::string& vfs);
    [[nodiscard]] static Result<Database> open_read_only(const std::string& path,
                                                         Open how,
                                                         const FileFormat& format,
                                                         const std::string& vfs);
    /// What a file says that it is.
    struct Marks {
        std::int64_t application_id = 0;
        std::int64_t version = 0;
        std::int64_t tables = 0;
    };
    [[nodiscard]] Result<Marks> marks();
    [[nodiscard]] Result<void> prepare_file(const FileFormat& format, Open how);
    [[nodiscard]] Result<void> create_tables(const FileFormat& format);
    [[nodiscard]] Result<void> migrate(const FileFormat& format, std::int32_t from);
    [[nodiscard]] Result<void> set_version(std::int32_t version);

    /// Which file a name stands for; nothing when it stands for none.
    struct FileIdentity {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
    };
    [[nodiscard]] std::optional<FileIdentity> write_ahead_log() const noexcept;

    std::unique_ptr<sqlite3, Close> connection_;
    std::string path_;
    bool has_tables_ = true;
    std::optional<FileIdentity> log_;  // the write-ahead log, of one that is written
};

/// What has been committed to this database without a sync: syncs its write-ahead log, if there is
/// one, from outside any connection.
[[nodiscard]] Result<void> sync_write_ahead_log(const std::string& database,
                                                const std::string& vfs);

/// BEGIN now, ROLLBACK at the end unless committed.
class Transaction {
  public:
    enum class Kind : std::uint8_t { read, write };
    [[nodiscard]] static Result<Transaction> begin(Database& database, Kind kind);
    Transaction(Transaction&& other) noexcept
        : database_{std::exchange(other.database_, nullptr)} {}
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();

    [[nodiscard]] Result<void> commit();

  private:
    explicit Transaction(Database& database) noexcept : database_{&database} {}
    Database* database_;
};

}  // namespace stentor::store
