#pragma once
// What /metrics shows: every name is a promise (docs/operations.md lists them), none has a label
// per client or topic.
// Pure.

#include "auth/authenticator.hpp"
#include "server/admin/snapshots.hpp"
#include "server/metrics/histogram.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stentor::admin {

/// Of the store, counted where its commits pass.
struct CommitCounters {
    metrics::SharedHistogram microseconds;  // from the last batch's submission to the hand-over
    metrics::SharedHistogram records;       // in one commit
};

/// Of the web service that is asked about logins.
struct LoginFigures {
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;
    std::uint64_t remembered = 0;
    std::uint64_t joined = 0;
};

struct HttpFigures {
    std::vector<std::uint64_t> answers;  // by the first digit of the status
    std::uint64_t connections = 0;
    std::uint64_t tls_handshakes = 0;
    std::uint64_t bytes_received = 0;
    std::uint64_t bytes_sent = 0;
    server::RefusedAtDoorCounts refused_at_door{};
};

struct MetricsInput {
    std::string version;
    std::string commit;
    double started_at = 0;  // seconds since 1970
    bool ready = false;
    Figures figures;
    struct Listener {
        std::string url;
        std::uint64_t connections = 0;
        std::optional<double> certificate_ends = {};  // seconds since 1970
    };
    std::vector<Listener> listeners;
    metrics::Histogram commit_microseconds;
    metrics::Histogram commit_records;
    metrics::Histogram auth_microseconds;
    std::array<std::uint64_t, auth::kOutcomes> auth_decisions{};
    LoginFigures logins;
    std::uint64_t log_bytes = 0;
    std::uint64_t store_reopened = 0;
    HttpFigures http;
};

[[nodiscard]] std::string metrics_page(const MetricsInput& input);

}  // namespace stentor::admin
