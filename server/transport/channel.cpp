#include "server/transport/channel.hpp"

#include "auth/user_name.hpp"
#include "server/transport/forwarded_for.hpp"
#include "server/transport/proxy_header.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace stentor::server {

namespace {

constexpr std::byte kTlsHandshake{0x16};  // ContentType handshake, RFC 8446 5.1
constexpr std::byte kConnect{0x10};       // MQTT 3.1: every connection begins with CONNECT
constexpr std::size_t kTlsChunk = std::size_t{16} * 1024;

/// An HTTP method begins with a capital letter, and nothing else that we speak does.
bool looks_like_http(std::byte first) { return first >= std::byte{'A'} && first <= std::byte{'Z'}; }

/// For who begins with `first` on a door of TLS.
const char* advice_without_tls(std::byte first, Door::Speech speech) {
    if (first == kConnect) {
        return "plain MQTT on a TLS door: connect with TLS, or use an mqtt:// or auto:// listener";
    }
    if (!looks_like_http(first)) return "what came is no TLS on a TLS door";
    switch (speech) {
        case Door::Speech::http:
            return "plain HTTP on a TLS door: ask https://, or use an http:// or auto:// listener";
        case Door::Speech::web_socket:
            return "plain HTTP on a TLS door: connect to wss://, or use a ws:// or auto:// "
                   "listener";
        case Door::Speech::mqtt:
        case Door::Speech::sniff:
            break;
    }
    return "plain HTTP on a TLS door, which speaks MQTT: use an http://, ws:// or auto:// "
           "listener";
}

/// For ALPN: each one's length and name. Nobody is told that a door speaks what it does not.
const char* protocols_inside(Door::Speech speech) {
    switch (speech) {
        case Door::Speech::mqtt:
            return "\x04mqtt";
        case Door::Speech::web_socket:
        case Door::Speech::http:
            return "\x08http/1.1";
        case Door::Speech::sniff:
            break;
    }
    return "\x04mqtt\x08http/1.1";
}

/// For who begins TLS on a door without.
const char* advice_with_tls(Door::Speech speech) {
    switch (speech) {
        case Door::Speech::sniff:
            return "a TLS hello, and this auto:// listener has no certificate: set its tls";
        case Door::Speech::http:
            return "a TLS hello on an HTTP door without TLS: ask http://, or use an https:// or "
                   "auto:// listener";
        case Door::Speech::web_socket:
            return "a TLS hello on a WebSocket door without TLS: connect to ws://, or use a wss:// "
                   "or auto:// listener";
        case Door::Speech::mqtt:
            break;
    }
    return "a TLS hello on a door without TLS: use an mqtts:// or auto:// listener";
}

}  // namespace

Channel::Channel(const Door& door, PeerInfo peer)
    : door_{&door},
      peer_{std::move(peer)},
      from_trusted_proxy_{door.trusted_proxies.contains(peer_.address)} {
    if (door.proxy_header && from_trusted_proxy_) stage_ = Stage::proxy_header;
}

bool Channel::shakes_hands() const noexcept {
    if (tls_) return tls_->state() == TlsStream::State::handshake;
    return stage_ != Stage::settled && door_->tls == Door::Tls::always;
}

bool Channel::is_handshake(std::byte first) const noexcept {
    if (tls_) return tls_->state() == TlsStream::State::handshake;
    return stage_ == Stage::outer && door_->tls != Door::Tls::never && first == kTlsHandshake;
}

bool Channel::transparent() const noexcept {
    return stage_ == Stage::settled && !tls_ && !web_ && state_ == State::open;
}

std::optional<PeerInfo> Channel::take_peer() {
    if (!std::exchange(peer_changed_, false)) return std::nullopt;
    peer_.is_proxy = from_trusted_proxy_;
    return peer_;
}

const char* Channel::waits_for() const noexcept {
    if (state_ != State::opening) return nullptr;
    if (stage_ == Stage::proxy_header) return "a PROXY header, which this door demands of proxies";
    if (shakes_hands()) return "the client's part of the TLS handshake";
    if (web_ || (door_->speech == Door::Speech::web_socket && !tls_)) {
        return "an HTTP request that asks for a WebSocket";
    }
    return "the first byte";
}

void Channel::fail(std::string why) {
    was_open_ = state_ == State::open;
    state_ = State::failed;
    why_ = std::move(why);
}

