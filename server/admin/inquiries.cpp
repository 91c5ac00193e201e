#include "server/admin/inquiries.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;
using server::Asker;
using server::Finding;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

}  // namespace

Inquiries::Inquiries(asio::io_context& io,
                     std::span<server::Mailbox* const> mailboxes,
                     std::chrono::milliseconds patience)
    : io_{io}, mailboxes_{mailboxes}, patience_{patience}, turns_(mailboxes.size()) {}

asio::awaitable<std::optional<Finding>> Inquiries::ask(ShardId shard, server::Question question) {
    const bool has_turn = co_await take_turn(shard);
    if (!has_turn) co_return std::nullopt;
    const std::uint64_t cookie = next_cookie_++;
    Waiting waiting{io_};
    open_.emplace(cookie, Open{.holds_turn_of = shard, .waiting = &waiting});
    server::ShardMessage message =
        server::Inquiry{.question = std::move(question), .asker = Asker{*this, cookie}};
    // One that does not get in is destroyed here, which tells us so.
    (void)mailboxes_[shard.value()]->push(message);
    message = server::GroupCommitted{};
    auto finding = co_await wait(cookie, waiting);
    co_return finding;
}

asio::awaitable<std::optional<Finding>> Inquiries::kick(ShardId shard,
                                                        std::string client_id,
                                                        bool discard_session) {
    const std::uint64_t cookie = next_cookie_++;
    Waiting waiting{io_};
    open_.emplace(cookie, Open{.waiting = &waiting});
    mailboxes_[shard.value()]->push_reserved(server::Kick{.client_id = std::move(client_id),
                                                          .discard_session = discard_session,
                                                          .asker = Asker{*this, cookie}});
    auto finding = co_await wait(cookie, waiting);
    co_return finding;
}

/// What is told is told on this thread: not before this waits.
asio::awaitable<std::optional<Finding>> Inquiries::wait(std::uint64_t cookie, Waiting& waiting) {
    waiting.answered.expires_after(patience_);
    (void)co_await waiting.answered.async_wait(kAwait);
    if (const auto at = open_.find(cookie); at != open_.end()) at->second.waiting = nullptr;
    co_return std::move(waiting.finding);
}

/// False: nobody has passed it on in time.
asio::awaitable<bool> Inquiries::take_turn(ShardId shard) {
    Turn& turn = turns_[shard.value()];
    if (!turn.taken) {
        turn.taken = true;
        co_return true;
    }
    asio::steady_timer mine{io_, patience_};
    turn.queue.push_back(&mine);
    (void)co_await mine.async_wait(kAwait);
    const auto at = std::ranges::find(turn.queue, &mine);
    if (at == turn.queue.end()) co_return true;  // it was passed on to us
    turn.queue.erase(at);
    co_return false;
}

void Inquiries::pass_turn(ShardId shard) {
    Turn& turn = turns_[shard.value()];
    turn.taken = !turn.queue.empty();
    if (!turn.taken) return;
    asio::steady_timer* next = turn.queue.front();
    turn.queue.pop_front();
    next->cancel();
}

void Inquiries::found(std::uint64_t cookie, std::optional<Finding> finding) noexcept {
    asio::post(io_, [this, cookie, finding = std::move(finding)]() mutable {
        told(cookie, std::move(finding));
    });
}

void Inquiries::told(std::uint64_t cookie, std::optional<Finding> finding) {
    const auto at = open_.find(cookie);
    const Open open = at->second;
    open_.erase(at);
    if (open.waiting != nullptr) {
        open.waiting->finding = std::move(finding);
        open.waiting->answered.cancel();
    }
    if (open.holds_turn_of) pass_turn(*open.holds_turn_of);
}

}  // namespace stentor::admin
