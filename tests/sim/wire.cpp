#include "tests/sim/wire.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace stentor::sim {

class WireTransport::Moved final : public server::MovedSocket {
  public:
    Moved(WirePtr moved, const Instant& now) : wire{std::move(moved)}, now_{&now} {}
    ~Moved() override {
        if (wire) wire->close_server(*now_);
    }
    WirePtr wire;

  private:
    const Instant* now_;
};

void WireTransport::accept(server::Shard& shard, WirePtr wire) {
    const ConnectionId id = shard.opened({.address = "192.0.2.1", .certificate_name = {}}, *now_);
    if (id == kNoConnection) {
        wire->close_server(*now_);
        return;
    }
    wires_.emplace(id, std::move(wire));
}

void WireTransport::run(server::Shard& shard) {
    std::vector<std::pair<ConnectionId, WirePtr>> round{wires_.begin(), wires_.end()};
    const std::size_t first = round.empty() ? 0 : random_.below(round.size());
    for (std::size_t i = 0; i < round.size(); ++i) {
        const auto& [id, wire] = round[(first + i) % round.size()];
        if (!gentle_ && random_.chance(1, 4)) continue;
        if (has(id)) serve(shard, id, wire);
    }
    if (gentle_) shard.heard_all(*now_);
}

namespace {

std::uint64_t disconnects_read(const server::Shard& shard) {
    return shard.counters()
        .packets_received[static_cast<std::size_t>(mqtt::PacketType::disconnect)];
}

}  // namespace

void WireTransport::serve(server::Shard& shard, ConnectionId id, const WirePtr& wire) {
    const bool heard = wire->up_stalled_until <= *now_;
    if (wire->reading && heard && !wire->up.empty()) {
        const std::size_t most = wire->up.size();
        const std::size_t bytes = gentle_ || random_.chance(1, 2) ? most : random_.between(1, most);
        const auto end = wire->up.begin() + static_cast<std::ptrdiff_t>(bytes);
        wire->unconsumed.insert(wire->unconsumed.end(), wire->up.begin(), end);
        wire->up.erase(wire->up.begin(), end);
        wire->offer_again = true;
    }
    if (wire->reading && wire->offer_again && !wire->unconsumed.empty()) {
        wire->offer_again = false;
        // A copy of the exact size: reading past the end shows.
        const Bytes offered = wire->unconsumed;
        const std::uint64_t disconnects_before = disconnects_read(shard);
        inside_shard_ = true;
        const std::size_t used = shard.received(id, offered, *now_);
        inside_shard_ = false;
        STENTOR_ASSERT(used <= offered.size());
        wire->disconnect_heard = disconnects_read(shard) != disconnects_before;
        wire->unconsumed.erase(wire->unconsumed.begin(),
                               wire->unconsumed.begin() + static_cast<std::ptrdiff_t>(used));
        if (!has(id)) return;
    }
    const bool all_read = wire->up.empty() && wire->reading && !wire->offer_again;
    if (wire->client_closed && heard && (all_read || (wire->reset && random_.chance(1, 2)))) {
        shard.disconnected(id, *now_);
        STENTOR_ASSERT(!has(id), "the shard closes what has been disconnected");
        return;
    }
    if (wire->write_blocked && wire->down.size() < wire->kernel_bytes) {
        wire->write_blocked = false;
        shard.writable(id, *now_);
    }
}

void WireTransport::crash() {
    for (auto& [id, wire] : wires_) {
        wire->close_server(*now_);
        // What the kernel has taken may still arrive, or not.
        if (random_.chance(1, 2)) wire->down.resize(random_.between(0, wire->down.size()));
    }
    wires_.clear();
}

void WireTransport::send(Wire& wire, mqtt::WireBuffer& out, std::size_t bytes_max) const {
    while (!out.empty() && bytes_max != 0) {
        std::array<ByteView, 4> parts;
        const std::size_t count = out.gather(parts);
        std::size_t sent = 0;
        for (std::size_t i = 0; i < count && bytes_max != 0; ++i) {
            const ByteView part = parts[i].first(std::min(parts[i].size(), bytes_max));
            wire.down.insert(wire.down.end(), part.begin(), part.end());
            sent += part.size();
            bytes_max -= part.size();
        }
        out.consume(sent);
    }
}

void WireTransport::write(ConnectionId connection, mqtt::WireBuffer& out) {
    Wire& wire = *wires_.at(connection);
    STENTOR_ASSERT(!wire.write_blocked, "write() while the last one waits for writable()");
    most_offered_ = std::max(most_offered_, out.size());
    const std::size_t room = wire.kernel_bytes - std::min(wire.kernel_bytes, wire.down.size());
    std::size_t taken = std::min(room, out.size());
    if (!gentle_ && taken != 0 && random_.chance(1, 8)) taken = random_.between(0, taken);
    if (wire.client_closed) {
        out.consume(out.size());  // into the void, until the driver hears of it
        return;
    }
    send(wire, out, taken);
    wire.write_blocked = !out.empty();
}

void WireTransport::set_reading(ConnectionId connection, bool enabled) {
    Wire& wire = *wires_.at(connection);
    STENTOR_ASSERT(wire.reading != enabled, "set_reading() that changes nothing");
    wire.reading = enabled;
    if (enabled) wire.offer_again = true;
}

void WireTransport::close(ConnectionId connection, mqtt::WireBuffer out) {
    const WirePtr wire = wires_.at(connection);
    wires_.erase(connection);
    // A peer that does not take the rest in time does not get it.
    const std::size_t bytes_max =
        gentle_ || random_.chance(3, 4) ? out.size() : random_.between(0, out.size());
    send(*wire, out, bytes_max);
    wire->close_server(*now_);
}

std::unique_ptr<server::MovedSocket> WireTransport::detach(ConnectionId connection) {
    STENTOR_ASSERT(!inside_shard_, "detach() while the driver is inside received()");
    auto moved = std::make_unique<Moved>(wires_.at(connection), *now_);
    wires_.erase(connection);
    return moved;
}

void WireTransport::attach(ConnectionId connection, std::unique_ptr<server::MovedSocket> socket) {
    auto& moved = dynamic_cast<Moved&>(*socket);
    moved.wire->reading = true;
    moved.wire->offer_again = true;
    moved.wire->write_blocked = false;
    wires_.emplace(connection, std::move(moved.wire));
}

}  // namespace stentor::sim
