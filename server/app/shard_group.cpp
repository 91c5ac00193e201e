#include "server/app/shard_group.hpp"

#include "base/assert.hpp"
#include "base/random.hpp"

#include <pthread.h>

#include <string>
#include <utility>

namespace stentor::app {

ShardGroup::ShardGroup(const Surroundings& around,
                       server::ShardOptions options,
                       std::unique_ptr<store::StorageEngine> engine,
                       const store::Recovered& recovered,
                       Instant now)
    : around_{around}, engine_{std::move(engine)} {
    const server::ShardShared shared{.interest = &interest_,
                                     .placement = around_.placement,
                                     .engine = engine_.get(),
                                     .access = around_.gate,
                                     .mailboxes = around_.mailboxes,
                                     .connects = around_.connects,
                                     .snapshots = around_.snapshots};
    for (std::size_t i = 0; i < around_.drivers.size(); ++i) {
        options.seed = random_seed();
        const ShardId id{static_cast<std::uint16_t>(i)};
        shards_.push_back(
            std::make_unique<server::Shard>(id, options, shared, *around_.drivers[i]));
        shards_.back()->recover(recovered, now);
    }
}

ShardGroup::~ShardGroup() { STENTOR_ASSERT(!is_started_, "finish() comes before"); }

void ShardGroup::start(store::CommitSink& sink) {
    is_started_ = true;
    engine_->start(sink);
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        threads_.emplace_back([this, i] {
            const std::string name = "shard-" + std::to_string(i);
            (void)::pthread_setname_np(::pthread_self(), name.c_str());
            around_.drivers[i]->run(
                *shards_[i], *around_.mailboxes[i], around_.listeners, around_.doors);
        });
    }
}

void ShardGroup::drain(const server::Drain& how) {
    for (server::Mailbox* mailbox : around_.mailboxes) mailbox->push_reserved(how);
}

void ShardGroup::finish() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    if (is_started_) engine_->drain_and_close();
    for (const auto& shard : shards_) {
        if (is_started_) around_.snapshots->retired(shard->id(), shard->snapshot());
    }
    is_started_ = false;
    around_.gate->forget_askers();
    std::vector<server::ShardMessage> left;
    for (server::Mailbox* mailbox : around_.mailboxes) {
        mailbox->handled(mailbox->drain(left));
        mailbox->drain_ahead(left);
    }
}

}  // namespace stentor::app
