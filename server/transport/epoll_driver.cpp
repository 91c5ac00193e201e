#include "server/transport/epoll_driver.hpp"

#include "base/log.hpp"
#include "base/random.hpp"
#include "server/transport/socket_write.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <utility>

namespace stentor::server {

namespace {

// epoll's user data is a packed ConnectionId; slots that no connection can have name the rest.
constexpr std::uint32_t kWakeSlot = 0xFFFF'FFFF;
constexpr std::uint32_t kListenerSlots = 0xFFFE'0000;   // + index
constexpr std::uint32_t kLingeringSlots = 0xF000'0000;  // + index
constexpr std::size_t kEventsPerTurn = 512;
constexpr std::size_t kUnreadOfDeadMax = std::size_t{1} << 20U;   // of a peer that has gone
constexpr std::size_t kNetworkChunk = std::size_t{64} * 1024;     // wrapped at a time
constexpr std::size_t kNetworkBytesMax = std::size_t{1} << 20U;   // unsent, while more is read
constexpr std::size_t kClearBytesKept = std::size_t{512} * 1024;  // between two receives

std::uint64_t tag_of(std::uint32_t slot) { return ConnectionId{slot, 0}.packed(); }

}  // namespace

struct EpollDriver::Moved final : MovedSocket {
    Descriptor descriptor;
    Bytes unread;
    std::unique_ptr<Channel> channel;
    PlaceAtDoor place;
    AddressPlace address;
    bool ended = false;
    bool deaf = false;
};

EpollDriver::EpollDriver(const EpollOptions& options,
                         std::function<Instant()> now,
                         AddressGate* addresses,
                         HttpReceiver* http)
    : options_{options},
      clock_{std::move(now)},
      addresses_{addresses},
      http_{http},
      epoll_{::epoll_create1(EPOLL_CLOEXEC)},
      wake_{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)},
      lingering_{epoll_.get(), kLingeringSlots, options.lingering_max},
      arena_{std::make_unique<std::byte[]>(options.arena_bytes)},
      handshakes_{options.handshakes},
      lanes_key_{random_hash_key()} {
    STENTOR_ASSERT(epoll_ && wake_, "epoll and eventfd are there");
    epoll_event event{.events = EPOLLIN, .data = {.u64 = tag_of(kWakeSlot)}};
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
}

EpollDriver::~EpollDriver() = default;

void EpollDriver::wake() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
}

void EpollDriver::stop_accepting() noexcept {
    stop_accepting_.store(true);
    wake();
}

void EpollDriver::request_stop() noexcept {
    stop_.store(true);
    wake();
}

void EpollDriver::run(Shard& shard,
                      Mailbox& mailbox,
                      std::span<const Listener> listeners,
                      std::span<const Door> doors) {
    STENTOR_ASSERT(listeners.size() == doors.size());
    listeners_ = listeners;
    doors_ = doors;
    now_ = clock_();
    pause_accepting(false);
    ready_.clear();  // of the connections of another shard, which are closed
    hearing_ = {};
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): epoll_wait() fills it
    std::array<epoll_event, kEventsPerTurn> events;
    while (!stop_.load(std::memory_order_relaxed)) {
        // What comes meanwhile is dealt with in the same turn, before the next handshakes.
        const bool has_served = serve_handshakes(shard);
        const int timeout = has_served ? 0 : sleep_milliseconds(shard, mailbox);
        const Instant asked_at = now_;  // or later
        const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, timeout);
        mailbox.awake();
        now_ = clock_();
        serve_ready(shard);
        for (int i = 0; i < count; ++i) {
            on_event(shard,
                     events[static_cast<std::size_t>(i)].data.u64,
                     events[static_cast<std::size_t>(i)].events);
        }
        serve_ready(shard);
        note_heard(shard, asked_at, count < 0 ? kEventsPerTurn : static_cast<std::size_t>(count));
        shard.step(now_);
        lingering_.expire(now_);
        if (stop_accepting_.load(std::memory_order_relaxed) && accepting_) pause_accepting(true);
        if (accept_again_ <= now_) pause_accepting(false);
        others_took_ = clock_() - now_;
        if (shard.drained() && lingering_.empty()) return;
    }
}

