#include "server/app/service_manager.hpp"

#ifdef STENTOR_HAS_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace stentor::app::service_manager {
namespace {

bool has_socket() noexcept { return std::getenv("NOTIFY_SOCKET") != nullptr; }

#ifdef STENTOR_HAS_SYSTEMD
constexpr bool kSpeaks = true;
#else
constexpr bool kSpeaks = false;
#endif

}  // namespace

bool listens() noexcept { return kSpeaks && has_socket(); }

bool is_kept_waiting() noexcept { return !kSpeaks && has_socket(); }

std::optional<Duration> watchdog_time() noexcept {
#ifdef STENTOR_HAS_SYSTEMD
    std::uint64_t microseconds = 0;
    // It looks at WATCHDOG_PID as well: the variables may be meant for our parent.
    if (listens() && ::sd_watchdog_enabled(0, &microseconds) > 0) {
        return std::chrono::microseconds{microseconds};
    }
#endif
    return std::nullopt;
}

std::string status(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return "STATUS=" + text + '\n';
}

void tell([[maybe_unused]] const std::string& lines) noexcept {
#ifdef STENTOR_HAS_SYSTEMD
    // A manager that cannot be reached is none of the clients' business.
    if (has_socket()) (void)::sd_notify(0, lines.c_str());
#endif
}

void tell_reloading() noexcept {
    const auto now = monotonic_now().time_since_epoch();
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    tell("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds) + '\n');
}

}  // namespace stentor::app::service_manager
