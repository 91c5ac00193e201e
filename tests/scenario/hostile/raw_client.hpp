#pragma once
// A TCP connection to the broker that does as it likes.
// One thread. Waits that do not come true within kit::kPatience throw kit::Timeout.

#include "tests/scenario/hostile/packets.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace stentor::scenario {

struct Packet {
    unsigned first = 0;
    Octets body;
    [[nodiscard]] unsigned type() const { return first >> 4; }
};

class RawClient {
  public:
    struct Options {
        std::uint32_t source = 0;      // last 24 bits of 127.x.y.z; 0: the system's choice
        int receive_buffer_bytes = 0;  // 0: the system's choice
    };
    /// Connected, or on the way there (`send` and `receive` wait).
    explicit RawClient(std::uint16_t port) : RawClient{port, Options{}} {}
    RawClient(std::uint16_t port, const Options& options);
    ~RawClient() { close(); }
    RawClient(RawClient&& other) noexcept;
    RawClient& operator=(RawClient&& other) noexcept;
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    /// CONNECT, and a CONNACK that accepts: throws otherwise.
    void open(const ConnectPacket& options);

    /// All of it; false once the broker has closed.
    bool send(std::string_view octets);
    /// What fits now.
    std::size_t send_some(std::string_view octets);
    void finish_sending();

    /// The next packet; nothing once the broker has closed.
    std::optional<Packet> receive();
    /// The next packet of this type, past all others. Throws when the broker closes instead.
    Packet receive(unsigned type);
    /// Everything up to the end of the connection.
    Octets receive_rest();
    /// Reads what has come, without waiting; false once the broker has closed.
    bool drain();
    /// Whether the broker has closed; waits up to `milliseconds` for something to come.
    bool closed_within(int milliseconds);

    /// PINGREQ, PINGRESP; how long it took in milliseconds.
    long long ping();

    /// With a reset (as when a process is killed with data unread) instead of an orderly end.
    void reset();
    void close();
    [[nodiscard]] int descriptor() const noexcept { return socket_; }

  private:
    void wait(short events);
    bool fill();  // false at the end

    int socket_ = -1;
    Octets unread_;
    std::size_t at_ = 0;
};

}  // namespace stentor::scenario