int EpollDriver::sleep_milliseconds(const Shard& shard, Mailbox& mailbox) {
    if (shard.has_work() || !ready_.empty()) return 0;
    const Instant deadline =
        std::min({shard.next_deadline(), accept_again_, lingering_.next_deadline()});
    const Instant now = clock_();
    if (deadline <= now) return 0;
    if (!mailbox.prepare_sleep()) return 0;
    if (deadline == kNever) return -1;
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
    return static_cast<int>(std::min<std::int64_t>(wait, 60'000));
}

void EpollDriver::pause_accepting(bool pause) {
    accept_again_ = kNever;
    if (pause == !accepting_ || (!pause && stop_accepting_.load(std::memory_order_relaxed))) return;
    accepting_ = !pause;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
        if (doors_[i].speech == Door::Speech::http) continue;  // another thread's
        epoll_event event{.events = EPOLLIN | EPOLLEXCLUSIVE,
                          .data = {.u64 = tag_of(kListenerSlots + static_cast<std::uint32_t>(i))}};
        (void)::epoll_ctl(epoll_.get(),
                          pause ? EPOLL_CTL_DEL : EPOLL_CTL_ADD,
                          listeners_[i].descriptor(),
                          &event);
    }
}

void EpollDriver::on_event(Shard& shard, std::uint64_t tag, std::uint32_t events) {
    const ConnectionId id = ConnectionId::unpack(tag);
    if (id.slot == kWakeSlot) {
        std::uint64_t count = 0;
        (void)!::read(wake_.get(), &count, sizeof count);
        return;
    }
    if (id.slot >= kListenerSlots) {
        accept_some(shard, listeners_[id.slot - kListenerSlots]);
        return;
    }
    if (id.slot >= kLingeringSlots) {
        lingering_.on_event(id.slot - kLingeringSlots,
                            events,
                            {arena_.get(), options_.arena_bytes},
                            traffic_.bytes_sent);
        return;
    }
    Socket* socket = find(id);
    if (socket == nullptr) return;  // closed earlier in this turn
    if ((events & EPOLLOUT) != 0) {
        socket->polls_writes = false;
        poll_for(id, *socket);
        if (socket->channel) flush_network(id, *socket);
        if (socket->channel && socket->reading && !socket->polls_reads && !socket->ended &&
            socket->channel->network().empty()) {
            socket->polls_reads = true;
            poll_for(id, *socket);
        }
        shard.writable(id, now_);
        socket = find(id);
        if (socket == nullptr) return;
    }
    if (socket->put_off) {
        const bool has_gone = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        if (has_gone && !socket->answered) give_up(shard, id);
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    const bool hung_up = (events & (EPOLLHUP | EPOLLERR)) != 0;
    if (socket->ended) {
        remove(*socket);  // epoll would tell it again and again
        socket->deaf = true;
        shard.writable(id, now_);
    } else if (!socket->reading && !hung_up) {
        // Told only now: most pauses end before anything comes.
        socket->polls_reads = false;
        poll_for(id, *socket);
    } else if (!socket->reading && socket->unread.size() >= kUnreadOfDeadMax) {
        shard.disconnected(id, now_);
    } else {
        receive_in_turn(shard, id);
    }
}

void EpollDriver::receive_in_turn(Shard& shard, ConnectionId id) {
    Socket& socket = *find(id);
    const bool is_queued = socket.refeeds || socket.told;
    // What has come waits in the kernel while something from before waits here.
    if (is_queued && socket.reading) return;
    if (shard.turn_is_used_up() && socket.reading) {
        make_ready(id, socket);
        socket.told = true;
    } else {
        receive(shard, id);
    }
}

void EpollDriver::make_ready(ConnectionId id, Socket& socket) {
    if (!socket.refeeds && !socket.told) ready_.push_back(id);
}

/// One after the other, in the order in which they came: who cannot finish in this turn is the last
/// in the next, and epoll alone would begin with the same ones each time.
void EpollDriver::serve_ready(Shard& shard) {
    for (std::size_t left = ready_.size(); left != 0 && !shard.turn_is_used_up(); --left) {
        const ConnectionId id = ready_.front();
        ready_.pop_front();
        if (hearing_.to_serve != 0) --hearing_.to_serve;
        Socket* socket = find(id);
        if (socket == nullptr) continue;
        const bool refeeds = std::exchange(socket->refeeds, false);
        const bool told = std::exchange(socket->told, false);
        if (told && !refeeds && socket->reading && !socket->ended) {
            receive(shard, id);
            continue;
        }
        if (socket->reading && !socket->unread.empty()) offer_kept(shard, id);
        end_if_taken(shard, id);
    }
}

/// What had arrived at `since` has been received once epoll has told of every socket that was
/// ready then (it tells of fewer than it might, or of as many as there are: it goes round), and
/// those that were put off have been served.
void EpollDriver::note_heard(Shard& shard, Instant asked_at, std::size_t events) {
    if (!hearing_.all_told) {
        if (hearing_.events == 0) hearing_.since = asked_at;
        hearing_.events += events;
        hearing_.all_told =
            events < kEventsPerTurn ||
            hearing_.events > sockets_.size() + listeners_.size() + options_.lingering_max + 1;
        if (!hearing_.all_told) return;
        hearing_.to_serve = ready_.size();
    }
    if (hearing_.to_serve != 0) return;
    shard.heard_all(hearing_.since);
    hearing_ = {};
}

void EpollDriver::accept_some(Shard& shard, const Listener& listener) {
    const Door& door = doors_[static_cast<std::size_t>(&listener - listeners_.data())];
    for (std::size_t i = 0; i < options_.accepts_per_turn; ++i) {
        Accepted accepted;
        RefusedAtDoor why{};
        switch (accept_one(listener, door, addresses_, monotonic_now(), accepted, why)) {
            case AcceptOutcome::accepted:
                break;
            case AcceptOutcome::refused:
                shard.turned_away(why);
                continue;
            case AcceptOutcome::no_descriptors:
                pause_accepting(true);
                accept_again_ =
                    saturating_add(now_, std::chrono::milliseconds{options_.accept_pause_ms});
                return;
            case AcceptOutcome::nobody_waits:
                return;
        }
        std::unique_ptr<Channel> channel;
        if (!door.plain()) channel = std::make_unique<Channel>(door, accepted.peer);
        const ConnectionId id = shard.opened(std::move(accepted.peer), now_);
        if (id == kNoConnection) continue;
        Socket& socket = place(id, std::move(accepted.descriptor));
        socket.channel = std::move(channel);
        socket.place = std::move(accepted.place);
        socket.address = std::move(accepted.address);
    }
}

/// If the channel has learned who the peer is, so do the shard and the bounds of addresses. False:
/// the connection has been ended.
bool EpollDriver::learn_peer(Shard& shard, ConnectionId id) {
    Socket& socket = *find(id);
    const auto peer = socket.channel->take_peer();
    if (!peer) return true;
    if (addresses_ != nullptr) {
        const auto answer = settle_address(
            *addresses_, *peer, socket.channel->peer_is_proxy(), monotonic_now(), socket.address);
        if (answer != AddressGate::Answer::welcome) {
            shard.turned_away(refusal_of(answer));
            socket.channel.reset();  // no farewells
            shard.disconnected(id, now_);
            return false;
        }
    }
    shard.peer_is(id, *peer);
    return true;
}

EpollDriver::Socket* EpollDriver::find(ConnectionId connection) noexcept {
    if (connection.slot >= sockets_.size()) return nullptr;
    Socket& socket = sockets_[connection.slot];
    return socket.descriptor && socket.generation == connection.generation ? &socket : nullptr;
}

EpollDriver::Socket& EpollDriver::place(ConnectionId connection, Descriptor descriptor) {
    if (connection.slot >= sockets_.size()) sockets_.resize(connection.slot + 1);
    Socket& socket = sockets_[connection.slot];
    STENTOR_ASSERT(!socket.descriptor, "a slot has one socket");
    socket = Socket{};
    socket.descriptor = std::move(descriptor);
    socket.generation = connection.generation;
    epoll_event event{.events = EPOLLIN, .data = {.u64 = connection.packed()}};
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket.descriptor.get(), &event);
    return socket;
}

void EpollDriver::poll_for(ConnectionId connection, Socket& socket) {
    const std::uint32_t reads = socket.polls_reads ? EPOLLIN : 0U;
    // Told once, as a peer that has gone stays where it is until its turn.
    const std::uint32_t end = EPOLLRDHUP | EPOLLET;
    epoll_event event{.events = (socket.polls_end ? end : reads) |
                                (socket.polls_writes ? std::uint32_t{EPOLLOUT} : 0U),
                      .data = {.u64 = connection.packed()}};
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.descriptor.get(), &event);
}

