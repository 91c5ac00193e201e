#include "server/shard/shared_groups.hpp"

#include <algorithm>

namespace stentor::server {

namespace {

bool same_session(const SharedMember& a, const SharedMember& b) noexcept {
    return a.shard == b.shard && a.slot == b.slot;
}

}  // namespace

SharedGroups::Joined SharedGroups::join(const SharedJoin& join) {
    const auto [at, is_new] = by_name_.try_emplace(Key{join.share_name, join.filter}, 0);
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
        group.share_name = join.share_name;
        group.filter = join.filter;
        group.slot = at->second;
    }
    Group& group = *slots_[at->second];
    const auto member =
        std::find_if(group.members.begin(), group.members.end(), [&](const Member& m) {
            return same_session(m.who, join.member);
        });
    const Member value{join.member, join.options, join.subscription_identifier, join.away};
    if (member == group.members.end()) {
        group.members.push_back(value);
    } else {
        *member = value;
    }
    return {&group, is_new};
}

SharedGroups::Group* SharedGroups::leave(const SharedLeave& leave) {
    const auto at = by_name_.find(Key{leave.share_name, leave.filter});
    if (at == by_name_.end()) return nullptr;
    Group& group = *slots_[at->second];
    const auto member =
        std::find_if(group.members.begin(), group.members.end(), [&](const Member& m) {
            return same_session(m.who, leave.member);
        });
    if (member == group.members.end() || member->who.generation > leave.member.generation) {
        return nullptr;
    }
    if (leave.away) {
        member->away = true;
        return nullptr;
    }
    group.members.erase(member);
    return group.members.empty() ? &group : nullptr;
}

void SharedGroups::erase(Group& group) {
    const std::uint32_t slot = group.slot;
    by_name_.erase(Key{group.share_name, group.filter});
    slots_[slot].reset();
    free_.push_back(slot);
}

const SharedGroups::Member* SharedGroups::pick(Group& group) noexcept {
    for (std::size_t tried = 0; tried < group.members.size(); ++tried) {
        group.next = (group.next + 1) % group.members.size();
        if (!group.members[group.next].away) return &group.members[group.next];
    }
    return nullptr;
}

}  // namespace stentor::server
