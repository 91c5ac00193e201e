#include "persistence/sqlite/log_catalog.hpp"

#include "base/assert.hpp"
#include "base/log.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

namespace stentor::store {

namespace {

void tell_missing(const SegmentView& segment, const char* what) {
    const std::string messages =
        segment.summary.messages ? std::to_string(*segment.summary.messages) : "unknown";
    STENTOR_LOG(error,
                LogEvent("segment_missing",
                         {{"file", segment.handle->path()},
                          {"first", segment.first.value()},
                          {"last", segment.summary.last.value()},
                          {"messages", messages}}),
                "{}: sessions that still want what was in it go past it when they come to it, and "
                "are told",
                what);
}

}  // namespace

void contents_have_gone(const SegmentView& segment) {
    if (segment.handle->set_missing()) {
        tell_missing(segment, "a file of the log has lost its contents");
    }
}

bool has_gone(const SegmentView& segment) {
    SegmentView::Handle& handle = *segment.handle;
    if (handle.is_missing()) return true;
    const std::filesystem::path path{handle.path()};
    const auto is_there = [](const std::filesystem::path& what) {
        std::error_code error;
        return std::filesystem::exists(what, error) || error;
    };
    // A log that is gone as a whole may be put back. The second look is for one that has been.
    if (is_there(path) || !is_there(path.parent_path()) || is_there(path)) return false;
    // In this order: one that is removed is marked before its file goes.
    if (handle.is_removed()) return false;
    if (handle.set_missing()) tell_missing(segment, "a file of the log is gone");
    return true;
}

namespace {

[[nodiscard]] SegmentId id_of(const std::string& path, Seq first) {
    const std::string name = std::filesystem::path{path}.filename().string();
    return segment_id(name).value_or(SegmentId{.first = first});
}

}  // namespace

SegmentView::Handle::Handle(std::string path, Seq first, Instant began_at)
    : path_{std::move(path)}, id_{id_of(path_, first)}, began_at_{began_at} {}

void LogCatalog::add_segment(std::string path, Seq first, Instant began_at) {
    const std::lock_guard lock{mutex_};
    ++version_;
    Segment& segment = segments_.emplace_back();
    segment.handle = std::make_shared<SegmentView::Handle>(std::move(path), first, began_at);
    segment.summary.last = Seq{first.value() - 1};
    segment.summary.messages = 0;
    segment.ended_at = began_at;
    segment.index = std::make_unique<TopicIndex>();
}

void LogCatalog::add_sealed(std::string path,
                            Seq first,
                            Written written,
                            SegmentReader::Seal seal) {
    const std::lock_guard lock{mutex_};
    ++version_;
    Segment& segment = segments_.emplace_back();
    segment.handle =
        std::make_shared<SegmentView::Handle>(std::move(path), first, written.began_at);
    segment.ended_at = written.ended_at;
    segment.handle->filter_ = std::move(seal.filter);
    segment.summary = seal.summary;
    last_ = std::max(last_, seal.summary.last);
    bytes_ += seal.summary.bytes;
    messages_ += segment.messages_there();
}

void LogCatalog::add_missing(std::string path, const KnownSegment& known) {
    SegmentView view;
    {
        const std::lock_guard lock{mutex_};
        ++version_;
        Segment& segment = segments_.emplace_back();
        segment.handle =
            std::make_shared<SegmentView::Handle>(std::move(path), known.id.first, known.ended_at);
        segment.handle->has_filter_ = false;
        segment.ended_at = known.ended_at;
        segment.summary = {.last = known.last,
                           .newest_message = known.newest_message,
                           .bytes = 0,
                           .messages = known.messages};
        segment.given_up = true;
        last_ = std::max(last_, known.last);
        view = this->view(segment);
    }
    (void)has_gone(view);
}

void LogCatalog::add_message(Segment& newest, std::string_view topic, Seq seq) {
    newest.index->add(topic, seq);
    newest.summary.newest_message = seq;
    if (!newest.summary.messages) return;
    ++*newest.summary.messages;
    ++messages_;
}

void LogCatalog::add_recovered(Seq seq, const Record& record) {
    const std::lock_guard lock{mutex_};
    Segment& newest = segments_.back();
    newest.summary.last = seq;
    last_ = std::max(last_, seq);
    const MessageRecord* wanted = wanted_message(record);
    if (wanted != nullptr) add_message(newest, wanted->message->topic(), seq);
}

void LogCatalog::add_recovered_bytes(std::size_t bytes, Instant at) {
    const std::lock_guard lock{mutex_};
    segments_.back().ended_at = at;
    segments_.back().summary.bytes += bytes;
    bytes_ += bytes;
}

void LogCatalog::start_after(Seq seq) {
    const std::lock_guard lock{mutex_};
    last_ = seq;
    handed_over_ = seq;
    tail_first_ = next(seq);
}

void LogCatalog::add_group(const CommitGroupPtr& group,
                           std::size_t record_bytes,
                           std::size_t stored_bytes) {
    const std::lock_guard lock{mutex_};
    Segment& newest = segments_.back();
    Seq seq = group->first;
    bool has_messages = false;
    for (const Record& record : group->records) {
        if (const MessageRecord* wanted = wanted_message(record)) {
            add_message(newest, wanted->message->topic(), seq);
            has_messages = true;
        }
        seq = next(seq);
    }
    newest.summary.last = group->last();
    newest.ended_at = group->at;
    newest.summary.bytes += stored_bytes;
    bytes_ += stored_bytes;
    last_ = group->last();
    if (!has_messages) return;
    tail_.push_back(group);
    tail_sizes_.push_back(record_bytes);
    tail_bytes_ += record_bytes;
    while (tail_bytes_ > tail_bytes_max_ && !tail_.empty()) {
        tail_bytes_ -= tail_sizes_.front();
        tail_sizes_.pop_front();
        tail_first_ = next(tail_.front()->last());
        tail_.pop_front();
    }
}

void LogCatalog::handed_over(Seq last) {
    const std::lock_guard lock{mutex_};
    handed_over_ = last;
}

SegmentView LogCatalog::view(const Segment& segment) const {
    return {.handle = segment.handle,
            .first = segment.handle->first(),
            .summary = segment.summary,
            .ended_at = segment.ended_at,
            .is_sealed = segment.index == nullptr,
            .is_newest = &segment == &segments_.back()};
}

std::deque<CommitGroupPtr>::const_iterator LogCatalog::place_in_tail(Seq seq) const {
    return std::lower_bound(
        tail_.begin(), tail_.end(), seq, [](const CommitGroupPtr& group, Seq wanted) {
            return group->last() < wanted;
        });
}

std::vector<LogCatalog::Segment>::const_iterator LogCatalog::first_ending_at(Seq seq) const {
    return std::lower_bound(
        segments_.begin(), segments_.end(), seq, [](const Segment& segment, Seq wanted) {
            return segment.summary.last < wanted;
        });
}

LogSnapshot LogCatalog::snapshot(Seq after,
                                 std::size_t segments_max,
                                 std::size_t records_max) const {
    LogSnapshot snapshot;
    const std::lock_guard lock{mutex_};
    snapshot.limit = handed_over_;
    snapshot.tail_first = tail_first_;
    for (auto segment = first_ending_at(next(after)); segment != segments_.end(); ++segment) {
        snapshot.has_all_segments = snapshot.segments.size() < segments_max;
        if (!snapshot.has_all_segments) break;
        snapshot.segments.push_back(view(*segment));
    }
    if (next(after) < snapshot.tail_first) return snapshot;
    std::size_t records = 0;
    auto group = place_in_tail(next(after));
    for (; group != tail_.end() && records < records_max; ++group) {
        snapshot.groups.push_back(*group);
        records += (*group)->records.size();
    }
    snapshot.groups_through = group == tail_.end() ? last_ : Seq{(*group)->first.value() - 1};
    return snapshot;
}

std::optional<SegmentView> LogCatalog::segment_of(Seq seq) const {
    const std::lock_guard lock{mutex_};
    const auto segment = first_ending_at(seq);
    if (segment == segments_.end() || seq < segment->handle->first()) return std::nullopt;
    return view(*segment);
}

bool LogCatalog::find(const SegmentView& segment,
                      std::span<const std::string_view> topics,
                      Seq after,
                      std::size_t count_max,
                      std::vector<Seq>& out,
                      Seq& through) const {
    const std::lock_guard lock{mutex_};
    const Segment* found = find_segment(segment);
    if (found == nullptr) return true;  // removed: nobody needs it
    if (found->index == nullptr) return false;
    for (const std::string_view topic : topics) {
        const std::size_t count = found->index->find(topic, after, count_max, out);
        if (count == count_max) through = std::min(through, out.back());
    }
    return true;
}

CommitGroupPtr LogCatalog::group_of(Seq seq) const {
    const std::lock_guard lock{mutex_};
    const auto group = place_in_tail(seq);
    if (group == tail_.end() || (*group)->first > seq) return nullptr;
    return *group;
}

Seq LogCatalog::limit() const {
    const std::lock_guard lock{mutex_};
    return handed_over_;
}

std::vector<SegmentView> LogCatalog::segments() const {
    const std::lock_guard lock{mutex_};
    std::vector<SegmentView> views;
    for (const Segment& segment : segments_) views.push_back(view(segment));
    return views;
}

std::optional<LogCatalog::Known> LogCatalog::known_segments(std::uint64_t version) const {
    const std::lock_guard lock{mutex_};
    if (version == version_) return std::nullopt;
    Known known;
    known.version = version_;
    known.segments.reserve(segments_.size());
    for (const Segment& segment : segments_) {
        KnownSegment& entry = known.segments.emplace_back();
        entry.id = segment.handle->id();
        if (&segment == &segments_.back()) break;  // it changes with every commit
        entry.last = segment.summary.last;
        entry.newest_message = segment.summary.newest_message;
        entry.messages = segment.summary.messages;
        entry.ended_at = segment.ended_at;
        entry.given_up = segment.given_up;
    }
    return known;
}

const TopicIndex& LogCatalog::index_of(const SegmentView& segment) const {
    const std::lock_guard lock{mutex_};
    const Segment* found = find_segment(segment);
    STENTOR_ASSERT(found != nullptr && found->index != nullptr && found != &segments_.back(),
                   "only full segments are sealed, once, by the thread that removes them");
    return *found->index;
}

void LogCatalog::sealed(const SegmentView& segment) {
    TopicFilter filter{index_of(segment)};
    std::unique_ptr<TopicIndex> index;  // freed after the lock
    const std::lock_guard lock{mutex_};
    const auto place = place_of(*segment.handle);
    if (place == segments_.cend()) return;
    Segment& found = segments_[static_cast<std::size_t>(place - segments_.cbegin())];
    found.handle->filter_ = std::move(filter);
    index = std::move(found.index);
}

/// From now on nobody finds it. Its index is to be freed after the lock: the writer waits for it.
void LogCatalog::take_out(const SegmentView::Handle& handle, std::unique_ptr<TopicIndex>& index) {
    const auto place = place_of(handle);
    if (place == segments_.cend()) return;
    Segment& found = segments_[static_cast<std::size_t>(place - segments_.cbegin())];
    ++version_;
    bytes_ -= found.summary.bytes;
    messages_ -= found.messages_there();
    index = std::move(found.index);
    segments_.erase(place);
}

void LogCatalog::remove(const SegmentView& segment) {
    segment.handle->removed_.store(true);
    std::unique_ptr<TopicIndex> index;
    const std::lock_guard lock{mutex_};
    take_out(*segment.handle, index);
}

void LogCatalog::replace(const std::vector<SegmentView>& segments,
                         std::string path,
                         SegmentReader::Seal seal) {
    Segment written;
    written.handle = std::make_shared<SegmentView::Handle>(
        std::move(path), segments.front().first, segments.front().handle->began_at());
    written.handle->filter_ = std::move(seal.filter);
    written.summary = seal.summary;
    written.ended_at = segments.back().ended_at;
    std::unique_ptr<TopicIndex> none;  // they are sealed
    const std::lock_guard lock{mutex_};
    for (const SegmentView& segment : segments) {
        STENTOR_ASSERT(place_of(*segment.handle) != segments_.cend(),
                       "only the thread that replaces segments removes them");
        // Under the lock: a reader that finds a file gone finds its successor here.
        segment.handle->removed_.store(true);
        take_out(*segment.handle, none);
    }
    bytes_ += written.summary.bytes;
    messages_ += written.messages_there();
    segments_.insert(first_ending_at(written.summary.last), std::move(written));
}

bool LogCatalog::for_each_topic_of_newest(
    std::size_t topics_max,
    const std::function<void(std::string_view, const std::vector<Seq>&)>& visit) const {
    const std::lock_guard lock{mutex_};
    const TopicIndex& index = *segments_.back().index;
    if (index.topics() > topics_max) return false;
    index.for_each(visit);
    return true;
}

Seq LogCatalog::last() const {
    const std::lock_guard lock{mutex_};
    return last_;
}

std::vector<LogCatalog::Segment>::const_iterator LogCatalog::place_of(
    const SegmentView::Handle& handle) const {
    const auto found = std::lower_bound(
        segments_.begin(), segments_.end(), handle.first(), [](const Segment& segment, Seq first) {
            return segment.handle->first() < first;
        });
    return found != segments_.end() && found->handle.get() == &handle ? found : segments_.end();
}

const LogCatalog::Segment* LogCatalog::find_segment(const SegmentView& segment) const {
    const auto found = place_of(*segment.handle);
    return found == segments_.end() ? nullptr : &*found;
}

}  // namespace stentor::store
