#pragma once
// What a shard needs from whatever moves its bytes: epoll and sockets in production
// (server/transport), byte pipes in the simulation. Neither leaks into the shard.
//
// Everything here is called on the shard's thread, and calls back into the shard only from the
// driver's own loop, never from inside one of these functions.

#include "base/ids.hpp"
#include "protocol/codec/wire_buffer.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace stentor::server {

/// Where a connection came from; told once, when it is opened.
struct PeerInfo {
    std::string address;  // numeric, without the port; empty for a unix socket
    std::uint16_t port = 0;
    std::uint16_t listener = 0;  // index in the configuration
    /// The listener is bound to loopback, and nothing says that the peer speaks for somebody
    /// elsewhere: no PROXY header, no mark of an HTTP proxy, no web page from another host.
    bool loopback_listener = false;
    /// The address is a trusted proxy's, which has not said for whom it speaks: many share it.
    bool is_proxy = false;
    std::string certificate_name;  // common name of its verified client certificate
};

/// What a shard's loop has moved so far, TLS and WebSocket included.
struct Traffic {
    std::uint64_t bytes_received = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t tls_handshakes = 0;  // completed
    std::uint64_t tls_hellos_answered = 0;
    std::uint64_t tls_hellos_given_up = 0;  // whoever said them had gone before their turn
    std::uint64_t tls_hello_turns = 0;      // turns of the loop in which hellos were answered
    std::uint64_t tls_turns_waited = 0;     // handshakes that had to wait for another turn
    std::uint64_t tls_unfinished = 0;       // now
};

/// A descriptor between two shards, with its transport state and the bytes that were read and not
/// yet consumed. Destroying it closes the connection.
class MovedSocket {
  public:
    virtual ~MovedSocket() = default;
    MovedSocket(const MovedSocket&) = delete;
    MovedSocket& operator=(const MovedSocket&) = delete;

  protected:
    MovedSocket() = default;
};

/// The driver's half of the bargain, towards the shard: for every connection that opened() gave an
/// id, received() is called with the unconsumed bytes from the front, again whenever more have come
/// or reading was switched on again; disconnected() once, unless the shard closed or detached it.
class TransportPort {
  public:
    virtual ~TransportPort() = default;

    /// Sends from the front of `out` what the kernel takes now and consumes it. If something
    /// remains, Shard::writable() follows when it makes sense to try again.
    virtual void write(ConnectionId connection, mqtt::WireBuffer& out) = 0;

    /// Off: received() is not called and the peer is pushed back by TCP. On is the initial state.
    virtual void set_reading(ConnectionId connection, bool enabled) = 0;

    /// Sends what is left of `out` as far as the peer takes it within a bounded time, then closes.
    /// The id is free at once; disconnected() is not called.
    virtual void close(ConnectionId connection, mqtt::WireBuffer out) = 0;

    /// Takes the connection out of this driver. The id is free at once.
    [[nodiscard]] virtual std::unique_ptr<MovedSocket> detach(ConnectionId connection) = 0;

    /// It has spoken, and the driver has had no time for it yet: a TLS handshake among many.
    [[nodiscard]] virtual bool is_put_off(ConnectionId /*connection*/) const noexcept {
        return false;
    }
    /// For how long it was, in all.
    [[nodiscard]] virtual Duration was_put_off_for(ConnectionId /*connection*/) const noexcept {
        return {};
    }

    [[nodiscard]] virtual Traffic traffic() const noexcept { return {}; }

    /// Puts one that another shard's driver detached under this driver and id. Reading is on.
    virtual void attach(ConnectionId connection, std::unique_ptr<MovedSocket> socket) = 0;
};

}  // namespace stentor::server
