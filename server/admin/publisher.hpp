#pragma once
// From the HTTP API to the shards and back: hands a request's messages to one of them by mailbox
// and waits until all are where they belong (on disk, if they go to the log). publish() is for the
// HTTP server's thread; published() is called on the shards'.
//
// Bounds: messages from here whose fate is open, kOpenBytesMax as mailboxes count them (one request
// is always let in), whether anybody still waits for it or not; Patience. While shards are behind
// or their mailboxes full, a request waits for room, as MQTT's publishers wait.

#include "server/shard/mailbox.hpp"
#include "server/shard/publish_job.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stentor::admin {

class Publisher final : public server::PublishSink {
  public:
    struct Patience {
        std::chrono::milliseconds for_room{5'000};
        std::chrono::milliseconds for_answer{30'000};
    };
    /// `mailboxes` by ShardId; they outlive this object. When it is destroyed no mailbox and no
    /// shard holds a job of it any more, and `io` runs nothing of it. `is_ready`: whether clients
    /// are served; asked on the HTTP server's thread.
    Publisher(boost::asio::io_context& io,
              std::span<server::Mailbox* const> mailboxes,
              std::function<bool()> is_ready,
              Patience patience)
        : io_{io}, mailboxes_{mailboxes}, is_ready_{std::move(is_ready)}, patience_{patience} {}
    ~Publisher() = default;
    Publisher(const Publisher&) = delete;
    Publisher& operator=(const Publisher&) = delete;

    enum class How : std::uint8_t {
        done,       // an outcome for each message, in their order
        busy,       // nothing was published: the shards have too much to do
        not_ready,  // nothing was published: clients are not served
        unknown,    // the store failed or took too long: what became of them is not known
    };
    struct Published {
        How how = How::unknown;
        std::vector<server::PublishOutcome> outcomes = {};
    };
    /// In their order, and before what is published after this has returned, unless with `unknown`.
    [[nodiscard]] boost::asio::awaitable<Published> publish(server::PublishJob::Messages messages);

    void published(std::uint64_t cookie,
                   std::vector<server::PublishOutcome> outcomes) noexcept override;

    static constexpr std::size_t kOpenBytesMax = std::size_t{64} << 20U;

  private:
    struct Waiting {
        explicit Waiting(boost::asio::io_context& io) : answered{io} {}
        boost::asio::steady_timer answered;  // cancelled when it is so
        std::vector<server::PublishOutcome> outcomes;
    };
    struct Open {
        std::size_t bytes = 0;
        Waiting* waiting = nullptr;  // in publish()'s frame; null: it has given up
    };
    class Share;
    [[nodiscard]] bool push(std::uint64_t cookie,
                            server::PublishJob::Messages& messages,
                            std::size_t bytes);
    void told(std::uint64_t cookie, std::vector<server::PublishOutcome> outcomes);

    static constexpr std::chrono::milliseconds kLookAgain{5};

    boost::asio::io_context& io_;
    std::span<server::Mailbox* const> mailboxes_;
    const std::function<bool()> is_ready_;
    const Patience patience_;
    std::unordered_map<std::uint64_t, Open> open_;  // by cookie: pushed and not told
    std::size_t open_bytes_ = 0;                    // of those, and of those that wait for room
    std::uint64_t next_cookie_ = 1;
    std::size_t next_shard_ = 0;
};

}  // namespace stentor::admin
