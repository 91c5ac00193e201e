#pragma once
// Rows of the log's files as readers use them: checked once, cut into messages, kept for whoever
// comes by next. Sessions that return together read the same stretch at about the same time: one
// reads it from the file, the others find it here, and all of them share its messages.
// One thread at a time.

#include "base/bytes.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "persistence/record.hpp"
#include "persistence/sqlite/log_catalog.hpp"
#include "persistence/sqlite/log_row.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::store {

/// The messages of one row.
class CachedRow {
  public:
    struct Entry {
        Seq seq;
        ByteView record;  // borrows the row's bytes, like the next one
        std::string_view topic;
        bool for_durable_sessions = false;
        MessagePtr message = {};  // null until somebody wanted it
    };

    /// `from` is what was asked for: nothing lies between it and the row. Fails with damaged or
    /// newer_version, like message().
    [[nodiscard]] static Result<CachedRow> make(const LogRow& row, Seq from);

    /// It answers for all positions from here ...
    [[nodiscard]] Seq first() const noexcept { return first_; }
    /// ... to here.
    [[nodiscard]] Seq last() const noexcept { return last_; }
    /// Those at or behind `seq`, ascending.
    [[nodiscard]] std::span<Entry> entries_from(Seq seq) noexcept;
    /// The message at `seq`, null if something else is.
    [[nodiscard]] Result<MessagePtr> message_at(Seq seq);
    [[nodiscard]] static Result<MessagePtr> message(Entry& entry);

    /// What it may come to occupy, all its messages made.
    [[nodiscard]] std::size_t cost_bytes() const noexcept;

  private:
    Seq first_;
    Seq last_;
    Bytes bytes_;  // the records of the entries; moving keeps them in place
    std::vector<Entry> entries_;
};

class RowCache {
  public:
    /// The rows used last are kept, at least one, as long as they cost no more than that.
    explicit RowCache(std::size_t bytes_max) : bytes_max_{bytes_max} {}

    using Segment = std::shared_ptr<SegmentView::Handle>;

    /// The row that answers for `seq`; null if it is not here. Valid until the next add().
    [[nodiscard]] CachedRow* find(const Segment& segment, Seq seq);
    CachedRow& add(const Segment& segment, CachedRow row);
    /// Nobody asks for the rows of a segment that has been removed.
    void forget_removed();

  private:
    struct Slot {
        Segment segment;
        CachedRow row;
    };
    using Key = std::pair<const SegmentView::Handle*, Seq>;
    void drop(std::list<Slot>::iterator slot);

    const std::size_t bytes_max_;
    std::size_t bytes_ = 0;
    std::list<Slot> slots_;  // most recently used first
    std::map<Key, std::list<Slot>::iterator> by_first_;
};

}  // namespace stentor::store
