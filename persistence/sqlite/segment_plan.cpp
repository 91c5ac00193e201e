#include "persistence/sqlite/segment_plan.hpp"

#include "persistence/sqlite/topic_index.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace stentor::store {
namespace {

// Nanoseconds, measured with tests/bench/catch_up_bench.cpp.
constexpr std::uint64_t kLookupInFile = 8'000;
constexpr std::uint64_t kLookupInMemory = 200;
constexpr std::uint64_t kWalkedTopic = 700;
constexpr std::uint64_t kScannedRecord = 60;
constexpr std::uint64_t kScannedBytesPerNanosecond = 1;

constexpr std::uint64_t kIndexCostMax = 2'500'000;

constexpr std::size_t kSegmentsPerSet = 64;  // sessions of one set are not all at one place
constexpr std::size_t kSlotBytes = 512;      // what a plan costs besides what it refers to

}  // namespace

std::uint64_t scanned_bytes(std::uint64_t bytes,
                            std::uint64_t positions,
                            std::uint64_t all) noexcept {
    if (positions >= all) return bytes;
    const double part = static_cast<double>(positions) / static_cast<double>(all);
    return static_cast<std::uint64_t>(static_cast<double>(bytes) * part);
}

Access cheaper_access(const AccessFacts& facts) noexcept {
    const std::uint64_t index =
        facts.lookups * (facts.in_memory ? kLookupInMemory : kLookupInFile) +
        facts.walked * kWalkedTopic;
    const std::uint64_t scan =
        facts.records * kScannedRecord + facts.bytes / kScannedBytesPerNanosecond;
    return index <= std::min(scan, kIndexCostMax) ? Access::index : Access::scan;
}

FilterPlan::FilterPlan(FilterSetPtr filters) : filters_{std::move(filters)} {
    std::vector<std::string_view> parents;
    for (const std::string& filter : filters_->wildcards()) {
        const std::string_view text{filter};
        const std::string_view range = text.substr(0, text.find_first_of("+#"));
        ranges_.push_back(range);
        if (text.size() == range.size() + 1 && text.ends_with("/#")) {
            parents.push_back(range.substr(0, range.size() - 1));
        }
    }
    std::sort(ranges_.begin(), ranges_.end());
    // In this order a range follows the one that holds it, with others of its kind between.
    std::size_t kept = 0;
    for (const std::string_view range : ranges_) {
        if (kept != 0 && range.starts_with(ranges_[kept - 1])) continue;
        ranges_[kept++] = range;
    }
    ranges_.resize(kept);
    if (ranges_over_everything()) return;
    topics_.reserve(filters_->exact().size() + parents.size());
    const auto add = [this](std::string_view topic) {
        topics_.push_back({.text = topic, .hash = TopicFilter::hash(topic)});
    };
    for (const std::string& topic : filters_->exact()) add(topic);
    for (const std::string_view topic : parents) add(topic);
}

const SegmentPlan* FilterPlan::find(const SegmentView& segment, Seq position) const noexcept {
    const auto plan = std::find_if(segments_.begin(), segments_.end(), [&](const SegmentPlan& p) {
        return p.holds_for(segment, position);
    });
    return plan == segments_.end() ? nullptr : &*plan;
}

const SegmentPlan& FilterPlan::keep(SegmentPlan plan) {
    std::erase_if(segments_, [&](const SegmentPlan& p) { return p.segment == plan.segment; });
    if (segments_.size() >= kSegmentsPerSet) segments_.pop_back();
    return *segments_.insert(segments_.begin(), std::move(plan));
}

std::size_t FilterPlan::cost_bytes() const noexcept {
    std::size_t bytes = kSlotBytes + topics_.capacity() * sizeof(Topic) +
                        ranges_.capacity() * sizeof(std::string_view) +
                        segments_.capacity() * sizeof(SegmentPlan);
    for (const SegmentPlan& plan : segments_) bytes += plan.positions.capacity() * sizeof(Seq);
    return bytes;
}

void FilterPlans::count(Slot& slot) {
    bytes_ -= slot.counted;
    slot.counted = slot.plan.cost_bytes();
    bytes_ += slot.counted;
}

void FilterPlans::drop(std::list<Slot>::iterator slot) {
    bytes_ -= slot->counted;
    by_fingerprint_.erase(slot->plan.filters().fingerprint());
    slots_.erase(slot);
}

FilterPlan& FilterPlans::of(const FilterSetPtr& filters) {
    if (!slots_.empty()) count(slots_.front());  // it has grown since
    const auto known = by_fingerprint_.find(filters->fingerprint());
    if (known != by_fingerprint_.end()) {
        const FilterSet& of_plan = known->second->plan.filters();
        if (&of_plan == filters.get() || of_plan == *filters) {
            slots_.splice(slots_.begin(), slots_, known->second);
            return slots_.front().plan;
        }
        drop(known->second);
    }
    slots_.emplace_front(filters);
    by_fingerprint_.emplace(filters->fingerprint(), slots_.begin());
    count(slots_.front());
    while (bytes_ > bytes_max_ && slots_.size() > 1) drop(std::prev(slots_.end()));
    return slots_.front().plan;
}

}  // namespace stentor::store