Channel::State Channel::receive(MutableByteView bytes, Bytes& clear) {
    if (stage_ == Stage::proxy_header) {
        Bytes all = std::exchange(held_, {});
        all.insert(all.end(), bytes.begin(), bytes.end());
        bytes = all;
        read_proxy_header(bytes);
        if (stage_ != Stage::proxy_header) held_.assign(bytes.begin(), bytes.end());
        return state_;
    }
    if (bytes.empty() || state_ == State::failed) return state_;
    if (stage_ == Stage::outer) choose_outer(bytes);
    if (state_ == State::failed) return state_;
    if (!tls_) {
        receive_clear(bytes, clear);
        return state_;
    }
    // Without a WebSocket inside what TLS brings is what MQTT sees.
    const bool to_caller = stage_ == Stage::settled && !web_;
    Bytes inner;
    const TlsStream::State tls = tls_->receive(bytes, to_caller ? clear : inner, network_);
    if (tls == TlsStream::State::failed) {
        fail("TLS: " + tls_->why());
        return state_;
    }
    if (tls != TlsStream::State::handshake) learn_from_tls();
    if (state_ == State::failed) return state_;
    if (!inner.empty()) receive_clear(inner, clear);
    // A request that came along with the farewell is still to be answered.
    const bool answers_first = state_ == State::failed || state_ == State::http;
    if (tls == TlsStream::State::ended && !answers_first) state_ = State::ended;
    return state_;
}

Channel::State Channel::go_on(Bytes& clear) {
    if (stage_ == Stage::proxy_header || state_ == State::failed) return state_;
    Bytes behind = std::exchange(held_, {});
    return receive(behind, clear);
}

/// `bytes` is what comes behind the header afterwards: nothing, if more of it must come first.
void Channel::read_proxy_header(MutableByteView& bytes) {
    const auto step = parse_proxy_header(bytes);
    if (const auto* malformed = std::get_if<ProxyMalformed>(&step)) {
        fail(std::string{malformed->why} + " from a trusted proxy; this door demands one");
    } else if (const auto* header = std::get_if<ProxyHeader>(&step)) {
        stage_ = Stage::outer;
        peer_.loopback_listener = false;
        peer_changed_ = true;
        if (!header->address.empty()) {
            peer_.address = header->address;
            peer_.port = header->port;
        }
        from_trusted_proxy_ = door_->trusted_proxies.contains(peer_.address);
        bytes = bytes.subspan(header->bytes_used);
        return;
    } else {
        held_.assign(bytes.begin(), bytes.end());
    }
    bytes = {};
}

void Channel::choose_outer(ByteView bytes) {
    stage_ = Stage::inner;
    if (begins_proxy_header(bytes)) {
        fail(
            !door_->proxy_header
                ? "a PROXY header on a door without proxy_protocol"
                : "a PROXY header from an address that is not in trusted_proxies, or a second one");
        return;
    }
    const bool hello = bytes.front() == kTlsHandshake;
    if (door_->tls == Door::Tls::always && !hello) {
        fail(advice_without_tls(bytes.front(), door_->speech));
        return;
    }
    if (hello && door_->tls == Door::Tls::never) {
        fail(advice_with_tls(door_->speech));
        return;
    }
    if (door_->tls == Door::Tls::never) return;
    auto context = door_->certificates->get();
    if (hello) {
        tls_ = std::make_unique<TlsStream>(std::move(context), protocols_inside(door_->speech));
    } else if (context->demands_client_certificate()) {
        fail("no TLS on a door that demands client certificates: connect with TLS and one");
    }
}

void Channel::choose_inner(ByteView bytes) {
    stage_ = Stage::settled;
    const bool http = looks_like_http(bytes.front());
    if (door_->speech == Door::Speech::web_socket && !http) {
        fail(bytes.front() == kConnect ? "MQTT without a WebSocket around it: use an mqtt://, "
                                         "mqtts:// or auto:// listener"
                                       : "what came is no HTTP on a WebSocket door");
        return;
    }
    if (door_->speech == Door::Speech::web_socket ||
        (door_->speech == Door::Speech::sniff && http)) {
        web_ = std::make_unique<WebSocket>(door_->web_socket);
        return;
    }
    if (door_->speech == Door::Speech::http) {
        state_ = State::http;
        if (bytes.front() == kConnect) {
            fail("MQTT on an HTTP door: use an mqtt:// or auto:// listener");
        }
        return;
    }
    if (http) {
        fail("an HTTP request on an MQTT door: use https:// (for WebSocket wss://) or auto://");
        return;
    }
    state_ = State::open;
}

