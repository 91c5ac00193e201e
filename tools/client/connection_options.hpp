#pragma once
// The options that pub and sub share: whom to connect to, as whom, and how. Letters and meaning are
// those of Mosquitto's tools.
// Pure but for the process id and the randomness in client identifiers; start-up only.

#include "tools/client/arguments.hpp"
#include "tools/client/client_runner.hpp"
#include "tools/client/property_options.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stentor::tools {

/// The options that say how TLS is spoken; `tls` must outlive them.
[[nodiscard]] OptionGroup tls_group(TlsOptions& tls);
/// Whether they, or the port, mean that it is spoken, where no URL says so.
[[nodiscard]] bool asks_for_tls(const TlsOptions& tls, std::optional<std::uint16_t> port);
/// Fails with a certificate without a key, or the other way round.
[[nodiscard]] Usage check_key(const TlsOptions& tls);

/// As given on the command line.
struct ConnectionOptions {
    std::optional<std::string> host;
    std::optional<std::uint16_t> port;
    std::string unix_path;
    std::string url;
    std::optional<std::string> user_name;
    std::optional<std::string> password;
    std::optional<std::string> client_id;
    std::optional<std::string> client_id_prefix;
    std::optional<mqtt::ProtocolVersion> version;
    std::uint16_t keep_alive_seconds = 60;
    bool keep_session = false;
    std::optional<std::uint32_t> session_expiry_seconds;
    std::optional<std::string> will_topic;
    std::optional<std::string> will_payload;
    std::uint8_t will_qos = 0;
    bool will_retain = false;
    PropertyOptions properties;
    TlsOptions tls;
    std::string bind_address;
    double connect_timeout_seconds = 10;
    bool debug = false;
    bool quiet = false;
    bool help = false;

    /// The shared part of a tool's table; this object must outlive it.
    [[nodiscard]] std::vector<OptionGroup> groups();
    /// What Mosquitto has and we do not.
    [[nodiscard]] static std::vector<RefusedOption> refused();
};

/// The same, made to fit together.
struct Connection {
    mqtt::ClientOptions client;
    RunnerOptions runner;
    Bytes disconnect_properties;
    std::optional<std::string> url_topic;
};

/// Fails with options that contradict each other or are missing.
[[nodiscard]] Result<Connection, UsageError> prepare(const ConnectionOptions& options);

}  // namespace stentor::tools
