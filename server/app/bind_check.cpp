#include "server/app/bind_check.hpp"

#include "server/app/port_owner.hpp"
#include "server/transport/listener.hpp"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>

namespace stentor::app {
namespace {

using config::ListenUrl;
using config::Scheme;

constexpr std::uint16_t kPrivilegedPorts = 1024;

/// SO_REUSEADDR lets a second bind pass; only listening meets the other listener then.
std::optional<Problem> tcp_problem(const ListenUrl& url) {
    const auto opened = server::Listener::open({.host = url.host, .port = url.port, .path = {}}, 0);
    if (opened) return std::nullopt;
    if (opened.error().code != 0) return explain_bind_failure(url, opened.error().code);
    return Problem{.what = "cannot listen on " + to_string(url) + ": " + opened.error().what,
                   .hint = "write an address of this machine, 127.0.0.1 or 0.0.0.0"};
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