void Channel::receive_clear(MutableByteView bytes, Bytes& clear) {
    if (stage_ == Stage::inner) choose_inner(bytes);
    if (state_ == State::failed) return;
    if (!web_) {
        clear.insert(clear.end(), bytes.begin(), bytes.end());
        return;
    }
    mqtt::WireBuffer answers;
    const bool was_upgrading = web_->state() == WebSocket::State::upgrading;
    (void)web_->receive(bytes, clear, answers);
    if (was_upgrading && web_->state() != WebSocket::State::upgrading) {
        learn_from_web_socket(clear, answers);
    }
    const WebSocket::State web = web_->state();
    to_network(answers);
    if (web == WebSocket::State::other) {
        const Bytes request = web_->take_request();
        web_.reset();
        clear.insert(clear.end(), request.begin(), request.end());
        state_ = State::http;
        return;
    }
    if (web == WebSocket::State::open) state_ = State::open;
    if (web == WebSocket::State::ended) state_ = State::ended;
    if (web == WebSocket::State::failed) fail(web_->why());
}

void Channel::learn_from_tls() {
    if (std::exchange(client_looked_at_, true)) return;
    std::string name = tls_->client_name();
    if (name.empty()) return;
    if (!auth::is_user_name(name)) {
        fail(
            "the common name of the client's certificate is no name of a user: control characters, "
            "or more than 1024 bytes");
        return;
    }
    peer_.certificate_name = std::move(name);
    peer_changed_ = true;
}

/// Whoever has written X-Forwarded-For or the like, the peer is somebody's proxy. For whom it
/// speaks is believed of trusted ones only, and they have to say it in a way that can be read.
void Channel::learn_from_web_socket(Bytes& clear, mqtt::WireBuffer& answers) {
    if (web_->state() == WebSocket::State::other) return;  // peer_behind() looks at each request
    auto peer = peer_behind(web_->forwarded_for(), web_->is_for_others());
    if (!peer) {
        clear.clear();
        if (web_->state() == WebSocket::State::failed) return;
        web_->turn_away(kForwardedForNobody, answers);
        return;
    }
    if (!peer->changed) return;
    peer_ = std::move(peer->info);
    peer_changed_ = true;
    from_trusted_proxy_ = peer->is_proxy;
}

std::optional<Channel::Behind> Channel::peer_behind(std::string_view forwarded_for,
                                                    bool is_for_others) const {
    Behind behind{.info = peer_, .is_proxy = from_trusted_proxy_, .changed = is_for_others};
    behind.info.is_proxy = from_trusted_proxy_;
    if (is_for_others) {
        behind.info.loopback_listener = false;
        // A proxy that ends TLS has shown its own.
        if (from_trusted_proxy_) behind.info.certificate_name.clear();
    }
    if (!from_trusted_proxy_ || forwarded_for.empty()) return behind;
    auto client = forwarded_client(forwarded_for, door_->trusted_proxies);
    if (!client) return std::nullopt;
    if (client->address.empty()) return behind;
    behind.info.address = std::move(client->address);
    behind.info.port = client->port;
    behind.info.is_proxy = client->is_proxy;
    behind.is_proxy = client->is_proxy;
    behind.changed = true;
    return behind;
}

/// Takes all of `clear`, which is what the innermost layer but TLS has made.
void Channel::to_network(mqtt::WireBuffer& clear) {
    if (!tls_) {
        network_.append_from(clear, clear.size());
        return;
    }
    // Whole records: each costs its own head and tag, and the peer a decryption.
    thread_local std::array<std::byte, kTlsChunk> chunk;
    while (!clear.empty()) {
        const std::size_t filled = clear.read(chunk);
        if (!tls_->send(ByteView{chunk}.first(filled), network_)) {
            fail("TLS: " + tls_->why());
            clear.clear();
        }
    }
}

void Channel::send(mqtt::WireBuffer& out, std::size_t bytes_max) {
    const std::size_t bytes = std::min(out.size(), bytes_max);
    if (bytes == 0) return;
    const bool closed = web_ && web_->state() != WebSocket::State::open;  // RFC 6455 5.5.1
    const bool speaks = state_ == State::open || state_ == State::ended || state_ == State::http;
    if (closed || !speaks) {
        out.clear();  // nobody could have asked for it
        return;
    }
    if (!web_ && bytes == out.size()) {
        to_network(out);
        return;
    }
    mqtt::WireBuffer clear;
    if (web_) {
        WebSocket::frame(out, bytes, clear);
    } else {
        clear.append_from(out, bytes);
    }
    to_network(clear);
}

void Channel::finish() {
    if (web_) {
        mqtt::WireBuffer farewell;
        web_->finish(farewell);
        if (!tls_ || tls_->state() == TlsStream::State::open) to_network(farewell);
    }
    if (tls_) tls_->finish(network_);
}

}  // namespace stentor::server
