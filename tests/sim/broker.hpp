#pragma once
// The broker of a simulation: shards, mailboxes, interest table and the simulated store, stepped in
// whatever order the simulation likes; and the mistakes that can be planted at its seams.
// One thread.

#include "base/clock.hpp"
#include "base/random.hpp"
#include "server/core/access.hpp"
#include "server/core/interest_table.hpp"
#include "server/core/placement.hpp"
#include "server/shard/mailbox.hpp"
#include "server/shard/shard.hpp"
#include "tests/sim/store.hpp"
#include "tests/sim/wire.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace stentor::sim {

/// Mistakes that the simulation must find (docs/testing.md).
enum class Mutation : std::uint8_t {
    none,
    ticket_before_group,    // rule 2: a ticket is answered before all shards have the group
    two_mailboxes,          // rule 2: groups and messages in two queues, polled in turn
    page_claims_too_much,   // rule 3: a page says it is complete as far as the log goes
    trims_too_much,         // the log lets go of what is still needed
    forgets_commits,        // rule 1: what was acknowledged is not on the disk
    looks_at_old_interest,  // rule 7: a message sees the interest of the one before it
    posts_after_commits,    // rule 8: messages for other shards leave a turn after the batch
};

/// The authentication method TEST: it asks "question", takes "answer" for an answer and asks again
/// after "more"; "answer-60s" and "answer-200s" are good for so long. Without data from the client,
/// too. slow: the verdict comes through the mailbox.
enum class TestMethod : std::uint8_t { none, prompt, slow };

struct BrokerOptions {
    std::uint64_t seed = 0;
    std::uint16_t shards = 2;
    store::AcknowledgeAfter acknowledge_after = store::AcknowledgeAfter::disk;
    store::SimulatedFaults faults;
    bool slow_pages = false;
    std::size_t mailbox_messages_max = 1000;
    std::size_t mailbox_bytes_max = std::size_t{8} << 20U;
    server::ShardOptions shard;
    unsigned slow_admission_per_mille = 0;
    Mutation mutation = Mutation::none;
    TestMethod test_method = TestMethod::none;
    StoreMaker store = make_simulated_store;
    std::uint64_t log_positions_max = 0;  // sessions further behind give way; 0: nobody does
};

class Broker {
  public:
    Broker(const BrokerOptions& options, const Instant& now);
    ~Broker();
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;

    void accept(std::size_t shard, const WirePtr& wire);
    /// Into a shard's mailbox, as another thread would.
    void post(std::size_t shard, server::ShardMessage message) {
        mailboxes_[shard]->push_reserved(std::move(message));
    }
    /// The loop of one shard goes round once.
    void run_shard(std::size_t shard);
    /// The same of a driver that has not looked at its connections yet.
    void step_unheard(std::size_t shard) { shards_[shard]->step(*now_); }
    void run_engine();
    /// Admissions that took their time, groups that a mutation holds back.
    void run_others();

    /// Everything in memory is gone; the store survives as it can. A new process begins.
    void crash();
    /// From another thread.
    void tell(std::size_t shard, server::ShardMessage message) {
        mailboxes_[shard]->push_reserved(std::move(message));
    }
    /// Drain, as at a stop of the process; false if something did not end.
    [[nodiscard]] bool drain();

    /// From here on nothing fails and nothing is late.
    void be_gentle();

    [[nodiscard]] std::size_t shards() const noexcept { return shards_.size(); }
    [[nodiscard]] const server::Shard& shard(std::size_t i) const { return *shards_[i]; }
    [[nodiscard]] const Store& store() const noexcept { return *store_; }
    /// After drain(): what the store has lost by being closed.
    [[nodiscard]] std::optional<std::string> lost_when_closed() {
        return store_->lost_when_closed();
    }
    [[nodiscard]] const server::InterestTable& interest() const noexcept { return *interest_; }
    /// Nothing waits for anything but time.
    [[nodiscard]] bool idle() const;
    /// Deliveries counted as lost to a bound, by this process and those before.
    [[nodiscard]] std::uint64_t lost_to_bounds() const;
    [[nodiscard]] std::size_t wires(std::size_t shard) const { return transports_[shard]->size(); }
    /// The largest outbox that was ever to be written.
    [[nodiscard]] std::size_t most_offered(std::size_t shard) const {
        return transports_[shard]->most_offered();
    }

  private:
    class Sink;
    class Engine;
    class Access;
    class LatePost;

    void start();
    void hand_over();
    [[nodiscard]] std::span<server::Mailbox* const> known_by(std::size_t shard) const;

    BrokerOptions options_;
    const Instant* now_;
    Random random_;
    bool gentle_ = false;
    std::uint64_t lost_before_ = 0;  // by processes that have ended
    std::unique_ptr<Store> store_;
    std::unique_ptr<Engine> faulty_engine_;
    std::unique_ptr<Access> access_;
    server::Placement placement_;
    std::unique_ptr<server::InterestTable> interest_;
    std::vector<std::unique_ptr<server::Mailbox>> mailboxes_;
    std::vector<server::Mailbox*> mailbox_pointers_;
    std::unique_ptr<LatePost> late_post_;
    std::unique_ptr<Sink> sink_;
    std::vector<std::unique_ptr<WireTransport>> transports_;
    std::vector<std::unique_ptr<server::Shard>> shards_;
};

}  // namespace stentor::sim
