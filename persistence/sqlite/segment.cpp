#include "persistence/sqlite/segment.hpp"

#include "base/log.hpp"
#include "base/sync_directory.hpp"
#include "persistence/sqlite/sqlite_error.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>
#include <variant>

namespace stentor::store {
namespace {

constexpr FileFormat kFormat{
    .application_id = 0x53'74'4c'67,  // "StLg"
    .version = 1,
    .schema =
        "CREATE TABLE log_row(first INTEGER PRIMARY KEY, body BLOB NOT NULL);"
        "CREATE TABLE topic_index(topic BLOB NOT NULL, first INTEGER NOT NULL,"
        " positions BLOB NOT NULL, PRIMARY KEY(topic, first)) WITHOUT ROWID;"
        "CREATE TABLE seal(id INTEGER PRIMARY KEY CHECK(id = 1), last INTEGER NOT NULL,"
        " newest_message INTEGER NOT NULL, bytes INTEGER NOT NULL, filter BLOB NOT NULL)"};

// A full segment's pages stay below it: its log is copied when it is sealed, off the writer's
// thread. Only many small commits, which write the same pages again and again, come this far.
constexpr int kCheckpointPages = 20'000;

constexpr std::size_t kPositionsPerIndexRow = 512;
constexpr std::size_t kNameDigits = 20;

/// SQLite syncs the directory with the first sync of a new write-ahead log, but says nothing when
/// that fails.
[[nodiscard]] Result<void> sync_directory_of(const std::string& file) {
    const auto directory = std::filesystem::path{file}.parent_path();
    const auto synced = sync_directory(directory);
    if (synced) return {};
    const int why = synced.error().value();
    STENTOR_LOG(error,
                LogEvent("store_error", {{"file", directory.string()}, {"os_error", why}}),
                "cannot sync the directory: {}",
                explain_system(why));
    return errc_of_system(why);
}

}  // namespace

const FileFormat& segment_format() noexcept { return kFormat; }

Result<SegmentWriter> SegmentWriter::open(const std::string& path,
                                          AcknowledgeAfter after,
                                          const std::string& vfs) {
    STENTOR_TRY(Database database, Database::open(path, Database::Open::or_create, kFormat, vfs));
    // Files of a test's own disk are looked after by that.
    if (vfs.empty()) STENTOR_TRY_VOID(sync_directory_of(path));
    // NORMAL syncs around checkpoints only: what a power cut leaves is older, but whole.
    STENTOR_TRY_VOID(database.run(after == AcknowledgeAfter::disk ? "PRAGMA synchronous=FULL"
                                                                  : "PRAGMA synchronous=NORMAL"));
    STENTOR_TRY_VOID(database.checkpoint());  // see open_store()
    database.checkpoint_from(kCheckpointPages);
    STENTOR_TRY(Statement insert,
                database.prepare("INSERT INTO log_row(first, body) VALUES(?1, ?2)"));
    return SegmentWriter{std::move(database), std::move(insert)};
}

Result<void> SegmentWriter::append(std::span<const EncodedRow> rows) {
    STENTOR_TRY(Transaction transaction, Transaction::begin(database_, Transaction::Kind::write));
    for (const EncodedRow& row : rows) {
        insert_.bind(1, row.first).bind(2, ByteView{row.bytes});
        STENTOR_TRY_VOID(insert_.run());
    }
    STENTOR_TRY_VOID(transaction.commit());
    return database_.check_in_place();
}

Result<void> seal_segment(const std::string& path,
                          const TopicIndex& index,
                          const SegmentSummary& summary,
                          const std::string& vfs) {
    STENTOR_TRY(Database database, Database::open(path, Database::Open::existing, kFormat, vfs));
    STENTOR_TRY_VOID(database.run("PRAGMA synchronous=NORMAL"));
    STENTOR_TRY(Statement insert,
                database.prepare("INSERT INTO topic_index(topic, first, positions)"
                                 " VALUES(?1, ?2, ?3)"));
    {
        STENTOR_TRY(Transaction transaction,
                    Transaction::begin(database, Transaction::Kind::write));
        Bytes packed;
        for (const TopicIndex::Entry& entry : index.sorted()) {
            for (std::span<const Seq> rest{*entry.positions}; !rest.empty();) {
                const auto chunk = rest.first(std::min(rest.size(), kPositionsPerIndexRow));
                packed.resize(chunk.size() * sizeof(std::uint64_t));
                for (std::size_t i = 0; i < chunk.size(); ++i) {
                    store_u64(MutableByteView{packed}.subspan(i * sizeof(std::uint64_t)),
                              chunk[i].value());
                }
                insert.bind(1, as_bytes(entry.topic)).bind(2, chunk[0]).bind(3, ByteView{packed});
                STENTOR_TRY_VOID(insert.run());
                rest = rest.subspan(chunk.size());
            }
        }
        const TopicFilter filter{index};
        STENTOR_TRY(Statement seal,
                    database.prepare("INSERT INTO seal(id, last, newest_message, bytes, filter)"
                                     " VALUES(1, ?1, ?2, ?3, ?4)"));
        seal.bind(1, summary.last)
            .bind(2, summary.newest_message)
            .bind(3, static_cast<std::int64_t>(summary.bytes))
            .bind(4, filter.bytes());
        STENTOR_TRY_VOID(seal.run());
        STENTOR_TRY_VOID(transaction.commit());
    }
    return database.checkpoint();
}

Result<SegmentReader> SegmentReader::open(const std::string& path, const std::string& vfs) {
    STENTOR_TRY(Database database, Database::open(path, Database::Open::existing, kFormat, vfs));
    // Many readers, few pages each: catch-up goes forward and comes back to nothing.
    STENTOR_TRY_VOID(database.run("PRAGMA cache_size=-256"));
    SegmentReader reader{std::move(database)};
    Database& opened = reader.database_;
    STENTOR_TRY(reader.scan_,
                opened.prepare("SELECT body FROM log_row WHERE first >= coalesce((SELECT max(first)"
                               " FROM log_row WHERE first <= ?1), 0) ORDER BY first"));
    STENTOR_TRY(reader.row_,
                opened.prepare("SELECT body FROM log_row WHERE first <= ?1"
                               " ORDER BY first DESC LIMIT 1"));
    STENTOR_TRY(reader.positions_,
                opened.prepare("SELECT positions FROM topic_index WHERE topic = ?1 AND first >="
                               " coalesce((SELECT max(first) FROM topic_index"
                               " WHERE topic = ?1 AND first <= ?2), 0) ORDER BY first"));
    STENTOR_TRY(reader.topics_,
                opened.prepare("SELECT topic, positions FROM topic_index WHERE topic >= ?1"
                               " ORDER BY topic, first"));
    return reader;
}

Result<std::optional<SegmentReader::Seal>> SegmentReader::seal() {
    STENTOR_TRY(Statement select,
                database_.prepare("SELECT last, newest_message, bytes, filter FROM seal"));
    STENTOR_TRY(const Statement::Step step, select.step());
    if (step == Statement::Step::done) return std::optional<Seal>{};
    return std::optional{Seal{.summary = {.last = select.seq(0),
                                          .newest_message = select.seq(1),
                                          .bytes = static_cast<std::uint64_t>(select.integer(2)),
                                          .messages = std::nullopt},
                              .filter = TopicFilter{select.blob(3)}}};
}

Result<std::optional<LogRowHeader>> SegmentReader::last_row() {
    const ResetAtEnd reset_at_end{row_};
    row_.bind(1, std::numeric_limits<std::int64_t>::max());
    STENTOR_TRY(const Statement::Step step, row_.step());
    if (step == Statement::Step::done) return std::optional<LogRowHeader>{};
    STENTOR_TRY(const LogRow row, parse_row(row_.blob(0)));
    return std::optional{row.header()};
}

Result<std::uint64_t> SegmentReader::count_messages() {
    STENTOR_TRY(const std::int64_t bytes,
                database_.integer("SELECT total(length(positions)) FROM topic_index"));
    return static_cast<std::uint64_t>(bytes) / sizeof(std::uint64_t);
}

Result<std::optional<Record>> SegmentReader::record(Seq seq) {
    const auto is_cached = [&] {
        return cached_row_ && cached_row_->header().first <= seq &&
               seq <= cached_row_->header().last();
    };
    if (!is_cached()) {
        const ResetAtEnd reset_at_end{row_};
        row_.bind(1, seq);
        STENTOR_TRY(const Statement::Step step, row_.step());
        if (step == Statement::Step::done) return std::optional<Record>{};
        cached_row_.reset();
        cached_ = to_owned(row_.blob(0));
        STENTOR_TRY(cached_row_, parse_row(cached_));
        if (!is_cached()) return std::optional<Record>{};
    }
    STENTOR_TRY(Record found, cached_row_->record(seq));
    return std::optional{std::move(found)};
}

Result<void> SegmentReader::find(std::string_view topic,
                                 Seq after,
                                 std::size_t count_max,
                                 std::vector<Seq>& out) {
    const ResetAtEnd reset_at_end{positions_};
    positions_.bind(1, as_bytes(topic)).bind(2, after);
    while (count_max != 0) {
        STENTOR_TRY(const Statement::Step step, positions_.step());
        if (step == Statement::Step::done) return {};
        ByteView packed = positions_.blob(0);
        for (; packed.size() >= sizeof(std::uint64_t) && count_max != 0;
             packed = packed.subspan(sizeof(std::uint64_t))) {
            const Seq seq{load_u64(packed)};
            if (seq <= after) continue;
            out.push_back(seq);
            --count_max;
        }
    }
    return {};
}

Result<LogRow> SegmentReader::parse_row(ByteView bytes) const {
    auto row = LogRow::parse(bytes);
    if (!row) {
        // Who needs the row comes back for it.
        static LogEvery every{5, std::chrono::seconds{10}};
        if (const auto pass = every.admit(monotonic_now())) {
            STENTOR_LOG(error,
                        LogEvent("store_damaged",
                                 {{"file", database_.path()}, {"suppressed", pass.suppressed}}),
                        "a row of the log: {}",
                        row.error().message());
        }
    }
    return row;
}

void SegmentReader::unpack(ByteView packed, std::vector<Seq>& out) {
    for (; packed.size() >= sizeof(std::uint64_t); packed = packed.subspan(sizeof(std::uint64_t))) {
        out.emplace_back(load_u64(packed));
    }
}

std::string segment_name(SegmentId id) {
    const std::string digits = std::to_string(id.first.value());
    const std::string generation =
        id.generation == 0 ? std::string{} : '.' + std::to_string(id.generation);
    return std::string(kNameDigits - digits.size(), '0') + digits + generation + ".db";
}

std::optional<SegmentId> segment_id(std::string_view name) noexcept {
    const auto number = [](std::string_view digits, auto& value) {
        const char* end = digits.data() + digits.size();
        const auto [at, error] = std::from_chars(digits.data(), end, value);
        return error == std::errc{} && at == end;
    };
    if (name.size() < kNameDigits + 3 || !name.ends_with(".db")) return std::nullopt;
    std::uint64_t first = 0;
    if (!number(name.substr(0, kNameDigits), first)) return std::nullopt;
    SegmentId id{.first = Seq{first}};
    const std::string_view rest = name.substr(kNameDigits, name.size() - kNameDigits - 3);
    if (rest.empty()) return id;
    if (!rest.starts_with('.') || !number(rest.substr(1), id.generation)) return std::nullopt;
    return id;
}

void remove_segment_files(const std::string& path) {
    for (const char* suffix : {"", "-wal", "-shm"}) {
        std::error_code error;
        std::filesystem::remove(path + suffix, error);
        if (!error) continue;
        STENTOR_LOG(warn,
                    LogEvent("store_error", {{"file", path}}),
                    "cannot remove a segment nobody needs: {}",
                    error.message());
    }
}

}  // namespace stentor::store
