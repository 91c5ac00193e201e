#pragma once
// One file of the log: rows of records in commit order and, once sealed, their topic index
// (docs/formats/segment.md). A writer appends to the newest file, any number of readers look.
// One thread at a time per object; each has a connection of its own.

#include "persistence/contract/engine.hpp"
#include "persistence/sqlite/database.hpp"
#include "persistence/sqlite/log_row.hpp"
#include "persistence/sqlite/topic_index.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::store {

/// Of the files of the log.
[[nodiscard]] const FileFormat& segment_format() noexcept;

/// What a segment amounts to. `newest_message` is the newest one durable sessions may want.
struct SegmentSummary {
    Seq last;
    Seq newest_message;
    std::uint64_t bytes = 0;                // of its rows
    std::optional<std::uint64_t> messages;  // for durable sessions, where it is known; not stored
};

struct EncodedRow {
    Seq first;
    Bytes bytes;
};

class SegmentWriter {
  public:
    /// Opens or creates the segment; a new one is in its directory for good when this returns.
    /// `disk` syncs every commit, the others only where SQLite must to keep the file whole.
    [[nodiscard]] static Result<SegmentWriter> open(const std::string& path,
                                                    AcknowledgeAfter after,
                                                    const std::string& vfs);

    /// All rows in one commit. On failure none is there; with store_full another try may succeed,
    /// after io_error nobody knows what the disk holds.
    [[nodiscard]] Result<void> append(std::span<const EncodedRow> rows);

    [[nodiscard]] const std::string& path() const noexcept { return database_.path(); }

  private:
    SegmentWriter(Database database, Statement insert)
        : database_{std::move(database)}, insert_{std::move(insert)} {}

    Database database_;
    Statement insert_;
};

/// Writes index, filter and summary into a segment that nobody appends to any more, in one commit,
/// and empties its write-ahead log.
[[nodiscard]] Result<void> seal_segment(const std::string& path,
                                        const TopicIndex& index,
                                        const SegmentSummary& summary,
                                        const std::string& vfs);

class SegmentReader {
  public:
    /// Fails when the file is not there. One that a crash left without its tables gets them.
    [[nodiscard]] static Result<SegmentReader> open(const std::string& path,
                                                    const std::string& vfs);

    struct Seal {
        SegmentSummary summary;
        TopicFilter filter;
    };
    /// Nothing while it is not sealed.
    [[nodiscard]] Result<std::optional<Seal>> seal();
    /// Afterwards the disk has all that can be read from it.
    [[nodiscard]] Result<void> checkpoint() { return database_.checkpoint(); }

    /// Calls `visit(row)` from the row that holds `from` (or the next one) until it returns false.
    template <class Visit>
    [[nodiscard]] Result<void> for_each_row(Seq from, Visit visit) {
        const ResetAtEnd reset_at_end{scan_};
        scan_.bind(1, from);
        for (;;) {
            STENTOR_TRY(const Statement::Step step, scan_.step());
            if (step == Statement::Step::done) return {};
            STENTOR_TRY(const LogRow row, parse_row(scan_.blob(0)));
            if (!visit(row)) return {};
        }
    }

    /// Of its last row; nothing if there is none.
    [[nodiscard]] Result<std::optional<LogRowHeader>> last_row();
    /// Of a sealed segment: how many messages for durable sessions are in it, by its whole index.
    [[nodiscard]] Result<std::uint64_t> count_messages();
    /// The record at `seq`; nothing if the segment has none. Neighbours are cheap.
    [[nodiscard]] Result<std::optional<Record>> record(Seq seq);

    /// Of a sealed segment: calls `visit(topic, positions)` for all topics; long lists of positions
    /// come in several parts, ascending.
    template <class Visit>
    [[nodiscard]] Result<void> for_each_topic(Visit visit) {
        STENTOR_TRY(Statement select,
                    database_.prepare("SELECT topic, positions FROM topic_index"));
        std::vector<Seq> positions;
        for (;;) {
            STENTOR_TRY(const Statement::Step step, select.step());
            if (step == Statement::Step::done) return {};
            positions.clear();
            unpack(select.blob(1), positions);
            visit(select.text(0), std::span<const Seq>{positions});
        }
    }

    /// The same for the topics that begin with `range`, in order of their bytes, until
    /// `visit(topic, positions)` returns false.
    template <class Visit>
    [[nodiscard]] Result<void> for_each_topic_in(std::string_view range, Visit visit) {
        const ResetAtEnd reset_at_end{topics_};
        topics_.bind(1, as_bytes(range));
        std::vector<Seq> positions;
        for (;;) {
            STENTOR_TRY(const Statement::Step step, topics_.step());
            if (step == Statement::Step::done) return {};
            const std::string_view topic = as_text(topics_.blob(0));
            if (!topic.starts_with(range)) return {};
            positions.clear();
            unpack(topics_.blob(1), positions);
            if (!visit(topic, std::span<const Seq>{positions})) return {};
        }
    }

    /// Of a sealed segment: appends at most `count_max` positions of the topic after `after`.
    [[nodiscard]] Result<void> find(std::string_view topic,
                                    Seq after,
                                    std::size_t count_max,
                                    std::vector<Seq>& out);

  private:
    explicit SegmentReader(Database database) : database_{std::move(database)} {}
    static void unpack(ByteView packed, std::vector<Seq>& out);
    /// parse(), with a log line that names the file.
    [[nodiscard]] Result<LogRow> parse_row(ByteView bytes) const;

    Database database_;
    Statement scan_;
    Statement row_;
    Statement positions_;
    Statement topics_;
    Bytes cached_;                      // the row that record() looked at last ...
    std::optional<LogRow> cached_row_;  // ... which this borrows; moving keeps the bytes in place
};

/// Which segment a file is: one of a higher generation was written from those it covers.
struct SegmentId {
    Seq first;
    std::uint32_t generation = 0;
    friend auto operator<=>(const SegmentId&, const SegmentId&) = default;
};

/// "00000000000000000042.db", in the third generation "00000000000000000042.2.db": sorts like the
/// position it begins with.
[[nodiscard]] std::string segment_name(SegmentId id);
/// Nothing for a name that segment_name() does not make.
[[nodiscard]] std::optional<SegmentId> segment_id(std::string_view name) noexcept;

/// The file and what SQLite has beside it; a failure is logged.
void remove_segment_files(const std::string& path);

}  // namespace stentor::store
