#pragma once
// The URL of a web service that the broker asks: https://auth.example.org/mqtt/login.
// Pure; no name is looked up. Any thread.

#include "base/result.hpp"
#include "server/config/units.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace stentor::config {

struct ServiceUrl {
    bool uses_tls = false;
    std::string host;          // a name or an address, IPv6 without brackets
    std::uint16_t port = 80;   // 443 with TLS
    std::string target = "/";  // path and query, as they are sent
};

/// Refuses user names and passwords in it (they would be shown in logs) and fragments.
[[nodiscard]] Result<ServiceUrl, ValueError> parse_service_url(std::string_view text);

}  // namespace stentor::config
