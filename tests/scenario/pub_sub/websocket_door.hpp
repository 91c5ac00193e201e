#pragma once
// A WebSocket door in front of a plain MQTT port, for peers that have none of their own (Debian's
// Mosquitto). Strict about what [MQTT-6.0.0-1..3] ask of a client.
// A thread of its own, from construction to destruction.

#include <cstdint>
#include <memory>
#include <string>

namespace stentor::scenario {

class WebSocketDoor {
  public:
    /// Forwards to 127.0.0.1:`mqtt_port`. Answers 404 to any path but /mqtt.
    explicit WebSocketDoor(std::uint16_t mqtt_port);
    ~WebSocketDoor();
    WebSocketDoor(const WebSocketDoor&) = delete;
    WebSocketDoor& operator=(const WebSocketDoor&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace stentor::scenario
