#pragma once
// The command line of `stentor bench`.
// Pure; start-up only.

#include "tools/bench/plan.hpp"
#include "tools/bench/traffic.hpp"
#include "tools/client/arguments.hpp"
#include "tools/client/broker_url.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace stentor::bench {

enum class Workload : std::uint8_t {
    conn,
    pub,
    sub,
    fanout,
    fanin,
    pairs,
    offline,
    retained,
    storm
};
[[nodiscard]] std::string_view name(Workload workload) noexcept;

struct BenchOptions {
    Workload workload = Workload::conn;

    std::optional<std::string> host;
    std::optional<std::uint16_t> port;
    std::string url;
    tools::TlsOptions tls;
    std::optional<std::string> user_name;
    std::optional<std::string> password;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    bool own_broker = false;  // may be somewhere else than on this machine
    std::uint32_t broker_pid = 0;

    std::uint32_t publishers = 1;
    std::uint32_t subscribers = 1;  // conn, storm: clients; pairs: pairs; offline: sessions
    std::uint32_t topics = 1;
    std::uint32_t filters_per_client = 0;
    std::uint32_t messages = 100;  // offline: for each session, or in all with broadcast
    bool broadcast = false;
    bool durable = false;
    double connect_rate = 0;
    std::uint32_t concurrency = 200;
    std::uint32_t rounds = 3;
    double hold_seconds = 0;

    std::uint8_t qos = 0;
    std::uint32_t payload_bytes = 64;
    std::optional<std::uint32_t> window;
    std::optional<std::uint32_t> batch;
    double rate = 0;
    std::uint64_t count = 0;
    std::optional<double> duration_seconds;

    std::string run;
    std::optional<std::uint32_t> sources;
    std::optional<std::uint16_t> cpu;
    double patience_seconds = 5;
    bool json = false;
    bool quiet = false;
    bool help = false;

    /// `words` begin with the workload's name. After success, `help` is either empty or to be
    /// printed instead of anything else.
    [[nodiscard]] static tools::Usage parse(std::span<const std::string_view> words,
                                            BenchOptions& options,
                                            std::string& help);

    [[nodiscard]] Plan plan() const;
    [[nodiscard]] TrafficOptions traffic() const;
    [[nodiscard]] FleetOptions fleet() const;
    /// Fails with a bad URL, one together with a host or port, or TLS options for a URL without
    /// TLS.
    [[nodiscard]] Result<tools::Address, tools::UsageError> address() const;
};

}  // namespace stentor::bench
