#include "protocol/session/client/outbound_store.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <span>

namespace stentor::mqtt {
namespace {

// One message of this size must not keep its memory for good.
constexpr std::size_t kKeptCapacityBytesMax = std::size_t{64} * 1024;

}  // namespace

OutboundStore::OutboundStore(PacketId first) noexcept : first_{first.value()} {
    STENTOR_ASSERT(first != kNoPacketId);
}

Publish OutboundStore::Slot::publish(PacketId packet_id) const noexcept {
    const ByteView all{stored};
    return {.topic = as_text(all.first(topic_bytes)),
            .payload = all.subspan(std::size_t{topic_bytes} + property_bytes),
            .qos = qos,
            .dup = sent_before,
            .retain = retain,
            .packet_id = packet_id,
            .properties = all.subspan(topic_bytes, property_bytes)};
}

PacketId OutboundStore::id_of(std::size_t slot) const noexcept {
    // Slot 0 has identifier first_; they go round from 65535 to 1.
    return PacketId{static_cast<std::uint16_t>((slot + first_ - 1U) % kSlotsMax + 1U)};
}

OutboundStore::Slot* OutboundStore::find(PacketId packet_id) noexcept {
    if (packet_id == kNoPacketId) return nullptr;
    const std::size_t slot = (std::size_t{packet_id.value()} + kSlotsMax - first_) % kSlotsMax;
    if (slot >= slots_.size() || slots_[slot].phase == Phase::free) return nullptr;
    return &slots_[slot];
}

PacketId OutboundStore::take(Phase phase) {
    STENTOR_ASSERT(!full());
    std::size_t index = 0;
    if (free_head_ != 0) {
        index = free_head_ - 1U;
        free_head_ = slots_[index].next_free;
        if (free_head_ == 0) free_tail_ = 0;
    } else {
        index = slots_.size();
        slots_.emplace_back();
    }
    ++in_use_;
    auto& slot = slots_[index];
    slot.phase = phase;
    slot.sent_before = false;
    touch(slot);
    return id_of(index);
}

PacketId OutboundStore::keep(const Publish& packet, std::uint64_t token) {
    const auto packet_id = take(Phase::waiting);
    auto& slot = *find(packet_id);
    slot.qos = packet.qos;
    slot.retain = packet.retain;
    slot.token = token;
    const auto topic = as_bytes(packet.topic);
    slot.topic_bytes = static_cast<std::uint32_t>(topic.size());
    slot.property_bytes = static_cast<std::uint32_t>(packet.properties.size());
    slot.stored.reserve(topic.size() + packet.properties.size() + packet.payload.size());
    slot.stored.assign(topic.begin(), topic.end());
    slot.stored.insert(slot.stored.end(), packet.properties.begin(), packet.properties.end());
    slot.stored.insert(slot.stored.end(), packet.payload.begin(), packet.payload.end());
    return packet_id;
}

void OutboundStore::release(PacketId packet_id) noexcept {
    auto* slot = find(packet_id);
    STENTOR_ASSERT(slot != nullptr);
    slot->phase = Phase::free;
    slot->stored.clear();
    if (slot->stored.capacity() > kKeptCapacityBytesMax) Bytes{}.swap(slot->stored);
    slot->next_free = 0;
    const auto entry = static_cast<std::uint32_t>(slot - slots_.data()) + 1U;
    if (free_tail_ == 0) {
        free_head_ = entry;
    } else {
        slots_[free_tail_ - 1U].next_free = entry;
    }
    free_tail_ = entry;
    --in_use_;
}

void OutboundStore::collect(Phase phase, std::vector<PacketId>& out) const {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i].phase == phase) found.push_back(i);
    }
    std::ranges::sort(found, {}, [this](std::size_t i) { return slots_[i].order; });
    for (const auto i : found) out.push_back(id_of(i));
}

}  // namespace stentor::mqtt
