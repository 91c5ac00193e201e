#pragma once
// Drives one shard: an epoll loop over its connections, the listeners and its mailbox's wake-up.
// The data plane's only system calls are here: accept, recv, sendmsg, epoll.
//
// One thread, the one that calls run(). wake() and request_stop() may be called from any thread.
// Level-triggered; one recv into the shard's arena per readable connection and turn, parsed in
// place; only the rest of a packet that has not come whole is kept with its connection, and what
// the shard does not want yet. A peer that ends is gone for the shard once it has taken all that.

#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "base/hash.hpp"
#include "base/ids.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "server/shard/shard.hpp"
#include "server/shard/transport_port.hpp"
#include "server/transport/accept.hpp"
#include "server/transport/address_gate.hpp"
#include "server/transport/channel.hpp"
#include "server/transport/door.hpp"
#include "server/transport/handshakes.hpp"
#include "server/transport/lingering.hpp"
#include "server/transport/listener.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace stentor::server {

struct EpollOptions {
    std::size_t arena_bytes = std::size_t{256} * 1024;  // one recv takes at most this much
    std::size_t accepts_per_turn = 16;
    Duration linger = std::chrono::seconds{2};  // a closed connection's last bytes
    std::size_t lingering_max = 4096;           // beyond it they are closed at once
    std::uint32_t accept_pause_ms = 100;        // without descriptors left
    // For TLS handshakes in one turn, of which others wait for the end: one costs 0.2 to 0.6 ms,
    // with a key of RSA-4096 ten times as much. One is always made. A quarter of what the turn
    // takes besides, within these bounds.
    Duration handshakes_per_turn = std::chrono::milliseconds{1};
    Duration handshakes_per_turn_max = std::chrono::milliseconds{4};
    HandshakeBounds handshakes;
};

class EpollDriver final : public TransportPort {
  public:
    /// `now` gives the store clock's time; `addresses` (null: everybody comes in) and `http` (not
    /// null where a door lets HTTP in) outlive the driver.
    EpollDriver(const EpollOptions& options,
                std::function<Instant()> now,
                AddressGate* addresses = nullptr,
                HttpReceiver* http = nullptr);
    ~EpollDriver() override;
    EpollDriver(const EpollDriver&) = delete;
    EpollDriver& operator=(const EpollDriver&) = delete;

    /// Turns until the shard has drained and the last bytes are out, or until request_stop(). May
    /// be called again, with another shard, after one that has drained. `doors` are those of the
    /// listeners, in their order; both outlive the driver.
    void run(Shard& shard,
             Mailbox& mailbox,
             std::span<const Listener> listeners,
             std::span<const Door> doors);

    /// Ends a sleep of run(): what a mailbox does when something comes.
    void wake() noexcept;
    /// No further connections are accepted from the next turn on.
    void stop_accepting() noexcept;
    /// Between two calls of run(): the next one accepts again.
    void accept_again() noexcept { stop_accepting_.store(false); }
    /// run() returns after the current turn, whatever is left.
    void request_stop() noexcept;

    // TransportPort
    void write(ConnectionId connection, mqtt::WireBuffer& out) override;
    void set_reading(ConnectionId connection, bool enabled) override;
    void close(ConnectionId connection, mqtt::WireBuffer out) override;
    [[nodiscard]] std::unique_ptr<MovedSocket> detach(ConnectionId connection) override;
    void attach(ConnectionId connection, std::unique_ptr<MovedSocket> socket) override;

    [[nodiscard]] bool is_put_off(ConnectionId connection) const noexcept override {
        return connection.slot < sockets_.size() && sockets_[connection.slot].put_off;
    }
    [[nodiscard]] Duration was_put_off_for(ConnectionId connection) const noexcept override;
    [[nodiscard]] Traffic traffic() const noexcept override;

  private:
    struct Socket {
        Descriptor descriptor;
        std::uint32_t generation = 0;
        bool reading = true;      // what the shard wants
        bool polls_reads = true;  // what epoll has been told
        bool polls_writes = false;
        bool refeeds = false;        // in ready_: reading was switched on again
        bool told = false;           // in ready_: epoll has told, and the turn was used up
        bool put_off = false;        // has said something of its handshake, and waits for its turn
        bool polls_end = false;      // meanwhile epoll tells that the peer has gone, nothing else
        bool in_handshakes = false;  // handshakes_ may know it
        bool answered = false;       // its hello
        bool ended = false;          // nothing more comes from the peer
        bool deaf = false;           // a write has failed: what is said is thrown away
        std::uint32_t waited_for = 0;  // other peers' hellos were answered meanwhile
        std::uint32_t waited_ms = 0;   // in all of its turns that have come
        /// From the front of what the shard has not consumed. While reading pauses nothing is
        /// received, so it is at most one packet that is not complete (packet_bytes_max) and one
        /// receive (arena_bytes); the peer is held back by TCP.
        Bytes unread;
        std::unique_ptr<Channel> channel;  // null: the socket's bytes are MQTT's
        PlaceAtDoor place;                 // null: its listener has no bound
        AddressPlace address;
    };
    struct Moved;

