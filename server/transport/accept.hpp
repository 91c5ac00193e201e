#pragma once
// One connection from a listener, past the bounds that are asked before its first byte: bans and
// limits of addresses, the listener's own. For the shards' loops and the HTTP server's thread.
// Any thread; nothing is kept.

#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "server/shard/counters.hpp"
#include "server/shard/transport_port.hpp"
#include "server/transport/address_gate.hpp"
#include "server/transport/channel.hpp"
#include "server/transport/door.hpp"
#include "server/transport/listener.hpp"

#include <cstdint>
#include <memory>

namespace stentor::server {

struct Accepted {
    Descriptor descriptor;
    PeerInfo peer;
    PlaceAtDoor place;  // null: its listener has no bound
    AddressPlace address;
};

enum class AcceptOutcome : std::uint8_t {
    accepted,
    refused,  // one was turned away, and the log told
    nobody_waits,
    no_descriptors,  // the process has no more: pause; the log has been told
};

/// Of an answer that is not welcome.
[[nodiscard]] RefusedAtDoor refusal_of(AddressGate::Answer answer) noexcept;

/// `addresses` may be null; `now` is the machine's monotonic time, of everybody who accepts: the
/// store's may stand elsewhere before it is open. `why` is set when refused.
[[nodiscard]] AcceptOutcome accept_one(const Listener& listener,
                                       const Door& door,
                                       AddressGate* addresses,
                                       Instant now,
                                       Accepted& out,
                                       RefusedAtDoor& why);

/// What a PROXY header or X-Forwarded-For has said about the address of `place` counts from here
/// on; `now` as above. Anything but welcome: the connection has to end; the log has been told.
[[nodiscard]] AddressGate::Answer settle_address(AddressGate& addresses,
                                                 const PeerInfo& peer,
                                                 bool peer_is_proxy,
                                                 Instant now,
                                                 AddressPlace& place);

/// A connection that turned out to speak HTTP on a shard's port: all there is of it.
struct HttpArrival {
    Descriptor descriptor;
    std::unique_ptr<Channel> channel;  // not null; its network() may still hold bytes to be sent
    Bytes received;                    // of the request, in clear
    PlaceAtDoor place;
    AddressPlace address;
};

class HttpReceiver {
  public:
    /// Any thread; must not block.
    virtual void take(HttpArrival arrival) = 0;

  protected:
    ~HttpReceiver() = default;
};

}  // namespace stentor::server
