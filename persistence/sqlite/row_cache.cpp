#include "persistence/sqlite/row_cache.hpp"

#include "base/log.hpp"
#include "persistence/record_codec.hpp"

#include <algorithm>
#include <optional>
#include <variant>

namespace stentor::store {
namespace {

// What a slot costs besides its row.
constexpr std::size_t kSlotBytes = 256;

[[nodiscard]] Result<std::optional<StoredMessageHead>> head_of(ByteView record) {
    auto head = parse_message_head(record);
    if (head) return *head;
    return store_error(head.error());
}

[[nodiscard]] std::size_t offset_in(ByteView whole, std::string_view part) noexcept {
    return static_cast<std::size_t>(as_bytes(part).data() - whole.data());
}

}  // namespace

Result<CachedRow> CachedRow::make(const LogRow& row, Seq from) {
    CachedRow made;
    made.first_ = std::min(from, row.header().first);
    made.last_ = row.header().last();
    std::size_t size = 0;
    Result<void> failure;
    STENTOR_TRY_VOID(row.for_each([&](Seq seq, ByteView record) {
        auto head = head_of(record);
        if (!head) {
            failure = head.error();
            return false;
        }
        if (!*head) return true;
        made.entries_.push_back({.seq = seq,
                                 .record = record,
                                 .topic = (*head)->topic,
                                 .for_durable_sessions = (*head)->for_durable_sessions});
        size += record.size();
        return true;
    }));
    STENTOR_TRY_VOID(failure);
    made.bytes_.reserve(size);
    for (Entry& entry : made.entries_) {
        const ByteView original = entry.record;
        const std::size_t at = made.bytes_.size();
        made.bytes_.insert(made.bytes_.end(), original.begin(), original.end());
        entry.record = ByteView{made.bytes_}.subspan(at, original.size());
        const std::size_t topic_at = offset_in(original, entry.topic);
        entry.topic = as_text(entry.record.subspan(topic_at, entry.topic.size()));
    }
    return made;
}

std::span<CachedRow::Entry> CachedRow::entries_from(Seq seq) noexcept {
    const auto first =
        std::lower_bound(entries_.begin(), entries_.end(), seq, [](const Entry& entry, Seq wanted) {
            return entry.seq < wanted;
        });
    return {first, entries_.end()};
}

Result<MessagePtr> CachedRow::message_at(Seq seq) {
    const std::span<Entry> entries = entries_from(seq);
    if (entries.empty() || entries.front().seq != seq) return MessagePtr{};
    return message(entries.front());
}

Result<MessagePtr> CachedRow::message(Entry& entry) {
    if (entry.message == nullptr) {
        STENTOR_TRY(Record record, parse_stored(entry.record));
        entry.message = std::move(std::get<MessageRecord>(record).message);
    }
    return entry.message;
}

std::size_t CachedRow::cost_bytes() const noexcept {
    return 2 * bytes_.size() + entries_.size() * (sizeof(Entry) + sizeof(mqtt::Message));
}

CachedRow* RowCache::find(const Segment& segment, Seq seq) {
    auto place = by_first_.upper_bound({segment.get(), seq});
    if (place == by_first_.begin()) return nullptr;
    --place;
    if (place->first.first != segment.get() || place->second->row.last() < seq) return nullptr;
    slots_.splice(slots_.begin(), slots_, place->second);
    return &slots_.front().row;
}

CachedRow& RowCache::add(const Segment& segment, CachedRow row) {
    const auto same = by_first_.find({segment.get(), row.first()});
    if (same != by_first_.end()) drop(same->second);
    bytes_ += row.cost_bytes() + kSlotBytes;
    slots_.push_front({.segment = segment, .row = std::move(row)});
    by_first_.emplace(Key{segment.get(), slots_.front().row.first()}, slots_.begin());
    while (bytes_ > bytes_max_ && slots_.size() > 1) drop(std::prev(slots_.end()));
    return slots_.front().row;
}

void RowCache::forget_removed() {
    for (auto slot = slots_.begin(); slot != slots_.end();) {
        const auto here = slot++;
        if (here->segment->is_removed()) drop(here);
    }
}

void RowCache::drop(std::list<Slot>::iterator slot) {
    bytes_ -= slot->row.cost_bytes() + kSlotBytes;
    by_first_.erase({slot->segment.get(), slot->row.first()});
    slots_.erase(slot);
}

}  // namespace stentor::store
