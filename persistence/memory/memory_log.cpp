#include "persistence/memory/memory_log.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <iterator>
#include <queue>
#include <utility>
#include <variant>

namespace stentor::store {
namespace {

// A message's share of the containers, closely.
constexpr std::size_t kEntryOverheadBytes = 32;

[[nodiscard]] std::size_t entry_bytes(const MessagePtr& message) noexcept {
    return message->bytes() + kEntryOverheadBytes;
}

/// What the log or the state would keep of it, if it may be refused for that.
[[nodiscard]] std::size_t kept_bytes(const Record& record) noexcept {
    const auto* published = std::get_if<MessageRecord>(&record);
    if (published == nullptr || published->has_no_sender) return 0;
    // Clearing frees more than it takes, also when sessions are to hear of it.
    if (published->sets_retained && published->message->payload().empty()) return 0;
    if (!published->for_durable_sessions && !published->sets_retained) return 0;
    return entry_bytes(published->message);
}

}  // namespace

GroupBuilder::GroupBuilder(Seq last, Instant at) : group_{make_intrusive<CommitGroup>()} {
    group_->first = next(last);
    group_->at = at;
}

void GroupBuilder::add(WriteBatch& batch) {
    STENTOR_ASSERT(!batch.records.empty(), "an empty batch has nothing to commit");
    std::vector<Record>& records = group_->records;
    group_->at = std::max(group_->at, batch.at);
    group_->slices.push_back({.shard = batch.shard,
                              .ticket = batch.ticket,
                              .begin = static_cast<std::uint32_t>(records.size()),
                              .count = static_cast<std::uint32_t>(batch.records.size())});
    records.insert(records.end(),
                   std::make_move_iterator(batch.records.begin()),
                   std::make_move_iterator(batch.records.end()));
    batch.records.clear();
}

CommitGroupPtr GroupBuilder::take() noexcept {
    STENTOR_ASSERT(!is_empty(), "a commit has at least one position");
    return std::move(group_);
}

std::size_t kept_bytes(const WriteBatch& batch) noexcept {
    std::size_t bytes = 0;
    for (const Record& record : batch.records) bytes += kept_bytes(record);
    return bytes;
}

/// Fills a page up to the bounds of its request.
class MemoryLog::PageBuilder {
  public:
    explicit PageBuilder(const ReadRequest& request) : request_{request} {
        page_.cookie = request.cookie;
        page_.complete_through = request.only.empty() ? request.after : kNoSeq;
    }

    /// False when the page is full: then the page is complete up to the position before.
    [[nodiscard]] bool add(Seq seq, const MessagePtr& message) {
        const std::size_t bytes = message->bytes();
        if (!page_.entries.empty() && (page_.entries.size() >= request_.messages_max ||
                                       bytes_ + bytes > request_.bytes_max)) {
            return false;
        }
        bytes_ += bytes;
        page_.entries.push_back({.seq = seq, .message = message});
        return true;
    }

    void complete_through(Seq seq) noexcept {
        page_.complete_through = std::max(page_.complete_through, seq);
    }
    void complete_before(Seq seq) noexcept { complete_through(Seq{seq.value() - 1}); }

    [[nodiscard]] Page take() noexcept { return std::move(page_); }

