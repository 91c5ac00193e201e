#pragma once
// The wires of the simulation's clients as TCP connections to a real broker on 127.0.0.1.
// One thread. Never blocks longer than pump() is told to.

#include "base/clock.hpp"
#include "tests/sim/wire.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace stentor::crash {

class TcpWires {
  public:
    TcpWires() = default;
    ~TcpWires();
    TcpWires(const TcpWires&) = delete;
    TcpWires& operator=(const TcpWires&) = delete;

    /// Where new connections go; 0: nobody listens.
    void set_port(std::uint16_t port) noexcept { port_ = port; }

    /// Connects `wire`, the newest one of the client with this number.
    void open(std::size_t client, const sim::WirePtr& wire, Instant now);

    /// Moves bytes between wires and sockets; waits at most so long for the first of them.
    void pump(Instant now, int milliseconds);

    /// The broker has died at `died`: what its kernel had taken arrives, then every wire ends.
    void broker_died(Instant died);

    [[nodiscard]] std::size_t size() const noexcept { return connections_.size(); }

  private:
    struct Connection {
        int socket = -1;
        std::size_t client = 0;
        sim::WirePtr wire;
        bool finished = false;  // we have sent our end
        bool newest = true;     // of its client: nothing can have taken it over
    };
    enum class Read : std::uint8_t { nothing, end, failure };

    void send(Connection& connection);
    static Read read(Connection& connection, std::size_t bytes_max);
    void serve(Connection& connection, short events, Instant now);
    static void end(Connection& connection, Instant at);

    std::uint16_t port_ = 0;
    std::vector<Connection> connections_;
};

}  // namespace stentor::crash