void EpollDriver::remove(Socket& socket) {
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.descriptor.get(), nullptr);
}

void EpollDriver::receive(Shard& shard, ConnectionId id) {
    Socket& socket = *find(id);
    if (socket.channel) {
        receive_through(shard, id);
        return;
    }
    const ssize_t got = ::recv(socket.descriptor.get(), arena_.get(), options_.arena_bytes, 0);
    if (got > 0) {
        traffic_.bytes_received += static_cast<std::size_t>(got);
        offer(shard, id, {arena_.get(), static_cast<std::size_t>(got)});
        return;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
    peer_has_ended(shard, id);
}

/// Whether it said so or was cut off: what has come of it counts, as if it had come sooner. A
/// client may say DISCONNECT and go while its first packets still wait for an answer of theirs.
void EpollDriver::peer_has_ended(Shard& shard, ConnectionId id) {
    Socket& socket = *find(id);
    socket.ended = true;
    socket.polls_reads = false;
    poll_for(id, socket);
    if (socket.refeeds) return;  // serve_ready() is on its way
    end_if_taken(shard, id);
}

/// What the shard has left although it reads is a packet that can never be whole.
void EpollDriver::end_if_taken(Shard& shard, ConnectionId id) {
    Socket* socket = find(id);
    if (socket == nullptr || !socket->ended) return;
    if (!socket->reading && !socket->unread.empty()) return;
    const Channel* channel = socket->channel.get();
    if (channel != nullptr && channel->state() != Channel::State::ended) {
        socket->channel.reset();  // no farewells where it has said none
    }
    shard.disconnected(id, now_);
}

/// Through TLS and WebSocket: the arena has the network's bytes, clear_ what MQTT is to see.
void EpollDriver::receive_through(Shard& shard, ConnectionId id) {
    Socket* socket = find(id);
    if (socket->channel->network().size() > kNetworkBytesMax) {
        // A peer that asks (pings) and does not take the answers: on_event() goes on.
        socket->polls_reads = false;
        poll_for(id, *socket);
        return;
    }
    if (brings_handshake(*socket)) {
        wait_for_handshake(shard, id);  // the bytes stay where they are
    } else {
        receive_wrapped(shard, id);
    }
}

void EpollDriver::receive_wrapped(Shard& shard, ConnectionId id) {
    Socket& socket = *find(id);
    Channel& channel = *socket.channel;
    clear_.clear();
    if (channel.is_behind_proxy_header()) {
        unwrapped(shard, id, channel.go_on(clear_));
        return;
    }
    const ssize_t got = ::recv(socket.descriptor.get(), arena_.get(), options_.arena_bytes, 0);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
        peer_has_ended(shard, id);
        return;
    }
    const auto bytes = static_cast<std::size_t>(got);
    traffic_.bytes_received += bytes;
    Channel::State state = channel.receive({arena_.get(), bytes}, clear_);
    if (channel.is_behind_proxy_header()) {
        if (!learn_peer(shard, id)) return;
        if (channel.goes_on_with_handshake()) {
            wait_for_handshake(shard, id);
            return;
        }
        state = channel.go_on(clear_);
    }
    unwrapped(shard, id, state);
}

