#include "server/transport/accept.hpp"

#include "base/log.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <sys/socket.h>
#include <utility>

namespace stentor::server {

namespace {

PeerInfo peer_info(const sockaddr_storage& address, const Listener& listener) {
    PeerInfo peer;
    peer.listener = listener.index();
    peer.loopback_listener = listener.is_loopback();
    char text[INET6_ADDRSTRLEN] = {};
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        peer.port = ntohs(v4.sin_port);
    } else if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        peer.port = ntohs(v6.sin6_port);
    }
    peer.address = text;
    return peer;
}

void report_no_descriptors(Instant now) {
    static LogEvery every{1, std::chrono::seconds{10}};
    const int error = errno;
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(error,
                    LogEvent("accept_failed", {{"suppressed", pass.suppressed}}),
                    "no descriptors left for new connections: {}; raise the limit of "
                    "open files (ulimit -n, LimitNOFILE=)",
                    std::strerror(error));
    }
}

/// Before CONNACK, even before TLS: a client that is shed comes again later.
void report_shed(const PeerInfo& peer, const SecondlyGate& connects, Instant now) {
    static LogEvery every{5, std::chrono::seconds{10}};
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(warn,
                    LogEvent("connection_shed",
                             {{"peer", peer.address},
                              {"listener", peer.listener},
                              {"suppressed", pass.suppressed}}),
                    "connects_per_second_max = {} of this listener is reached: the client may "
                    "come again",
                    connects.max());
    }
}

/// Likewise.
void report_full(const PeerInfo& peer, const ConnectionCount& count, Instant now) {
    static LogEvery every{5, std::chrono::seconds{10}};
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(warn,
                    LogEvent("connection_refused",
                             {{"peer", peer.address},
                              {"listener", peer.listener},
                              {"suppressed", pass.suppressed}}),
                    "max_connections = {} of this listener is reached",
                    count.max());
    }
}

/// By what is known of the address: before TLS, or as soon as a proxy has named it. No answer: it
/// would cost more than the question.
void report_address(const PeerInfo& peer, AddressGate::Answer why, Instant now) {
    static LogEvery every{5, std::chrono::seconds{10}};
    const auto pass = every.admit(now);
    if (!pass) return;
    STENTOR_LOG(warn,
                LogEvent("address_refused",
                         {{"peer", peer.address},
                          {"listener", peer.listener},
                          {"reason", name(why)},
                          {"suppressed", pass.suppressed}}),
                "{}",
                why == AddressGate::Answer::banned ? "the address is banned (auth.ban_file)"
                                                   : "a bound of [limits] is reached");
}

AddressGate::Speaks speaks(bool is_proxy) {
    return is_proxy ? AddressGate::Speaks::for_others : AddressGate::Speaks::for_itself;
}

/// Operators want to look when the broker is full: what only speaks HTTP has a bound of its own
/// (HttpLimits).
AddressGate::Among among(const Door& door) {
    return door.speech == Door::Speech::http ? AddressGate::Among::themselves
                                             : AddressGate::Among::all;
}

/// The listener's own bounds. What is turned away for another reason does not count as often.
std::optional<RefusedAtDoor> refused_by(const Door& door, Accepted& newcomer, Instant now) {
    if (door.connections && !door.connections->enter()) {
        report_full(newcomer.peer, *door.connections, now);
        return RefusedAtDoor::max_connections;
    }
    newcomer.place.reset(door.connections.get());
    if (door.connects && !door.connects->admit(now)) {
        report_shed(newcomer.peer, *door.connects, now);
        return RefusedAtDoor::listener_connects_per_second_max;
    }
    return std::nullopt;
}

}  // namespace

RefusedAtDoor refusal_of(AddressGate::Answer answer) noexcept {
    switch (answer) {
        case AddressGate::Answer::banned:
            return RefusedAtDoor::banned;
        case AddressGate::Answer::too_many_of_address:
            return RefusedAtDoor::connections_per_address_max;
        case AddressGate::Answer::too_often:
            return RefusedAtDoor::connects_per_second_per_address_max;
        case AddressGate::Answer::too_many:
        case AddressGate::Answer::welcome:
            break;
    }
    return RefusedAtDoor::connections_max;
}

AcceptOutcome accept_one(const Listener& listener,
                         const Door& door,
                         AddressGate* addresses,
                         Instant now,
                         Accepted& out,
                         RefusedAtDoor& why) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    out.descriptor = Descriptor{::accept4(listener.descriptor(),
                                          reinterpret_cast<sockaddr*>(&address),
                                          &size,
                                          SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!out.descriptor) {
        if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) {
            return AcceptOutcome::nobody_waits;
        }
        report_no_descriptors(now);
        return AcceptOutcome::no_descriptors;
    }
    if (!listener.is_unix()) {
        const int on = 1;
        (void)::setsockopt(out.descriptor.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    out.peer = peer_info(address, listener);
    out.peer.is_proxy = door.trusted_proxies.contains(out.peer.address);
    out.address = {};
    out.place.reset();
    if (addresses != nullptr) {
        const auto answer = addresses->enter(
            out.peer.address, speaks(out.peer.is_proxy), among(door), now, out.address);
        if (answer != AddressGate::Answer::welcome) {
            report_address(out.peer, answer, now);
            why = refusal_of(answer);
            return AcceptOutcome::refused;
        }
    }
    const auto refused = refused_by(door, out, now);
    if (!refused) return AcceptOutcome::accepted;
    why = *refused;
    return AcceptOutcome::refused;
}

AddressGate::Answer settle_address(AddressGate& addresses,
                                   const PeerInfo& peer,
                                   bool peer_is_proxy,
                                   Instant now,
                                   AddressPlace& place) {
    const auto answer = addresses.turns_out(peer.address, speaks(peer_is_proxy), now, place);
    if (answer != AddressGate::Answer::welcome) report_address(peer, answer, now);
    return answer;
}

}  // namespace stentor::server
