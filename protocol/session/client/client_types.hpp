#pragma once
// What goes into and comes out of a ClientSession: options, what the server allows, events.
// Pure values. Any thread.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace stentor::mqtt {

struct ClientWill {
    std::string topic;
    Bytes payload;
    QoS qos = QoS::at_most_once;
    bool retain = false;
    Bytes properties = {};  // a block as PropertyWriter builds it; 5.0 only
};

/// Whose turn it is to answer: the session's at once, or the caller's in its own time. Tests use
/// `manual` to be late, or impolite.
enum class Answer : std::uint8_t { automatic, manual };

/// What becomes of unacknowledged PUBLISH packets when the server has lost the session.
enum class SessionLoss : std::uint8_t {
    publish_again,  // as new messages, in their order; QoS 2 in phase PUBREL counts as done
    give_up,        // one PublishLost each
};

/// Whether the server's announced limits are checked before sending. `ignore` is for tests.
enum class ServerLimitChecks : std::uint8_t { obey, ignore };

struct ClientOptions {
    ProtocolVersion version = ProtocolVersion::v5;
    std::string client_id;  // empty: the server assigns one
    std::uint16_t keep_alive_seconds = 60;
    std::optional<std::string> user_name;
    std::optional<Bytes> password;
    std::optional<ClientWill> will;
    /// CONNECT's property block. Receive Maximum, Maximum Packet Size, Topic Alias Maximum and
    /// Authentication Method are taken from here, so that what is announced is what is enforced.
    Bytes connect_properties;

    /// Of a packet from the server, when Maximum Packet Size is not announced.
    std::uint32_t packet_bytes_max = kVarintMax;
    /// Topic aliases the session assigns to outgoing topics by itself, first come, first served.
    std::uint16_t topic_aliases_max = 0;
    Duration connect_timeout = std::chrono::seconds{30};  // CONNECT to CONNACK
    /// PINGREQ to the next sign of life.
    Duration ping_timeout = std::chrono::seconds{20};
    SessionLoss session_loss = SessionLoss::publish_again;
    /// The first identifier used. A client that resumes a session it knows nothing of should choose
    /// it at random: the server may still hold QoS 2 identifiers of the predecessor.
    PacketId first_packet_id{1};

    Answer on_publish = Answer::automatic;  // manual: acknowledge() sends PUBACK or PUBREC
    Answer on_pubrec = Answer::automatic;   // manual: release() sends PUBREL
    Answer on_pubrel = Answer::automatic;   // manual: complete() sends PUBCOMP
    ServerLimitChecks limit_checks = ServerLimitChecks::obey;
};

enum class CleanStart : std::uint8_t { no, yes };

/// What CONNACK said, with the specification's defaults for what it left out.
struct ServerLimits {
    std::uint16_t receive_maximum = 65'535;
    std::uint32_t packet_bytes_max = kVarintMax;
    std::uint16_t topic_alias_maximum = 0;
    std::uint16_t keep_alive_seconds = 0;                  // in force: the server's, or ours
    std::optional<std::uint32_t> session_expiry_interval;  // if the server changed it
    QoS maximum_qos = QoS::exactly_once;
    bool retain_available = true;
    bool wildcard_subscription_available = true;
    bool subscription_identifier_available = true;
    bool shared_subscription_available = true;
};

/// Why something was not sent. Nothing has changed then.
enum class SendRefusal : std::uint8_t {
    not_connected,
    window_full,  // the server's Receive Maximum, or all identifiers are in use: wait for an event
    packet_too_large,
    qos_not_supported,
    retain_not_supported,
    topic_alias_invalid,
    wildcard_subscriptions_not_supported,
    shared_subscriptions_not_supported,
    subscription_identifiers_not_supported,
};

/// The enumerator's name with spaces ("packet too large"), a literal.
[[nodiscard]] std::string_view name(SendRefusal refusal) noexcept;

// --- events; their views die with the next call of a non-const member ---

/// The input holds nothing more to tell: come back with more behind what is left of it.
struct NeedInput {
    std::size_t bytes_min = 0;  // in all, from the front of what is left; 0 after the end
};

struct Connected {
    bool session_present = false;
    PropertiesView properties = {};
};

/// A message. `publish.topic` is never empty: aliases are resolved. A QoS 2 message comes once,
/// however often it was sent; a QoS 1 message as often as the server repeats it.
struct Received {
    PublishView publish;
};

/// PUBACK, PUBCOMP, or PUBREC with a failure: the identifier is free again.
struct PublishDone {
    PacketId packet_id;
    std::uint64_t token = 0;
    ReasonCode reason = ReasonCode::success;
    PropertiesView properties = {};
};

/// Given up because the session was lost (SessionLoss::give_up).
struct PublishLost {
    PacketId packet_id;
    std::uint64_t token = 0;
};

/// PUBREC without failure; only with ClientOptions::on_pubrec manual.
struct PublishReceived {
    PacketId packet_id;
    std::uint64_t token = 0;
};

/// PUBREL; only with ClientOptions::on_pubrel manual.
struct ReleaseReceived {
    PacketId packet_id;
};

struct SubscribeDone {
    PacketId packet_id;
    ReasonCodes reasons = {};
    PropertiesView properties = {};
};

struct UnsubscribeDone {
    PacketId packet_id;
    ReasonCodes reasons = {};  // none in 3.1.1
    PropertiesView properties = {};
};

/// Answer with ClientSession::authenticate().
struct AuthReceived {
    AuthView auth;
};

/// The answer to ClientSession::ping(). Those to the session's own pings are not told.
struct PingDone {};

enum class CloseCause : std::uint8_t {
    refused,          // CONNACK with a failure
    disconnected,     // DISCONNECT from the server
    server_error,     // the server broke the protocol; DISCONNECT with `reason` is in the output
    connect_timeout,  // no CONNACK
    ping_timeout,     // no sign of life after PINGREQ
};

/// The end of this connection: send what is in the output, then close the transport.
struct Closed {
    CloseCause cause = CloseCause::disconnected;
    ReasonCode reason = ReasonCode::normal_disconnection;
    const char* detail = "";         // a literal, for server_error
    PropertiesView properties = {};  // of CONNACK or DISCONNECT: reason string, server reference
};

using ClientEvent = std::variant<NeedInput,
                                 Connected,
                                 Received,
                                 PublishDone,
                                 PublishLost,
                                 PublishReceived,
                                 ReleaseReceived,
                                 SubscribeDone,
                                 UnsubscribeDone,
                                 AuthReceived,
                                 PingDone,
                                 Closed>;

}  // namespace stentor::mqtt