/// clear_ is what MQTT is to see of it.
void EpollDriver::unwrapped(Shard& shard, ConnectionId id, Channel::State state) {
    Socket* socket = find(id);
    Channel& channel = *socket->channel;
    if (socket->in_handshakes) note_handshake(shard, id, state);
    flush_network(id, *socket);
    if (!learn_peer(shard, id)) return;
    if (state == Channel::State::http) {
        hand_over(shard, id);
        return;
    }
    if (state == Channel::State::failed) {
        shard.handshake_failed();
        report_failure(channel, channel.why());
    }
    if (channel.transparent() && channel.network().empty()) socket->channel.reset();
    if (!clear_.empty()) {
        Bytes clear = std::exchange(clear_, {});  // the shard may come back here
        offer(shard, id, clear);
        if (clear.capacity() <= kClearBytesKept) clear_ = std::move(clear);
    }
    if (find(id) == nullptr) return;
    if (state == Channel::State::failed) {
        shard.disconnected(id, now_);
    } else if (state == Channel::State::ended) {
        peer_has_ended(shard, id);
    }
}

/// To the HTTP server's thread, with what has come and is in clear_.
void EpollDriver::hand_over(Shard& shard, ConnectionId id) {
    STENTOR_ASSERT(http_ != nullptr, "or the door would not let HTTP in");
    Socket& socket = *find(id);
    remove(socket);
    leave_handshakes(id, socket);
    HttpArrival arrival{.descriptor = std::move(socket.descriptor),
                        .channel = std::move(socket.channel),
                        .received = std::exchange(clear_, {}),
                        .place = std::move(socket.place),
                        .address = std::move(socket.address)};
    socket = Socket{};
    shard.handed_over(id);
    http_->take(std::move(arrival));
}

