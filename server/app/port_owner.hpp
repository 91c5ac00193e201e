#pragma once
// Who holds a TCP port or a Unix socket: for error messages, so that nobody has to search.
// Reads /proc; takes milliseconds. Commands and start-up only, main thread.

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>

namespace stentor::app {

struct PortOwner {
    pid_t pid = 0;     // 0: a process of another user, whose descriptors we may not see
    std::string name;  // of the process; empty with pid 0
    uid_t uid = 0;
};

/// The process that listens on the TCP port, on any address. Nothing if nobody does.
[[nodiscard]] std::optional<PortOwner> owner_of_port(std::uint16_t port);

/// The process that listens on the socket file. Nothing if nobody does.
[[nodiscard]] std::optional<PortOwner> owner_of_unix_socket(const std::string& path);

/// "mosquitto (pid 812)", "a process of user mosquitto".
[[nodiscard]] std::string describe(const PortOwner& owner);

}  // namespace stentor::app
