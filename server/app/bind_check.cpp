#include "server/app/bind_check.hpp"

#include "base/descriptor.hpp"
#include "server/app/port_owner.hpp"

#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <system_error>

namespace stentor::app {
namespace {

using config::ListenUrl;
using config::Scheme;

constexpr std::uint16_t kPrivilegedPorts = 1024;

int try_bind(const addrinfo& address) noexcept {
    const Descriptor socket{::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket) return errno;
    const int on = 1;
    // As the server does: connections of a previous run in TIME_WAIT are no obstacle.
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), address.ai_addr, address.ai_addrlen) != 0) return errno;
    // SO_REUSEADDR lets a second bind pass; only listen() meets the other listener then.
    return ::listen(socket.get(), 1) == 0 ? 0 : errno;
}

std::optional<Problem> tcp_problem(const ListenUrl& url) {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* addresses = nullptr;
    const std::string port = std::to_string(url.port);
    const int found = ::getaddrinfo(url.host.c_str(), port.c_str(), &wanted, &addresses);
    if (found != 0) {
        return Problem{.what = "cannot listen on " + to_string(url) + ": " + ::gai_strerror(found),
                       .hint = "write an address of this machine, 127.0.0.1 or 0.0.0.0"};
    }
    int error = 0;
    for (const addrinfo* address = addresses; address != nullptr && error == 0;
         address = address->ai_next) {
        error = try_bind(*address);
    }
    ::freeaddrinfo(addresses);
    if (error == 0) return std::nullopt;
    return explain_bind_failure(url, error);
}

std::optional<Problem> unix_problem(const ListenUrl& url) {
    struct stat facts {};
    if (::lstat(url.path.c_str(), &facts) == 0) {
        if (!S_ISSOCK(facts.st_mode)) return explain_bind_failure(url, ENOTSOCK);
        if (owner_of_unix_socket(url.path)) return explain_bind_failure(url, EADDRINUSE);
    }
    const std::filesystem::path directory = std::filesystem::path{url.path}.parent_path();
    if (::access(directory.c_str(), W_OK | X_OK) != 0) return explain_bind_failure(url, errno);
    return std::nullopt;
}

std::string way_out(const ListenUrl& url, int error_number) {
    const bool tcp = url.scheme != Scheme::unix_socket;
    switch (error_number) {
        case EADDRINUSE:
            return tcp ? "stop it, or listen elsewhere: --listen " +
                             std::string{scheme_name(url.scheme)} + "://" +
                             (url.host.find(':') == std::string::npos ? url.host
                                                                      : '[' + url.host + ']') +
                             ":0 picks a free port"
                       : "stop it, or give the listener another path";
        case EACCES:
            if (tcp && url.port < kPrivilegedPorts) {
                return "ports below 1024 need the capability CAP_NET_BIND_SERVICE; use a higher "
                       "one";
            }
            return "let this user write to the directory, or give the listener another path";
        case EADDRNOTAVAIL:
            return "the address is not one of this machine: see `ip address`";
        case ENOTSOCK:
            return "remove it, or give the listener another path";
        case ENOENT:
            return "make the directory, or give the listener another path";
        default:
            return {};
    }
}

}  // namespace

std::optional<Problem> bind_problem(const ListenUrl& url) {
    return url.scheme == Scheme::unix_socket ? unix_problem(url) : tcp_problem(url);
}

Problem explain_bind_failure(const ListenUrl& url, int error_number) {
    std::string why = std::generic_category().message(error_number);
    if (error_number == EADDRINUSE) {
        const auto owner = url.scheme == Scheme::unix_socket ? owner_of_unix_socket(url.path)
                                                             : owner_of_port(url.port);
        const std::string_view thing = url.scheme == Scheme::unix_socket ? "socket" : "port";
        why = "the " + std::string{thing} + " is in use" + (owner ? " by " + describe(*owner) : "");
    }
    if (error_number == ENOTSOCK) why = "a file that is no socket is in the way";
    return {.what = "cannot listen on " + to_string(url) + ": " + why,
            .hint = way_out(url, error_number)};
}

}  // namespace stentor::app
