#pragma once
// What the engine's threads share about the log: its segments, the newest groups in memory (the
// tail), and how far readers may look.
// Any thread; every call takes the catalog's lock for a short, bounded time. The log writer adds,
// the background thread seals and removes, the reader looks.

#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/state_store.hpp"
#include "persistence/sqlite/topic_index.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::store {

/// A segment as somebody saw it. `handle` names it for good; the rest was true a moment ago.
struct SegmentView {
    class Handle;
    std::shared_ptr<Handle> handle;
    Seq first;
    SegmentSummary summary;
    Instant ended_at;  // the store's clock at its newest commit
    bool is_sealed = false;
    bool is_newest = false;  // the writer appends to it
};

/// What does not change about a segment, the filter, set once before is_sealed, and what has been
/// found out about its file.
class SegmentView::Handle {
  public:
    Handle(std::string path, Seq first, Instant began_at);
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] SegmentId id() const noexcept { return id_; }
    [[nodiscard]] Seq first() const noexcept { return id_.first; }
    /// The store's clock before its first commit.
    [[nodiscard]] Instant began_at() const noexcept { return began_at_; }
    /// Whether its file is gone, or about to be.
    [[nodiscard]] bool is_removed() const noexcept { return removed_.load(); }
    /// Of a sealed segment.
    [[nodiscard]] const TopicFilter& filter() const noexcept { return filter_; }
    /// False: filter() says nothing, because the file was missing when the store was opened.
    [[nodiscard]] bool has_filter() const noexcept { return has_filter_; }

    /// What could not be read once, of a sealed segment, is not tried again by this process.
    enum class Part : std::uint8_t { rows, index };
    [[nodiscard]] bool is_damaged(Part part) const noexcept {
        return part == Part::rows ? rows_damaged_.load() : index_damaged_.load();
    }
    void set_damaged(Part part) noexcept {
        (part == Part::rows ? rows_damaged_ : index_damaged_).store(true);
    }

    /// Its file went although nobody here removed it. For good: what was lost by it has been told.
    [[nodiscard]] bool is_missing() const noexcept { return missing_.load(); }

  private:
    friend class LogCatalog;
    friend bool has_gone(const SegmentView& segment);
    friend void contents_have_gone(const SegmentView& segment);
    [[nodiscard]] bool set_missing() noexcept {
        rows_damaged_.store(true);  // nobody tries to read it
        index_damaged_.store(true);
        return !missing_.exchange(true);
    }

    const std::string path_;
    const SegmentId id_;
    const Instant began_at_;
    bool has_filter_ = true;
    std::atomic<bool> removed_{false};
    std::atomic<bool> missing_{false};
    std::atomic<bool> rows_damaged_{false};
    std::atomic<bool> index_damaged_{false};
    TopicFilter filter_;
};

/// Whether the file of a segment is missing: looks, and says so in the log once, with what was in
/// it.
[[nodiscard]] bool has_gone(const SegmentView& segment);
/// Its file is there, without what the log has written into it: likewise, from now on.
void contents_have_gone(const SegmentView& segment);

/// What one page may read: segments with something after a position, and groups of the tail.
struct LogSnapshot {
    Seq limit;                           // handed over to the shards
    Seq tail_first;                      // from here on all messages are in memory
    std::vector<SegmentView> segments;   // ascending
    bool has_all_segments = true;        // no more than there was room for
    std::vector<CommitGroupPtr> groups;  // from the tail, if the position lies in it
    Seq groups_through;                  // up to here no other group has a message
};

class LogCatalog {
  public:
    explicit LogCatalog(std::size_t tail_bytes_max) : tail_bytes_max_{tail_bytes_max} {}

    // --- recovery and the log writer ---

    /// A new newest segment; the one before is full.
    void add_segment(std::string path, Seq first, Instant began_at);
    /// The store's clock before the first commit of a segment, and at its newest.
    struct Written {
        Instant began_at;
        Instant ended_at;
    };
    void add_sealed(std::string path, Seq first, Written written, SegmentReader::Seal seal);
    /// One whose file is not there: what is known of it.
    void add_missing(std::string path, const KnownSegment& known);
    /// A record of a stored row, while the newest segment is read at recovery.
    void add_recovered(Seq seq, const Record& record);
    void add_recovered_bytes(std::size_t bytes, Instant at);
    /// Everything through `seq` is there without having been handed over by this process.
    void start_after(Seq seq);
    /// A committed group of `stored_bytes`: into the tail and the newest segment's index.
    void add_group(const CommitGroupPtr& group, std::size_t record_bytes, std::size_t stored_bytes);
    /// Readers may see it.
    void handed_over(Seq last);

