#include "tools/client/broker_url.hpp"

#include "base/bytes.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace stentor::tools {
namespace {

constexpr std::array<std::pair<std::string_view, Scheme>, 5> kSchemes{{
    {"mqtt", Scheme::mqtt},
    {"mqtts", Scheme::mqtts},
    {"ws", Scheme::ws},
    {"wss", Scheme::wss},
    {"unix", Scheme::unix_socket},
}};

std::string_view name(Scheme scheme) {
    for (const auto& [text, value] : kSchemes) {
        if (value == scheme) return text;
    }
    return "";
}

Result<std::string, UsageError> percent_decoded(std::string_view text) {
    std::string decoded;
    while (!text.empty()) {
        if (text.front() != '%') {
            decoded += text.front();
            text.remove_prefix(1);
            continue;
        }
        const auto byte = from_hex(text.substr(1, 2));
        if (!byte || byte->size() != 1) {
            return UsageError{"a '%' without two hex digits", "write %25 for a percent sign"};
        }
        decoded += std::to_integer<char>(byte->front());
        text.remove_prefix(3);
    }
    // In place: a text could be taken for an error.
    return {boost::system::in_place_value, std::move(decoded)};
}

Result<void, UsageError> take_host_and_port(std::string_view text, Address& address) {
    std::string_view host = text;
    std::string_view port;
    if (text.starts_with('[')) {
        const auto end = text.find(']');
        if (end == std::string_view::npos) return UsageError{"']' is missing behind the address"};
        host = text.substr(1, end - 1);
        text.remove_prefix(end + 1);
        if (!text.empty() && text.front() != ':') return UsageError{"a port is written [...]:1883"};
        port = text;
    } else if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
        if (text.find(':') != colon) {
            return UsageError{"more than one ':'", "an IPv6 address is written [::1]:1883"};
        }
        host = text.substr(0, colon);
        port = text.substr(colon);
    }
    if (host.empty()) return UsageError{"the host is missing", "for example mqtt://localhost"};
    address.host = host;
    if (port.size() > 1) {
        STENTOR_TRY(const auto number, parse_number(port.substr(1), 1, 65'535));
        address.port = static_cast<std::uint16_t>(number);
    }
    return {};
}

}  // namespace

std::uint16_t default_port(Scheme scheme) noexcept {
    switch (scheme) {
        case Scheme::mqtt:
            return 1883;
        case Scheme::mqtts:
            return 8883;
        case Scheme::ws:
            return 8083;
        case Scheme::wss:
            return 8084;
        case Scheme::unix_socket:
            return 0;
    }
    return 0;
}

std::string Address::to_string() const {
    if (scheme == Scheme::unix_socket) return fmt::format("unix://{}", path);
    const bool v6 = host.find(':') != std::string::npos;
    return fmt::format("{}://{}{}{}:{}{}",
                       name(scheme),
                       v6 ? "[" : "",
                       host,
                       v6 ? "]" : "",
                       port,
                       is_websocket(scheme) ? path : "");
}

Result<BrokerUrl, UsageError> parse_broker_url(std::string_view text) {
    const auto colon = text.find("://");
    if (colon == std::string_view::npos) {
        return UsageError{fmt::format("'{}' is not a URL", text),
                          "for example mqtt://localhost:1883/topic"};
    }
    BrokerUrl url;
    bool known = false;
    for (const auto& [word, scheme] : kSchemes) {
        if (text.substr(0, colon) != word) continue;
        url.address.scheme = scheme;
        known = true;
    }
    if (!known) {
        return UsageError{fmt::format("unknown scheme '{}'", text.substr(0, colon)),
                          "mqtt, mqtts, ws, wss and unix are known"};
    }
    url.address.port = default_port(url.address.scheme);
    auto rest = text.substr(colon + 3);
    if (url.address.scheme == Scheme::unix_socket) {
        if (rest.empty()) return UsageError{"the socket's path is missing", "unix:///run/x.sock"};
        url.address.host.clear();
        url.address.path = rest;
        return url;
    }
    const auto slash = rest.find('/');
    auto authority = rest.substr(0, slash);
    const auto path = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash);
    if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
        const auto user = authority.substr(0, at);
        authority.remove_prefix(at + 1);
        const auto split = user.find(':');
        STENTOR_TRY(url.user_name, percent_decoded(user.substr(0, split)));
        if (split != std::string_view::npos) {
            STENTOR_TRY(url.password, percent_decoded(user.substr(split + 1)));
        }
    }
    STENTOR_TRY_VOID(take_host_and_port(authority, url.address));
    if (is_websocket(url.address.scheme)) {
        url.address.path = path.empty() ? "/mqtt" : path;
    } else if (path.size() > 1) {
        STENTOR_TRY(url.topic, percent_decoded(path.substr(1)));
    }
    return url;
}

}  // namespace stentor::tools
