#include "server/shard/session_table.hpp"

#include <algorithm>

namespace stentor::server {

Subscription* SessionEntry::find(std::string_view text) {
    const auto at = std::lower_bound(
        subscriptions.begin(), subscriptions.end(), text, [](const Subscription& s, auto key) {
            return s.text < key;
        });
    return at != subscriptions.end() && at->text == text ? &*at : nullptr;
}

const Subscription* SessionEntry::find_share(std::uint64_t key) const noexcept {
    const auto at = std::find_if(subscriptions.begin(),
                                 subscriptions.end(),
                                 [&](const Subscription& s) { return s.share_key == key; });
    return at != subscriptions.end() ? &*at : nullptr;
}

SessionEntry* SessionTable::find(std::string_view client_id) {
    const auto at = by_client_.find(client_id);
    return at == by_client_.end() ? nullptr : slots_[at->second].get();
}

SessionEntry& SessionTable::create(std::string client_id) {
    STENTOR_ASSERT(!by_client_.contains(client_id));
    std::uint32_t slot = 0;
    if (free_.empty()) {
        slot = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
        generations_.push_back(0);
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    slots_[slot] = std::make_unique<SessionEntry>();
    SessionEntry& entry = *slots_[slot];
    entry.client_id = std::move(client_id);
    entry.slot = slot;
    entry.born = generations_[slot];
    entry.generation = generations_[slot];
    by_client_.emplace(entry.client_id, slot);
    return entry;
}

void SessionTable::erase(SessionEntry& entry) {
    const std::uint32_t slot = entry.slot;
    generations_[slot] = entry.generation + 1;
    by_client_.erase(std::string_view{entry.client_id});
    slots_[slot].reset();
    free_.push_back(slot);
}

}  // namespace stentor::server
