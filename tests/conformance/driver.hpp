#pragma once
// Where rows run: a broker process reached over TCP, or a simulated broker. A Script sees only
// this. One thread.

#include "tests/conformance/packet_text.hpp"
#include "tests/conformance/table.hpp"
#include "tests/conformance/wire.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace stentor::conformance {

/// One connection, the client's end.
class Wire {
  public:
    Wire() = default;
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;
    virtual ~Wire() = default;

    /// All of it; silently less when the broker has closed.
    virtual void send(std::string_view octets) = 0;

    /// What has come, possibly nothing yet; no value once the broker has closed and all before
    /// that was handed out. Does not wait.
    [[nodiscard]] virtual std::optional<Octets> receive() = 0;

    /// Closes without a word; nothing else may be called afterwards.
    virtual void drop() = 0;
};

/// A broker of one row's own.
class Broker {
  public:
    Broker() = default;
    Broker(const Broker&) = delete;
    Broker& operator=(const Broker&) = delete;
    virtual ~Broker() = default;

    [[nodiscard]] virtual std::unique_ptr<Wire> connect() = 0;

    /// Returns when receive() of one of them has something to say, a close included; false when
    /// that did not happen in a time in which it should have.
    [[nodiscard]] virtual bool wait(std::span<Wire* const> wires) = 0;

    /// Where that can be known: returns when nothing in the broker waits for anything but time.
    virtual void settle() {}

    /// Moves the clock. What was sent before has been read by then; what is due by then happens.
    virtual void advance(std::chrono::milliseconds by) = 0;

    /// The operator asks it to stop; does not wait for the end.
    virtual void stop() = 0;

    /// Called with every packet a row sends, and with every one that has come, so that a row can
    /// name what only the broker and its client know (an answer to a challenge, see
    /// scram_dialect.hpp).
    virtual void before_send(std::string_view /*client*/, PacketText& /*packet*/) {}
    virtual void after_receive(std::string_view /*client*/, Packet& /*packet*/) {}

    /// What the broker has logged, for failure messages.
    [[nodiscard]] virtual std::string log() const = 0;
};

class Driver {
  public:
    Driver() = default;
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
    virtual ~Driver() = default;

    /// Why this driver cannot run the row ("needs acl"); empty if it can.
    [[nodiscard]] virtual std::string cannot_run(const Row& row) const = 0;

    /// How often a row is worth running, each time a little differently.
    [[nodiscard]] virtual unsigned runs() const = 0;

    /// A fresh broker with the row's settings and files. Throws when it does not start.
    [[nodiscard]] virtual std::unique_ptr<Broker> start(const Row& row, unsigned run) = 0;
};

/// The driver that this test program was linked with.
[[nodiscard]] std::unique_ptr<Driver> make_driver();

}  // namespace stentor::conformance
