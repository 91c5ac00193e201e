#include "tests/crash/tcp_wires.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <limits>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <utility>

namespace stentor::crash {

namespace {

void close_with_reset(int socket) {
    const ::linger at_once{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ::close(socket);
}

int connect_to(std::uint16_t port) {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return -1;
    ::sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // Over loopback it is connected or refused at once.
    const auto* generic = reinterpret_cast<const ::sockaddr*>(&address);
    if (::connect(socket, generic, sizeof address) != 0) {
        ::close(socket);
        return -1;
    }
    const int yes = 1;
    (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return socket;
}

}  // namespace

TcpWires::~TcpWires() {
    for (const Connection& connection : connections_) ::close(connection.socket);
}

void TcpWires::open(std::size_t client, const sim::WirePtr& wire, Instant now) {
    for (Connection& other : connections_) {
        if (other.client == client) other.newest = false;
    }
    const int socket = port_ == 0 ? -1 : connect_to(port_);
    if (socket < 0) {
        wire->close_server(now);
        return;
    }
    connections_.push_back({.socket = socket, .client = client, .wire = wire});
}

void TcpWires::pump(Instant now, int milliseconds) {
    std::vector<::pollfd> polled;
    polled.reserve(connections_.size());
    for (const Connection& connection : connections_) {
        const sim::Wire& wire = *connection.wire;
        ::pollfd entry{};
        entry.fd = connection.socket;
        entry.events = POLLRDHUP;
        if (wire.client_closed || wire.down.size() < wire.kernel_bytes) entry.events |= POLLIN;
        const bool has_news = !wire.up.empty() || (wire.client_closed && !connection.finished);
        if (has_news && wire.up_stalled_until <= now) entry.events |= POLLOUT;
        polled.push_back(entry);
    }
    if (::poll(polled.data(), polled.size(), milliseconds) <= 0) return;
    for (std::size_t i = 0; i < polled.size(); ++i) {
        if (polled[i].revents != 0) serve(connections_[i], polled[i].revents, now);
    }
    std::erase_if(connections_, [](const Connection& each) { return each.socket < 0; });
}

void TcpWires::serve(Connection& connection, short events, Instant now) {
    sim::Wire& wire = *connection.wire;
    const bool ends = (events & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
    const std::size_t room = wire.kernel_bytes - std::min(wire.kernel_bytes, wire.down.size());
    const bool takes_all = ends || wire.client_closed;
    const Read read =
        TcpWires::read(connection, takes_all ? std::numeric_limits<std::size_t>::max() : room);
    if (read != Read::nothing) {
        // It has read all of it, DISCONNECT included, unless it had another reason to close.
        wire.disconnect_heard = read == Read::end && connection.finished && connection.newest;
        end(connection, now);
        return;
    }
    if ((events & POLLOUT) != 0) send(connection);
}

void TcpWires::send(Connection& connection) {
    sim::Wire& wire = *connection.wire;
    if (!wire.up.empty()) {
        const auto sent =
            ::send(connection.socket, wire.up.data(), wire.up.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) wire.up.erase(wire.up.begin(), wire.up.begin() + sent);
    }
    if (!wire.client_closed || !wire.up.empty() || connection.finished) return;
    if (wire.reset) {
        close_with_reset(std::exchange(connection.socket, -1));
        return;  // when the broker notices cannot be told
    }
    ::shutdown(connection.socket, SHUT_WR);
    connection.finished = true;
}

TcpWires::Read TcpWires::read(Connection& connection, std::size_t bytes_max) {
    std::array<std::byte, 65'536> chunk{};
    while (bytes_max != 0) {
        const auto size = ::recv(
            connection.socket, chunk.data(), std::min(chunk.size(), bytes_max), MSG_DONTWAIT);
        if (size == 0) return Read::end;
        if (size < 0) return errno == EAGAIN ? Read::nothing : Read::failure;
        connection.wire->down.insert(
            connection.wire->down.end(), chunk.begin(), chunk.begin() + size);
        bytes_max -= static_cast<std::size_t>(size);
    }
    return Read::nothing;
}

void TcpWires::end(Connection& connection, Instant at) {
    ::close(std::exchange(connection.socket, -1));
    connection.wire->close_server(at);
}

void TcpWires::broker_died(Instant died) {
    for (Connection& connection : connections_) {
        (void)read(connection, std::numeric_limits<std::size_t>::max());
        end(connection, died);
    }
    connections_.clear();
    port_ = 0;
}

}  // namespace stentor::crash
