#pragma once
// From the HTTP API to the shards and back: hands a request's messages to one of them by mailbox
// and waits until all are where they belong (on disk, if they go to the log). publish() is for the
// HTTP server's thread; published() is called on the shards'.
//
// Bounds: Patience. While shards are behind or their mailboxes full, a request waits for room, as
// MQTT's publishers wait. What waits is bounded by the requests under way.

#include "server/shard/mailbox.hpp"
#include "server/shard/publish_job.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

namespace stentor::admin {

class Publisher final : public server::PublishSink {
  public:
    struct Patience {
        std::chrono::milliseconds for_room{5'000};
        std::chrono::milliseconds for_answer{30'000};
    };
    /// `mailboxes` by ShardId; they outlive this object, and so does `io`. When this object is
    /// destroyed no mailbox holds a job of it any more.
    Publisher(boost::asio::io_context& io,
              std::span<server::Mailbox* const> mailboxes,
              Patience patience) noexcept
        : io_{io}, mailboxes_{mailboxes}, patience_{patience} {}
    ~Publisher() = default;
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    enum class How : std::uint8_t {
        done,     // an outcome for each message, in their order
        busy,     // nothing was published: the shards have too much to do
        unknown,  // the store failed or took too long: what became of them is not known
    };
    struct Published {
        How how = How::unknown;
        std::vector<server::PublishOutcome> outcomes = {};
    };
    /// In their order, and before what is published after this has returned.
    [[nodiscard]] boost::asio::awaitable<Published> publish(server::PublishJob::Messages messages);

    void published(std::uint64_t cookie,
                   std::vector<server::PublishOutcome> outcomes) noexcept override;

  private:
    struct Waiting {
        explicit Waiting(boost::asio::io_context& io) : answered{io} {}
        boost::asio::steady_timer answered;  // cancelled when it is so
        std::vector<server::PublishOutcome> outcomes;
    };
    [[nodiscard]] bool push(server::ShardMessage& message);

    static constexpr std::chrono::milliseconds kLookAgain{5};

    boost::asio::io_context& io_;
    std::span<server::Mailbox* const> mailboxes_;
    const Patience patience_;
    std::unordered_map<std::uint64_t, Waiting*> waiting_;  // by cookie; in publish()'s frames
    std::uint64_t next_cookie_ = 1;
    std::size_t next_shard_ = 0;
};

}  // namespace stentor::admin
