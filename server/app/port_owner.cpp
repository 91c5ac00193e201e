#include "server/app/port_owner.hpp"

#include "base/descriptor.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <sys/socket.h>
#include <sys/un.h>

namespace stentor::app {
namespace {

namespace fs = std::filesystem;

struct ListeningSocket {
    std::string inode;
    uid_t uid = 0;
};

/// Looks through a table as proc(5) describes it under /proc/net/tcp: the second column is
/// ADDRESS:PORT in hex, the fourth the state (0A: listening), the eighth uid, the tenth inode.
std::optional<ListeningSocket> find_listening(const char* table, std::uint16_t port) {
    std::ifstream file{table};
    std::string line;
    std::getline(file, line);  // headings
    while (std::getline(file, line)) {
        std::istringstream columns{line};
        std::string slot;
        std::string local;
        std::string remote;
        std::string state;
        std::string queues;
        std::string timer;
        std::string retransmits;
        ListeningSocket found;
        std::string timeout;
        columns >> slot >> local >> remote >> state >> queues >> timer >> retransmits >>
            found.uid >> timeout >> found.inode;
        const auto colon = local.rfind(':');
        if (!columns || state != "0A" || colon == std::string::npos) continue;
        unsigned value = 0;
        const char* const end = local.data() + local.size();
        std::from_chars(local.data() + colon + 1, end, value, 16);
        if (value == port) return found;
    }
    return std::nullopt;
}

bool holds_inode(const fs::path& descriptors, const std::string& target) {
    std::error_code error;
    for (fs::directory_iterator entry{descriptors, error}; !error && entry != fs::end(entry);
         entry.increment(error)) {
        std::error_code unreadable;
        if (fs::read_symlink(entry->path(), unreadable) == target) return true;
    }
    return false;
}

std::string process_name(pid_t pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/comm"};
    std::string name;
    std::getline(file, name);
    return name;
}

}  // namespace

std::optional<PortOwner> owner_of_port(std::uint16_t port) {
    auto found = find_listening("/proc/net/tcp", port);
    if (!found) found = find_listening("/proc/net/tcp6", port);
    if (!found) return std::nullopt;
    PortOwner owner{.pid = 0, .name = {}, .uid = found->uid};
    const std::string target = "socket:[" + found->inode + "]";
    std::error_code error;
    for (fs::directory_iterator entry{"/proc", error}; !error && entry != fs::end(entry);
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        pid_t pid = 0;
        const auto read = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (read.ec != std::errc{} || read.ptr != name.data() + name.size()) continue;
        if (!holds_inode(entry->path() / "fd", target)) continue;
        owner.pid = pid;
        owner.name = process_name(pid);
        break;
    }
    return owner;
}

std::optional<PortOwner> owner_of_unix_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return std::nullopt;
    std::memcpy(&address.sun_path, path.data(), path.size());
    const Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    ucred peer{};
    socklen_t size = sizeof peer;
    const auto* const name = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket.get(), name, sizeof address) != 0 ||
        ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return std::nullopt;
    }
    return PortOwner{.pid = peer.pid, .name = process_name(peer.pid), .uid = peer.uid};
}

std::string describe(const PortOwner& owner) {
    if (owner.pid != 0) return owner.name + " (pid " + std::to_string(owner.pid) + ")";
    const passwd* user = ::getpwuid(owner.uid);
    return "a process of " + (user != nullptr ? "user " + std::string{user->pw_name}
                                              : "uid " + std::to_string(owner.uid));
}

}  // namespace stentor::app
