#pragma once
// The byte channel of one client: a non-blocking socket, and TLS and WebSocket on it where the URL
// says so. Nothing above knows more than open, begin, receive, send.
// One owner, one thread.

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "tools/bench/target.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace stentor::bench {

class Channel {
  public:
    enum class State : std::uint8_t { open, blocked, closed };
    /// `blocked`: nothing (more) goes now. `closed`: the peer has ended it, or it broke.
    struct Transfer {
        std::size_t bytes = 0;
        State state = State::open;
    };

    Channel() noexcept;
    Channel(Channel&& other) noexcept;
    Channel& operator=(Channel&& other) noexcept;
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    ~Channel();

    /// Starts to connect from the target's n-th source. Writable once that has succeeded or not:
    /// then ask connect_error(), and begin(). `target` outlives the channel. Fails with errno.
    [[nodiscard]] static Result<Channel, int> open(const Target& target, std::uint32_t source);

    /// 0: connected. Otherwise an errno.
    [[nodiscard]] int connect_error() const noexcept;
    /// For epoll.
    [[nodiscard]] int descriptor() const noexcept { return socket_; }

    /// Once connected: begins the handshakes there are. They go on in receive() and flush().
    [[nodiscard]] State begin();
    /// The handshakes are done.
    [[nodiscard]] bool is_ready() const noexcept;
    /// Why handshakes have failed, or frames were wrong; may be empty.
    [[nodiscard]] const std::string& why() const noexcept;

    /// `into` has room for kReceiveBytesMin at least. May be `open` with no bytes at all.
    [[nodiscard]] Transfer receive(MutableByteView into);
    static constexpr std::size_t kReceiveBytesMin = std::size_t{64} * 1024;
    [[nodiscard]] Transfer send(ByteView bytes);
    /// Something that send() has taken waits here; flush() when the socket is writable.
    [[nodiscard]] bool has_pending() const noexcept;
    [[nodiscard]] State flush();

    /// Says that nothing more will be sent, as soon as nothing is pending.
    void finish();
    /// Drops the connection as a lost network does, only that the peer notices.
    void cut() noexcept;
    void close() noexcept;

  private:
    struct Layers;
    explicit Channel(int socket) noexcept;
    [[nodiscard]] std::size_t unwrap(MutableByteView buffer, std::size_t bytes);
    void wrap(ByteView clear);
    void begin_web_socket();

    int socket_ = -1;
    std::unique_ptr<Layers> layers_;  // null: the socket's bytes are MQTT's
};

}  // namespace stentor::bench
