#include "persistence/sqlite/page_reader.hpp"

#include "base/assert.hpp"
#include "persistence/sqlite/log_row.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <variant>

namespace stentor::store {
namespace {

// So many are looked up while the writer waits.
constexpr std::size_t kTopicsPerLookup = 64;
// Of one topic, and of a plan; what is behind them is planned for again.
constexpr std::size_t kPositionsPerTopicMax = 4096;
constexpr std::size_t kPositionsMax = 65'536;
// Entries of an index that one plan walks over.
constexpr std::size_t kWalkedMax = 4096;
// Opening a file takes as long as reading so much of one. That pages end after a few keeps those
// who come back together at the same files, too.
constexpr std::size_t kOpenCostBytes = std::size_t{192} << 10U;

/// So that all topics together stay within kPositionsMax.
[[nodiscard]] std::size_t positions_per_topic(std::size_t topics) noexcept {
    const std::size_t share = kPositionsMax / std::max(topics, std::size_t{1});
    return std::clamp(share, std::size_t{16}, kPositionsPerTopicMax);
}

/// Ascending, each once, none behind what is known.
void finish(SegmentPlan& plan) {
    std::vector<Seq>& positions = plan.positions;
    std::sort(positions.begin(), positions.end());
    positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
    positions.erase(std::upper_bound(positions.begin(), positions.end(), plan.through),
                    positions.end());
    positions.shrink_to_fit();
    plan.access = Access::index;
}

}  // namespace

/// Fills a page within the request's bounds and those of its reader.
class PageReader::Builder {
  public:
    Builder(const ReadRequest& request, const PageReaderOptions& options)
        : request_{request}, options_{options} {
        page_.cookie = request.cookie;
        page_.complete_through = request.after;
    }

    /// False: it does not fit any more, and the page is complete before it.
    bool add(Seq seq, const MessagePtr& message) {
        const std::size_t bytes = message->bytes();
        const bool is_first = page_.entries.empty();
        if (!is_first && (page_.entries.size() >= request_.messages_max ||
                          bytes_ + bytes > request_.bytes_max)) {
            complete_before(seq);
            return false;
        }
        bytes_ += bytes;
        page_.entries.push_back({.seq = seq, .message = message});
        page_.complete_through = std::max(page_.complete_through, seq);
        return true;
    }

    void complete_through(Seq seq) {
        page_.complete_through = std::max(page_.complete_through, seq);
    }
    /// All before `seq` is in the page; `seq` itself did not fit.
    void complete_before(Seq seq) { complete_through(Seq{seq.value() - 1}); }
    [[nodiscard]] Seq complete_through() const noexcept { return page_.complete_through; }
    /// Where the page began.
    [[nodiscard]] Seq after() const noexcept { return request_.after; }

    /// False: so many were looked at that this one is for the next page.
    [[nodiscard]] bool may_scan() noexcept { return scanned_++ < options_.scanned_per_page_max; }
    void has_read(std::size_t bytes) noexcept { read_bytes_ += bytes; }
    void has_probed(std::size_t filters) noexcept { probes_ += filters; }
    /// Then the page ends; never before it has advanced.
    [[nodiscard]] bool is_spent() const noexcept {
        if (page_.complete_through <= request_.after) return false;
        return read_bytes_ >= options_.read_bytes_per_page_max ||
               probes_ >= options_.probes_per_page_max || scanned_ > options_.scanned_per_page_max;
    }

    void lose(std::uint64_t messages) noexcept { page_.lost_messages += messages; }

    [[nodiscard]] Page take() { return std::move(page_); }

