#pragma once
// Messages published by somebody who has no connection here (the HTTP API), on their way through
// one shard, and what has become of each. Who may publish was asked before.
// Made on any thread; from Mailbox::push() on it is the shard's, on whose thread the sink is
// called.

#include "base/ids.hpp"
#include "base/intrusive.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace stentor::server {

struct PublishOutcome {
    /// success or no_matching_subscribers: done, and on disk if `seq` says that it is in the log.
    mqtt::ReasonCode reason = mqtt::ReasonCode::success;
    Seq seq = kNoSeq;      // unlogged
    bool live = false;     // somebody subscribes to it
    bool durable = false;  // durable sessions do, and it waits in the log for those that are away
};

class PublishSink {
  public:
    /// Once for each job, `cookie` is the job's: an outcome for each of its messages in their
    /// order, or none at all if nobody knows any more, because the store failed or the shard has
    /// ended. On the shard's thread, or on the one that destroys the job; must not block.
    virtual void published(std::uint64_t cookie, std::vector<PublishOutcome> outcomes) noexcept = 0;

  protected:
    ~PublishSink() = default;
};

class PublishJob : public Counted<PublishJob> {
  public:
    using Messages = std::vector<IntrusivePtr<const mqtt::Message>>;

    /// At least one message. `sink` outlives the job.
    [[nodiscard]] static IntrusivePtr<PublishJob> make(PublishSink& sink,
                                                       std::uint64_t cookie,
                                                       Messages messages) {
        return IntrusivePtr<PublishJob>::adopt(new PublishJob(sink, cookie, std::move(messages)));
    }

    /// It has not been pushed: gives its messages back, and the sink is not told.
    [[nodiscard]] Messages withdraw() noexcept {
        unsettled_ = 0;
        return std::move(messages_);
    }

    [[nodiscard]] const Messages& messages() const noexcept { return messages_; }
    [[nodiscard]] PublishOutcome& outcome(std::size_t at) noexcept { return outcomes_[at]; }

    /// The shard's: of a job's messages none overtakes another that is on its way to the log.
    void began_logging() noexcept { ++logging_; }
    void ended_logging() noexcept { --logging_; }
    [[nodiscard]] bool is_logging() const noexcept { return logging_ != 0; }

    /// The outcome of one more message stands. With the last one the sink is told.
    void settle() {
        if (--unsettled_ == 0) sink_.published(cookie_, std::move(outcomes_));
    }

  private:
    friend Counted<PublishJob>;
    PublishJob(PublishSink& sink, std::uint64_t cookie, Messages messages)
        : sink_{sink},
          cookie_{cookie},
          messages_{std::move(messages)},
          outcomes_(messages_.size()),
          unsettled_{messages_.size()} {}
    ~PublishJob() {
        if (unsettled_ != 0) sink_.published(cookie_, {});
    }

    PublishSink& sink_;
    const std::uint64_t cookie_;
    Messages messages_;
    std::vector<PublishOutcome> outcomes_;
    std::size_t unsettled_;
    std::size_t logging_ = 0;
};

using PublishJobPtr = IntrusivePtr<PublishJob>;

}  // namespace stentor::server
