#include "server/admin/metrics_page.hpp"

#include "protocol/codec/reason_code.hpp"
#include "protocol/codec/types.hpp"
#include "server/metrics/prometheus_text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <numeric>

namespace stentor::admin {

using metrics::PrometheusText;
using metrics::Type;

namespace {

constexpr double kMicro = 1e-6;
constexpr std::array<std::string_view, 3> kQos{"0", "1", "2"};

std::string lower(std::string_view text) {
    std::string out{text};
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    return out;
}

/// Codes that share a name (0 is "success") or have none ("unknown") come together.
void by_reason_code(PrometheusText& text, const std::array<std::uint64_t, 256>& counts) {
    std::uint64_t unknown = 0;
    for (std::size_t code = 0; code < counts.size(); ++code) {
        if (counts[code] == 0) continue;
        const auto name = mqtt::name(static_cast<mqtt::ReasonCode>(code));
        if (name == "unknown") {
            unknown += counts[code];
        } else {
            text.sample({{"reason", code == 0 ? "normal_disconnection" : name}}, counts[code]);
        }
    }
    if (unknown != 0) text.sample({{"reason", "unknown"}}, unknown);
}

void by_packet(PrometheusText& text, const std::array<std::uint64_t, 16>& counts) {
    for (std::size_t type = 1; type < counts.size(); ++type) {
        text.sample({{"type", lower(mqtt::name(static_cast<mqtt::PacketType>(type)))}},
                    counts[type]);
    }
}

void by_qos(PrometheusText& text, const std::array<std::uint64_t, 3>& counts) {
    for (std::size_t qos = 0; qos < counts.size(); ++qos) {
        text.sample({{"qos", kQos[qos]}}, counts[qos]);
    }
}

void process(PrometheusText& text, const MetricsInput& input) {
    text.family("stentor_build_info", Type::gauge, "Always 1; the labels say what runs.");
    text.sample({{"version", input.version}, {"commit", input.commit}}, std::uint64_t{1});
    text.family("stentor_start_time_seconds", Type::gauge, "When the broker began, since 1970.");
    text.sample({}, input.started_at);
    text.gauge("stentor_ready", "Whether clients are served, as /readyz says.", input.ready);
    text.gauge("stentor_shards", "Threads that serve clients.", input.figures.shards);
    text.gauge("stentor_shards_silent",
               "Shards that did not answer this scrape in time; their last figures are shown.",
               input.figures.silent);
}

void connections(PrometheusText& text, const MetricsInput& input) {
    const server::Counters& counters = input.figures.all.counters;
    text.family("stentor_connections", Type::gauge, "Open connections by listener.");
    for (const MetricsInput::Listener& listener : input.listeners) {
        text.sample({{"listener", listener.url}}, listener.connections);
    }
    text.counter("stentor_connections_opened_total",
                 "Connections that were accepted, HTTP on auto:// included.",
                 counters.connections_opened);
    text.family("stentor_connections_closed_total",
                Type::counter,
                "Connections that have ended, by MQTT's reason codes and some more.");
    by_reason_code(text, counters.connections_closed);
    text.sample({{"reason", "connection_lost"}}, counters.connections_lost);
    text.sample({{"reason", "connect_timeout"}}, counters.connect_timeouts);
    text.sample({{"reason", "authentication_timeout"}}, counters.authentications_timed_out);
    text.sample({{"reason", "authentication_shed"}}, counters.authentications_shed);
    text.sample({{"reason", "handed_to_http"}}, counters.connections_to_http);
    text.family("stentor_connections_refused_total",
                Type::counter,
                "Connections that were not let in: at the door, or by CONNACK.");
    for (std::size_t i = 0; i < counters.refused_at_door.size(); ++i) {
        text.sample({{"reason", server::name(static_cast<server::RefusedAtDoor>(i))}},
                    counters.refused_at_door[i] + input.http.refused_at_door[i]);
    }
    by_reason_code(text, counters.connects_refused);
    text.sample({{"reason", "authentication_timeout"}}, counters.authentications_timed_out);
    text.sample({{"reason", "authentication_shed"}}, counters.authentications_shed);
    text.counter("stentor_handshakes_failed_total",
                 "Connections that ended because their PROXY header, TLS or WebSocket failed.",
                 counters.handshakes_failed);
    text.counter("stentor_takeovers_total",
                 "Connections that ended because their client came again.",
                 counters.takeovers);
    text.counter("stentor_client_id_fights_total",
                 "Take-overs that followed others too fast: two clients with one identifier.",
                 counters.client_id_fights);
    text.counter("stentor_keepalive_timeouts_total",
                 "Connections that ended because nothing was heard.",
                 counters.keep_alive_timeouts);
    text.counter("stentor_protocol_errors_total",
                 "Packets that no client may send, or not then; each has ended its connection.",
                 counters.protocol_errors);
    text.counter("stentor_clients_sent_away_total",
                 "Clients that a change of users or bans has disconnected.",
                 counters.clients_sent_away);
    text.family("stentor_auth_decisions_total",
                Type::counter,
                "What became of credentials, by MQTT or HTTP, and of rounds of SCRAM.");
    for (std::size_t i = 0; i < input.auth_decisions.size(); ++i) {
        text.sample({{"result", auth::name(static_cast<auth::Outcome>(i))}},
                    input.auth_decisions[i]);
    }
    text.family(
        "stentor_auth_seconds", Type::histogram, "From credentials to the decision about them.");
    text.histogram(input.auth_microseconds, kMicro);
    text.counter("stentor_auth_http_requests_total",
                 "Questions that a web service was asked about logins.",
                 input.logins.requests);
    text.counter("stentor_auth_http_failures_total",
                 "Such without a usable answer: time-outs, lost connections, errors, nonsense.",
                 input.logins.failures);
    text.counter("stentor_auth_http_cache_hits_total",
                 "Logins that an answer which is remembered has decided.",
                 input.logins.remembered);
    text.counter("stentor_auth_http_joined_total",
                 "Logins that waited for the answer to a question which was under way.",
                 input.logins.joined);
}

void sessions(PrometheusText& text, const MetricsInput& input) {
    const server::ShardSnapshot& all = input.figures.all;
    text.family("stentor_sessions", Type::gauge, "Sessions, with and without a connection.");
    text.sample({{"state", "connected"}}, std::uint64_t{all.sessions_connected});
    text.sample({{"state", "away"}}, std::uint64_t{all.sessions_away});
    text.gauge("stentor_subscriptions", "Subscriptions of connected sessions.", all.subscriptions);
    text.gauge("stentor_shared_groups", "Shared subscriptions.", all.shared_groups);
    text.gauge("stentor_retained_messages", "Retained messages.", all.retained_messages);
    text.counter("stentor_subscriptions_narrowed_total",
                 "Subscriptions that match more than a change of the rules allows.",
                 all.counters.subscriptions_narrowed);
    text.counter("stentor_sessions_advanced_total",
                 "Times a session lost what waited for it to a bound.",
                 all.counters.sessions_advanced);
    text.counter("stentor_sessions_expired_total",
                 "Durable sessions that have expired, with what waited for them.",
                 all.counters.sessions_expired);
    text.family("stentor_subscriptions_refused_total",
                Type::counter,
                "Filters that SUBACK has refused, by why.");
    text.sample({{"reason", "quota_exceeded"}}, all.counters.subscriptions_over_quota);
    text.sample({{"reason", "not_authorized"}}, all.counters.subscriptions_not_allowed);
}

void traffic(PrometheusText& text, const MetricsInput& input) {
    const server::ShardSnapshot& all = input.figures.all;
    text.family("stentor_packets_received_total", Type::counter, "MQTT packets from clients.");
    by_packet(text, all.counters.packets_received);
    text.family(
        "stentor_packets_sent_total", Type::counter, "MQTT packets of sessions to clients.");
    by_packet(text, all.counters.packets_sent);
    text.counter("stentor_network_bytes_received_total",
                 "Bytes from sockets, TLS, WebSocket and HTTP included.",
                 all.traffic.bytes_received + input.http.bytes_received);
    text.counter("stentor_network_bytes_sent_total",
                 "Bytes to sockets, likewise.",
                 all.traffic.bytes_sent + input.http.bytes_sent);
    text.family("stentor_messages_received_total", Type::counter, "PUBLISH from clients.");
    by_qos(text, all.counters.messages_received);
    text.family("stentor_messages_sent_total", Type::counter, "PUBLISH to clients, repeats too.");
    by_qos(text, all.counters.messages_sent);
    text.gauge("stentor_inflight_messages",
               "QoS 1 and 2 messages to connected clients that are not acknowledged to the end.",
               all.inflight_messages);
    text.family("stentor_delivery_latency_seconds",
                Type::histogram,
                "From a message's arrival to its PUBLISH to a subscriber that was connected then, "
                "of one in about 16; no retained messages, no repeats.");
    text.histogram(all.counters.delivery_microseconds, kMicro);
    text.family("stentor_reading_pauses_total",
                Type::counter,
                "Times a connection was not read for a while, by why.");
    for (std::size_t i = 0; i < server::Counters::kReadingPauses; ++i) {
        text.sample({{"reason", server::name(static_cast<server::ReadingPause>(i))}},
                    all.counters.reading_pauses[i]);
    }
    text.counter("stentor_publish_bytes_received_total",
                 "Topics and payloads from clients.",
                 all.counters.publish_bytes_received);
    text.counter("stentor_messages_matched_total",
                 "Deliveries that subscriptions asked for.",
                 all.counters.messages_matched);
    text.family("stentor_messages_without_reader_total",
                Type::counter,
                "Messages that nobody was subscribed to.");
    by_qos(text, all.counters.messages_without_reader);
    text.family("stentor_messages_refused_total",
                Type::counter,
                "Messages that were not taken, as their publishers were told, by why.");
    for (std::size_t i = 0; i < server::Counters::kRefusedMessages; ++i) {
        text.sample({{"reason", server::name(static_cast<server::RefusedMessage>(i))}},
                    all.counters.messages_refused[i]);
    }
    text.family("stentor_messages_dropped_total",
                Type::counter,
                "Messages that a receiver did not get, or nobody, by why.");
    for (std::size_t i = 0; i < server::Counters::kDropReasons; ++i) {
        text.sample({{"reason", server::name(static_cast<mqtt::DropReason>(i))}},
                    all.counters.messages_dropped[i]);
    }
}

void store(PrometheusText& text, const MetricsInput& input) {
    const server::Counters& counters = input.figures.all.counters;
    text.gauge("stentor_log_messages",
               "Messages for durable sessions in the log's files. They go with their file, once "
               "nobody needs it.",
               input.figures.all.log_messages);
    text.gauge("stentor_log_bytes", "Size of the log's files.", input.log_bytes);
    const auto& counts = input.commit_records.counts;
    text.counter("stentor_log_commits_total",
                 "Commits of the log.",
                 std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
    text.family("stentor_log_commit_seconds",
                Type::histogram,
                "From the submission of a commit's last batch to its acknowledgement.");
    text.histogram(input.commit_microseconds, kMicro);
    text.family("stentor_log_batch_messages", Type::histogram, "Records in one commit.");
    text.histogram(input.commit_records, 1);
    text.counter("stentor_log_messages_appended_total",
                 "Messages handed to the log.",
                 counters.messages_logged);
    text.counter("stentor_log_pages_read_total",
                 "Pages that sessions behind have read from the log.",
                 counters.pages_read);
    text.counter("stentor_store_reopened_total",
                 "Times the store was opened again after a failure.",
                 input.store_reopened);
    text.counter("stentor_log_batches_failed_total",
                 "Batches that the store did not commit.",
                 counters.batches_failed);
}

void tls_and_http(PrometheusText& text, const MetricsInput& input) {
    text.counter("stentor_tls_handshakes_total",
                 "TLS handshakes that were completed.",
                 input.figures.all.traffic.tls_handshakes + input.http.tls_handshakes);
    const server::Traffic& traffic = input.figures.all.traffic;
    text.counter("stentor_tls_hellos_answered_total",
                 "TLS hellos that shards have answered, whatever came of it.",
                 traffic.tls_hellos_answered);
    text.counter("stentor_tls_hellos_given_up_total",
                 "TLS hellos whose sender had gone before their turn came.",
                 traffic.tls_hellos_given_up);
    text.counter("stentor_tls_hello_turns_total",
                 "Turns of shards in which TLS hellos were answered.",
                 traffic.tls_hello_turns);
    text.counter("stentor_tls_turns_waited_total",
                 "Times a TLS handshake waited for a shard's next turn, because others took long.",
                 traffic.tls_turns_waited);
    text.gauge("stentor_tls_handshakes_unfinished",
               "TLS handshakes that have begun, or wait to.",
               traffic.tls_unfinished);
    text.family("stentor_tls_certificate_expiry_timestamp_seconds",
                Type::gauge,
                "When the first certificate of a listener ends, since 1970.");
    for (const MetricsInput::Listener& listener : input.listeners) {
        if (!listener.certificate_ends) continue;
        text.sample({{"listener", listener.url}}, *listener.certificate_ends);
    }
    text.gauge("stentor_http_connections", "Open HTTP connections.", input.http.connections);
    text.family("stentor_http_answers_total", Type::counter, "HTTP answers by class of status.");
    static constexpr std::array<std::string_view, 6> kClasses{
        "", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (std::size_t i = 2; i < std::min(input.http.answers.size(), kClasses.size()); ++i) {
        text.sample({{"status", kClasses[i]}}, input.http.answers[i]);
    }
}

}  // namespace

std::string metrics_page(const MetricsInput& input) {
    PrometheusText text;
    process(text, input);
    connections(text, input);
    sessions(text, input);
    traffic(text, input);
    store(text, input);
    tls_and_http(text, input);
    return text.take();
}

}  // namespace stentor::admin
