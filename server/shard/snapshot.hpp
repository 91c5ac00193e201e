#pragma once
// How a shard fares, for metrics and $SYS: asked by mailbox (TakeSnapshot), answered with a value
// that costs the shard a copy of its counters and nothing per client.

#include "base/ids.hpp"
#include "server/shard/counters.hpp"
#include "server/shard/transport_port.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stentor::server {

struct ShardSnapshot {
    Counters counters;
    Traffic traffic;
    std::vector<std::uint32_t> connections;  // open, by listener
    std::size_t inflight_messages = 0;       // QoS 1 and 2, to who is connected
    std::size_t sessions_connected = 0;
    std::size_t sessions_away = 0;
    std::size_t subscriptions = 0;
    std::size_t shared_groups = 0;
    std::size_t retained_messages = 0;
    std::uint64_t log_messages = 0;  // of the store, which all shards share
};

class SnapshotSink {
  public:
    /// On the shard's thread; must not block. `cookie` is the question's.
    virtual void snapshot(ShardId shard, std::uint64_t cookie, ShardSnapshot snapshot) noexcept = 0;

  protected:
    ~SnapshotSink() = default;
};

}  // namespace stentor::server
