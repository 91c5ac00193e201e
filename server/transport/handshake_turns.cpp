// EpollDriver: whose TLS handshake is computed when. Who has said something of one waits, out of
// epoll's ready set; each turn of the loop gives some of them theirs.

#include "base/address.hpp"
#include "base/log.hpp"
#include "server/transport/epoll_driver.hpp"

#include <poll.h>

#include <algorithm>
#include <sys/socket.h>
#include <utility>

namespace stentor::server {

namespace {

/// Nothing more comes from it, whatever it has said before.
bool has_gone(int descriptor) {
    pollfd asked{.fd = descriptor, .events = POLLRDHUP, .revents = 0};
    return ::poll(&asked, 1, 0) == 1;
}

}  // namespace

/// What lies in its socket. On doors for everything the first byte tells.
bool EpollDriver::brings_handshake(const Socket& socket) {
    if (!socket.channel->may_shake_hands()) return false;
    std::byte first{};
    if (::recv(socket.descriptor.get(), &first, 1, MSG_PEEK) != 1) return false;
    return socket.channel->is_handshake(first);
}

std::uint64_t EpollDriver::lane_of(const Socket& socket) const {
    const auto address = AddressKey::of(socket.channel->peer().address);
    return address ? keyed_hash(lanes_key_, address->text()) : 0;
}

void EpollDriver::wait_for_handshake(Shard& shard, ConnectionId id) {
    Socket& socket = *find(id);
    const auto stage = socket.answered ? Handshakes::Stage::answered : Handshakes::Stage::first;
    socket.put_off = true;
    socket.in_handshakes = true;
    put_off_lately_.push_back(id);
    if (const auto excess = handshakes_.wait(id, lane_of(socket), stage, now_)) {
        shed(shard, *excess);
    }
}

Duration EpollDriver::was_put_off_for(ConnectionId connection) const noexcept {
    if (connection.slot >= sockets_.size()) return {};
    return std::chrono::milliseconds{sockets_[connection.slot].waited_ms};
}

/// Whether there was any. Who is left waits where epoll does not tell of it.
bool EpollDriver::serve_handshakes(Shard& shard) {
    if (!handshakes_.anybody_waits()) return false;
    now_ = clock_();
    const Instant end = now_ + std::clamp(others_took_ / 4,
                                          options_.handshakes_per_turn,
                                          options_.handshakes_per_turn_max);
    const std::uint64_t answered = traffic_.tls_hellos_answered;
    do {
        take_turn(shard, handshakes_.take_next());
        now_ = clock_();
    } while (now_ < end && handshakes_.anybody_waits());
    if (traffic_.tls_hellos_answered != answered) ++traffic_.tls_hello_turns;
    stop_polling_who_waits();
    return true;
}

void EpollDriver::take_turn(Shard& shard, const Handshakes::Turn& turn) {
    const ConnectionId id = turn.who;
    Socket* socket = find(id);
    socket->put_off = false;
    socket->waited_for += static_cast<std::uint32_t>(turn.waited_for);
    const auto waited = std::chrono::ceil<std::chrono::milliseconds>(now_ - turn.since).count();
    socket->waited_ms += static_cast<std::uint32_t>(std::max<std::int64_t>(waited, 0));
    if (!socket->answered && has_gone(socket->descriptor.get())) {
        give_up(shard, id);
        return;
    }
    if (std::exchange(socket->polls_end, false)) poll_for(id, *socket);
    receive_wrapped(shard, id);
    socket = find(id);
    if (socket == nullptr || !socket->in_handshakes || socket->put_off) return;
    if (const auto excess = handshakes_.is_under_way(id, lane_of(*socket))) shed(shard, *excess);
}

/// Its bytes have been looked at, and it may be complete now.
void EpollDriver::note_handshake(const Shard& shard, ConnectionId id, Channel::State state) {
    Socket& socket = *find(id);
    const Channel& channel = *socket.channel;
    if (state == Channel::State::failed) return;
    if (!socket.answered && channel.hello_is_answered()) {
        socket.answered = true;
        ++traffic_.tls_hellos_answered;
        handshakes_.has_answered();
    }
    if (channel.shakes_hands()) return;
    ++traffic_.tls_handshakes;
    STENTOR_LOG(debug,
                LogEvent("tls_handshake",
                         {{"peer", channel.peer().address},
                          {"port", channel.peer().port},
                          {"shard", shard.id().value()},
                          {"waited_for", socket.waited_for}}),
                "TLS handshake complete; so many others were answered while it waited its turn");
    leave_handshakes(id, socket);
}

void EpollDriver::leave_handshakes(ConnectionId id, Socket& socket) {
    if (std::exchange(socket.in_handshakes, false)) handshakes_.forget(id);
}

/// A hello to which nobody waits for an answer. Whoever has been answered may have said all it
/// wanted and gone.
void EpollDriver::give_up(Shard& shard, ConnectionId id) {
    ++traffic_.tls_hellos_given_up;
    find(id)->channel.reset();  // no farewells
    shard.disconnected(id, now_);
}

void EpollDriver::shed(Shard& shard, ConnectionId id) {
    Socket& socket = *find(id);
    static LogEvery every{5, std::chrono::seconds{10}};
    if (const auto pass = every.admit(now_)) {
        STENTOR_LOG(warn,
                    LogEvent("handshake_shed",
                             {{"peer", socket.channel->peer().address},
                              {"answered", socket.answered},
                              {"suppressed", pass.suppressed}}),
                    "{} TLS handshakes are not complete: the oldest of an address that has most of "
                    "them is closed",
                    handshakes_.size());
    }
    shard.turned_away(RefusedAtDoor::tls_handshakes);
    socket.channel.reset();  // no farewells
    shard.disconnected(id, now_);
}

Traffic EpollDriver::traffic() const noexcept {
    Traffic traffic = traffic_;
    traffic.tls_unfinished = handshakes_.size();
    return traffic;
}

void EpollDriver::stop_polling_who_waits() {
    for (const ConnectionId id : put_off_lately_) {
        Socket* socket = find(id);
        if (socket == nullptr || !socket->put_off || socket->polls_end) continue;
        ++traffic_.tls_turns_waited;
        socket->polls_end = true;
        poll_for(id, *socket);
    }
    put_off_lately_.clear();
}

}  // namespace stentor::server
