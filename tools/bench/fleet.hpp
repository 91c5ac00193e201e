#pragma once
// The clients of a run: thousands of connections on one epoll loop, from CONNECT to SUBACK and
// from DISCONNECT to the broker's close. What flows in between is its handler's business.
// One thread. One receive arena for all; a client owns memory only for a packet that is half there
// and for output that the kernel has not taken.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "tools/bench/channel.hpp"
#include "tools/bench/histogram.hpp"
#include "tools/bench/plan.hpp"
#include "tools/bench/target.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stentor::bench {

struct FleetOptions {
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    std::optional<std::string> user_name;
    std::optional<std::string> password;
    std::uint16_t receive_maximum = 0;  // 0: say nothing (65,535)
    std::uint32_t sources = 1;
    bool durable = false;  // the subscribers' sessions outlive their connections
};

/// Which session a connection is to have.
enum class SessionUse : std::uint8_t {
    fresh,   // none before; subscribes
    resume,  // the one there is, with its subscriptions; an error if there is none
    forget,  // none afterwards either; for tidying up
};

enum class Farewell : std::uint8_t { keep_session, forget_session };

/// Called within turn(), and in no other function of the fleet.
class FleetHandler {
  public:
    virtual ~FleetHandler() = default;
    /// Bytes of a client that is at least connected; returns how many were used up. The rest comes
    /// again, with more behind it.
    virtual std::size_t received(std::uint32_t client, ByteView bytes, Instant now) = 0;
    /// Connected and subscribed.
    virtual void ready(std::uint32_t client) = 0;
    /// What had been waiting to be sent is gone.
    virtual void writable(std::uint32_t client) = 0;
};

class Fleet {
  public:
    Fleet(const Plan& plan, FleetOptions options, Target target);
    ~Fleet();
    Fleet(const Fleet&) = delete;
    Fleet& operator=(const Fleet&) = delete;

    /// Before the first turn; must outlive the last one.
    void attach(FleetHandler& handler) noexcept { handler_ = &handler; }

    /// `due`: when it was to start, for the latency. The client must be closed.
    void open(std::uint32_t client, SessionUse use, Instant due);
    /// DISCONNECT; the client is closed once the broker has closed.
    void leave(std::uint32_t client, Farewell farewell);
    void cut(std::uint32_t client);

    /// Waits at most `wait` for something to happen and handles what has.
    void turn(Duration wait);
    /// As of the latest turn's events.
    [[nodiscard]] Instant now() const noexcept { return now_; }

    /// Of clients that are not closed. What the kernel does not take waits in memory: stop when
    /// blocked() says so.
    void send(std::uint32_t client, ByteView bytes);
    [[nodiscard]] bool blocked(std::uint32_t client) const noexcept {
        return !clients_[client].output.empty() || clients_[client].channel.has_pending();
    }
    [[nodiscard]] bool is_ready(std::uint32_t client) const noexcept {
        return clients_[client].phase == Phase::ready;
    }
    [[nodiscard]] bool is_open(std::uint32_t client) const noexcept {
        return clients_[client].phase != Phase::closed;
    }
    /// What the broker lets us have in flight (5.0; otherwise 65,535).
    [[nodiscard]] std::uint16_t receive_maximum(std::uint32_t client) const noexcept {
        return clients_[client].receive_maximum;
    }

    /// CONNACK, SUBACK and whatever else is rare: from the handler's received().
    void on_control(std::uint32_t client, ByteView packet);
    /// The broker did what it must not: the client is closed and counted.
    void fail(std::uint32_t client, std::string_view what);

    [[nodiscard]] std::uint32_t ready_count() const noexcept { return ready_; }
    [[nodiscard]] std::uint32_t busy_count() const noexcept { return busy_; }  // not ready yet
    [[nodiscard]] std::uint32_t leaving_count() const noexcept { return leaving_; }
    /// Connections that could not be made or were lost, and the first reason.
    [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }
    [[nodiscard]] const std::string& first_failure() const noexcept { return first_failure_; }
    /// From due to CONNACK, or SUBACK if there is something to subscribe.
    [[nodiscard]] Histogram& connect_latency() noexcept { return connect_latency_; }

  private:
    enum class Phase : std::uint8_t {
        closed,
        connecting,
        securing,  // TLS and WebSocket shake hands
        greeting,
        subscribing,
        ready,
        leaving
    };
    struct Client {
        Channel channel;
        mqtt::WireBuffer output;
        Bytes partial;  // the front of a packet
        Instant due;
        std::uint32_t polled = 0;  // the events epoll tells us; 0: not registered
        std::uint16_t receive_maximum = 65'535;
        Phase phase = Phase::closed;
        SessionUse use = SessionUse::fresh;
    };

    void on_event(std::uint32_t index, std::uint32_t events);
    void connected(std::uint32_t index);
    void secure(std::uint32_t index);
    void greet(std::uint32_t index);
    void subscribe(std::uint32_t index);
    void receive(std::uint32_t index);
    void flush(std::uint32_t index);
    void enter(Client& client, Phase phase) noexcept;
    void become_ready(std::uint32_t index);
    void on_connack(std::uint32_t index, const mqtt::ConnackView& connack);
    void on_suback(std::uint32_t index, const mqtt::SubackView& suback);
    void poll_for(std::uint32_t index, std::uint32_t events) noexcept;

    const Plan& plan_;
    FleetOptions options_;
    Target target_;
    FleetHandler* handler_ = nullptr;
    int epoll_;
    std::vector<Client> clients_;
    std::unique_ptr<std::byte[]> arena_;
    Instant now_;
    std::uint32_t ready_ = 0;
    std::uint32_t busy_ = 0;
    std::uint32_t leaving_ = 0;
    std::uint64_t failures_ = 0;
    std::string first_failure_;
    Histogram connect_latency_;
};

}  // namespace stentor::bench
