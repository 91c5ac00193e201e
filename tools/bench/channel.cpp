#include "tools/bench/channel.hpp"

#include "protocol/codec/wire_buffer.hpp"
#include "tools/bench/tls_client.hpp"
#include "tools/bench/web_socket_client.hpp"

#include <unistd.h>

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <sys/socket.h>

namespace stentor::bench {

struct Channel::Layers {
    const Target* target;
    std::optional<TlsClient> tls;
    std::optional<WebSocketClient> web_socket;
    bool web_socket_begun = false;
    bool finishing = false;
    mqtt::WireBuffer clear;  // frames on their way into TLS
    mqtt::WireBuffer wire;   // what the kernel has not taken

    [[nodiscard]] bool has_failed() const noexcept {
        return (tls && tls->has_failed()) || (web_socket && web_socket->has_failed());
    }
    /// The frames' own bytes: into TLS, if there is any.
    void push_clear() {
        if (!tls) {
            wire.append_from(clear, clear.size());
            return;
        }
        while (!clear.empty() && tls->is_open()) {
            const ByteView front = clear.front();
            tls->send(front, wire);
            clear.consume(front.size());
        }
    }
};

namespace {

Channel::Transfer transferred(ssize_t bytes, std::size_t asked) noexcept {
    if (bytes >= 0) {
        const auto taken = static_cast<std::size_t>(bytes);
        return {taken, taken < asked ? Channel::State::blocked : Channel::State::open};
    }
    const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    return {0, later ? Channel::State::blocked : Channel::State::closed};
}

}  // namespace

Channel::Channel() noexcept = default;
Channel::Channel(int socket) noexcept : socket_{socket} {}
Channel::Channel(Channel&& other) noexcept
    : socket_{std::exchange(other.socket_, -1)}, layers_{std::move(other.layers_)} {}
Channel& Channel::operator=(Channel&& other) noexcept {
    std::swap(socket_, other.socket_);
    std::swap(layers_, other.layers_);
    return *this;
}
Channel::~Channel() { close(); }

Result<Channel, int> Channel::open(const Target& target, std::uint32_t source) {
    const int family = target.address.ss_family;
    Channel channel{::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (channel.socket_ < 0) return {boost::system::in_place_error, errno};
    const int on = 1;
    if (family != AF_UNIX) {
        (void)::setsockopt(channel.socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (target.has_sources()) {
        // The port is chosen at connect(): sources are many, ports per source few.
        (void)::setsockopt(channel.socket_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        const sockaddr_storage from = target.source(source);
        if (::bind(channel.socket_,
                   reinterpret_cast<const sockaddr*>(&from),
                   sizeof(sockaddr_in)) != 0) {
            return {boost::system::in_place_error, errno};
        }
    }
    const auto* to = reinterpret_cast<const sockaddr*>(&target.address);
    if (::connect(channel.socket_, to, target.size) != 0 && errno != EINPROGRESS) {
        return {boost::system::in_place_error, errno};
    }
    if (target.security || target.is_web_socket) {
        channel.layers_ = std::make_unique<Layers>();
        channel.layers_->target = &target;
        if (target.security) channel.layers_->tls.emplace(*target.security);
        if (target.is_web_socket) channel.layers_->web_socket.emplace();
    }
    return channel;
}

int Channel::connect_error() const noexcept {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
}

Channel::State Channel::begin() {
    if (!layers_) return State::open;
    if (layers_->tls) {
        layers_->tls->begin(layers_->wire);
    } else {
        begin_web_socket();
    }
    return flush();
}

void Channel::begin_web_socket() {
    Layers& layers = *layers_;
    layers.web_socket_begun = true;
    layers.web_socket->begin(
        layers.target->web_socket_host, layers.target->web_socket_path, layers.clear);
    layers.push_clear();
}

bool Channel::is_ready() const noexcept {
    if (!layers_) return true;
    return (!layers_->tls || layers_->tls->is_open()) &&
           (!layers_->web_socket || layers_->web_socket->is_open());
}

const std::string& Channel::why() const noexcept {
    static const std::string nothing;
    if (!layers_) return nothing;
    if (layers_->tls && layers_->tls->has_failed()) return layers_->tls->why();
    return layers_->web_socket ? layers_->web_socket->why() : nothing;
}

Channel::Transfer Channel::receive(MutableByteView into) {
    // What is left of a record of TLS comes out together with what comes now.
    const std::size_t room = layers_ ? into.size() - TlsClient::kRecordBytesMax : into.size();
    const ssize_t got = ::recv(socket_, into.data(), room, 0);
    if (got <= 0) {
        const bool later = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
        return {0, later ? State::blocked : State::closed};
    }
    const auto size = static_cast<std::size_t>(got);
    if (!layers_) return {size, State::open};
    const std::size_t clear = unwrap(into, size);
    const bool is_closed = flush() == State::closed || (layers_->has_failed() && clear == 0);
    return {clear, is_closed ? State::closed : State::open};
}

/// The first `bytes` of `buffer` came from the network. How much of its front is MQTT's then.
std::size_t Channel::unwrap(MutableByteView buffer, std::size_t bytes) {
    Layers& layers = *layers_;
    if (layers.tls) bytes = layers.tls->receive(buffer, bytes, layers.wire);
    if (!layers.web_socket) return bytes;
    if (layers.tls && !layers.tls->is_open()) return 0;
    if (!layers.web_socket_begun) begin_web_socket();
    bytes = layers.web_socket->receive(buffer.first(bytes), layers.clear);
    layers.push_clear();
    return bytes;
}

Channel::Transfer Channel::send(ByteView bytes) {
    if (!layers_) {
        return transferred(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
    }
    if (has_pending()) return {0, State::blocked};
    wrap(bytes);
    const State state = layers_->has_failed() ? State::closed : flush();
    return {bytes.size(), state};
}

void Channel::wrap(ByteView clear) {
    if (!layers_->web_socket) {
        layers_->tls->send(clear, layers_->wire);
        return;
    }
    layers_->web_socket->send(clear, layers_->clear);
    layers_->push_clear();
}

bool Channel::has_pending() const noexcept { return layers_ && !layers_->wire.empty(); }

Channel::State Channel::flush() {
    if (!layers_) return State::open;
    mqtt::WireBuffer& wire = layers_->wire;
    while (!wire.empty()) {
        const ByteView front = wire.front();
        const auto [bytes, state] =
            transferred(::send(socket_, front.data(), front.size(), MSG_NOSIGNAL), front.size());
        wire.consume(bytes);
        if (state != State::open) return state;
    }
    if (layers_->finishing) (void)::shutdown(socket_, SHUT_WR);
    return State::open;
}

void Channel::finish() {
    if (!layers_) {
        (void)::shutdown(socket_, SHUT_WR);
        return;
    }
    if (std::exchange(layers_->finishing, true)) return;
    if (layers_->web_socket) layers_->web_socket->finish(layers_->clear);
    layers_->push_clear();
    if (layers_->tls) layers_->tls->finish(layers_->wire);
    (void)flush();
}

void Channel::cut() noexcept {
    const linger now{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
}

void Channel::close() noexcept {
    layers_.reset();
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

}  // namespace stentor::bench
