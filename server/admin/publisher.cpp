#include "server/admin/publisher.hpp"

#include "base/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

std::size_t bytes_of(const server::PublishJob::Messages& messages) {
    std::size_t bytes = 0;
    for (const server::MessagePtr& each : messages) bytes += server::counted_bytes(each);
    return bytes;
}

}  // namespace

/// Of open_bytes_, until the messages are pushed or given up.
class Publisher::Share {
  public:
    Share(Publisher& publisher, std::size_t bytes) noexcept : publisher_{publisher}, bytes_{bytes} {
        publisher_.open_bytes_ += bytes_;
    }
    ~Share() { publisher_.open_bytes_ -= bytes_; }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    /// It is the job's now, see told().
    void hand_over() noexcept { bytes_ = 0; }

  private:
    Publisher& publisher_;
    std::size_t bytes_;
};

asio::awaitable<Publisher::Published> Publisher::publish(server::PublishJob::Messages messages) {
    const std::size_t bytes = bytes_of(messages);
    if (open_bytes_ != 0 && open_bytes_ + bytes > kOpenBytesMax) {
        co_return Published{.how = How::busy};
    }
    Share share{*this, bytes};
    const std::uint64_t cookie = next_cookie_++;
    Waiting waiting{io_};
    const Instant until = monotonic_now() + Duration{patience_.for_room};
    for (;;) {
        // What is pushed while the store is opened again would be refused anyway.
        if (!is_ready_()) co_return Published{.how = How::not_ready};
        if (push(cookie, messages, bytes)) break;
        if (monotonic_now() >= until) co_return Published{.how = How::busy};
        waiting.answered.expires_after(kLookAgain);
        (void)co_await waiting.answered.async_wait(kAwait);
    }
    share.hand_over();
    // Nothing has been told yet: that happens on this thread.
    open_.emplace(cookie, Open{.bytes = bytes, .waiting = &waiting});
    waiting.answered.expires_after(patience_.for_answer);
    (void)co_await waiting.answered.async_wait(kAwait);
    if (const auto at = open_.find(cookie); at != open_.end()) at->second.waiting = nullptr;
    if (waiting.outcomes.empty()) co_return Published{};
    co_return Published{.how = How::done, .outcomes = std::move(waiting.outcomes)};
}

/// To one shard after the other. False: there is no room, and `messages` are as they were.
bool Publisher::push(std::uint64_t cookie,
                     server::PublishJob::Messages& messages,
                     std::size_t bytes) {
    const auto is_behind = [](const server::Mailbox* mailbox) { return mailbox->is_behind(); };
    if (std::ranges::any_of(mailboxes_, is_behind)) return false;
    server::Mailbox& mailbox = *mailboxes_[next_shard_++ % mailboxes_.size()];
    server::ShardMessage message =
        server::PublishAsked{server::PublishJob::make(*this, cookie, std::move(messages)), bytes};
    if (mailbox.push(message) == server::Push::ok) return true;
    messages = std::get<server::PublishAsked>(message).job->withdraw();
    return false;
}

void Publisher::published(std::uint64_t cookie,
                          std::vector<server::PublishOutcome> outcomes) noexcept {
    asio::post(io_, [this, cookie, outcomes = std::move(outcomes)]() mutable {
        told(cookie, std::move(outcomes));
    });
}

void Publisher::told(std::uint64_t cookie, std::vector<server::PublishOutcome> outcomes) {
    const auto at = open_.find(cookie);
    open_bytes_ -= at->second.bytes;
    if (Waiting* waiting = at->second.waiting; waiting != nullptr) {
        waiting->outcomes = std::move(outcomes);
        waiting->answered.cancel();
    }
    open_.erase(at);
}

}  // namespace stentor::admin
