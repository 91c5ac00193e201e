#include "tests/scenario/bench/faulty_broker.hpp"

#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"

#include <poll.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <array>
#include <cstdlib>
#include <list>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <vector>

namespace stentor {
namespace {

using mqtt::ProtocolVersion;
using mqtt::QoS;

struct Peer {
    int socket = -1;
    bool subscribed = false;
    mqtt::Decoder decoder{mqtt::DecodeLimits{}};
    Bytes input;
    mqtt::WireBuffer output;
    std::uint16_t last_id = 0;
    Bytes held_back;  // reorders: the payload that comes after the next one
};

/// One run of the broker, on its thread.
class Service {
  public:
    Service(Fault fault, int listener, int stop)
        : fault_{fault}, listener_{listener}, stop_{stop} {}
    ~Service() {
        for (const Peer& peer : peers_) ::close(peer.socket);
    }
    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// False: it is time to end.
    bool turn() {
        std::vector<pollfd> polled{{stop_, POLLIN, 0}, {listener_, POLLIN, 0}};
        for (const Peer& peer : peers_) polled.push_back({peer.socket, POLLIN, 0});
        if (::poll(polled.data(), polled.size(), -1) < 0 || polled[0].revents != 0) return false;
        auto event = polled.begin() + 2;
        for (auto peer = peers_.begin(); peer != peers_.end(); ++event) {
            const bool alive = event->revents == 0 || read(*peer);
            if (!alive) ::close(peer->socket);
            peer = alive ? std::next(peer) : peers_.erase(peer);
        }
        if (polled[1].revents != 0) {
            Peer& peer = peers_.emplace_back();
            peer.socket = ::accept(listener_, nullptr, nullptr);
        }
        for (Peer& peer : peers_) flush(peer);
        return true;
    }

  private:
    bool read(Peer& peer) {
        std::array<std::byte, 65536> buffer{};
        const ssize_t got = ::recv(peer.socket, buffer.data(), buffer.size(), 0);
        if (got <= 0) return false;
        peer.input.insert(peer.input.end(), buffer.begin(), buffer.begin() + got);
        for (;;) {
            const auto step = peer.decoder.next(peer.input);
            if (!step) return false;
            const auto* decoded = std::get_if<mqtt::Decoded>(&*step);
            if (decoded == nullptr) return true;
            if (!on_packet(peer, decoded->packet)) return false;
            peer.input.erase(peer.input.begin(),
                             peer.input.begin() + static_cast<std::ptrdiff_t>(decoded->bytes_used));
        }
    }

    bool on_packet(Peer& peer, const mqtt::PacketView& packet) {
        if (std::holds_alternative<mqtt::ConnectView>(packet)) {
            (void)mqtt::encode_connack(peer.output, ProtocolVersion::v5, {});
        } else if (const auto* subscribe = std::get_if<mqtt::SubscribeView>(&packet)) {
            peer.subscribed = true;
            const std::array reasons{mqtt::ReasonCode::granted_qos_1};
            (void)mqtt::encode_suback(peer.output,
                                      ProtocolVersion::v5,
                                      {.packet_id = subscribe->packet_id, .reasons = reasons});
        } else if (const auto* publish = std::get_if<mqtt::PublishView>(&packet)) {
            on_publish(peer, *publish);
        }
        return !std::holds_alternative<mqtt::DisconnectView>(packet);
    }

    void on_publish(Peer& from, const mqtt::PublishView& publish) {
        if (publish.qos != QoS::at_most_once) {
            const auto id = static_cast<std::uint16_t>(publish.packet_id.value() +
                                                       (fault_ == Fault::forgets_id ? 7 : 0));
            (void)mqtt::encode_ack(
                from.output,
                ProtocolVersion::v5,
                {.packet_id = PacketId{id},
                 .reason = fault_ == Fault::refuses ? mqtt::ReasonCode::quota_exceeded
                                                    : mqtt::ReasonCode::success});
        }
        if (fault_ == Fault::refuses) return;
        for (Peer& peer : peers_) {
            if (peer.subscribed) deliver(peer, publish);
        }
    }

    void deliver(Peer& peer, const mqtt::PublishView& publish) {
        const bool tenth = ++deliveries_ % 10 == 0;
        if (fault_ == Fault::loses && tenth) return;
        if (fault_ == Fault::hangs_up && deliveries_ > 100) ::shutdown(peer.socket, SHUT_RDWR);
        if (fault_ == Fault::mumbles && deliveries_ > 100) {
            const std::array mumble{std::byte{0x30}, std::byte{2}, std::byte{0}, std::byte{9}};
            peer.output.append(mumble);
        }
        if (fault_ == Fault::reorders && tenth) {
            peer.held_back = to_owned(publish.payload);
            return;
        }
        send(peer, publish, publish.payload);
        if (fault_ == Fault::doubles && tenth) send(peer, publish, publish.payload);
        if (!peer.held_back.empty()) send(peer, publish, std::exchange(peer.held_back, {}));
    }

    static void send(Peer& peer, const mqtt::PublishView& publish, ByteView payload) {
        if (publish.qos != QoS::at_most_once) ++peer.last_id;
        (void)mqtt::encode_publish(peer.output,
                                   ProtocolVersion::v5,
                                   mqtt::Publish{.topic = publish.topic,
                                                 .payload = payload,
                                                 .qos = publish.qos,
                                                 .packet_id = PacketId{peer.last_id}});
    }

    static void flush(Peer& peer) {
        while (!peer.output.empty()) {
            const ByteView part = peer.output.front();
            const ssize_t sent = ::send(peer.socket, part.data(), part.size(), MSG_NOSIGNAL);
            if (sent <= 0) {
                peer.output.clear();
                return;
            }
            peer.output.consume(static_cast<std::size_t>(sent));
        }
    }

    Fault fault_;
    int listener_;
    int stop_;
    std::uint64_t deliveries_ = 0;
    std::list<Peer> peers_;
};

}  // namespace

FaultyBroker::FaultyBroker(Fault fault)
    : fault_{fault}, listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, any, size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, any, &size) != 0 || ::pipe(stop_) != 0) {
        std::abort();
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread{[this] { serve(); }};
}

FaultyBroker::~FaultyBroker() {
    ::close(stop_[1]);
    thread_.join();
    ::close(stop_[0]);
    ::close(listener_);
}

void FaultyBroker::serve() {
    Service service{fault_, listener_, stop_[0]};
    while (service.turn()) {
    }
}

}  // namespace stentor
