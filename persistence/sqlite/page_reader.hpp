#pragma once
// Answers ReadRequests from the tail, the segments' files and state.db.
// One thread (the engine's reader); shares nothing but the catalog. Files stay open, few at a time.

#include "persistence/contract/engine.hpp"
#include "persistence/sqlite/log_catalog.hpp"
#include "persistence/sqlite/segment.hpp"
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
    std::size_t scanned_per_page_max = 4096;    // records a wildcard page looks at
    std::size_t lookups_per_page_max = 50'000;  // filters times segments an exact page asks
    std::size_t files_max = 16;                 // segments kept open
};

class PageReader {
  public:
    PageReader(PageReaderOptions options, const LogCatalog& catalog)
        : options_{std::move(options)}, catalog_{catalog} {}

    /// A page for the contract; its result is the failure if a file could not be read.
    [[nodiscard]] Page read(const ReadRequest& request);

  private:
    class Builder;
    struct Matcher;

    [[nodiscard]] Result<void> fill(const ReadRequest& request, Builder& page);

    [[nodiscard]] Result<void> read_only(const ReadRequest& request, Builder& page);
    [[nodiscard]] Result<void> read_exact(const ReadRequest& request, Builder& page);
    [[nodiscard]] Result<void> scan(const ReadRequest& request, Builder& page);
    [[nodiscard]] Result<void> scan_files(const LogSnapshot& snapshot,
                                          const Matcher& matcher,
                                          Builder& page);
    void scan_tail(const LogSnapshot& snapshot, const Matcher& matcher, Builder& page) const;
    [[nodiscard]] Result<std::vector<Seq>> find(const SegmentView& segment,
                                                const ReadRequest& request,
                                                std::size_t count_max);
    /// Of the log only; null if the record is no message or gone.
    [[nodiscard]] Result<MessagePtr> message_at(Seq seq);
    [[nodiscard]] Result<MessagePtr> held_message(Seq seq);
    /// Null if the segment has been removed, or replaced by one that the snapshot does not have.
    [[nodiscard]] Result<SegmentReader*> file(const SegmentView& segment);

    struct OpenFile {
        std::shared_ptr<SegmentView::Handle> handle;
        SegmentReader reader;
    };

    const PageReaderOptions options_;
    const LogCatalog& catalog_;
    std::list<OpenFile> files_;  // most recently used first
    std::optional<HeldMessages> held_;
    bool missed_a_file_ = false;  // since the page was begun
};

}  // namespace stentor::store
