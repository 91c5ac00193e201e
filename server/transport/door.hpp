#pragma once
// What a listener's connections speak before they speak MQTT: TLS, WebSocket, a PROXY header, or
// whatever their first bytes say (auto://); or HTTP, which is not the data plane's.
// Made by the main thread, outlives its connections; immutable except for what lies in `tls`.

#include "server/shard/rates.hpp"
#include "server/transport/network_list.hpp"
#include "server/transport/tls_context.hpp"
#include "server/transport/web_socket.hpp"

#include <atomic>
#include <cstdint>
#include <memory>

namespace stentor::server {

/// How many connections a listener has, over all shards. Any thread.
class ConnectionCount {
  public:
    explicit ConnectionCount(std::uint32_t connections_max) noexcept : max_{connections_max} {}

    [[nodiscard]] std::uint32_t max() const noexcept { return max_; }
    [[nodiscard]] bool enter() noexcept {
        if (open_.fetch_add(1, std::memory_order_relaxed) < max_) return true;
        leave();
        return false;
    }
    void leave() noexcept { open_.fetch_sub(1, std::memory_order_relaxed); }

  private:
    const std::uint32_t max_;
    std::atomic<std::uint32_t> open_{0};
};

/// One of them: moves along with its connection, and ends with it.
struct LeaveDoor {
    void operator()(ConnectionCount* count) const noexcept { count->leave(); }
};
using PlaceAtDoor = std::unique_ptr<ConnectionCount, LeaveDoor>;

struct Door {
    enum class Tls : std::uint8_t { never, always, sniff };
    enum class Speech : std::uint8_t {
        mqtt,
        web_socket,
        sniff,  // MQTT, WebSocket or HTTP
        http,   // listened to by the HTTP server's thread
    };

    Tls tls = Tls::never;
    Speech speech = Speech::mqtt;
    std::unique_ptr<TlsSlot> certificates;  // unless tls is never
    WebSocketRules web_socket;
    bool proxy_header = false;
    std::unique_ptr<ConnectionCount> connections;  // null: no bound of its own, as the next one
    std::unique_ptr<SecondlyGate> connects;
    NetworkList trusted_proxies;  // whose PROXY header and X-Forwarded-For are believed

    /// The socket's bytes are MQTT's: no Channel is needed.
    [[nodiscard]] bool plain() const noexcept {
        return tls == Tls::never && speech == Speech::mqtt && !proxy_header;
    }
};

}  // namespace stentor::server