  private:
    const ReadRequest& request_;
    const PageReaderOptions& options_;
    Page page_;
    std::size_t bytes_ = 0;
    std::size_t scanned_ = 0;
    std::size_t read_bytes_ = 0;
    std::size_t probes_ = 0;
};

/// A file that went away under a page may have had a successor: then the page is begun again, with
/// the segments as they are. Each time at least one segment fewer can do that. So it is when a file
/// turns out to be missing: the segment is known as such then.
Page PageReader::read(const ReadRequest& request) {
    for (;;) {
        Builder page{request, options_};
        missed_a_file_ = false;
        const Result<void> result = fill(request, page);
        if (result && missed_a_file_) continue;
        Page answer = page.take();
        answer.result = result;
        return answer;
    }
}

void PageReader::forget_removed() {
    files_.remove_if([](const OpenFile& open) { return open.handle->is_removed(); });
    rows_.forget_removed();
}

Result<void> PageReader::fill(const ReadRequest& request, Builder& page) {
    if (!request.only.empty()) return read_only(request, page);
    STENTOR_ASSERT(request.filters != nullptr);
    const LogSnapshot snapshot = catalog_.snapshot(
        request.after, options_.segments_per_page_max, options_.scanned_per_page_max);
    if (request.after >= snapshot.limit) return {};
    FilterPlan& plan = plans_.of(request.filters);
    for (const SegmentView& segment : snapshot.segments) {
        const Stretch stretch{.snapshot = snapshot,
                              .segment = segment,
                              .until = std::min(segment.summary.last, snapshot.limit)};
        if (stretch.until <= page.complete_through()) continue;
        STENTOR_TRY(const Step step, read_segment(stretch, plan, page));
        if (step == Step::page_ends) return {};
        page.complete_through(stretch.until);
        if (page.is_spent()) return {};
    }
    if (snapshot.has_all_segments) page.complete_through(snapshot.limit);
    return {};
}

Result<void> PageReader::read_only(const ReadRequest& request, Builder& page) {
    const Seq limit = catalog_.limit();
    for (const Seq seq : request.only) {
        if (seq > limit) return {};
        STENTOR_TRY(MessagePtr message, message_at(seq, page));
        if (message == nullptr) {
            STENTOR_TRY(message, held_message(seq));
        }
        if (message == nullptr) {
            const std::optional<SegmentView> segment = catalog_.segment_of(seq);
            if (segment && cannot_be_read(*segment)) page.lose(1);
        }
        if (message != nullptr && !page.add(seq, message)) return {};
        page.complete_through(seq);
        if (page.is_spent()) return {};
    }
    return {};
}

/// Of a segment whose file is missing only what memory has can be read. The page ends before the
/// rest, and the next one says that it is lost, and nothing else.
PageReader::Step PageReader::pass_missing(const Stretch& stretch,
                                          const FilterPlan& filters,
                                          Builder& page) {
    const Seq until = std::min(stretch.until, Seq{stretch.snapshot.tail_first.value() - 1});
    if (until <= page.complete_through()) return Step::goes_on;
    if (!may_have_held(stretch.segment, filters, page.complete_through(), until)) {
        page.complete_through(until);
        return Step::goes_on;
    }
    if (page.complete_through() == page.after()) {
        page.lose(1);
        page.complete_through(until);
    }
    return Step::page_ends;
}

/// By its newest message and its topics, as far as they are known: between the two positions.
bool PageReader::may_have_held(const SegmentView& segment,
                               const FilterPlan& filters,
                               Seq after,
                               Seq until) {
    if (segment.summary.newest_message <= after) return false;
    if (!filters.ranges().empty() || !segment.handle->has_filter()) return true;
    SegmentPlan plan;
    plan.after = after;
    plan.through = until;
    if (!segment.is_sealed && plan_in_memory(segment, filters, plan)) {
        return !plan.positions.empty();
    }
    const TopicFilter& there = segment.handle->filter();
    return std::any_of(filters.topics().begin(), filters.topics().end(), [&](const auto& topic) {
        return there.may_contain(topic.hash);
    });
}

Result<PageReader::Step> PageReader::read_segment(const Stretch& stretch,
                                                  FilterPlan& plan,
                                                  Builder& page) {
    if (cannot_be_read(stretch.segment) && pass_missing(stretch, plan, page) == Step::page_ends) {
        return Step::page_ends;
    }
    while (page.complete_through() < stretch.until) {
        const SegmentPlan* known = plan.find(stretch.segment, page.complete_through());
        if (known == nullptr) {
            STENTOR_TRY(SegmentPlan made, make_plan(stretch, plan, page));
            if (missed_a_file_) return Step::page_ends;
            known = &plan.keep(std::move(made));
        }
        STENTOR_TRY(const Step step,
                    known->access == Access::index ? take(stretch, *known, page)
                                                   : scan(stretch, plan.filters(), page));
        if (step == Step::page_ends) return step;
        page.complete_through(std::min(known->through, stretch.until));
        if (page.is_spent()) return Step::page_ends;
    }
    return Step::goes_on;
}

/// The positions that the plan knows.
Result<PageReader::Step> PageReader::take(const Stretch& stretch,
                                          const SegmentPlan& plan,
                                          Builder& page) {
    auto next_position =
        std::upper_bound(plan.positions.begin(), plan.positions.end(), page.complete_through());
    for (; next_position != plan.positions.end(); ++next_position) {
        const Seq seq = *next_position;
        if (seq > stretch.until) break;
        if (page.is_spent()) {
            page.complete_before(seq);
            return Step::page_ends;
        }
        MessagePtr message;
        if (seq >= stretch.snapshot.tail_first) {
            STENTOR_TRY(message, message_at(seq, page));
            // Not in memory any more, and nowhere else: the page is begun again.
            if (message == nullptr && cannot_be_read(stretch.segment)) missed_a_file_ = true;
        } else {
            STENTOR_TRY(CachedRow * here, row(stretch.segment, seq, page));
            if (here != nullptr) {
                STENTOR_TRY(message, here->message_at(seq));
            }
        }
        if (missed_a_file_) return Step::page_ends;
        if (message != nullptr && !page.add(seq, message)) return Step::page_ends;
    }
    return Step::goes_on;
}

Result<PageReader::Step> PageReader::scan(const Stretch& stretch,
                                          const FilterSet& filters,
                                          Builder& page) {
    const Seq tail_first = stretch.snapshot.tail_first;
    if (next(page.complete_through()) < tail_first) {
        const Seq until = std::min(stretch.until, Seq{tail_first.value() - 1});
        STENTOR_TRY(const Step step, scan_file(stretch.segment, until, filters, page));
        if (step == Step::page_ends || until == stretch.until) return step;
    }
    // Groups were taken along only if the page began among them; otherwise the next one does.
    if (next(page.after()) >= tail_first) scan_tail(stretch.snapshot, filters, page);
    return Step::page_ends;
}

Result<PageReader::Step> PageReader::scan_file(const SegmentView& segment,
                                               Seq until,
                                               const FilterSet& filters,
                                               Builder& page) {
    while (page.complete_through() < until) {
        const Seq from = next(page.complete_through());
        STENTOR_TRY(CachedRow * here, row(segment, from, page));
        if (missed_a_file_) return Step::page_ends;
        if (here == nullptr) break;
        const auto entries = here->entries_from(from);
        if (entries.empty()) (void)page.may_scan();  // for the row
        for (CachedRow::Entry& entry : entries) {
            if (entry.seq > until) break;
            if (!page.may_scan()) {
                page.complete_before(entry.seq);
                return Step::page_ends;
            }
            if (!entry.for_durable_sessions || !filters.matches(entry.topic)) continue;
            STENTOR_TRY(const MessagePtr message, CachedRow::message(entry));
            if (!page.add(entry.seq, message)) return Step::page_ends;
        }
        page.complete_through(std::min(here->last(), until));
        if (page.is_spent()) return Step::page_ends;
    }
    page.complete_through(until);
    return Step::goes_on;
}

void PageReader::scan_tail(const LogSnapshot& snapshot,
                           const FilterSet& filters,
                           Builder& page) const {
    const Seq after = page.complete_through();
    for (const CommitGroupPtr& group : snapshot.groups) {
        Seq seq = group->first;
        for (const Record& record : group->records) {
            const Seq here = std::exchange(seq, next(seq));
            if (here <= after) continue;
            if (here > snapshot.limit) return;
            if (!page.may_scan()) {
                page.complete_before(here);
                return;
            }
            const MessageRecord* wanted = wanted_message(record);
            if (wanted != nullptr && filters.matches(wanted->message->topic()) &&
                !page.add(here, wanted->message)) {
                return;
            }
        }
        page.complete_through(std::min(group->last(), snapshot.limit));
    }
    page.complete_through(std::min(snapshot.groups_through, snapshot.limit));
}

/// For what follows the page. If a file has gone meanwhile, what comes back says nothing.
Result<SegmentPlan> PageReader::make_plan(const Stretch& stretch,
                                          const FilterPlan& filters,
                                          Builder& page) {
    const SegmentView& segment = stretch.segment;
    const Seq begin{segment.first.value() - 1};
    SegmentPlan plan;
    plan.segment = segment.handle;
    plan.after = page.complete_through();
    plan.through = stretch.until;
    if (stretch.until <= begin) {  // empty, and positions have jumped before it: nothing is there
        plan.access = Access::index;
        return plan;
    }
    AccessFacts facts;
    const std::uint64_t positions = stretch.until.value() - std::max(plan.after, begin).value();
    facts.records = std::min(positions, segment.summary.bytes);  // each takes a byte or more
    if (next(plan.after) < stretch.snapshot.tail_first) {
        const std::uint64_t all = segment.summary.last.value() - begin.value();
        facts.bytes = scanned_bytes(segment.summary.bytes, positions, all);
    }
    page.has_probed(filters.topics().size());
    if (!segment.is_sealed) {
        facts.in_memory = true;
        facts.lookups = filters.topics().size();
        // Its topics are in no order.
        if (!filters.ranges().empty() || cheaper_access(facts) == Access::scan) return plan;
        if (plan_in_memory(segment, filters, plan)) return plan;
    }
    if (cannot_be_read(segment)) return plan;  // its end is in memory
    const TopicFilter& there = segment.handle->filter();
    std::vector<std::string_view> topics;
    for (const FilterPlan::Topic& topic : filters.topics()) {
        if (there.may_contain(topic.hash)) topics.push_back(topic.text);
    }
    facts.in_memory = false;
    facts.lookups = topics.size() + filters.ranges().size();
    facts.walked = filters.ranges_over_everything() ? there.topics() : 0;
    if (cheaper_access(facts) == Access::index) {
        STENTOR_TRY_VOID(plan_in_file(segment, filters, topics, plan, page));
    }
    return plan;
}

/// False: the segment has been sealed meanwhile.
bool PageReader::plan_in_memory(const SegmentView& segment,
                                const FilterPlan& filters,
                                SegmentPlan& plan) {
    const std::vector<FilterPlan::Topic>& all = filters.topics();
    const std::size_t count_max = positions_per_topic(all.size());
    const Seq through = plan.through;
    std::array<std::string_view, kTopicsPerLookup> some;
    for (std::size_t done = 0; done < all.size();) {
        const std::size_t count = std::min(all.size() - done, some.size());
        for (std::size_t i = 0; i < count; ++i) some.at(i) = all[done + i].text;
        if (!catalog_.find(segment,
                           std::span{some}.first(count),
                           plan.after,
                           count_max,
                           plan.positions,
                           plan.through)) {
            plan.positions.clear();
            plan.through = through;
            return false;
        }
        done += count;
    }
    if (segment.handle->is_removed()) missed_a_file_ = true;
    finish(plan);
    return true;
}

/// Leaves a plan to scan if the ranges hold too much.
Result<void> PageReader::plan_in_file(const SegmentView& segment,
                                      const FilterPlan& filters,
                                      const std::vector<std::string_view>& topics,
                                      SegmentPlan& plan,
                                      Builder& page) {
    const Seq through = plan.through;
    std::size_t walked = 0;
    bool too_much = false;
    if (!topics.empty() || !filters.ranges().empty()) {
        STENTOR_TRY(SegmentReader * reader, file(segment, page));
        if (reader == nullptr) return {};
        const std::size_t count_max = positions_per_topic(topics.size());
        for (const std::string_view topic : topics) {
            const std::size_t before = plan.positions.size();
            STENTOR_TRY_VOID(reader->find(topic, plan.after, count_max, plan.positions));
            if (plan.positions.size() - before < count_max) continue;
            plan.through = std::min(plan.through, plan.positions.back());
        }
        for (const std::string_view range : filters.ranges()) {
            STENTOR_TRY_VOID(reader->for_each_topic_in(range, [&](auto topic, auto positions) {
                too_much = ++walked > kWalkedMax || plan.positions.size() > kPositionsMax;
                if (too_much) return false;
                if (!filters.filters().matches(topic)) return true;
                plan.positions.insert(
                    plan.positions.end(),
                    std::upper_bound(positions.begin(), positions.end(), plan.after),
                    positions.end());
                return true;
            }));
            if (too_much) break;
        }
    }
    if (too_much) {
        plan.positions = {};
        plan.through = through;
    } else {
        finish(plan);
    }
    return {};
}

Result<CachedRow*> PageReader::row(const SegmentView& segment, Seq seq, Builder& page) {
    if (CachedRow* known = rows_.find(segment.handle, seq)) return known;
    STENTOR_TRY(SegmentReader * reader, file(segment, page));
    CachedRow* found = nullptr;
    if (reader == nullptr) return found;
    Result<void> failure;
    STENTOR_TRY_VOID(reader->for_each_row(seq, [&](const LogRow& row) {
        if (row.header().last() < seq) return true;
        page.has_read(row.record_bytes());
        auto made = CachedRow::make(row, seq);
        if (made) {
            found = &rows_.add(segment.handle, *std::move(made));
        } else {
            failure = made.error();
        }
        return false;
    }));
    STENTOR_TRY_VOID(failure);
    return found;
}

Result<MessagePtr> PageReader::message_at(Seq seq, Builder& page) {
    if (const CommitGroupPtr group = catalog_.group_of(seq)) {
        const Record& record = group->records[seq.value() - group->first.value()];
        const auto* published = std::get_if<MessageRecord>(&record);
        return published == nullptr ? MessagePtr{} : published->message;
    }
    const std::optional<SegmentView> segment = catalog_.segment_of(seq);
    if (!segment) return MessagePtr{};
    const bool missed_before = missed_a_file_;
    STENTOR_TRY(CachedRow * here, row(*segment, seq, page));
    if (here != nullptr) return here->message_at(seq);
    // There will be no other file with it.
    if (cannot_be_read(*segment)) missed_a_file_ = missed_before;
    return MessagePtr{};
}

Result<MessagePtr> PageReader::held_message(Seq seq) {
    if (!held_) {
        STENTOR_TRY(HeldMessages opened, HeldMessages::open(options_.state_path, options_.vfs));
        held_ = std::move(opened);
    }
    return held_->find(seq);
}

bool PageReader::cannot_be_read(const SegmentView& segment) const {
    if (!segment.handle->is_missing()) return false;
    return std::none_of(files_.begin(), files_.end(), [&](const OpenFile& open) {
        return open.handle == segment.handle;
    });
}

Result<SegmentReader*> PageReader::file(const SegmentView& segment, Builder& page) {
    files_.remove_if([](const OpenFile& open) { return open.handle->is_removed(); });
    const auto open = std::find_if(files_.begin(), files_.end(), [&](const OpenFile& candidate) {
        return candidate.handle == segment.handle;
    });
    if (open != files_.end()) {
        files_.splice(files_.begin(), files_, open);
        return &files_.front().reader;
    }
    if (segment.handle->is_removed()) {
        missed_a_file_ = true;
        return nullptr;
    }
    if (segment.handle->is_missing()) {
        missed_a_file_ = true;
        return nullptr;
    }
    page.has_read(kOpenCostBytes);
    auto reader = SegmentReader::open(segment.handle->path(), options_.vfs);
    if (!reader && reader.error() == StoreErrc::no_descriptors && !files_.empty()) {
        files_.clear();
        reader = SegmentReader::open(segment.handle->path(), options_.vfs);
    }
    if (!reader) {
        missed_a_file_ = segment.handle->is_removed() || has_gone(segment);
        if (missed_a_file_) return nullptr;
        return reader.error();
    }
    // To SQLite an empty file is a new one.
    STENTOR_TRY(const auto last, reader->last_row());
    if (!last || last->last() < segment.summary.newest_message) {
        missed_a_file_ = true;
        if (!segment.handle->is_removed()) contents_have_gone(segment);
        return nullptr;
    }
    files_.push_front({.handle = segment.handle, .reader = *std::move(reader)});
    if (files_.size() > options_.files_max) files_.pop_back();
    return &files_.front().reader;
}

}  // namespace stentor::store
