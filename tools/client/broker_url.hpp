#pragma once
// Where a tool connects to: mqtt://user:pw@host:port/topic and its relatives, as -L takes them.
// Pure values. Any thread.

#include "tools/client/arguments.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::tools {

enum class Scheme : std::uint8_t { mqtt, mqtts, ws, wss, unix_socket };

[[nodiscard]] constexpr bool is_tls(Scheme scheme) noexcept {
    return scheme == Scheme::mqtts || scheme == Scheme::wss;
}
[[nodiscard]] constexpr bool is_websocket(Scheme scheme) noexcept {
    return scheme == Scheme::ws || scheme == Scheme::wss;
}
/// 1883, 8883, 8083, 8084; 0 for unix_socket.
[[nodiscard]] std::uint16_t default_port(Scheme scheme) noexcept;

struct Address {
    Scheme scheme = Scheme::mqtt;
    std::string host = "localhost";  // without brackets
    std::uint16_t port = 1883;
    std::string path{};  // of the socket file, or of the WebSocket

    /// As a URL without user and topic: for messages.
    [[nodiscard]] std::string to_string() const;
};

struct BrokerUrl {
    Address address;
    std::optional<std::string> user_name;
    std::optional<std::string> password;
    std::optional<std::string> topic;  // the path of mqtt:// and mqtts://
};

/// Percent escapes are decoded in user name, password and topic.
[[nodiscard]] Result<BrokerUrl, UsageError> parse_broker_url(std::string_view text);

}  // namespace stentor::tools
