#pragma once
// Byte pipes between simulated clients and shards, and the transport that a shard sees: fragments,
// delays, stalls, partial writes, resets, moves between shards.
// One thread; everything random comes from the generator that is handed in.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/random.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "server/shard/shard.hpp"
#include "server/shard/transport_port.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace stentor::sim {

/// One TCP connection, both ends. Shared by the client and whichever transport has it.
struct Wire {
    std::uint64_t number = 0;
    std::size_t kernel_bytes = 4096;  // towards the client: what the server's kernel takes

    // Client to server.
    Bytes up;                  // sent, not yet read by the server's driver
    Bytes unconsumed;          // read by the driver, not consumed by the shard
    Instant up_stalled_until;  // nothing arrives before
    bool client_closed = false;
    bool reset = false;  // ... and not gracefully: the server may notice at once

    // Server to client.
    Bytes down;
    bool server_closed = false;
    Instant server_closed_at = kNever;
    bool disconnect_heard = false;  // the broker has read the client's DISCONNECT

    // The driver's view.
    bool reading = true;
    bool offer_again = false;
    bool write_blocked = false;

    void close_server(Instant now) {
        if (server_closed) return;
        server_closed = true;
        server_closed_at = now;
    }
};
using WirePtr = std::shared_ptr<Wire>;

class WireTransport final : public server::TransportPort {
  public:
    WireTransport(Random random, const Instant& now) : random_{random}, now_{&now} {}

    /// A new connection from a client.
    void accept(server::Shard& shard, WirePtr wire);
    /// One round of the driver's loop over some of the connections.
    void run(server::Shard& shard);
    /// The process has died.
    void crash();

    [[nodiscard]] std::size_t size() const noexcept { return wires_.size(); }
    /// The largest outbox that was ever to be written.
    [[nodiscard]] std::size_t most_offered() const noexcept { return most_offered_; }
    /// Until when nothing is to be heard from a client, whatever it has sent.
    void set_gentle(bool gentle) noexcept { gentle_ = gentle; }

    void write(ConnectionId connection, mqtt::WireBuffer& out) override;
    void set_reading(ConnectionId connection, bool enabled) override;
    void close(ConnectionId connection, mqtt::WireBuffer out) override;
    [[nodiscard]] std::unique_ptr<server::MovedSocket> detach(ConnectionId connection) override;
    void attach(ConnectionId connection, std::unique_ptr<server::MovedSocket> socket) override;

  private:
    class Moved;
    void serve(server::Shard& shard, ConnectionId id, const WirePtr& wire);
    void send(Wire& wire, mqtt::WireBuffer& out, std::size_t bytes_max) const;
    [[nodiscard]] bool has(ConnectionId id) const { return wires_.contains(id); }

    Random random_;
    const Instant* now_;
    std::map<ConnectionId, WirePtr> wires_;
    std::size_t most_offered_ = 0;
    bool gentle_ = false;
    bool inside_shard_ = false;
};

}  // namespace stentor::sim
