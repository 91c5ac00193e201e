#pragma once
// Everything that can be configured, as plain values with the defaults of the documentation.
// The names of the sections and keys are those of the file (options_table.cpp ties them together);
// sizes are bytes, durations std::chrono::milliseconds, counts are counts. Any thread.

#include "server/config/listen_url.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace stentor::config {

using Milliseconds = std::chrono::milliseconds;

struct NodeOptions {
    std::string name = "stentor";
    std::uint32_t shards = 0;  // 0: one per core
    std::string data_dir = "./stentor-data";
    std::chrono::milliseconds sys_interval{10'000};  // 0: $SYS is empty

    /// data_dir = ":memory:": nothing outlives the process.
    [[nodiscard]] bool keeps_nothing() const { return data_dir == ":memory:"; }
};

enum class ClientCertificate : std::uint8_t { none, optional, required };

enum class TlsVersion : std::uint8_t { v1_2, v1_3 };

struct TlsOptions {
    std::string certificate_file;
    std::string key_file;
    std::vector<std::string> more_certificates;  // "certificate:key", chosen by host name
    std::string client_ca_file;
    std::string client_crl_file;
    ClientCertificate client_certificate = ClientCertificate::none;
    TlsVersion version_min = TlsVersion::v1_2;
    std::string ciphers;  // of TLS 1.2; empty: OpenSSL's choice

    bool operator==(const TlsOptions&) const = default;
};

struct ListenerOptions {
    ListenUrl url{.scheme = Scheme::mqtt, .host = "127.0.0.1", .port = 1883, .path = {}};
    TlsOptions tls;
    bool proxy_protocol = false;
    std::vector<std::string> trusted_proxies;  // addresses and networks (10.0.0.0/8)
    std::vector<std::string> allowed_origins;  // of WebSockets; empty: all
    std::uint32_t connections_max = 0;  // `max_connections`; 0: no bound of its own, as the next
    std::uint32_t connects_per_second_max = 0;
};

enum class AcknowledgeAfter : std::uint8_t { disk, os, memory };

enum class MissingSegments : std::uint8_t { refuse, accept };

struct StoreOptions {
    AcknowledgeAfter acknowledge_after = AcknowledgeAfter::disk;
    Milliseconds age_max = std::chrono::days{90};       // `max_age`
    std::uint64_t bytes_max = 10ULL << 30U;             // `max_bytes`
    std::uint64_t disk_free_bytes_min = 256ULL << 20U;  // `min_free_bytes`
    std::uint64_t segment_bytes_max = 64ULL << 20U;     // `segment_bytes`
    MissingSegments missing_segments = MissingSegments::refuse;
};

struct LimitOptions {
    std::uint32_t packet_bytes_max = 1U << 20U;
    std::uint16_t receive_maximum = 100;
    std::uint16_t inflight_maximum = 100;
    std::uint64_t inflight_bytes_max = 8ULL << 20U;
    std::uint32_t session_backlog_messages_max = 100'000;
    std::uint64_t session_backlog_bytes_max = 64ULL << 20U;
    std::uint32_t transient_queue_messages_max = 10'000;
    std::uint64_t transient_queue_bytes_max = 8ULL << 20U;
    Milliseconds session_expiry_max = std::chrono::days{90};
    Milliseconds keepalive_max{0};  // 0: whatever the client asks for
    std::uint32_t subscriptions_per_session_max = 10'000;
    std::uint32_t topic_levels_max = 64;
    std::uint16_t topic_aliases_max = 32;
    std::uint64_t outbox_bytes_max = 4ULL << 20U;
    Milliseconds connect_timeout{10'000};
    std::uint32_t connects_per_second_max = 0;  // 0: no bound
    std::uint32_t connections_max = 0;          // 0: no bound, and so the next two
    std::uint32_t connections_per_address_max = 0;
    std::uint32_t connects_per_second_per_address_max = 0;
    std::uint32_t messages_per_second_max = 0;  // per client; 0: no bound
    std::uint32_t retained_messages_max = 1'000'000;
    std::uint64_t retained_bytes_max = 1ULL << 30U;
    std::uint32_t sessions_max = 10'000'000;
    std::uint64_t sessions_bytes_max = 4ULL << 30U;
};

enum class AnonymousPolicy : std::uint8_t { never, loopback, always };
enum class AclSubscribe : std::uint8_t { refuse, filter };

struct JwtOptions {
    std::string key_file;                 // PEM public key or HMAC secret
    std::string jwks_file;                // a set of keys
    std::vector<std::string> algorithms;  // empty: those that fit the keys
    std::string issuer;                   // empty: any
    std::string audience;                 // empty: any
    Milliseconds leeway{5'000};
    std::string user_claim = "sub";
    bool user_must_match = false;
    std::string client_id_claim;  // empty: not looked at
    std::string acl_claim = "acl";
    std::string roles_claim = "roles";
    bool expiry_required = true;

    [[nodiscard]] bool is_on() const { return !key_file.empty() || !jwks_file.empty(); }
};

struct HttpAuthOptions {
    std::string url;  // empty: nobody is asked
    Milliseconds timeout{5'000};
    Milliseconds cache{60'000};
    Milliseconds cache_refusals{5'000};
    std::uint64_t cache_bytes_max = 16ULL << 20U;
    std::uint32_t connections_max = 8;
    std::string ca_file;  // empty: the system's authorities
    std::string headers_file;
    bool certificates = false;

    [[nodiscard]] bool is_on() const { return !url.empty(); }
};

struct AuthOptions {
    AnonymousPolicy anonymous = AnonymousPolicy::loopback;
    std::string password_file;  // empty: none
    std::string acl_file;       // empty: everything is allowed
    AclSubscribe acl_subscribe = AclSubscribe::refuse;
    std::string ban_file;                          // empty: nobody is banned
    std::uint32_t failures_per_address_max = 100;  // 0: no bound
    std::uint32_t failures_per_user_max = 10;      // 0: no bound
    Milliseconds failure_forgotten_after{10'000};
    JwtOptions jwt;
    HttpAuthOptions http;
};

struct HttpOptions {
    std::vector<std::string> admins{"password:admin"};  // authenticator:name
    std::vector<std::string> cors_origins;  // of web pages that may ask; empty: CORS is off
    std::string backup_folder;  // `backup_dir`: of those that the API makes; empty: it makes none
};

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };
enum class LogFormat : std::uint8_t { automatic, text, json };

struct LoggingOptions {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::automatic;
};

struct Options {
    NodeOptions node;
    std::vector<ListenerOptions> listeners{ListenerOptions{}};
    StoreOptions store;
    LimitOptions limits;
    AuthOptions auth;
    HttpOptions http;
    LoggingOptions logging;
};

}  // namespace stentor::config
