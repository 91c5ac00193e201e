#pragma once
// The HTTP server: accepts on http:// and https:// listeners, takes over what turns out to speak
// HTTP on a shard's auto:// port, reads requests and writes answers (HTTP/1.1 and 1.0, parsed by
// Beast; TLS and PROXY header by the data plane's Channel). What the answers are is its handler's
// business.
//
// One thread of its own, named "http", on which the handler runs as well: nothing there may block.
// take() may be called from any thread between construction and finish().
//
// Bounds, HttpLimits: connections, head, time for each part. Requests of a connection are answered
// one after the other; while one is, nothing more is read from it. A request that is not understood
// is answered and ends its connection, so that nothing after it can be taken for another.

#include "base/ids.hpp"
#include "server/admin/http_handler.hpp"
#include "server/transport/accept.hpp"

#include <boost/asio/io_context.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace stentor::admin {

struct HttpLimits {
    std::size_t connections_max = 512;  // of http:// and https://, and as many that others gave up
    std::vector<std::string> cors_origins = {};  // whose pages may ask besides its own
    std::size_t head_bytes_max = std::size_t{16} * 1024;
    std::chrono::milliseconds head_time{10'000};  // from the first byte, or the connection's begin
    std::chrono::milliseconds body_time{30'000};
    std::chrono::milliseconds write_time{30'000};
    std::chrono::milliseconds idle_time{60'000};     // between two requests
    std::chrono::milliseconds accept_pause{100};     // without descriptors left
    std::chrono::milliseconds farewell_time{2'000};  // for the last answers, when it stops
};

/// What it has counted; read from any thread.
struct HttpCounters {
    std::array<std::atomic<std::uint64_t>, 6> answers{};  // by the first digit of the status
    std::atomic<std::uint64_t> connections = 0;           // open
    std::atomic<std::uint64_t> tls_handshakes = 0;
    std::atomic<std::uint64_t> bytes_received = 0;
    std::atomic<std::uint64_t> bytes_sent = 0;
    std::array<std::atomic<std::uint64_t>, std::tuple_size_v<server::RefusedAtDoorCounts>>
        refused_at_door{};
};

class HttpServer final : public server::HttpReceiver {
  public:
    /// `listeners` and their `doors` (of those only Speech::http are listened to), `addresses` and
    /// `handler` outlive the server.
    HttpServer(const HttpLimits& limits,
               std::span<const server::Listener> listeners,
               std::span<const server::Door> doors,
               server::AddressGate& addresses,
               HttpHandler& handler);
    ~HttpServer();  // finish() has returned, or start() was not called
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// For the handler's own timers and answers from elsewhere; lives as long as the server.
    [[nodiscard]] boost::asio::io_context& io() noexcept;

    /// Once. Requests are answered from here on.
    void start();
    void take(server::HttpArrival arrival) override;
    /// Connections that wait for a request are closed, requests under way answered; then the thread
    /// ends. Who still waits for somebody else's answer then is kept until it comes, or to the end.
    void finish();

    [[nodiscard]] const HttpCounters& counters() const noexcept;
    /// Connections of one listener that is http:// or https://; any thread.
    [[nodiscard]] std::uint64_t connections(std::uint16_t listener) const noexcept;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace stentor::admin
