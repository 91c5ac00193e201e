#pragma once
// What a listener's connections speak before they speak MQTT: TLS, WebSocket, a PROXY header, or
// whatever their first bytes say (auto://).
// Made by the main thread, outlives its connections; immutable except for what lies in `tls`.

#include "server/transport/network_list.hpp"
#include "server/transport/tls_context.hpp"
#include "server/transport/web_socket.hpp"

#include <cstdint>
#include <memory>

namespace stentor::server {

struct Door {
    enum class Tls : std::uint8_t { never, always, sniff };
    enum class Speech : std::uint8_t { mqtt, web_socket, sniff };

    Tls tls = Tls::never;
    Speech speech = Speech::mqtt;
    std::unique_ptr<TlsSlot> certificates;  // unless tls is never
    WebSocketRules web_socket;
    bool proxy_header = false;
    NetworkList trusted_proxies;  // whose PROXY header and X-Forwarded-For are believed

    /// The socket's bytes are MQTT's: no Channel is needed.
    [[nodiscard]] bool plain() const noexcept {
        return tls == Tls::never && speech == Speech::mqtt && !proxy_header;
    }
};

}  // namespace stentor::server
