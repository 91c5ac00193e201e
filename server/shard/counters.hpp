#pragma once
// What a shard counts. Plain numbers of one thread; metrics copies them through the mailbox.

#include "protocol/session/session_types.hpp"
#include "server/metrics/histogram.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stentor::server {

/// As the log and the metrics call it; static.
[[nodiscard]] constexpr std::string_view name(mqtt::DropReason reason) noexcept {
    switch (reason) {
        case mqtt::DropReason::outbox_full:
            return "outbox_full";
        case mqtt::DropReason::queue_full:
            return "queue_full";
        case mqtt::DropReason::packet_too_large:
            return "packet_too_large";
        case mqtt::DropReason::expired:
            return "expired";
        case mqtt::DropReason::not_authorized:
            return "not_authorized";
        case mqtt::DropReason::no_longer_stored:
            return "no_longer_stored";
        case mqtt::DropReason::session_ended:
            return "session_ended";
        case mqtt::DropReason::retained_limit:
            return "retained_limit";
        case mqtt::DropReason::backlog_full:
            return "backlog_full";
        case mqtt::DropReason::too_old:
            return "too_old";
        case mqtt::DropReason::log_full:
            return "log_full";
        case mqtt::DropReason::segment_missing:
            return "segment_missing";
        case mqtt::DropReason::count_:
            break;
    }
    return "unknown";
}

/// Why a connection is not read for a while.
enum class ReadingPause : std::uint8_t {
    ingress,    // it publishes faster than its session takes, or does not read the answers
    congested,  // the log takes no more
    rate,       // limits.messages_per_second_max
    count_,
};

[[nodiscard]] constexpr std::string_view name(ReadingPause reason) noexcept {
    switch (reason) {
        case ReadingPause::ingress:
            return "ingress";
        case ReadingPause::congested:
            return "congested";
        case ReadingPause::rate:
            return "rate";
        case ReadingPause::count_:
            break;
    }
    return "unknown";
}

/// Why a message was not taken, and its publisher told.
enum class RefusedMessage : std::uint8_t {
    quota_exceeded,  // the store has no room for it
    not_committed,   // the store could not commit it
    count_,
};

[[nodiscard]] constexpr std::string_view name(RefusedMessage reason) noexcept {
    switch (reason) {
        case RefusedMessage::quota_exceeded:
            return "quota_exceeded";
        case RefusedMessage::not_committed:
            return "not_committed";
        case RefusedMessage::count_:
            break;
    }
    return "unknown";
}

/// Why a connection was ended before it had said anything.
enum class RefusedAtDoor : std::uint8_t {
    connects_per_second_max,
    max_connections,  // of its listener, as the next one
    listener_connects_per_second_max,
    banned,  // its address
    connections_max,
    connections_per_address_max,
    connects_per_second_per_address_max,
    http_connections_max,
    connect_bytes,   // of all clients that are not in yet
    tls_handshakes,  // of all, of the address that has most of them
    count_,
};

[[nodiscard]] constexpr std::string_view name(RefusedAtDoor reason) noexcept {
    switch (reason) {
        case RefusedAtDoor::connects_per_second_max:
            return "connects_per_second_max";
        case RefusedAtDoor::max_connections:
            return "max_connections";
        case RefusedAtDoor::listener_connects_per_second_max:
            return "listener_connects_per_second_max";
        case RefusedAtDoor::banned:
            return "address_banned";
        case RefusedAtDoor::connections_max:
            return "connections_max";
        case RefusedAtDoor::connections_per_address_max:
            return "connections_per_address_max";
        case RefusedAtDoor::connects_per_second_per_address_max:
            return "connects_per_second_per_address_max";
        case RefusedAtDoor::http_connections_max:
            return "http_connections_max";
        case RefusedAtDoor::connect_bytes:
            return "connect_bytes";
        case RefusedAtDoor::tls_handshakes:
            return "tls_handshakes";
        case RefusedAtDoor::count_:
            break;
    }
    return "unknown";
}

using RefusedAtDoorCounts =
    std::array<std::uint64_t, static_cast<std::size_t>(RefusedAtDoor::count_)>;

struct Counters {
    static constexpr std::size_t kDropReasons = static_cast<std::size_t>(mqtt::DropReason::count_);
    static constexpr std::size_t kReadingPauses = static_cast<std::size_t>(ReadingPause::count_);
    static constexpr std::size_t kRefusedMessages =
        static_cast<std::size_t>(RefusedMessage::count_);

    std::uint64_t connections_opened = 0;
    std::array<std::uint64_t, 256> connections_closed{};  // by reason code
    std::uint64_t connections_lost = 0;     // by the network, or the client without DISCONNECT
    std::uint64_t connections_to_http = 0;  // neither opened nor closed here in the end
    RefusedAtDoorCounts refused_at_door{};
    std::array<std::uint64_t, 256> connects_refused{};  // by reason code
    std::uint64_t connect_timeouts = 0;      // no CONNECT, or no AUTH, within connect_timeout
    std::uint64_t handshakes_failed = 0;     // PROXY header, TLS or WebSocket: no MQTT was spoken
    std::uint64_t authentications_shed = 0;  // no room to look at what CONNECT brings
    std::uint64_t authentications_timed_out = 0;  // no decision in time
    std::uint64_t subscriptions_over_quota = 0;   // limits.subscriptions_per_session_max
    std::uint64_t subscriptions_not_allowed = 0;  // by the rules
    std::array<std::uint64_t, kReadingPauses> reading_pauses{};  // by ReadingPause
    std::uint64_t takeovers = 0;
    std::uint64_t client_id_fights = 0;  // take-overs that follow others too fast
    std::uint64_t keep_alive_timeouts = 0;
    std::uint64_t protocol_errors = 0;  // packets that no client may send, or not then
    std::array<std::uint64_t, 16> packets_received{};  // by packet type
    std::array<std::uint64_t, 16> packets_sent{};
    std::array<std::uint64_t, 3> messages_received{};  // by QoS
    std::array<std::uint64_t, 3> messages_sent{};
    // By QoS: nobody had subscribed. With QoS 0 who is away does not get it, and is not counted.
    std::array<std::uint64_t, 3> messages_without_reader{};
    std::uint64_t messages_logged = 0;
    std::uint64_t messages_matched = 0;        // deliveries asked of sessions
    std::uint64_t publish_bytes_received = 0;  // topics and payloads
    std::array<std::uint64_t, kDropReasons> messages_dropped{};
    std::array<std::uint64_t, kRefusedMessages> messages_refused{};  // by RefusedMessage
    std::uint64_t batches_failed = 0;
    std::uint64_t pages_read = 0;
    std::uint64_t subscriptions_narrowed = 0;  // by a change of the rules
    std::uint64_t clients_sent_away = 0;       // by a change of users or bans
    std::uint64_t sessions_expired = 0;        // durable ones, with what waited for them
    std::uint64_t sessions_advanced = 0;       // past messages they had not got, at a bound
    // From the arrival of a message to its PUBLISH, of a part of those that arrived while their
    // receiver was connected; as precise as the beginnings of steps.
    metrics::Histogram delivery_microseconds;

    void dropped(mqtt::DropReason reason, std::uint64_t messages = 1) noexcept {
        messages_dropped[static_cast<std::size_t>(reason)] += messages;
    }
};

}  // namespace stentor::server
