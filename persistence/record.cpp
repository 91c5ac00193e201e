#include "persistence/record.hpp"

#include <variant>

namespace stentor::store {
namespace {

// held_bytes(): what a record holds beside itself.

std::size_t held_bytes(const DeliveryState& state) noexcept {
    return state.client.size() + state.done.size() * sizeof(PacketId) +
           state.changed.size() * sizeof(Unfinished);
}

std::size_t held_bytes(const MessageRecord& record) noexcept {
    return record.message->bytes() + record.fires_will_of.size() +
           (record.inbound ? record.inbound->client.size() : 0);
}

std::size_t held_bytes(const Attached& record) noexcept {
    return record.client.size() + record.user.size() +
           (record.will ? record.will->message->bytes() : 0);
}

std::size_t held_bytes(const Detached& record) noexcept {
    return record.client.size() + held_bytes(record.delivery);
}

std::size_t held_bytes(const RetainedReplay& record) noexcept {
    return record.client.size() + record.filter.size() + record.next_topic.size() +
           held_bytes(record.delivery);
}

std::size_t held_bytes(const Subscribed& record) noexcept {
    std::size_t bytes = record.client.size();
    for (const SubscriptionRecord& subscription : record.subscriptions) {
        bytes += sizeof(SubscriptionRecord) + subscription.filter.size();
    }
    return bytes;
}

std::size_t held_bytes(const Unsubscribed& record) noexcept {
    std::size_t bytes = record.client.size();
    for (const std::string& filter : record.filters) bytes += sizeof(std::string) + filter.size();
    return bytes;
}

std::size_t held_bytes(const InboundForgotten& record) noexcept { return record.client.size(); }
std::size_t held_bytes(const SessionEnded& record) noexcept { return record.client.size(); }
std::size_t held_bytes(const WillForgotten& record) noexcept { return record.client.size(); }
std::size_t held_bytes(const RetainedForgotten& record) noexcept { return record.topic.size(); }

}  // namespace

std::size_t record_bytes(const Record& record) noexcept {
    return sizeof(Record) +
           std::visit([](const auto& alternative) { return held_bytes(alternative); }, record);
}

}  // namespace stentor::store
