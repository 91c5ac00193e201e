#pragma once
// A shard's way to the log: records gathered during a tick, each with what is to happen once it is
// committed, submitted as one batch; and the batches on their way.
// One thread: the shard's.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "protocol/codec/reason_code.hpp"
#include "server/core/interest_table.hpp"
#include "server/shard/publish_job.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace stentor::server {

/// A session's attachment: who waits for a commit finds out whether it is still the same.
struct AttachmentRef {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
};

// What a record's commit (or failure) means to the shard. `activate` happens at the record's place
// in the commit stream, `acknowledge` when the ticket is done.
struct NothingToDo {};
struct AcknowledgePublish {
    AttachmentRef who;
    std::uint64_t ingress_ticket = 0;
    bool at_most_once = false;  // nothing to acknowledge
    PacketId kept;              // the identifier that the record keeps, of QoS 2
};
struct FinishAttach {
    AttachmentRef who;
};
struct FinishSubscribe;
struct FinishUnsubscribe;
struct ConfirmDelivery {
    AttachmentRef who;
    Seq sent_through;
};
struct ConfirmDetach {
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    Seq sent_through;
};
struct AnswerPublish {
    PublishJobPtr job;
    std::size_t at = 0;  // of its messages
};
struct AnswerPubrel {
    AttachmentRef who;
    PacketId packet_id;
};
/// Nobody waits for it, but it must get into the log sooner or later.
struct TryAgain {
    std::unique_ptr<store::Record> record;
};

using Action = std::variant<NothingToDo,
                            AcknowledgePublish,
                            FinishAttach,
                            std::unique_ptr<FinishSubscribe>,
                            std::unique_ptr<FinishUnsubscribe>,
                            ConfirmDelivery,
                            ConfirmDetach,
                            AnswerPublish,
                            AnswerPubrel,
                            TryAgain>;

struct PendingSubscription {
    std::string text;  // as the client wrote it
    mqtt::SubscriptionOptions options;
    mqtt::ReasonCode code =
        mqtt::ReasonCode::success;  // granted QoS, or why not; a refused one is in no record
    bool accepted = false;
    Durability durability = Durability::transient;  // the interest that was raised for it
    bool keeps_since = false;       // replaces the options of one that stays (rule 6)
    bool replays_retained = false;  // by its Retain Handling
    bool is_new = false;            // known when the record is committed
};

struct FinishSubscribe {
    FinishSubscribe() = default;
    FinishSubscribe(AttachmentRef ref, PacketId id) : who{ref}, packet_id{id} {}
    AttachmentRef who;
    PacketId packet_id;
    std::uint32_t subscription_identifier = 0;
    std::vector<PendingSubscription> subscriptions;
    std::uint64_t cookie = 0;       // of the joins below
    std::uint32_t joins_asked = 0;  // shared groups at home elsewhere, whose answer SUBACK awaits
    bool holds_replays = false;     // until it is in the log
    std::uint32_t edition = 0;      // of the rules it was judged by
};

struct FinishUnsubscribe {
    AttachmentRef who;
    PacketId packet_id;
    std::vector<std::string> filters;
    std::vector<mqtt::ReasonCode> codes;
    bool holds_replays = false;  // until it is in the log
};

class CommitQueue {
  public:
    CommitQueue(ShardId shard, store::StorageEngine& engine) : shard_{shard}, engine_{&engine} {
        batch_.shard = shard;
    }

    void add(store::Record record, Action action) {
        batch_.add(std::move(record));
        actions_.push_back(std::move(action));
    }

    [[nodiscard]] bool empty() const noexcept { return batch_.records.empty(); }
    /// Large enough to be submitted before the tick ends.
    [[nodiscard]] bool is_large() const noexcept {
        return batch_.bytes >= kBatchBytes || batch_.records.size() >= kBatchRecords;
    }
    [[nodiscard]] std::size_t batches_on_their_way() const noexcept { return on_their_way_.size(); }

    /// Submits what has gathered. Push::full: it stays; try again next tick and let nothing more
    /// in.
    [[nodiscard]] store::Push submit(Instant now) {
        if (batch_.records.empty()) return store::Push::ok;
        batch_.ticket = next_ticket_;
        batch_.at = now;
        if (engine_->submit(batch_) == store::Push::full) return store::Push::full;
        on_their_way_.push_back({next_ticket_++, std::move(actions_)});
        actions_.clear();
        batch_ = store::WriteBatch{};
        batch_.shard = shard_;
        return store::Push::ok;
    }

    /// The actions of the batch with that ticket, one per record. Batches end in order, so it is
    /// the oldest that has not been activated; asserted.
    [[nodiscard]] std::vector<Action>& actions_of(store::CommitTicket ticket) {
        for (OnItsWay& batch : on_their_way_) {
            if (batch.ticket == ticket) return batch.actions;
        }
        STENTOR_ASSERT(false, "a commit group names a batch that is not on its way");
        return on_their_way_.front().actions;
    }

    /// The oldest batch is done; its actions now belong to the caller.
    [[nodiscard]] std::vector<Action> finish(store::CommitTicket ticket) {
        STENTOR_ASSERT(!on_their_way_.empty() && on_their_way_.front().ticket == ticket);
        std::vector<Action> actions = std::move(on_their_way_.front().actions);
        on_their_way_.pop_front();
        return actions;
    }

  private:
    struct OnItsWay {
        store::CommitTicket ticket;
        std::vector<Action> actions;
    };
    static constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
    static constexpr std::size_t kBatchRecords = 4096;

    ShardId shard_;
    store::StorageEngine* engine_;
    store::WriteBatch batch_;
    std::vector<Action> actions_;
    std::deque<OnItsWay> on_their_way_;
    store::CommitTicket next_ticket_ = 1;
};

}  // namespace stentor::server