void EpollDriver::offer(Shard& shard, ConnectionId id, ByteView bytes) {
    Socket* socket = find(id);
    if (!socket->unread.empty()) {
        socket->unread.insert(socket->unread.end(), bytes.begin(), bytes.end());
        if (socket->reading) offer_kept(shard, id);
        return;
    }
    const std::size_t used = socket->reading ? shard.received(id, bytes, now_) : 0;
    socket = find(id);
    if (socket == nullptr || used >= bytes.size()) return;
    socket->unread.assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
}

void EpollDriver::report_failure(const Channel& channel, const std::string& why) const {
    static LogEvery every{20, std::chrono::seconds{10}};
    const auto pass = every.admit(now_);
    if (!pass) return;
    STENTOR_LOG(info,
                LogEvent("connection_failed",
                         {{"peer", channel.peer().address},
                          {"port", channel.peer().port},
                          {"suppressed", pass.suppressed}}),
                "closing a connection{}: {}",
                channel.was_open() ? "" : " before MQTT",
                why);
}

/// Nothing reaches the peer any more, but what it has said before may still lie in the kernel: that
/// is read to its end, which is then told by epoll.
void EpollDriver::write_failed(Socket& socket, mqtt::WireBuffer& out) {
    out.clear();
    if (std::exchange(socket.deaf, true)) return;
    (void)::shutdown(socket.descriptor.get(), SHUT_RDWR);
}

/// What the kernel does not take now stays in the channel.
void EpollDriver::flush_network(ConnectionId id, Socket& socket) {
    mqtt::WireBuffer& network = socket.channel->network();
    if (network.empty()) return;
    Sent sent = Sent::broken;
    if (!socket.deaf) sent = send_gathered(socket.descriptor.get(), network, traffic_.bytes_sent);
    if (sent == Sent::broken) {
        write_failed(socket, network);
        return;
    }
    if (sent == Sent::blocked && !socket.polls_writes) {
        socket.polls_writes = true;
        poll_for(id, socket);
    }
}

