#pragma once
// The client's side of one WebSocket (RFC 6455) that carries MQTT (5.0 section 6), for the
// generator: the HTTP upgrade, then frames. Bytes in, bytes out, no socket. Beast's stream wants a
// socket and a coroutine for each connection, which costs more than the broker does.
// One owner, one thread.

#include "base/bytes.hpp"
#include "base/random.hpp"
#include "protocol/codec/wire_buffer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace stentor::bench {

class WebSocketClient {
  public:
    WebSocketClient() : masks_{random_seed()} {}

    /// Appends the request to `out`. `host` as in the Host header.
    void begin(const std::string& host, const std::string& path, mqtt::WireBuffer& out);
    /// Takes all of `bytes` and leaves what is MQTT's at their front; returns how much that is.
    /// Appends answers to pings and to a Close to `out`.
    [[nodiscard]] std::size_t receive(MutableByteView bytes, mqtt::WireBuffer& out);
    /// Appends one binary frame. Only while is_open().
    void send(ByteView clear, mqtt::WireBuffer& out);
    /// Appends a Close frame, once.
    void finish(mqtt::WireBuffer& out);

    [[nodiscard]] bool is_open() const noexcept { return state_ == State::open; }
    [[nodiscard]] bool has_failed() const noexcept { return state_ == State::failed; }
    [[nodiscard]] const std::string& why() const noexcept { return why_; }

  private:
    enum class State : std::uint8_t { upgrading, open, failed };

    [[nodiscard]] std::size_t read_response(ByteView bytes);
    void check_response();
    void begin_frame();
    void end_frame(mqtt::WireBuffer& out);
    void frame(std::uint8_t opcode, ByteView payload, mqtt::WireBuffer& out);
    void fail(std::string why);

    State state_ = State::upgrading;
    bool close_sent_ = false;
    SplitMix64 masks_;
    std::string response_;  // until it is complete
    std::string why_;
    // The frame being read: its head, then what is left of its payload.
    std::array<std::byte, 10> head_{};
    std::uint8_t head_bytes_ = 0;
    bool in_payload_ = false;
    std::uint64_t left_ = 0;
    Bytes control_;
};

}  // namespace stentor::bench
