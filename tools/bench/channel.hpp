#pragma once
// The byte channel of one client: a non-blocking socket. TLS and WebSocket belong in here; nothing
// above knows more than open, receive, send.
// One owner, one thread.

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "tools/bench/target.hpp"

#include <cstddef>
#include <cstdint>
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

    Channel() noexcept = default;
    Channel(Channel&& other) noexcept : socket_{std::exchange(other.socket_, -1)} {}
    Channel& operator=(Channel&& other) noexcept {
        std::swap(socket_, other.socket_);
        return *this;
    }
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;
    ~Channel() { close(); }

    /// Starts to connect from the target's n-th source. Writable once that has succeeded or not:
    /// then ask connect_error(). Fails with errno.
    [[nodiscard]] static Result<Channel, int> open(const Target& target, std::uint32_t source);

    /// 0: connected. Otherwise an errno.
    [[nodiscard]] int connect_error() const noexcept;
    /// For epoll.
    [[nodiscard]] int descriptor() const noexcept { return socket_; }

    [[nodiscard]] Transfer receive(MutableByteView into) noexcept;
    [[nodiscard]] Transfer send(ByteView bytes) noexcept;

    /// Says that nothing more will be sent.
    void finish() noexcept;
    /// Drops the connection as a lost network does, only that the peer notices.
    void cut() noexcept;
    void close() noexcept;

  private:
    explicit Channel(int socket) noexcept : socket_{socket} {}

    int socket_ = -1;
};

}  // namespace stentor::bench