  private:
    const ReadRequest& request_;
    Page page_;
    std::size_t bytes_ = 0;
};

MemoryLog::MemoryLog(const MemoryLogOptions& options)
    : options_{options}, needed_(options.shards), surveys_(options.shards) {}

bool MemoryLog::has_room_for(std::size_t kept_bytes) const noexcept {
    return kept_bytes == 0 || bytes() + kept_bytes <= options_.bytes_max;
}

Room MemoryLog::room() const noexcept {
    return bytes() < options_.bytes_max ? Room::enough : Room::none_for_messages;
}

void MemoryLog::append(const CommitGroup& group) {
    STENTOR_ASSERT(group.first == next(last_), "positions are consecutive");
    Seq seq = last_;
    for (const Record& record : group.records) {
        seq = next(seq);
        state_.apply(seq, record);
        const auto* published = std::get_if<MessageRecord>(&record);
        if (published == nullptr || !published->for_durable_sessions) continue;
        entries_.push_back({.seq = seq, .message = published->message});
        by_topic_[std::string{published->message->topic()}].push_back(seq);
        bytes_ += entry_bytes(published->message);
    }
    last_ = seq;
    at_ = group.at;
}

void MemoryLog::jump_to(Seq seq) noexcept {
    STENTOR_ASSERT(seq >= last_, "positions never go back");
    last_ = seq;
}

Page MemoryLog::read(const ReadRequest& request, Seq limit) const {
    PageBuilder page{request};
    if (!request.only.empty()) {
        read_only(request, limit, page);
    } else if (request.after < limit) {
        STENTOR_ASSERT(request.filters != nullptr);
        // As many look-ups as filters, or a look at each message behind the position.
        const bool scans = !request.filters->wildcards().empty() ||
                           count_after(request.after) < request.filters->size();
        scans ? scan(request, limit, page) : read_exact(request, limit, page);
    }
    return page.take();
}

void MemoryLog::read_only(const ReadRequest& request, Seq limit, PageBuilder& page) const {
    for (const Seq seq : request.only) {
        if (seq > limit) return;
        const MessagePtr message = message_at(seq);
        if (message != nullptr && !page.add(seq, message)) return;
        page.complete_through(seq);
    }
}

std::deque<MemoryLog::Entry>::const_iterator MemoryLog::first_after(Seq seq) const {
    return std::upper_bound(
        entries_.begin(), entries_.end(), seq, [](Seq wanted, const Entry& entry) {
            return wanted < entry.seq;
        });
}

std::size_t MemoryLog::count_after(Seq seq) const {
    return static_cast<std::size_t>(entries_.end() - first_after(seq));
}

/// Merges the positions of the filters' topics.
void MemoryLog::read_exact(const ReadRequest& request, Seq limit, PageBuilder& page) const {
    struct Run {
        const std::deque<Seq>* seqs;
        std::size_t at;
        [[nodiscard]] Seq front() const noexcept { return (*seqs)[at]; }
    };
    const auto later = [](const Run& a, const Run& b) { return a.front() > b.front(); };
    std::priority_queue<Run, std::vector<Run>, decltype(later)> runs{later};
    for (const std::string& filter : request.filters->exact()) {
        const auto topic = by_topic_.find(filter);
        if (topic == by_topic_.end()) continue;
        const std::deque<Seq>& seqs = topic->second;
        const auto begin = std::upper_bound(seqs.begin(), seqs.end(), request.after);
        if (begin == seqs.end()) continue;
        runs.push({.seqs = &seqs, .at = static_cast<std::size_t>(begin - seqs.begin())});
    }
    while (!runs.empty() && runs.top().front() <= limit) {
        Run run = runs.top();
        runs.pop();
        const Seq seq = run.front();
        if (!page.add(seq, message_at(seq))) {
            page.complete_before(seq);
            return;
        }
        if (++run.at < run.seqs->size()) runs.push(run);
    }
    page.complete_through(limit);
}

/// Looks at one message after the other.
void MemoryLog::scan(const ReadRequest& request, Seq limit, PageBuilder& page) const {
    auto entry = first_after(request.after);
    for (std::size_t scanned = 0; entry != entries_.end() && entry->seq <= limit; ++entry) {
        if (scanned++ == options_.scanned_per_page_max) {
            page.complete_before(entry->seq);
            return;
        }
        if (request.filters->matches(entry->message->topic()) &&
            !page.add(entry->seq, entry->message)) {
            page.complete_before(entry->seq);
            return;
        }
    }
    page.complete_through(limit);
}

MessagePtr MemoryLog::message_at(Seq seq) const {
    const auto entry =
        std::lower_bound(entries_.begin(), entries_.end(), seq, [](const Entry& e, Seq wanted) {
            return e.seq < wanted;
        });
    if (entry != entries_.end() && entry->seq == seq) return entry->message;
    return state_.held_message(seq);
}

void MemoryLog::needed_from(ShardId shard, Seq seq) noexcept {
    STENTOR_ASSERT(shard.value() < needed_.size(), "a shard the log was not made for");
    std::optional<Seq>& needed = needed_[shard.value()];
    needed = needed ? std::max(*needed, seq) : seq;
}

void MemoryLog::forget_needs() noexcept {
    std::fill(needed_.begin(), needed_.end(), std::nullopt);
    for (auto& survey : surveys_) survey.reset();
}

GiveWay MemoryLog::give_way() const noexcept {
    constexpr std::size_t kParts = 10;
    GiveWay result;
    if (entries_.empty() || bytes() < options_.bytes_max / kParts * (kParts - 1)) return result;
    result.everybody_below = next(entries_[entries_.size() / kParts].seq);
    return result;
}

/// When what the last one left has doubled: a message is looked at twice, on average.
bool MemoryLog::wants_survey(ShardId shard) const noexcept {
    return entries_.size() >= std::max(options_.survey_messages_min, 2 * surveyed_) &&
           !surveys_[shard.value()];
}

void MemoryLog::survey(ShardId shard, NeedSurvey survey) {
    STENTOR_ASSERT(shard.value() < surveys_.size(), "a shard the log was not made for");
    surveys_[shard.value()] = std::move(survey);
}

void MemoryLog::forget(const Entry& entry) {
    const auto topic = by_topic_.find(std::string{entry.message->topic()});
    STENTOR_ASSERT(topic != by_topic_.end(), "every message is found by its topic");
    std::deque<Seq>& seqs = topic->second;
    const auto place = std::lower_bound(seqs.begin(), seqs.end(), entry.seq);
    STENTOR_ASSERT(place != seqs.end() && *place == entry.seq, "every message, once");
    seqs.erase(place);
    if (seqs.empty()) by_topic_.erase(topic);
    bytes_ -= entry_bytes(entry.message);
    if (state_.is_referenced(entry.seq)) state_.keep(entry.seq, entry.message);
}

void MemoryLog::trim_by_surveys() {
    const bool all = std::all_of(
        surveys_.begin(), surveys_.end(), [](const auto& survey) { return survey.has_value(); });
    if (surveys_.empty() || !all) return;
    NeedSurvey needs = *std::exchange(surveys_.front(), std::nullopt);
    for (auto& survey : surveys_) {
        if (survey) needs.merge(*survey);
        survey.reset();
    }
    std::erase_if(entries_, [&](const Entry& entry) {
        if (needs.is_needed(entry.message->topic(), entry.seq)) return false;
        forget(entry);
        return true;
    });
    surveyed_ = entries_.size();
}

MemoryLog::Trimmed MemoryLog::trim(std::size_t messages_max) {
    trim_by_surveys();
    // An empty optional is less than any position.
    const auto lowest = std::min_element(needed_.begin(), needed_.end());
    if (lowest == needed_.end() || !*lowest) return Trimmed::all;
    for (; !entries_.empty() && entries_.front().seq < **lowest; entries_.pop_front()) {
        if (messages_max-- == 0) return Trimmed::more_to_do;
        forget(entries_.front());
    }
    return Trimmed::all;
}

}  // namespace stentor::store
