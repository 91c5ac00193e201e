#pragma once
// The server's side of one WebSocket (RFC 6455) that carries MQTT (5.0 section 6): the HTTP
// upgrade, then frames. Bytes in, bytes out; whose bytes they are (a socket's, TLS's) it does not
// know. Extensions are declined.
// Pure. One per connection, on its connection's shard.
//
// Bounds: the request's head is at most 8 KiB; frames may be of any size, because nothing waits
// for the end of one; answers to pings leave with the next write, one at a time (RFC 6455 5.5.3).

#include "base/bytes.hpp"
#include "protocol/codec/wire_buffer.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace stentor::server {

/// What a door asks of those who come by HTTP. Outlives its connections.
struct WebSocketRules {
    std::string path = "/mqtt";
    /// Values of Origin that browsers may come from; empty: all, and clients that send none always.
    std::vector<std::string> origins;
    /// Other requests are somebody else's (State::other) instead of being refused.
    bool serves_others = false;
};

class WebSocket {
  public:
    enum class State : std::uint8_t {
        upgrading,
        open,
        ended,   // the peer has closed; what is in `out` still goes to it
        failed,  // why() says what was wrong; likewise
        other,   // what came asks for no WebSocket: take_request()
    };

    explicit WebSocket(const WebSocketRules& rules);
    ~WebSocket();
    WebSocket(const WebSocket&) = delete;
    WebSocket& operator=(const WebSocket&) = delete;

    /// Takes all of `bytes`, which it may change; appends what MQTT is to see to `clear` and
    /// answers to the peer to `out`. Not after ended, failed or other.
    State receive(MutableByteView bytes, Bytes& clear, mqtt::WireBuffer& out);
    /// All that has come, in State::other.
    [[nodiscard]] Bytes take_request();

    /// One binary frame of the first `bytes` of `from`, which must hold them, to `out`. Only while
    /// open.
    static void frame(mqtt::WireBuffer& from, std::size_t bytes, mqtt::WireBuffer& out);

    /// The Close frame, unless one has been sent or the peer never got as far.
    void finish(mqtt::WireBuffer& out);

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] const char* why() const noexcept { return why_; }
    /// All X-Forwarded-For of the request in their order, with commas between; empty: none. From
    /// the upgrade on, as is what follows.
    [[nodiscard]] const std::string& forwarded_for() const noexcept { return forwarded_for_; }
    /// The request does not come from a program of the machine whose address it has: a proxy has
    /// left its mark in it, or a web page made it that no loopback host has served.
    [[nodiscard]] bool is_for_others() const noexcept { return is_for_others_; }
    /// Refuses the request after all. Only if it has just been granted, and `out` has not left.
    void turn_away(const char* why, mqtt::WireBuffer& out);

  private:
    enum Opcode : std::uint8_t {
        continuation = 0,
        text = 1,
        binary = 2,
        close = 8,
        ping = 9,
        pong = 10,
    };
    struct Upgrade;

    void look_who_asks();
    [[nodiscard]] std::size_t read_request(ByteView bytes, mqtt::WireBuffer& out);
    [[nodiscard]] bool leaves_to_others() noexcept;
    void answer_request(mqtt::WireBuffer& out);
    void refuse(unsigned status, const char* extra_header, const char* why, mqtt::WireBuffer& out);
    void read_frames(MutableByteView bytes, Bytes& clear, mqtt::WireBuffer& out);
    [[nodiscard]] bool begin_frame(mqtt::WireBuffer& out);
    void end_control_frame(mqtt::WireBuffer& out);
    void fail(std::uint16_t code, const char* why, mqtt::WireBuffer& out);
    void unmask(MutableByteView bytes) noexcept;

    const WebSocketRules* rules_;
    std::unique_ptr<Upgrade> upgrade_;  // until it is done
    std::string forwarded_for_;
    bool is_for_others_ = false;
    const char* why_ = "";
    State state_ = State::upgrading;
    bool close_sent_ = false;
    // The frame being read.
    std::array<std::byte, 14> head_{};
    std::uint8_t head_bytes_ = 0;
    std::uint8_t opcode_ = 0;
    bool in_message_ = false;  // a binary message goes on in continuation frames
    bool final_ = false;
    std::uint8_t mask_at_ = 0;
    std::array<std::byte, 4> mask_{};
    std::uint64_t left_ = 0;  // of its payload
    bool in_payload_ = false;
    std::array<std::byte, 125> control_{};
    std::uint8_t control_bytes_ = 0;
};

}  // namespace stentor::server
