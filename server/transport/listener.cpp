#include "server/transport/listener.hpp"

#include <netdb.h>

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace stentor::server {

namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

bool is_loopback(const sockaddr* address) {
    if (address->sa_family == AF_INET) {
        const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
        return (ntohl(v4->sin_addr.s_addr) >> 24U) == 127;
    }
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    if (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)) return true;
    return IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127;
}

ListenError failed(std::string what, int code) {
    return {.code = code, .what = std::move(what) + ": " + std::strerror(code)};
}

/// A socket file whose broker has died stays behind: nobody answers there.
void remove_if_stale(const sockaddr_un& address) {
    const Descriptor probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct stat file {};
    if (::stat(address.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) return;
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
        errno == ECONNREFUSED) {
        ::unlink(address.sun_path);
    }
}

}  // namespace

Result<Listener, ListenError> Listener::open(const ListenAddress& address, std::uint16_t index) {
    Listener listener;
    listener.index_ = index;
    if (!address.path.empty()) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        if (address.path.size() >= sizeof name.sun_path) {
            return failed("cannot bind " + address.path, ENAMETOOLONG);
        }
        std::memcpy(name.sun_path, address.path.c_str(), address.path.size() + 1);
        remove_if_stale(name);
        listener.socket_ =
            Descriptor{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
        if (::bind(listener.socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) !=
            0) {
            return failed("cannot bind " + address.path, errno);
        }
        listener.path_ = address.path;
        listener.loopback_ = true;
    } else {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
        addrinfo* found = nullptr;
        const std::string port = std::to_string(address.port);
        if (const int code = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
            code != 0) {
            return ListenError{.what =
                                   "cannot resolve " + address.host + ": " + gai_strerror(code)};
        }
        const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{found, ::freeaddrinfo};
        listener.socket_ =
            Descriptor{::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
        const int on = 1;
        const int off = 0;
        (void)::setsockopt(listener.socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (found->ai_family == AF_INET6) {  // "::" serves IPv4 too
            (void)::setsockopt(listener.socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        }
        if (::bind(listener.socket_.get(), found->ai_addr, found->ai_addrlen) != 0) {
            return failed("cannot bind " + address.host + " port " + port, errno);
        }
        listener.loopback_ = server::is_loopback(found->ai_addr);
        sockaddr_storage bound{};
        socklen_t size = sizeof bound;
        (void)::getsockname(listener.socket_.get(), reinterpret_cast<sockaddr*>(&bound), &size);
        listener.port_ = ntohs(bound.ss_family == AF_INET
                                   ? reinterpret_cast<const sockaddr_in&>(bound).sin_port
                                   : reinterpret_cast<const sockaddr_in6&>(bound).sin6_port);
    }
    if (::listen(listener.socket_.get(), kBacklog) != 0) return failed("cannot listen", errno);
    return listener;
}

Listener::~Listener() {
    if (socket_ && !path_.empty()) ::unlink(path_.c_str());
}

}  // namespace stentor::server
