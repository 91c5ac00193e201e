#pragma once
// What the service manager (systemd) is told: lines NAME=VALUE in one datagram to the socket that
// it names in NOTIFY_SOCKET. Nothing happens where there is none, or in a build without libsystemd.
// Any thread, none of the shards': a manager that does not read can make the caller wait.

#include "base/clock.hpp"

#include <optional>
#include <string>

namespace stentor::app::service_manager {

/// Whether one listens, and this build can speak to it.
[[nodiscard]] bool listens() noexcept;

/// Whether one waits for READY=1 in vain: it listens, and this build cannot speak to it.
[[nodiscard]] bool is_kept_waiting() noexcept;

/// In which time it wants to hear WATCHDOG=1; nothing: it does not.
[[nodiscard]] std::optional<Duration> watchdog_time() noexcept;

/// "STATUS=text\n"; the text becomes one line.
[[nodiscard]] std::string status(std::string text);

void tell(const std::string& lines) noexcept;

/// RELOADING=1 with the time that systemd wants beside it; READY=1 has to follow.
void tell_reloading() noexcept;

}  // namespace stentor::app::service_manager