    [[nodiscard]] Socket* find(ConnectionId connection) noexcept;
    Socket& place(ConnectionId connection, Descriptor descriptor);
    void poll_for(ConnectionId connection, Socket& socket);
    void remove(Socket& socket);
    void accept_some(Shard& shard, const Listener& listener);
    [[nodiscard]] bool learn_peer(Shard& shard, ConnectionId connection);
    void hand_over(Shard& shard, ConnectionId connection);
    void pause_accepting(bool pause);
    void on_event(Shard& shard, std::uint64_t tag, std::uint32_t events);
    void receive_in_turn(Shard& shard, ConnectionId connection);
    void make_ready(ConnectionId connection, Socket& socket);
    void serve_ready(Shard& shard);
    void note_heard(Shard& shard, Instant asked_at, std::size_t events);
    void receive(Shard& shard, ConnectionId connection);
    void receive_through(Shard& shard, ConnectionId connection);
    void receive_wrapped(Shard& shard, ConnectionId connection);
    void unwrapped(Shard& shard, ConnectionId connection, Channel::State state);
    void offer(Shard& shard, ConnectionId connection, ByteView bytes);
    void peer_has_ended(Shard& shard, ConnectionId connection);
    void end_if_taken(Shard& shard, ConnectionId connection);
    void write_failed(Socket& socket, mqtt::WireBuffer& out);
    void flush_network(ConnectionId connection, Socket& socket);
    void write_through(ConnectionId connection, Socket& socket, mqtt::WireBuffer& out);
    void report_failure(const Channel& channel, const std::string& why) const;
    void offer_unread(Shard& shard, ConnectionId connection);
    void offer_kept(Shard& shard, ConnectionId connection);
    [[nodiscard]] int sleep_milliseconds(const Shard& shard, Mailbox& mailbox);

    // handshake_turns.cpp
    [[nodiscard]] static bool brings_handshake(const Socket& socket);
    void wait_for_handshake(Shard& shard, ConnectionId connection);
    [[nodiscard]] bool serve_handshakes(Shard& shard);
    void take_turn(Shard& shard, const Handshakes::Turn& turn);
    void stop_polling_who_waits();
    void give_up(Shard& shard, ConnectionId connection);
    void shed(Shard& shard, ConnectionId connection);
    void note_handshake(const Shard& shard, ConnectionId connection, Channel::State state);
    void leave_handshakes(ConnectionId connection, Socket& socket);
    [[nodiscard]] std::uint64_t lane_of(const Socket& socket) const;

    const EpollOptions options_;
    const std::function<Instant()> clock_;
    AddressGate* const addresses_;
    HttpReceiver* const http_;
    Descriptor epoll_;
    Descriptor wake_;
    Lingering lingering_;
    std::span<const Listener> listeners_;
    std::vector<Socket> sockets_;     // by ConnectionId::slot
    std::deque<ConnectionId> ready_;  // whose turn it is, before whom epoll tells of next
    /// What was ready when a round began has been asked of epoll, then served; see note_heard().
    struct Hearing {
        Instant since;           // the round's first question
        std::size_t events = 0;  // told in this round
        bool all_told = false;
        std::size_t to_serve = 0;  // of ready_, from its front
    } hearing_;
    std::unique_ptr<std::byte[]> arena_;
    Bytes clear_;  // what a channel makes of the arena
    std::span<const Door> doors_;
    Handshakes handshakes_;
    std::vector<ConnectionId> put_off_lately_;  // epoll still tells of them
    Duration others_took_{};                    // of the last turn, all but handshakes
    const HashKey lanes_key_;
    Instant now_;
    bool accepting_ = false;
    Instant accept_again_ = kNever;
    std::atomic<bool> stop_accepting_{false};
    std::atomic<bool> stop_{false};
    Traffic traffic_;
};

}  // namespace stentor::server