    // --- the reader ---

    /// For a page of what follows `after`; takes groups until they hold `records_max` records.
    [[nodiscard]] LogSnapshot snapshot(Seq after,
                                       std::size_t segments_max,
                                       std::size_t records_max) const;
    /// The segment that may hold `seq`.
    [[nodiscard]] std::optional<SegmentView> segment_of(Seq seq) const;
    /// Of a segment that was not sealed: false if it is by now (ask its file), otherwise appends
    /// for each topic at most `count_max` positions after `after`. Lowers `through` to where that
    /// was not all. The writer waits meanwhile: ask about few at a time.
    [[nodiscard]] bool find(const SegmentView& segment,
                            std::span<const std::string_view> topics,
                            Seq after,
                            std::size_t count_max,
                            std::vector<Seq>& out,
                            Seq& through) const;
    /// The group that holds `seq`, if it is in the tail.
    [[nodiscard]] CommitGroupPtr group_of(Seq seq) const;
    [[nodiscard]] Seq limit() const;

    // --- the background thread ---

    [[nodiscard]] std::vector<SegmentView> segments() const;
    /// The index of a full segment, which does not change any more.
    [[nodiscard]] const TopicIndex& index_of(const SegmentView& segment) const;
    void sealed(const SegmentView& segment);
    void remove(const SegmentView& segment);
    /// One sealed segment takes the place of some neighbours.
    void replace(const std::vector<SegmentView>& segments,
                 std::string path,
                 SegmentReader::Seal seal);
    /// While the writer waits: false and no call if there are more topics than that.
    bool for_each_topic_of_newest(
        std::size_t topics_max,
        const std::function<void(std::string_view, const std::vector<Seq>&)>& visit) const;
    [[nodiscard]] Seq last() const;
    struct Known {
        std::vector<KnownSegment> segments;
        std::uint64_t version =
            0;  // above 0; another one whenever a segment comes, goes or is full
    };
    /// For state.db, unless it is what it was at `version`: only what is on the disk is in the
    /// catalog, or was.
    [[nodiscard]] std::optional<Known> known_segments(std::uint64_t version) const;

    // --- any thread ---

    /// Of all segments.
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_.load(); }
    /// For durable sessions, in all segments whose files were there when the store was opened.
    [[nodiscard]] std::uint64_t messages() const noexcept { return messages_.load(); }

  private:
    struct Segment {
        std::shared_ptr<SegmentView::Handle> handle;
        SegmentSummary summary;
        Instant ended_at;
        std::unique_ptr<TopicIndex> index;  // null once sealed
        bool given_up = false;              // see KnownSegment

        [[nodiscard]] std::uint64_t messages_there() const noexcept {
            return given_up ? 0 : summary.messages.value_or(0);
        }
    };
    [[nodiscard]] SegmentView view(const Segment& segment) const;
    void add_message(Segment& newest, std::string_view topic, Seq seq);
    [[nodiscard]] const Segment* find_segment(const SegmentView& segment) const;
    /// The segment with that handle, or the end.
    [[nodiscard]] std::vector<Segment>::const_iterator place_of(
        const SegmentView::Handle& handle) const;
    void take_out(const SegmentView::Handle& handle, std::unique_ptr<TopicIndex>& index);
    [[nodiscard]] std::deque<CommitGroupPtr>::const_iterator place_in_tail(Seq seq) const;
    /// The first segment that ends at `seq` or later.
    [[nodiscard]] std::vector<Segment>::const_iterator first_ending_at(Seq seq) const;

    const std::size_t tail_bytes_max_;
    std::atomic<std::uint64_t> bytes_{0};
    std::atomic<std::uint64_t> messages_{0};

    mutable std::mutex mutex_;         // guards what follows
    std::vector<Segment> segments_;    // ascending, by their first positions and by their last
    std::uint64_t version_ = 0;        // see Known
    std::deque<CommitGroupPtr> tail_;  // only those with messages: nobody reads the others
    std::deque<std::size_t> tail_sizes_;
    std::size_t tail_bytes_ = 0;
    Seq tail_first_;  // from here on tail_ has all messages
    Seq last_;
    Seq handed_over_;
};

/// The message of `record` if durable sessions may want it.
[[nodiscard]] inline const MessageRecord* wanted_message(const Record& record) noexcept {
    const auto* published = std::get_if<MessageRecord>(&record);
    return published != nullptr && published->for_durable_sessions ? published : nullptr;
}

}  // namespace stentor::store
