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

/// "localhost" is 127.0.0.1, where everybody looks for it, although the system may put ::1 first.
const addrinfo& preferred(const addrinfo& found) {
    for (const addrinfo* each = &found; each != nullptr; each = each->ai_next) {
        if (each->ai_family == AF_INET) return *each;
    }
    return found;
}

}  // namespace

Result<Listener, ListenError> Listener::open(const ListenAddress& address, std::uint16_t index) {
    Listener listener;
    listener.index_ = index;
    STENTOR_TRY_VOID(address.path.empty() ? listener.bind_tcp(address)
                                          : listener.bind_unix(address.path));
    if (::listen(listener.socket_.get(), kBacklog) != 0) {
        return failed("cannot listen on " + address.host + address.path, errno);
    }
    return listener;
}

Result<void, ListenError> Listener::bind_unix(const std::string& path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    if (path.size() >= sizeof name.sun_path) return failed("cannot bind " + path, ENAMETOOLONG);
    std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
    remove_if_stale(name);
    socket_ = Descriptor{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!socket_) return failed("no socket for " + path, errno);
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
        return failed("cannot bind " + path, errno);
    }
    path_ = path;
    loopback_ = true;
    return {};
}

Result<void, ListenError> Listener::bind_tcp(const ListenAddress& address) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const std::string port = std::to_string(address.port);
    if (const int code = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
        code != 0) {
        return ListenError{.what = "cannot resolve " + address.host + ": " + gai_strerror(code)};
    }
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{found, ::freeaddrinfo};
    const addrinfo& chosen = preferred(*found);
    const std::string where = address.host + " port " + port;
    socket_ = Descriptor{::socket(chosen.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (!socket_) return failed("no socket for " + where, errno);
    const int on = 1;
    const int off = 0;
    (void)::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (chosen.ai_family == AF_INET6) {  // "::" serves IPv4 too
        (void)::setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    if (::bind(socket_.get(), chosen.ai_addr, chosen.ai_addrlen) != 0) {
        return failed("cannot bind " + where, errno);
    }
    loopback_ = server::is_loopback(chosen.ai_addr);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    (void)::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&bound), &size);
    port_ =
        ntohs(bound.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(bound).sin_port
                                         : reinterpret_cast<const sockaddr_in6&>(bound).sin6_port);
    return {};
}

Listener::~Listener() {
    if (socket_ && !path_.empty()) ::unlink(path_.c_str());
}

}  // namespace stentor::server
