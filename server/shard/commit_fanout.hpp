#pragma once
// From the store to the shards: every group to every mailbox, tickets and pages to whom they
// belong. The order of the calls is the order in each mailbox, which is what rule 2 asks for.
// Called on the store's thread.

#include "persistence/contract/engine.hpp"
#include "server/shard/mailbox.hpp"
#include "server/shard/shard_message.hpp"

#include <span>
#include <utility>

namespace stentor::server {

class CommitFanout final : public store::CommitSink {
  public:
    /// `mailboxes` by ShardId; they and what the span points to outlive this object.
    explicit CommitFanout(std::span<Mailbox* const> mailboxes) noexcept : mailboxes_{mailboxes} {}

    void group_committed(store::CommitGroupPtr group) override {
        const GroupCommitted message = server::group_committed(std::move(group));
        for (Mailbox* mailbox : mailboxes_) mailbox->push_reserved(message);
    }
    void ticket_done(ShardId shard, store::CommitTicket ticket, Result<void> result) override {
        mailboxes_[shard.value()]->push_reserved(TicketDone{ticket, result});
    }
    void page_read(ShardId shard, store::Page page) override {
        mailboxes_[shard.value()]->push_reserved(PageRead{std::move(page)});
    }

  private:
    std::span<Mailbox* const> mailboxes_;
};

}  // namespace stentor::server
