#pragma once
// What a session is made from: the server's limits, and a CONNECT that has been judged.
// Pure values; each lives on the shard of the session it speaks of.

#include "base/clock.hpp"
#include "base/intrusive.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"
#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace stentor::mqtt {

using MessagePtr = IntrusivePtr<const Message>;

/// The server's side of every bound a session keeps. One immutable copy per shard; sessions refer
/// to it.
struct SessionLimits {
    std::uint32_t packet_bytes_max = 1'048'576;  // of a packet towards us; announced in 5.0
    std::uint16_t receive_maximum = 100;         // QoS 1/2 towards us and not finished
    std::uint16_t inflight_maximum = 100;        // QoS 1/2 towards the client and not finished
    std::size_t inflight_bytes_max = std::size_t{8} << 20;  // of them; one more is always admitted
    std::uint16_t topic_aliases_max = 32;                   // each direction
    std::uint16_t topic_levels_max = 64;
    std::uint32_t subscriptions_per_session_max = 10'000;
    std::uint32_t session_expiry_seconds_max = 90u * 24 * 3600;
    std::uint16_t keep_alive_seconds_max = 0;  // 0: the client's own
    std::uint32_t transient_queue_messages_max = 10'000;
    std::size_t transient_queue_bytes_max = std::size_t{8} << 20;
    std::size_t outbox_bytes_max = std::size_t{4} << 20;
};

struct WillMessage {
    MessagePtr message;  // publisher: the client; arrival: CONNECT's, see published_at()
    std::uint32_t delay_seconds = 0;  // Will Delay Interval (5.0, 3.1.3.2.2)
};

/// The same message with another arrival: a will's Message Expiry Interval counts from the moment
/// it is published, not from CONNECT (5.0, 3.1.3.2.4).
[[nodiscard]] MessagePtr published_at(const Message& message, Instant arrival);

/// A CONNECT that passed every check a single packet allows; owns what it says.
struct ConnectRequest {
    std::string client_id;  // empty: the server has to assign one, see assign_client_id()
    std::optional<WillMessage> will;
    std::optional<std::string> user_name;
    std::optional<std::string> password;  // bytes; wiped once authentication has ended
    std::string authentication_method;    // empty: none
    std::string authentication_data;      // the client's; once admitted: the server's last word
    std::uint32_t session_expiry_seconds = 0;     // in force; 3.1.1: 0 or the limit
    std::uint32_t packet_bytes_max = 0xFFFFFFFF;  // of the client
    std::uint16_t receive_maximum = 65535;        // of the client
    std::uint16_t topic_alias_maximum = 0;        // of the client
    std::uint16_t keep_alive_seconds = 0;         // in force: the client's or the limit
    ProtocolVersion version = ProtocolVersion::v5;
    bool clean_start = true;
    bool client_id_assigned = false;         // then CONNACK tells it (5.0)
    bool keep_alive_overridden = false;      // then CONNACK tells it; only a 5.0 client can be told
    bool session_expiry_overridden = false;  // then CONNACK tells it (5.0)
    bool request_problem_information = true;
    bool request_response_information = false;

    /// Set by the shard: Clean Start 0 has found a stored session. With an expiry interval of 0 it
    /// is still resumed and delivered durably; it ends when the connection does.
    bool resumes_stored = false;

    [[nodiscard]] bool durable() const noexcept {
        return session_expiry_seconds != 0 || resumes_stored;
    }
};

/// Judges a decoded CONNECT. Fails with the reason for CONNACK: client_identifier_not_valid for an
/// empty identifier with Clean Session 0 [MQTT-3.1.3-8 of 3.1.1], topic_name_invalid for the will's
/// topic. `client_id` stays empty when the server has to assign one.
[[nodiscard]] ProtocolResult<ConnectRequest> judge_connect(const ConnectView& connect,
                                                           const SessionLimits& limits,
                                                           Instant now);

/// Names a client that came without an identifier, and makes it the publisher of its will.
void assign_client_id(ConnectRequest& request, std::string client_id);

}  // namespace stentor::mqtt
