#pragma once
// One life of the store: an engine, the shards rebuilt from what it recovered, their threads.
// Replaced as a whole when the store has failed (docs/adr/0006-reopening-in-place.md); doors, loops
// and mailboxes stay and serve the next one.
// Owned by one thread; drain() may be called from any.

#include "persistence/contract/engine.hpp"
#include "server/admin/snapshots.hpp"
#include "server/app/gate.hpp"
#include "server/core/interest_table.hpp"
#include "server/core/placement.hpp"
#include "server/shard/mailbox.hpp"
#include "server/shard/shard.hpp"
#include "server/transport/door.hpp"
#include "server/transport/epoll_driver.hpp"
#include "server/transport/listener.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <thread>
#include <vector>

namespace stentor::app {

/// What outlives the groups and is used by the one that runs.
struct Surroundings {
    const server::Placement* placement = nullptr;
    Gate* gate = nullptr;
    std::span<const std::unique_ptr<server::EpollDriver>> drivers;  // one per shard, as mailboxes
    std::span<server::Mailbox* const> mailboxes;
    std::span<const server::Listener> listeners;
    std::span<const server::Door> doors;  // of the listeners
    server::SecondlyGate* connects = nullptr;
    admin::Snapshots* snapshots = nullptr;
};

class ShardGroup {
  public:
    /// `engine` has recovered `recovered` and was not started.
    ShardGroup(const Surroundings& around,
               server::ShardOptions options,
               std::unique_ptr<store::StorageEngine> engine,
               const store::Recovered& recovered,
               Instant now);
    ~ShardGroup();  // finish() has returned, or start() was not called
    ShardGroup(const ShardGroup&) = delete;
    ShardGroup& operator=(const ShardGroup&) = delete;

    /// Starts engine and threads: clients are served from here on. `sink` outlives finish().
    void start(store::CommitSink& sink);
    /// Tells every shard; the threads end when all clients have been told.
    void drain(const server::Drain& how);
    /// Waits for the threads, closes the engine and empties the mailboxes.
    void finish();

  private:
    const Surroundings around_;
    std::unique_ptr<store::StorageEngine> engine_;
    server::InterestTable interest_;
    std::vector<std::unique_ptr<server::Shard>> shards_;
    std::vector<std::thread> threads_;
    bool is_started_ = false;
};

}  // namespace stentor::app
