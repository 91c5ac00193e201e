#pragma once
// Reason codes of MQTT 5.0, CONNACK return codes of 3.1.1, and the error that decoding ends with.
// Pure values. Any thread.

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace stentor::mqtt {

/// Section 2.4, table 2-6. Codes from 0x80 on are failures.
enum class ReasonCode : std::uint8_t {
    success = 0x00,
    normal_disconnection = 0x00,
    granted_qos_0 = 0x00,
    granted_qos_1 = 0x01,
    granted_qos_2 = 0x02,
    disconnect_with_will_message = 0x04,
    no_matching_subscribers = 0x10,
    no_subscription_existed = 0x11,
    continue_authentication = 0x18,
    re_authenticate = 0x19,
    unspecified_error = 0x80,
    malformed_packet = 0x81,
    protocol_error = 0x82,
    implementation_specific_error = 0x83,
    unsupported_protocol_version = 0x84,
    client_identifier_not_valid = 0x85,
    bad_user_name_or_password = 0x86,
    not_authorized = 0x87,
    server_unavailable = 0x88,
    server_busy = 0x89,
    banned = 0x8A,
    server_shutting_down = 0x8B,
    bad_authentication_method = 0x8C,
    keep_alive_timeout = 0x8D,
    session_taken_over = 0x8E,
    topic_filter_invalid = 0x8F,
    topic_name_invalid = 0x90,
    packet_identifier_in_use = 0x91,
    packet_identifier_not_found = 0x92,
    receive_maximum_exceeded = 0x93,
    topic_alias_invalid = 0x94,
    packet_too_large = 0x95,
    message_rate_too_high = 0x96,
    quota_exceeded = 0x97,
    administrative_action = 0x98,
    payload_format_invalid = 0x99,
    retain_not_supported = 0x9A,
    qos_not_supported = 0x9B,
    use_another_server = 0x9C,
    server_moved = 0x9D,
    shared_subscriptions_not_supported = 0x9E,
    connection_rate_exceeded = 0x9F,
    maximum_connect_time = 0xA0,
    subscription_identifiers_not_supported = 0xA1,
    wildcard_subscriptions_not_supported = 0xA2,
};

[[nodiscard]] constexpr std::uint8_t to_number(ReasonCode reason) noexcept {
    return static_cast<std::uint8_t>(reason);
}

[[nodiscard]] constexpr bool is_failure(ReasonCode reason) noexcept {
    return to_number(reason) >= 0x80;
}

/// The enumerator's name ("packet_too_large"; 0 is "success"); "unknown" for any other number.
/// A literal: lives for ever.
[[nodiscard]] std::string_view name(ReasonCode reason) noexcept;

/// CONNACK return codes of 3.1.1 (its table 3.1).
enum class ConnectReturnCode : std::uint8_t {
    accepted = 0,
    unacceptable_protocol_version = 1,
    identifier_rejected = 2,
    server_unavailable = 3,
    bad_user_name_or_password = 4,
    not_authorized = 5,
};

/// What a 3.1.1 client is told when `reason` ends its CONNECT. Nothing where no return code
/// applies: then the connection is closed without a CONNACK [MQTT-3.2.2-6 of 3.1.1].
[[nodiscard]] std::optional<ConnectReturnCode> connect_return_code(ReasonCode reason) noexcept;

/// The other direction, for clients: the reason code closest to a received return code.
[[nodiscard]] ReasonCode reason_code(ConnectReturnCode code) noexcept;

/// Why a peer's bytes were refused. `reason` is what the peer may be told; `detail` is a literal
/// for logs that names the clause.
struct ProtocolError {
    ReasonCode reason = ReasonCode::malformed_packet;
    const char* detail = "";

    friend bool operator==(const ProtocolError& a, const ProtocolError& b) noexcept {
        return a.reason == b.reason && std::string_view{a.detail} == b.detail;
    }
};

/// Asking a failed Result for its value without having checked is our mistake.
[[noreturn]] void throw_exception_from_error(const ProtocolError& error,
                                             const boost::source_location& at);

template <class T>
using ProtocolResult = Result<T, ProtocolError>;

}  // namespace stentor::mqtt
