#include "tools/bench/channel.hpp"

#include <unistd.h>

#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace stentor::bench {

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
    return channel;
}

int Channel::connect_error() const noexcept {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
}

Channel::Transfer Channel::receive(MutableByteView into) noexcept {
    const ssize_t got = ::recv(socket_, into.data(), into.size(), 0);
    if (got > 0) return {static_cast<std::size_t>(got), State::open};
    const bool later = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    return {0, later ? State::blocked : State::closed};
}

Channel::Transfer Channel::send(ByteView bytes) noexcept {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
        const auto taken = static_cast<std::size_t>(sent);
        return {taken, taken < bytes.size() ? State::blocked : State::open};
    }
    const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    return {0, later ? State::blocked : State::closed};
}

void Channel::finish() noexcept { (void)::shutdown(socket_, SHUT_WR); }

void Channel::cut() noexcept {
    const linger now{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
}

void Channel::close() noexcept {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

}  // namespace stentor::bench
