#pragma once
// One row of the log's table: consecutive records as checksummed bytes (docs/formats/segment.md).
// Pure. Any thread.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "persistence/record.hpp"
#include "persistence/store_error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace stentor::store {

struct RecordError;

struct LogRowHeader {
    Seq first;                      // position of the first record
    std::uint32_t count = 0;        // records, at least 1
    Instant at;                     // the store's clock at the commit
    std::int64_t wall_unix_ms = 0;  // what the machine believed then

    [[nodiscard]] Seq last() const noexcept { return Seq{first.value() + count - 1}; }
};

class LogRowWriter {
  public:
    /// `first` is the position of the first record; `header.count` is ignored.
    explicit LogRowWriter(const LogRowHeader& header);

    void add(const Record& record);
    [[nodiscard]] Seq first() const noexcept { return header_.first; }
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
    /// The finished row; the writer must not be used again.
    [[nodiscard]] Bytes take();

  private:
    LogRowHeader header_;
    Bytes bytes_;
};

/// A row whose checksum is right. Borrows its bytes.
class LogRow {
  public:
    /// Fails with damaged or newer_version.
    [[nodiscard]] static Result<LogRow> parse(ByteView bytes);

    [[nodiscard]] const LogRowHeader& header() const noexcept { return header_; }
    [[nodiscard]] std::size_t record_bytes() const noexcept { return records_.size(); }

    /// Calls `visit(seq, bytes)` for every record in order until it returns false. Fails with
    /// damaged when lengths do not fit (a checksum may be right by accident of our own mistakes).
    template <class Visit>
    [[nodiscard]] Result<void> for_each(Visit visit) const {
        ByteView rest = records_;
        Seq seq = header_.first;
        for (std::uint32_t i = 0; i < header_.count; ++i, seq = next(seq)) {
            if (rest.size() < sizeof(std::uint32_t)) return StoreErrc::damaged;
            const std::size_t size = load_u32(rest);
            rest = rest.subspan(sizeof(std::uint32_t));
            if (rest.size() < size) return StoreErrc::damaged;
            if (!visit(seq, rest.first(size))) return {};
            rest = rest.subspan(size);
        }
        return {};
    }

    /// The record at `seq`, which must lie in the row.
    [[nodiscard]] Result<Record> record(Seq seq) const;

  private:
    LogRow(const LogRowHeader& header, ByteView records) : header_{header}, records_{records} {}

    LogRowHeader header_;
    ByteView records_;
};

/// What a record that cannot be parsed means for the store; a log line says it, rationed.
[[nodiscard]] StoreErrc store_error(const RecordError& error);

/// parse_record() with the store's errors.
[[nodiscard]] Result<Record> parse_stored(ByteView bytes);

}  // namespace stentor::store
