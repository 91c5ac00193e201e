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

asio::awaitable<Publisher::Published> Publisher::publish(server::PublishJob::Messages messages) {
    const std::uint64_t cookie = next_cookie_++;
    const std::size_t bytes = bytes_of(messages);
    Waiting waiting{io_};
    server::ShardMessage message =
        server::PublishAsked{server::PublishJob::make(*this, cookie, std::move(messages)), bytes};
    const Instant until = monotonic_now() + Duration{patience_.for_room};
    while (!push(message)) {
        if (monotonic_now() >= until) co_return Published{.how = How::busy};
        waiting.answered.expires_after(kLookAgain);
        (void)co_await waiting.answered.async_wait(kAwait);
    }
    waiting_.emplace(cookie, &waiting);
    waiting.answered.expires_after(patience_.for_answer);
    (void)co_await waiting.answered.async_wait(kAwait);
    waiting_.erase(cookie);
    if (waiting.outcomes.empty()) co_return Published{};
    co_return Published{.how = How::done, .outcomes = std::move(waiting.outcomes)};
}

/// To one shard after the other.
bool Publisher::push(server::ShardMessage& message) {
    const auto is_behind = [](const server::Mailbox* mailbox) { return mailbox->is_behind(); };
    if (std::ranges::any_of(mailboxes_, is_behind)) return false;
    const std::size_t shard = next_shard_++ % mailboxes_.size();
    return mailboxes_[shard]->push(message) == server::Push::ok;
}

void Publisher::published(std::uint64_t cookie,
                          std::vector<server::PublishOutcome> outcomes) noexcept {
    asio::post(io_, [this, cookie, outcomes = std::move(outcomes)]() mutable {
        const auto at = waiting_.find(cookie);
        if (at == waiting_.end()) return;  // nobody waits any more
        at->second->outcomes = std::move(outcomes);
        at->second->answered.cancel();
    });
}

}  // namespace stentor::admin
