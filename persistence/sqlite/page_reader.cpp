#include "persistence/sqlite/page_reader.hpp"

#include "base/assert.hpp"
#include "persistence/sqlite/log_row.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/validate.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <variant>

namespace stentor::store {

/// Fills a page within the request's bounds.
class PageReader::Builder {
  public:
    explicit Builder(const ReadRequest& request) : request_{request} {
        page_.cookie = request.cookie;
        page_.complete_through = request.after;
    }

    /// False: it does not fit any more, and the page is complete before it.
    bool add(Seq seq, const MessagePtr& message) {
        const std::size_t bytes = message->bytes();
        const bool is_first = page_.entries.empty();
        if (!is_first && (page_.entries.size() >= request_.messages_max ||
                          bytes_ + bytes > request_.bytes_max)) {
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

    [[nodiscard]] Page take() { return std::move(page_); }

  private:
    const ReadRequest& request_;
    Page page_;
    std::size_t bytes_ = 0;
};

struct PageReader::Matcher {
    explicit Matcher(const std::vector<std::string>& filters) {
        for (const std::string& filter : filters) {
            if (mqtt::has_wildcard(filter)) {
                wildcard.push_back(filter);
            } else {
                exact.insert(filter);
            }
        }
    }
    [[nodiscard]] bool wants(std::string_view topic) const {
        return exact.contains(topic) ||
               std::any_of(wildcard.begin(), wildcard.end(), [&](std::string_view filter) {
                   return mqtt::matches(filter, topic);
               });
    }

    std::unordered_set<std::string_view> exact;
    std::vector<std::string_view> wildcard;
};

/// A file that went away under a page may have had a successor: then the page is begun again, with
/// the segments as they are. Each time at least one segment fewer can do that.
Page PageReader::read(const ReadRequest& request) {
    for (;;) {
        Builder page{request};
        missed_a_file_ = false;
        const Result<void> result = fill(request, page);
        if (result && missed_a_file_) continue;
        Page answer = page.take();
        answer.result = result;
        return answer;
    }
}

Result<void> PageReader::fill(const ReadRequest& request, Builder& page) {
    if (!request.only.empty()) return read_only(request, page);
    STENTOR_ASSERT(request.filters != nullptr);
    const bool scans = std::any_of(request.filters->begin(),
                                   request.filters->end(),
                                   [](const auto& f) { return mqtt::has_wildcard(f); });
    return scans ? scan(request, page) : read_exact(request, page);
}

Result<void> PageReader::read_only(const ReadRequest& request, Builder& page) {
    const Seq limit = catalog_.limit();
    for (const Seq seq : request.only) {
        if (seq > limit) return {};
        STENTOR_TRY(MessagePtr message, message_at(seq));
        if (message == nullptr) {
            STENTOR_TRY(message, held_message(seq));
        }
        if (message != nullptr && !page.add(seq, message)) return {};
        page.complete_through(seq);
    }
    return {};
}

/// Segment by segment: within one, the filters' positions are merged.
Result<void> PageReader::read_exact(const ReadRequest& request, Builder& page) {
    const LogSnapshot snapshot = catalog_.snapshot(request.after, 0);
    if (request.after >= snapshot.limit) return {};
    std::size_t lookups = 0;
    for (const SegmentView& segment : snapshot.segments) {
        STENTOR_TRY(const std::vector<Seq> positions,
                    find(segment, request, request.messages_max + 1));
        for (const Seq seq : positions) {
            if (seq > snapshot.limit) break;
            STENTOR_TRY(const MessagePtr message, message_at(seq));
            if (message == nullptr) continue;  // its segment has been removed meanwhile
            if (!page.add(seq, message)) {
                page.complete_before(seq);
                return {};
            }
        }
        if (positions.size() > request.messages_max) {
            // There may be more than was looked up (and some were gone): go on from here.
            page.complete_through(std::min(positions.back(), snapshot.limit));
            return {};
        }
        page.complete_through(std::min(segment.summary.last, snapshot.limit));
        lookups += request.filters->size();
        if (lookups >= options_.lookups_per_page_max) return {};
    }
    page.complete_through(snapshot.limit);
    return {};
}

Result<std::vector<Seq>> PageReader::find(const SegmentView& segment,
                                          const ReadRequest& request,
                                          std::size_t count_max) {
    std::vector<Seq> positions;
    bool is_sealed = segment.is_sealed;
    if (!is_sealed) {
        is_sealed =
            !catalog_.find(segment, request.filters->all(), request.after, count_max, positions);
        if (segment.handle->is_removed()) missed_a_file_ = true;
    }
    if (is_sealed) {
        SegmentReader* reader = nullptr;
        for (const std::string& filter : *request.filters) {
            if (!segment.handle->filter().may_contain(filter)) continue;
            if (reader == nullptr) {
                STENTOR_TRY(reader, file(segment));
                if (reader == nullptr) return positions;
            }
            STENTOR_TRY_VOID(reader->find(filter, request.after, count_max, positions));
        }
    }
    // Each filter gave its first ones, so the first ones of all are among them. The same filter
    // twice (with and without $share) is still one message.
    std::sort(positions.begin(), positions.end());
    positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
    if (positions.size() > count_max) positions.resize(count_max);
    return positions;
}

Result<void> PageReader::scan(const ReadRequest& request, Builder& page) {
    const LogSnapshot snapshot = catalog_.snapshot(request.after, options_.scanned_per_page_max);
    if (request.after >= snapshot.limit) return {};
    const Matcher matcher{request.filters->all()};
    if (next(request.after) < snapshot.tail_first) return scan_files(snapshot, matcher, page);
    scan_tail(snapshot, matcher, page);
    return {};
}

void PageReader::scan_tail(const LogSnapshot& snapshot,
                           const Matcher& matcher,
                           Builder& page) const {
    const Seq after = page.complete_through();
    std::size_t scanned = 0;
    for (const CommitGroupPtr& group : snapshot.groups) {
        Seq seq = group->first;
        for (const Record& record : group->records) {
            const Seq here = std::exchange(seq, next(seq));
            if (here <= after) continue;
            if (here > snapshot.limit) return;
            if (scanned++ == options_.scanned_per_page_max) {
                page.complete_before(here);
                return;
            }
            const MessageRecord* wanted = wanted_message(record);
            if (wanted != nullptr && matcher.wants(wanted->message->topic()) &&
                !page.add(here, wanted->message)) {
                page.complete_before(here);
                return;
            }
        }
        page.complete_through(std::min(group->last(), snapshot.limit));
    }
}

Result<void> PageReader::scan_files(const LogSnapshot& snapshot,
                                    const Matcher& matcher,
                                    Builder& page) {
    const Seq after = page.complete_through();
    const Seq until = std::min(snapshot.limit, Seq{snapshot.tail_first.value() - 1});
    std::size_t scanned = 0;
    bool goes_on = true;  // the page is not full
    bool reached = false;
    Result<void> failure;
    const auto visit = [&](Seq seq, ByteView bytes) {
        if (seq <= after) return true;
        if (seq > until) {
            reached = true;
            return false;
        }
        if (scanned++ == options_.scanned_per_page_max) {
            page.complete_before(seq);
            return goes_on = false;
        }
        const auto record = parse_stored(bytes);
        if (!record) {
            failure = record.error();
            return goes_on = false;
        }
        const MessageRecord* wanted = wanted_message(*record);
        if (wanted != nullptr && matcher.wants(wanted->message->topic()) &&
            !page.add(seq, wanted->message)) {
            page.complete_before(seq);
            return goes_on = false;
        }
        return true;
    };
    for (const SegmentView& segment : snapshot.segments) {
        if (!goes_on || segment.first > until) break;
        STENTOR_TRY(SegmentReader * reader, file(segment));
        if (reader != nullptr) {
            STENTOR_TRY_VOID(reader->for_each_row(next(after), [&](const LogRow& row) {
                const auto visited = row.for_each(visit);
                if (!visited) failure = visited;
                return goes_on && !reached && failure.has_value();
            }));
        }
        STENTOR_TRY_VOID(failure);
        if (goes_on) page.complete_through(std::min(segment.summary.last, until));
    }
    if (goes_on) page.complete_through(until);
    return {};
}

Result<MessagePtr> PageReader::message_at(Seq seq) {
    if (const CommitGroupPtr group = catalog_.group_of(seq)) {
        const Record& record = group->records[seq.value() - group->first.value()];
        const auto* published = std::get_if<MessageRecord>(&record);
        return published == nullptr ? MessagePtr{} : published->message;
    }
    const std::optional<SegmentView> segment = catalog_.segment_of(seq);
    if (!segment) return MessagePtr{};
    STENTOR_TRY(SegmentReader * reader, file(*segment));
    if (reader == nullptr) return MessagePtr{};
    STENTOR_TRY(const std::optional<Record> record, reader->record(seq));
    const auto* published = record ? std::get_if<MessageRecord>(&*record) : nullptr;
    return published == nullptr ? MessagePtr{} : published->message;
}

Result<MessagePtr> PageReader::held_message(Seq seq) {
    if (!held_) {
        STENTOR_TRY(HeldMessages opened, HeldMessages::open(options_.state_path, options_.vfs));
        held_ = std::move(opened);
    }
    return held_->find(seq);
}

Result<SegmentReader*> PageReader::file(const SegmentView& segment) {
    // Also frees the disk space of what has been unlinked.
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
    auto reader = SegmentReader::open(segment.handle->path(), options_.vfs);
    if (!reader) {
        missed_a_file_ = segment.handle->is_removed();
        if (missed_a_file_) return nullptr;
        return reader.error();
    }
    files_.push_front({.handle = segment.handle, .reader = *std::move(reader)});
    if (files_.size() > options_.files_max) files_.pop_back();
    return &files_.front().reader;
}

}  // namespace stentor::store
