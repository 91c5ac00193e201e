#include "server/shard/session_table.hpp"

#include "base/assert.hpp"

#include <utility>

namespace stentor::server {

SessionTable::~SessionTable() {
    for (RestingSession& resting : resting_) resting.reset(blocks_);
}

SessionEntry* SessionTable::find(std::string_view client_id) {
    const auto at = by_client_.find(client_id);
    if (at == by_client_.end()) return nullptr;
    const std::uint32_t slot = *at;
    return awake_[slot] != nullptr ? awake_[slot].get() : &wake(slot);
}

SessionEntry* SessionTable::same(std::uint32_t slot, std::uint32_t generation) {
    if (const RestingSession* here = resting(slot)) {
        return generation >= here->born() ? &wake(slot) : nullptr;
    }
    SessionEntry* entry = at(slot);
    return entry != nullptr && generation >= entry->born ? entry : nullptr;
}

SessionEntry& SessionTable::wake(std::uint32_t slot) {
    STENTOR_ASSERT(resting(slot) != nullptr);
    auto entry = std::make_unique<SessionEntry>();
    resting_[slot].wake(*entry);
    entry->slot = slot;
    resting_[slot].reset(blocks_);
    --at_rest_;
    awake_[slot] = std::move(entry);
    ++awake_count_;
    return *awake_[slot];
}

void SessionTable::rest(SessionEntry& entry) {
    const std::uint32_t slot = entry.slot;
    resting_[slot] = RestingSession{entry, blocks_};
    ++at_rest_;
    awake_[slot].reset();
    --awake_count_;
}

SessionEntry& SessionTable::create(std::string client_id) {
    STENTOR_ASSERT(!by_client_.contains(std::string_view{client_id}));
    std::uint32_t slot = 0;
    if (free_.empty()) {
        slot = static_cast<std::uint32_t>(awake_.size());
        awake_.emplace_back();
        resting_.emplace_back();
        generations_.push_back(0);
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    awake_[slot] = std::make_unique<SessionEntry>();
    ++awake_count_;
    SessionEntry& entry = *awake_[slot];
    entry.client_id = std::move(client_id);
    entry.slot = slot;
    entry.born = generations_[slot];
    entry.generation = generations_[slot];
    by_client_.insert(slot);
    return entry;
}

void SessionTable::erase(SessionEntry& entry) {
    const std::uint32_t slot = entry.slot;
    generations_[slot] = entry.generation + 1;
    by_client_.erase(by_client_.find(std::string_view{entry.client_id}));
    awake_[slot].reset();
    --awake_count_;
    free_.push_back(slot);
}

}  // namespace stentor::server
