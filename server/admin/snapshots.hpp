#pragma once
// How all shards fare, gathered by mailbox: one question to each at most every `age_max`, however
// many ask meanwhile; they share the answer.
// take() is for the HTTP server's thread; snapshot() and retired() are called on others.
//
// Bounds: a shard that has not answered within `patience` (it is being replaced, or overloaded) is
// counted as silent, and what it said last stands for it.

#include "base/clock.hpp"
#include "server/shard/mailbox.hpp"
#include "server/shard/snapshot.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stentor::admin {

/// Of all shards together, since the broker's start.
struct Figures {
    server::ShardSnapshot all;
    std::size_t shards = 0;
    std::size_t silent = 0;
};

class Snapshots final : public server::SnapshotSink {
  public:
    /// `mailboxes` by ShardId; they outlive this object, and so does `io`.
    Snapshots(boost::asio::io_context& io, std::span<server::Mailbox* const> mailboxes);

    [[nodiscard]] boost::asio::awaitable<Figures> take();

    void snapshot(ShardId shard,
                  std::uint64_t cookie,
                  server::ShardSnapshot snapshot) noexcept override;
    /// The shard has ended, another one follows: what it counted stays counted.
    void retired(ShardId shard, const server::ShardSnapshot& last);

  private:
    void begin();
    void heard(ShardId shard, std::uint64_t cookie, server::ShardSnapshot snapshot);
    void conclude();

    static constexpr std::chrono::milliseconds kAgeMax{250};
    static constexpr std::chrono::milliseconds kPatience{2000};

    boost::asio::io_context& io_;
    std::span<server::Mailbox* const> mailboxes_;
    std::vector<server::ShardSnapshot> last_;  // by ShardId
    std::vector<bool> has_answered_;
    server::Counters retired_;
    Figures figures_;
    boost::asio::steady_timer concluded_;  // cancelled when it is so
    boost::asio::steady_timer patience_;
    Instant taken_at_ = Instant::min();
    std::uint64_t cookie_ = 0;
    std::size_t missing_ = 0;
    bool gathers_ = false;
};

/// Adds what `more` has counted.
void add(server::Counters& to, const server::Counters& more);

}  // namespace stentor::admin
