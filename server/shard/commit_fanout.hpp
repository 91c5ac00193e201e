#pragma once
// From the store to the shards: every group to every mailbox, tickets and pages to whom they
// belong. The order of the calls is the order in each mailbox, which is what rule 2 asks for.
// Called on the store's thread.

#include "persistence/contract/engine.hpp"
#include "server/shard/mailbox.hpp"
#include "server/shard/shard_message.hpp"

#include <utility>
#include <vector>

namespace stentor::server {

class CommitFanout : public store::CommitSink {
  public:
    /// `mailboxes` by ShardId, all there before the first call; they outlive this object.
    explicit CommitFanout(const std::vector<Mailbox*>& mailboxes) noexcept
        : mailboxes_{&mailboxes} {}

    void group_committed(store::CommitGroupPtr group) override {
        const GroupCommitted message = server::group_committed(std::move(group));
        for (Mailbox* mailbox : *mailboxes_) mailbox->push_reserved(message);
    }
    void ticket_done(ShardId shard, store::CommitTicket ticket, Result<void> result) override {
        (*mailboxes_)[shard.value()]->push_reserved(TicketDone{ticket, result});
    }
    void page_read(ShardId shard, store::Page page) override {
        (*mailboxes_)[shard.value()]->push_reserved(PageRead{std::move(page)});
    }

  private:
    const std::vector<Mailbox*>* mailboxes_;
};

}  // namespace stentor::server
