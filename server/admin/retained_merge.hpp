#pragma once
// The retained values of all shards in the order of their topics' levels, from pages of each.
// Pure. A value of one request.

#include "base/ids.hpp"
#include "server/shard/inquiry.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace stentor::admin {

class RetainedMerge {
  public:
    /// From `next_topic` on; empty: from the beginning.
    RetainedMerge(std::size_t shards, const std::string& next_topic);

    struct Item {
        server::RetainedValue value;
        bool wanted = false;
    };

    /// Whose next page is needed before next() can say more. Nothing: nobody's.
    [[nodiscard]] std::optional<ShardId> shard_to_ask() const;
    [[nodiscard]] const server::RetainedCursor& cursor(ShardId shard) const {
        return sources_[shard.value()].cursor;
    }
    void add(ShardId shard, server::RetainedFound found);

    /// The next one, or nothing at the end. Only when there is nobody to ask.
    [[nodiscard]] std::optional<Item> next();

    /// The topic with which a list goes on that ends here; nothing: this was all.
    [[nodiscard]] std::optional<std::string> next_topic() const;

  private:
    struct Source {
        server::RetainedCursor cursor;
        std::deque<Item> items = {};
    };
    std::vector<Source> sources_;  // by ShardId
};

}  // namespace stentor::admin
