#pragma once
// Answers ReadRequests from the tail, the segments' files and state.db.
// One thread (the engine's reader); shares nothing but the catalog. Files stay open, few at a time.
//
// No page takes long, whatever its filters are: each looks at so many records, filters and segments
// and reads so many bytes at most, and then ends where it is (PageReaderOptions). What one page has
// read stays for the others (row_cache.hpp), and so does what is known of a segment
// (segment_plan.hpp).

#include "persistence/contract/engine.hpp"
#include "persistence/sqlite/log_catalog.hpp"
#include "persistence/sqlite/row_cache.hpp"
#include "persistence/sqlite/segment.hpp"
#include "persistence/sqlite/segment_plan.hpp"
#include "persistence/sqlite/state_store.hpp"

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stentor::store {

struct PageReaderOptions {
    std::string state_path;
    std::string vfs;
    // Of one page; then it ends, with something or nothing in it.
    std::size_t scanned_per_page_max = 4096;                      // records a scan looks at
    std::size_t read_bytes_per_page_max = std::size_t{1} << 20U;  // of rows from files
    std::size_t probes_per_page_max = 50'000;                     // filters times segments
    std::size_t segments_per_page_max = 64;

    std::size_t files_max = 32;  // segments kept open
    std::size_t row_cache_bytes_max = std::size_t{32} << 20U;
    std::size_t plan_bytes_max = std::size_t{16} << 20U;
};

class PageReader {
  public:
    PageReader(PageReaderOptions options, const LogCatalog& catalog)
        : options_{std::move(options)},
          catalog_{catalog},
          rows_{options_.row_cache_bytes_max},
          plans_{options_.plan_bytes_max} {}

    /// A page for the contract; its result is the failure if a file could not be read.
    [[nodiscard]] Page read(const ReadRequest& request);

    /// Lets go of what is still held of segments that have been removed: until then the disk keeps
    /// their space.
    void forget_removed();

  private:
    class Builder;
    enum class Step : std::uint8_t { goes_on, page_ends };
    /// A stretch of a segment that the page comes to.
    struct Stretch {
        const LogSnapshot& snapshot;
        const SegmentView& segment;
        Seq until;  // the last position of it
    };

    [[nodiscard]] Result<void> fill(const ReadRequest& request, Builder& page);
    [[nodiscard]] Result<void> read_only(const ReadRequest& request, Builder& page);
    [[nodiscard]] Step pass_missing(const Stretch& stretch,
                                    const FilterPlan& filters,
                                    Builder& page);
    [[nodiscard]] bool may_have_held(const SegmentView& segment,
                                     const FilterPlan& filters,
                                     Seq after,
                                     Seq until);
    [[nodiscard]] Result<Step> read_segment(const Stretch& stretch,
                                            FilterPlan& plan,
                                            Builder& page);
    [[nodiscard]] Result<Step> take(const Stretch& stretch, const SegmentPlan& plan, Builder& page);
    [[nodiscard]] Result<Step> scan(const Stretch& stretch,
                                    const FilterSet& filters,
                                    Builder& page);
    [[nodiscard]] Result<Step> scan_file(const SegmentView& segment,
                                         Seq until,
                                         const FilterSet& filters,
                                         Builder& page);
    void scan_tail(const LogSnapshot& snapshot, const FilterSet& filters, Builder& page) const;

    [[nodiscard]] Result<SegmentPlan> make_plan(const Stretch& stretch,
                                                const FilterPlan& filters,
                                                Builder& page);
    [[nodiscard]] bool plan_in_memory(const SegmentView& segment,
                                      const FilterPlan& filters,
                                      SegmentPlan& plan);
    [[nodiscard]] Result<void> plan_in_file(const SegmentView& segment,
                                            const FilterPlan& filters,
                                            const std::vector<std::string_view>& topics,
                                            SegmentPlan& plan,
                                            Builder& page);

    /// The row that answers for `seq`, or the next one; null if nothing comes behind. Valid until
    /// the next call.
    [[nodiscard]] Result<CachedRow*> row(const SegmentView& segment, Seq seq, Builder& page);
    /// Of the log only; null if the record is no message, gone, or in a file that is missing.
    [[nodiscard]] Result<MessagePtr> message_at(Seq seq, Builder& page);
    [[nodiscard]] Result<MessagePtr> held_message(Seq seq);
    /// Whether nothing can be read from its file: one that is open can be read whatever becomes of
    /// its name.
    [[nodiscard]] bool cannot_be_read(const SegmentView& segment) const;
    /// Null if the segment has been removed, or replaced by one that the snapshot does not have, or
    /// has turned out to be missing.
    [[nodiscard]] Result<SegmentReader*> file(const SegmentView& segment, Builder& page);

    struct OpenFile {
        std::shared_ptr<SegmentView::Handle> handle;
        SegmentReader reader;
    };

    const PageReaderOptions options_;
    const LogCatalog& catalog_;
    std::list<OpenFile> files_;  // most recently used first
    RowCache rows_;
    FilterPlans plans_;
    std::optional<HeldMessages> held_;
    bool missed_a_file_ = false;  // since the page was begun
};

}  // namespace stentor::store
