#pragma once
// Connections their shard is done with, whose last bytes are still to go and whose peer is still
// to close: closing at once would let the kernel reset them under the bytes.
// Part of one epoll loop, on its thread. Bounds: so many, each so long; beyond them connections are
// closed at once.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "protocol/codec/wire_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

namespace stentor::server {

class Lingering {
  public:
    /// `epoll` outlives it; its events for these connections are tagged as those of slots from
    /// `first_slot` on.
    Lingering(int epoll, std::uint32_t first_slot, std::size_t connections_max) noexcept
        : epoll_{epoll}, first_slot_{first_slot}, connections_max_{connections_max} {}

    /// Takes a connection that epoll does not know any more, and sends what it can. Deadlines do
    /// not go back from call to call.
    void add(Descriptor descriptor,
             mqtt::WireBuffer out,
             Instant deadline,
             std::uint64_t& bytes_sent);

    /// Epoll's `events` for first_slot + `index`; `scratch` is for bytes that nobody wants.
    void on_event(std::uint32_t index,
                  std::uint32_t events,
                  MutableByteView scratch,
                  std::uint64_t& bytes_sent);

    void expire(Instant now);

    [[nodiscard]] bool empty() const noexcept { return deadlines_.empty(); }
    /// kNever if there is none.
    [[nodiscard]] Instant next_deadline() const noexcept {
        return deadlines_.empty() ? kNever : deadlines_.front().first;
    }

  private:
    struct Connection {
        Descriptor descriptor;
        mqtt::WireBuffer out;
        bool sent = false;  // all of it: the peer is to close
    };

    void poll_for(std::uint32_t index, int how, std::uint32_t events);
    void end(std::uint32_t index);

    const int epoll_;
    const std::uint32_t first_slot_;
    const std::size_t connections_max_;
    std::vector<std::unique_ptr<Connection>> connections_;  // by index
    std::vector<std::uint32_t> free_;
    std::deque<std::pair<Instant, std::uint32_t>> deadlines_;
};

}  // namespace stentor::server