void EpollDriver::write_through(ConnectionId id, Socket& socket, mqtt::WireBuffer& out) {
    for (;;) {
        flush_network(id, socket);
        if (socket.deaf) out.clear();
        if (!socket.channel->network().empty() || out.empty()) return;
        socket.channel->send(out, kNetworkChunk);
    }
}

void EpollDriver::offer_kept(Shard& shard, ConnectionId id) {
    Socket* socket = find(id);
    // The bytes must not move while the shard reads them, and sockets_ may grow meanwhile.
    Bytes bytes = std::move(socket->unread);
    socket->unread = Bytes{};
    const std::size_t used = shard.received(id, bytes, now_);
    socket = find(id);
    if (socket == nullptr || used >= bytes.size()) return;
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(used));
    socket->unread = std::move(bytes);
}

void EpollDriver::set_reading(ConnectionId connection, bool enabled) {
    Socket* socket = find(connection);
    if (socket == nullptr) return;
    socket->reading = enabled;
    if (!enabled) return;
    if (!socket->polls_reads && !socket->ended) {
        socket->polls_reads = true;
        poll_for(connection, *socket);
    }
    make_ready(connection, *socket);
    socket->refeeds = true;
}

void EpollDriver::write(ConnectionId connection, mqtt::WireBuffer& out) {
    Socket* socket = find(connection);
    if (socket == nullptr) return;
    if (socket->channel) {
        write_through(connection, *socket, out);
        return;
    }
    Sent sent = Sent::broken;
    if (!socket->deaf) sent = send_gathered(socket->descriptor.get(), out, traffic_.bytes_sent);
    if (sent == Sent::broken) {
        write_failed(*socket, out);
        return;
    }
    if (sent == Sent::blocked && !socket->polls_writes) {
        socket->polls_writes = true;
        poll_for(connection, *socket);
    }
}

void EpollDriver::close(ConnectionId connection, mqtt::WireBuffer out) {
    Socket* socket = find(connection);
    if (socket == nullptr) return;
    remove(*socket);
    leave_handshakes(connection, *socket);
    if (socket->channel) {
        // Whoever ends it himself has no channel any more: this is the connect time-out.
        if (const char* missing = socket->channel->waits_for()) {
            report_failure(*socket->channel, std::string{"it was still to send "} + missing);
        }
        socket->channel->send(out, out.size());
        socket->channel->finish();
        out = std::move(socket->channel->network());
    }
    Descriptor descriptor = std::move(socket->descriptor);
    *socket = Socket{};
    if (out.empty()) return;  // gone, or nothing left to say
    lingering_.add(std::move(descriptor),
                   std::move(out),
                   saturating_add(now_, options_.linger),
                   traffic_.bytes_sent);
}

std::unique_ptr<MovedSocket> EpollDriver::detach(ConnectionId connection) {
    Socket* socket = find(connection);
    STENTOR_ASSERT(socket != nullptr, "only an open connection moves");
    remove(*socket);
    leave_handshakes(connection, *socket);
    auto moved = std::make_unique<Moved>();
    moved->descriptor = std::move(socket->descriptor);
    moved->unread = std::move(socket->unread);
    moved->channel = std::move(socket->channel);
    moved->place = std::move(socket->place);
    moved->address = std::move(socket->address);
    moved->ended = socket->ended;
    moved->deaf = socket->deaf;
    *socket = Socket{};
    return moved;
}

void EpollDriver::attach(ConnectionId connection, std::unique_ptr<MovedSocket> socket) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): only detach() makes them
    auto& moved = static_cast<Moved&>(*socket);
    Socket& placed = place(connection, std::move(moved.descriptor));
    placed.unread = std::move(moved.unread);
    placed.channel = std::move(moved.channel);
    placed.place = std::move(moved.place);
    placed.address = std::move(moved.address);
    placed.ended = moved.ended;
    placed.deaf = moved.deaf;
    placed.polls_reads = !placed.ended;
    if (placed.ended) poll_for(connection, placed);
    if (placed.channel) flush_network(connection, placed);
}

}  // namespace stentor::server
