#include "tests/scenario/hostile/raw_client.hpp"

#include "base/clock.hpp"
#include "tests/kit/process.hpp"

#include <poll.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <system_error>
#include <utility>

namespace stentor::scenario {
namespace {

[[noreturn]] void fail(const char* what) {
    throw std::system_error{errno, std::generic_category(), what};
}

sockaddr_in address_of(std::uint32_t host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(host);
    return address;
}

const sockaddr* generic(const sockaddr_in& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

void set(int socket, int level, int option, int value) {
    if (::setsockopt(socket, level, option, &value, sizeof value) != 0) fail("setsockopt");
}

// The broker has gone, one way or the other.
bool is_end(int error) { return error == ECONNRESET || error == EPIPE; }

}  // namespace

RawClient::RawClient(std::uint16_t port, const Options& options)
    : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)} {
    if (socket_ < 0) fail("socket");
    set(socket_, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options.receive_buffer_bytes != 0) {
        set(socket_, SOL_SOCKET, SO_RCVBUF, options.receive_buffer_bytes);
    }
    if (options.source != 0) {
        set(socket_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        const auto source = address_of(0x7F00'0000U | options.source, 0);
        if (::bind(socket_, generic(source), sizeof source) != 0) fail("bind");
    }
    const auto broker = address_of(INADDR_LOOPBACK, port);
    if (::connect(socket_, generic(broker), sizeof broker) != 0 && errno != EINPROGRESS) {
        fail("connect");
    }
}

RawClient::RawClient(RawClient&& other) noexcept
    : socket_{std::exchange(other.socket_, -1)},
      unread_{std::move(other.unread_)},
      at_{std::exchange(other.at_, 0)} {}

RawClient& RawClient::operator=(RawClient&& other) noexcept {
    std::swap(socket_, other.socket_);
    std::swap(unread_, other.unread_);
    std::swap(at_, other.at_);
    return *this;
}

void RawClient::open(const ConnectPacket& options) {
    send(connect(options));
    const auto connack = receive();
    if (!connack || connack->type() != 2 || connack->body.at(1) != 0) {
        throw std::runtime_error{"CONNECT of " + options.id + " was not accepted"};
    }
}

bool RawClient::send(std::string_view octets) {
    while (!octets.empty()) {
        const ssize_t sent = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            octets.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
            wait(POLLOUT);
        } else if (is_end(errno)) {
            return false;
        } else if (errno != EINTR) {
            fail("send");
        }
    }
    return true;
}

std::size_t RawClient::send_some(std::string_view octets) {
    const ssize_t sent = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
}

void RawClient::finish_sending() { ::shutdown(socket_, SHUT_WR); }

std::optional<Packet> RawClient::receive() {
    while (true) {
        const std::string_view got = std::string_view{unread_}.substr(at_);
        std::size_t length = 0;
        std::size_t used = 1;
        bool complete = false;
        while (used < got.size() && used <= 4 && !complete) {
            const auto digit = static_cast<unsigned char>(got[used]);
            length |= static_cast<std::size_t>(digit & 0x7F) << 7 * (used - 1);
            ++used;
            complete = (digit & 0x80) == 0;
        }
        if (complete && got.size() >= used + length) {
            Packet packet{static_cast<unsigned char>(got[0]), Octets{got.substr(used, length)}};
            at_ += used + length;
            return packet;
        }
        if (!fill()) return std::nullopt;
    }
}

Packet RawClient::receive(unsigned type) {
    while (auto packet = receive()) {
        if (packet->type() == type) return *std::move(packet);
    }
    throw std::runtime_error{"closed before a packet of type " + std::to_string(type)};
}

Octets RawClient::receive_rest() {
    while (fill()) {
    }
    return std::exchange(unread_, {}).substr(std::exchange(at_, 0));
}

bool RawClient::drain() {
    unread_.clear();
    at_ = 0;
    std::array<char, 65'536> buffer{};
    while (true) {
        const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
        if (got == 0 || (got < 0 && is_end(errno))) return false;
        if (got < 0 && errno == EAGAIN) return true;
        if (got < 0 && errno != EINTR) fail("recv");
    }
}

bool RawClient::closed_within(int milliseconds) {
    pollfd polled{socket_, POLLIN, 0};
    ::poll(&polled, 1, milliseconds);
    return !drain();
}

long long RawClient::ping() {
    const Instant begin = monotonic_now();
    send(pingreq());
    receive(13);
    return std::chrono::duration_cast<std::chrono::milliseconds>(monotonic_now() - begin).count();
}

void RawClient::reset() {
    const linger at_once{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
}

void RawClient::close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

void RawClient::wait(short events) {
    static constexpr std::chrono::milliseconds kLimit = kit::kPatience;
    pollfd polled{socket_, events, 0};
    while (true) {
        const int ready = ::poll(&polled, 1, static_cast<int>(kLimit.count()));
        if (ready > 0) return;
        if (ready == 0) throw kit::Timeout{"the broker neither speaks nor closes"};
        if (errno != EINTR) fail("poll");
    }
}

bool RawClient::fill() {
    unread_.erase(0, std::exchange(at_, 0));
    std::array<char, 65'536> buffer{};
    while (true) {
        const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
        if (got > 0) {
            unread_.append(buffer.data(), static_cast<std::size_t>(got));
            return true;
        }
        if (got == 0 || is_end(errno)) return false;
        if (errno == EAGAIN) {
            wait(POLLIN);
        } else if (errno != EINTR) {
            fail("recv");
        }
    }
}

}  // namespace stentor::scenario
