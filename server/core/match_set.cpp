#include "server/core/match_set.hpp"

#include <algorithm>

namespace stentor::server {

std::size_t MatchSet::size() const noexcept {
    std::size_t entries = 0;
    for (const Source source : sources_) entries += source.size();
    return entries;
}

const Subscriber& MatchGroups::Group::Iterator::operator*() const noexcept {
    return *groups_->entries_[entry_].subscriber;
}

MatchGroups::Group::Iterator& MatchGroups::Group::Iterator::operator++() noexcept {
    entry_ = groups_->entries_[entry_].next;
    return *this;
}

MatchGroups::Last& MatchGroups::last_of(SubscriberId id) {
    std::vector<Last>& slots = id.is_shared_group() ? shared_groups_ : sessions_;
    if (id.slot() >= slots.size()) {
        slots.resize(std::max<std::size_t>(std::size_t{id.slot()} + 1, slots.size() * 2));
    }
    return slots[id.slot()];
}

void MatchGroups::assign(const MatchSet& matches) {
    entries_.clear();
    firsts_.clear();
    if (++round_ == 0) {  // every 2^32 rounds: old marks could look new
        std::fill(sessions_.begin(), sessions_.end(), Last{});
        std::fill(shared_groups_.begin(), shared_groups_.end(), Last{});
        round_ = 1;
    }
    for (const MatchSet::Source source : matches.sources()) {
        for (const Subscriber& subscriber : source) {
            const auto entry = static_cast<std::uint32_t>(entries_.size());
            entries_.push_back({.subscriber = &subscriber, .next = kNone});
            Last& last = last_of(subscriber.id);
            if (last.round == round_) {
                entries_[last.entry].next = entry;
            } else {
                firsts_.push_back(entry);
            }
            last = {.round = round_, .entry = entry};
        }
    }
}

}  // namespace stentor::server
