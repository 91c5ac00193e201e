#include "server/admin/retained_merge.hpp"

#include "base/assert.hpp"
#include "protocol/topic/level_order.hpp"

#include <string_view>
#include <utility>

namespace stentor::admin {

RetainedMerge::RetainedMerge(std::size_t shards, const std::string& next_topic)
    : sources_(shards, Source{.cursor = {.next_topic = next_topic}}) {}

std::optional<ShardId> RetainedMerge::shard_to_ask() const {
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        if (sources_[i].items.empty() && !sources_[i].cursor.done) {
            return ShardId{static_cast<std::uint16_t>(i)};
        }
    }
    return std::nullopt;
}

void RetainedMerge::add(ShardId shard, server::RetainedFound found) {
    Source& source = sources_[shard.value()];
    source.cursor = std::move(found.cursor);
    for (std::size_t i = 0; i < found.values.size(); ++i) {
        source.items.push_back({.value = std::move(found.values[i]), .wanted = found.wanted[i]});
    }
}

std::optional<RetainedMerge::Item> RetainedMerge::next() {
    STENTOR_ASSERT(!shard_to_ask());
    Source* first = nullptr;
    for (Source& source : sources_) {
        if (source.items.empty()) continue;
        if (first == nullptr ||
            mqtt::level_order(source.items.front().value.message->topic(),
                              first->items.front().value.message->topic()) < 0) {
            first = &source;
        }
    }
    if (first == nullptr) return std::nullopt;
    Item item = std::move(first->items.front());
    first->items.pop_front();
    return item;
}

std::optional<std::string> RetainedMerge::next_topic() const {
    std::optional<std::string_view> lowest;
    for (const Source& source : sources_) {
        std::string_view here = source.cursor.next_topic;
        if (!source.items.empty()) {
            here = source.items.front().value.message->topic();
        } else if (source.cursor.done) {
            continue;
        }
        if (!lowest || mqtt::level_order(here, *lowest) < 0) lowest = here;
    }
    if (!lowest) return std::nullopt;
    return std::string{*lowest};
}

}  // namespace stentor::admin
