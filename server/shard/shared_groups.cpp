#include "server/shard/shared_groups.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

namespace {

template <class Fits>
SharedGroups::Member* next_member(SharedGroups::Group& group, Fits fits) noexcept {
    for (std::size_t tried = 0; tried < group.members.size(); ++tried) {
        group.next = (group.next + 1) % group.members.size();
        if (fits(group.members[group.next])) return &group.members[group.next];
    }
    return nullptr;
}

}  // namespace

/// One session is one member, whatever its attachment.
SharedGroups::Member* SharedGroups::find_member(Group& group, const SharedMember& who) noexcept {
    const auto at = std::find_if(group.members.begin(), group.members.end(), [&](const Member& m) {
        return m.who.shard == who.shard && m.who.slot == who.slot;
    });
    return at == group.members.end() ? nullptr : &*at;
}

SharedGroups::Joined SharedGroups::join(const SharedJoin& join) {
    const auto [at, is_new] = by_key_.try_emplace(join.key, 0);
    if (is_new) {
        if (free_.empty()) {
            at->second = static_cast<std::uint32_t>(slots_.size());
            slots_.emplace_back();
        } else {
            at->second = free_.back();
            free_.pop_back();
        }
        slots_[at->second] = std::make_unique<Group>();
        Group& group = *slots_[at->second];
        group.key = join.key;
        group.filter = join.filter;
        group.slot = at->second;
    }
    Group& group = *slots_[at->second];
    Member* member = find_member(group, join.member);
    if (member == nullptr) {
        member = &group.members.emplace_back();
    } else if (member->who.generation != join.member.generation) {
        member->given = 0;
    }
    member->who = join.member;
    member->window = join.window;
    member->away = join.away;
    return {&group, is_new};
}

SharedGroups::Group* SharedGroups::leave(const SharedLeave& leave) {
    Group* group = find(leave.key);
    if (group == nullptr) return nullptr;
    Member* member = find_member(*group, leave.member);
    if (member == nullptr || member->who.generation > leave.member.generation) return nullptr;
    if (leave.away) {
        member->away = true;
        member->given = 0;
        return nullptr;
    }
    group->members.erase(group->members.begin() + (member - group->members.data()));
    return group->members.empty() ? group : nullptr;
}

void SharedGroups::erase(Group& group) {
    const std::uint32_t slot = group.slot;
    waiting_bytes_ -= group.waiting_bytes;
    by_key_.erase(group.key);
    slots_[slot].reset();
    free_.push_back(slot);
}

SharedGroups::Group* SharedGroups::find(std::uint64_t key) noexcept {
    const auto at = by_key_.find(key);
    return at == by_key_.end() ? nullptr : slots_[at->second].get();
}

SharedGroups::Group* SharedGroups::done(const SharedDone::Item& item) noexcept {
    Group* group = find(item.key);
    if (group == nullptr) return nullptr;
    Member* member = find_member(*group, item.member);
    if (member != nullptr) member->given -= std::min(member->given, item.messages);
    return group;
}

SharedGroups::Member* SharedGroups::pick(Group& group) noexcept {
    return next_member(group, [](const Member& member) { return member.has_room(); });
}

SharedGroups::Member* SharedGroups::pick_connected(Group& group) noexcept {
    return next_member(group, [](const Member& member) { return !member.away; });
}

void SharedGroups::append(Group& group, Waiting message) {
    group.waiting_bytes += message.message->bytes();
    waiting_bytes_ += message.message->bytes();
    group.waiting.push_back(std::move(message));
}

SharedGroups::Waiting SharedGroups::take_first(Group& group) noexcept {
    Waiting first;
    if (const auto oldest = group.returned.begin(); oldest != group.returned.end()) {
        first = {std::move(oldest->second), oldest->first.first};
        group.returned.erase(oldest);
    } else {
        first = std::move(group.waiting.front());
        group.waiting.pop_front();
    }
    group.waiting_bytes -= first.message->bytes();
    waiting_bytes_ -= first.message->bytes();
    return first;
}

void SharedGroups::put_back(Group& group, Waiting message) {
    group.waiting_bytes += message.message->bytes();
    waiting_bytes_ += message.message->bytes();
    group.returned.emplace(std::pair{message.seq, group.returns++}, std::move(message.message));
}

std::optional<Seq> SharedGroups::Group::lowest() const {
    const auto back = returned.lower_bound({stentor::next(kNoSeq), 0});
    if (back != returned.end()) return back->first.first;
    const auto first = std::find_if(
        waiting.begin(), waiting.end(), [](const Waiting& each) { return each.seq != kNoSeq; });
    if (first == waiting.end()) return std::nullopt;
    return first->seq;
}

}  // namespace stentor::server
