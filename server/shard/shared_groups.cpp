#include "server/shard/shared_groups.hpp"

#include "protocol/codec/encoder.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace stentor::server {

namespace {

using Choice = SharedGroups::Choice;

template <class HasRoom>
Choice next_member(SharedGroups::Group& group,
                   const mqtt::Message& message,
                   HasRoom has_room) noexcept {
    Choice choice;
    for (std::size_t tried = 0; tried < group.members.size(); ++tried) {
        group.next = (group.next + 1) % group.members.size();
        SharedGroups::Member& member = group.members[group.next];
        if (!has_room(member)) continue;
        if (SharedGroups::fits(member.terms, message)) return {Choice::Why::found, &member};
        choice.why = Choice::Why::too_large;
    }
    return choice;
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
    member->terms = join.terms;
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

bool SharedGroups::fits(const ShareTerms& terms, const mqtt::Message& message) noexcept {
    const std::span<const std::uint32_t> identifier{&terms.subscription_identifier, 1};
    const mqtt::PublishDelivery delivery{
        .qos = std::min(terms.qos, message.qos()),
        // Whatever is left of it takes as much space.
        .message_expiry_left_seconds = message.message_expiry_seconds(),
        .subscription_identifiers =
            terms.subscription_identifier == 0 ? identifier.first(0) : identifier};
    return mqtt::publish_fits(terms.version, message, delivery, terms.packet_bytes_max);
}

Choice SharedGroups::pick(Group& group, const mqtt::Message& message) noexcept {
    Choice choice =
        next_member(group, message, [](const Member& member) { return member.has_room(); });
    if (choice.why != Choice::Why::too_large) return choice;
    const auto can_take = [&](const Member& member) {
        return !member.away && fits(member.terms, message);
    };
    if (std::any_of(group.members.begin(), group.members.end(), can_take)) {
        choice.why = Choice::Why::others_only;
    }
    return choice;
}

Choice SharedGroups::pick_connected(Group& group, const mqtt::Message& message) noexcept {
    return next_member(group, message, [](const Member& member) { return !member.away; });
}

void SharedGroups::append(Group& group, Waiting message) {
    group.waiting_bytes += message.message->bytes();
    waiting_bytes_ += message.message->bytes();
    group.waiting.push_back(std::move(message));
}

SharedGroups::Waiting SharedGroups::take_first(Group& group, Line line) noexcept {
    Waiting first;
    auto& sorted = line == Line::set_aside ? group.set_aside : group.returned;
    if (const auto oldest = sorted.begin(); oldest != sorted.end()) {
        first = {std::move(oldest->second), oldest->first.first};
        sorted.erase(oldest);
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
    group.returned.emplace(std::pair{message.seq, group.keys++}, std::move(message.message));
}

void SharedGroups::set_first_aside(Group& group) {
    Waiting first = take_first(group, Line::usual);
    group.waiting_bytes += first.message->bytes();
    waiting_bytes_ += first.message->bytes();
    group.set_aside.emplace(std::pair{first.seq, group.keys++}, std::move(first.message));
}

std::optional<Seq> SharedGroups::Group::lowest() const {
    std::optional<Seq> lowest;
    const auto consider = [&](Seq seq) { lowest = lowest ? std::min(*lowest, seq) : seq; };
    for (const auto* sorted : {&returned, &set_aside}) {
        const auto first = sorted->lower_bound({stentor::next(kNoSeq), 0});
        if (first != sorted->end()) consider(first->first.first);
    }
    const auto first = std::find_if(
        waiting.begin(), waiting.end(), [](const Waiting& each) { return each.seq != kNoSeq; });
    if (first != waiting.end()) consider(first->seq);
    return lowest;
}

}  // namespace stentor::server
