#pragma once
// A TCP relay between clients and a broker: the network that a test can interrupt at will.
// Its own thread moves the bytes; the methods may be called from any thread.

#include <cstdint>
#include <memory>

namespace stentor::scenario {

enum class Direction { to_broker, to_client };

class Relay {
  public:
    /// Listens on a free port of 127.0.0.1 and passes every connection on to `broker_port`.
    explicit Relay(std::uint16_t broker_port);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept;

    /// From now on (bytes already under way excepted) nothing passes in this direction; what the
    /// sender writes waits.
    void hold(Direction direction);

    /// Closes all connections; what was held is lost. Connections made later pass everything.
    void cut();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace stentor::scenario
