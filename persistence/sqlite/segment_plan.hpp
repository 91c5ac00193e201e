#pragma once
// How a session's filters are looked for in one segment: positions from its topic index, or a scan
// of its records, whatever costs less; and what is remembered of that from page to page.
// Values. One thread at a time.

#include "base/ids.hpp"
#include "persistence/contract/filter_set.hpp"
#include "persistence/sqlite/log_catalog.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::store {

enum class Access : std::uint8_t { index, scan };

/// What there is to do either way.
struct AccessFacts {
    std::size_t lookups = 0;    // topics that may be there, and ranges of topics
    std::size_t walked = 0;     // topics in those ranges, if that is known
    bool in_memory = false;     // the index is
    std::uint64_t records = 0;  // a scan goes over these
    std::uint64_t bytes = 0;    // of them that are to be read from the file
};

/// What a scan of `positions` of a segment's `all` reads of its bytes, about. After a jump of
/// positions (rule 12) both numbers can be 2^48 and more, most of them without a record.
[[nodiscard]] std::uint64_t scanned_bytes(std::uint64_t bytes,
                                          std::uint64_t positions,
                                          std::uint64_t all) noexcept;

/// The cheaper one, by what things cost on a slow core. What an index costs before the first
/// message is found is bounded, so that nobody waits long for the page; beyond it a scan, which
/// comes to an end at any point, is taken whatever it costs.
[[nodiscard]] Access cheaper_access(const AccessFacts& facts) noexcept;

/// What was found out about a segment.
struct SegmentPlan {
    std::shared_ptr<SegmentView::Handle> segment;  // null: nothing yet
    Access access = Access::scan;
    Seq after;                   // it holds for what is behind this ...
    Seq through;                 // ... and not behind this
    std::vector<Seq> positions;  // of Access::index: all that match, ascending

    [[nodiscard]] bool holds_for(const SegmentView& view, Seq position) const noexcept {
        return segment == view.handle && after <= position && position < through;
    }
};

/// A filter set in the form in which indexes are asked, and what was found out for it.
class FilterPlan {
  public:
    explicit FilterPlan(FilterSetPtr filters);

    [[nodiscard]] const FilterSet& filters() const noexcept { return *filters_; }
    /// Topics that match by themselves: the exact filters, and "a" for "a/#"; none where a range
    /// holds all topics.
    struct Topic {
        std::string_view text;
        std::uint64_t hash;  // TopicFilter's
    };
    [[nodiscard]] const std::vector<Topic>& topics() const noexcept { return topics_; }
    /// Beginnings of all other topics that may match; none is the beginning of another.
    [[nodiscard]] const std::vector<std::string_view>& ranges() const noexcept { return ranges_; }
    [[nodiscard]] bool ranges_over_everything() const noexcept {
        return !ranges_.empty() && ranges_.front().empty();
    }

    /// Null if there is none that holds for what follows `position`.
    [[nodiscard]] const SegmentPlan* find(const SegmentView& segment, Seq position) const noexcept;
    /// Forgets an older one for it. Valid until the next call.
    const SegmentPlan& keep(SegmentPlan plan);

    [[nodiscard]] std::size_t cost_bytes() const noexcept;

  private:
    FilterSetPtr filters_;
    std::vector<Topic> topics_;
    std::vector<std::string_view> ranges_;
    std::vector<SegmentPlan> segments_;  // most recently made first
};

/// The plans of the sets asked for lately: sessions with equal filters share one.
class FilterPlans {
  public:
    explicit FilterPlans(std::size_t bytes_max) : bytes_max_{bytes_max} {}

    /// Valid until the next call.
    [[nodiscard]] FilterPlan& of(const FilterSetPtr& filters);

  private:
    struct Slot {
        explicit Slot(const FilterSetPtr& filters) : plan{filters} {}
        FilterPlan plan;
        std::size_t counted = 0;  // of bytes_
    };
    void count(Slot& slot);
    void drop(std::list<Slot>::iterator slot);

    const std::size_t bytes_max_;
    std::size_t bytes_ = 0;
    std::list<Slot> slots_;  // most recently used first
    std::unordered_map<std::uint64_t, std::list<Slot>::iterator> by_fingerprint_;
};

}  // namespace stentor::store
