#include "server/admin/snapshots.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <type_traits>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;

namespace {

void add_snapshot(server::ShardSnapshot& to, const server::ShardSnapshot& more) {
    add(to.counters, more.counters);
    to.traffic.bytes_received += more.traffic.bytes_received;
    to.traffic.bytes_sent += more.traffic.bytes_sent;
    to.traffic.tls_handshakes += more.traffic.tls_handshakes;
    to.traffic.tls_hellos_answered += more.traffic.tls_hellos_answered;
    to.traffic.tls_hellos_given_up += more.traffic.tls_hellos_given_up;
    to.traffic.tls_hello_turns += more.traffic.tls_hello_turns;
    to.traffic.tls_turns_waited += more.traffic.tls_turns_waited;
    to.traffic.tls_unfinished += more.traffic.tls_unfinished;
    to.connections.resize(std::max(to.connections.size(), more.connections.size()));
    for (std::size_t i = 0; i < more.connections.size(); ++i) {
        to.connections[i] += more.connections[i];
    }
    to.inflight_messages += more.inflight_messages;
    to.sessions_connected += more.sessions_connected;
    to.sessions_away += more.sessions_away;
    to.subscriptions += more.subscriptions;
    to.shared_groups += more.shared_groups;
    to.retained_messages += more.retained_messages;
    to.log_messages = std::max(to.log_messages, more.log_messages);
}

}  // namespace

/// All of it is counts: none can be forgotten here.
void add(server::Counters& to, const server::Counters& more) {
    static_assert(std::has_unique_object_representations_v<server::Counters>);
    using Counts = std::array<std::uint64_t, sizeof(server::Counters) / sizeof(std::uint64_t)>;
    auto sum = std::bit_cast<Counts>(to);
    const auto counts = std::bit_cast<Counts>(more);
    std::transform(sum.begin(), sum.end(), counts.begin(), sum.begin(), std::plus<>{});
    to = std::bit_cast<server::Counters>(sum);
}

Snapshots::Snapshots(asio::io_context& io, std::span<server::Mailbox* const> mailboxes)
    : io_{io},
      mailboxes_{mailboxes},
      last_(mailboxes.size()),
      has_answered_(mailboxes.size()),
      concluded_{io},
      patience_{io} {}

asio::awaitable<Figures> Snapshots::take() {
    const bool is_fresh =
        taken_at_ != Instant::min() && monotonic_now() - taken_at_ < Duration{kAgeMax};
    if (!gathers_ && is_fresh) co_return figures_;
    if (!gathers_) begin();
    if (gathers_) {
        (void)co_await concluded_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return figures_;
}

void Snapshots::begin() {
    gathers_ = true;
    ++cookie_;
    missing_ = mailboxes_.size();
    std::fill(has_answered_.begin(), has_answered_.end(), false);
    concluded_.expires_at(asio::steady_timer::time_point::max());
    for (server::Mailbox* mailbox : mailboxes_) {
        server::ShardMessage question = server::TakeSnapshot{cookie_};
        (void)mailbox->push(question);  // full: silent
    }
    patience_.expires_after(kPatience);
    patience_.async_wait([this](const boost::system::error_code& error) {
        if (!error && gathers_) conclude();
    });
}

void Snapshots::snapshot(ShardId shard,
                         std::uint64_t cookie,
                         server::ShardSnapshot snapshot) noexcept {
    asio::post(io_, [this, shard, cookie, snapshot = std::move(snapshot)]() mutable {
        heard(shard, cookie, std::move(snapshot));
    });
}

void Snapshots::heard(ShardId shard, std::uint64_t cookie, server::ShardSnapshot snapshot) {
    last_[shard.value()] = std::move(snapshot);
    if (!gathers_ || cookie != cookie_ || has_answered_[shard.value()]) return;
    has_answered_[shard.value()] = true;
    if (--missing_ == 0) conclude();
}

void Snapshots::retired(ShardId shard, const server::ShardSnapshot& last) {
    asio::post(io_, [this, shard, last] {
        add(retired_, last.counters);
        last_[shard.value()] = {};
        last_[shard.value()].traffic = last.traffic;  // the loop's, which goes on
    });
}

void Snapshots::conclude() {
    gathers_ = false;
    taken_at_ = monotonic_now();
    patience_.cancel();
    figures_ = {};
    figures_.shards = mailboxes_.size();
    figures_.silent = missing_;
    for (const server::ShardSnapshot& each : last_) add_snapshot(figures_.all, each);
    add(figures_.all.counters, retired_);
    concluded_.cancel();
}

}  // namespace stentor::admin
