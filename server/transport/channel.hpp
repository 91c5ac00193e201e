#pragma once
// What stands between one socket's bytes and MQTT (or HTTP): in this order a PROXY header, TLS, a
// WebSocket, each as the connection's door demands or as its first bytes say. Bytes in, bytes out:
// the epoll loop moves them. One per connection that needs it, on its connection's shard, or on the
// HTTP server's thread; moves along with it.
//
// Bounds: what is held back for want of more bytes is at most a PROXY header (2 KiB), a TLS record
// (16 KiB) or the head of an HTTP request (8 KiB); the time for all that is the connect time-out.

#include "base/bytes.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "server/shard/transport_port.hpp"
#include "server/transport/door.hpp"
#include "server/transport/tls_stream.hpp"
#include "server/transport/web_socket.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::server {

class Channel {
  public:
    enum class State : std::uint8_t {
        opening,  // nothing of MQTT can have come yet
        open,
        http,    // the peer speaks HTTP: the loop hands the connection over
        ended,   // the peer is done
        failed,  // why() says what was wrong
    };

    /// `door` outlives the channel; `peer` is what accept() said.
    Channel(const Door& door, PeerInfo peer);

    /// Takes all of `bytes`, which it may change; appends what MQTT is to see to `clear`. What the
    /// peer is to be told gathers in network(). Not after ended or failed.
    /// Stops behind a PROXY header, so that the peer can be looked at: call go_on() afterwards.
    State receive(MutableByteView bytes, Bytes& clear);
    /// A PROXY header has been read, and what came behind it has not.
    [[nodiscard]] bool is_behind_proxy_header() const noexcept {
        return stage_ != Stage::proxy_header && !held_.empty();
    }
    State go_on(Bytes& clear);
    /// Bytes that begin with `first` are of a TLS handshake, which costs a fraction of a
    /// millisecond.
    [[nodiscard]] bool is_handshake(std::byte first) const noexcept;
    /// So are those that go_on() will take.
    [[nodiscard]] bool goes_on_with_handshake() const noexcept {
        return is_behind_proxy_header() && is_handshake(held_.front());
    }

    /// Moves at most `bytes_max` from `out` to network(), in the peer's wrapping. Only while open,
    /// or http.
    void send(mqtt::WireBuffer& out, std::size_t bytes_max);

    /// Adds the layers' farewells to network(); nothing else may be called afterwards.
    void finish();

    /// Waits to be sent.
    [[nodiscard]] mqtt::WireBuffer& network() noexcept { return network_; }

    [[nodiscard]] State state() const noexcept { return state_; }
    [[nodiscard]] const std::string& why() const noexcept { return why_; }
    [[nodiscard]] const PeerInfo& peer() const noexcept { return peer_; }
    /// The peer's address is a trusted proxy's, which has not said for whom it speaks.
    [[nodiscard]] bool peer_is_proxy() const noexcept { return from_trusted_proxy_; }
    /// A TLS handshake is due or under way.
    [[nodiscard]] bool shakes_hands() const noexcept;
    /// So may the next bytes be.
    [[nodiscard]] bool may_shake_hands() const noexcept {
        return shakes_hands() || (stage_ != Stage::settled && door_->tls == Door::Tls::sniff);
    }
    /// The peer has been heard and told what it needs: it owes the rest.
    [[nodiscard]] bool hello_is_answered() const noexcept { return tls_ && tls_->has_answered(); }
    /// MQTT has come, or could have.
    [[nodiscard]] bool was_open() const noexcept { return was_open_; }
    /// For the log: what has not come that should be there before MQTT; null: nothing.
    [[nodiscard]] const char* waits_for() const noexcept;
    /// TLS's farewell has come: nothing more will.
    [[nodiscard]] bool has_ended() const noexcept {
        return state_ == State::ended || (tls_ && tls_->state() == TlsStream::State::ended);
    }
    /// No layer is left: the connection speaks MQTT itself, and the channel can go once network()
    /// is empty.
    [[nodiscard]] bool transparent() const noexcept;
    /// Who the peer is, once that is known and if it is not what accept() said; told once.
    [[nodiscard]] std::optional<PeerInfo> take_peer();
    struct Behind {
        PeerInfo info;
        bool is_proxy = false;  // whoever it is has not said for whom it speaks
        bool changed = false;   // it is not peer()
    };
    /// Who is behind an HTTP request with these X-Forwarded-For (all of them, with commas between);
    /// `is_for_others`: the request says that it comes from elsewhere. Nothing: a trusted proxy has
    /// written something that cannot be read.
    [[nodiscard]] std::optional<Behind> peer_behind(std::string_view forwarded_for,
                                                    bool is_for_others) const;
    static constexpr const char* kForwardedForNobody =
        "X-Forwarded-For of a trusted proxy names no address as the client's";

  private:
    /// What the next bytes are looked at for.
    enum class Stage : std::uint8_t { proxy_header, outer, inner, settled };

    void read_proxy_header(MutableByteView& bytes);
    void choose_outer(ByteView bytes);
    void choose_inner(ByteView bytes);
    void receive_clear(MutableByteView bytes, Bytes& clear);
    void to_network(mqtt::WireBuffer& clear);
    void learn_from_tls();
    void learn_from_web_socket(Bytes& clear, mqtt::WireBuffer& answers);
    void fail(std::string why);

    const Door* door_;
    PeerInfo peer_;
    bool peer_changed_ = false;
    bool from_trusted_proxy_;
    bool client_looked_at_ = false;
    bool was_open_ = false;
    Stage stage_ = Stage::outer;
    State state_ = State::opening;
    Bytes held_;  // of a PROXY header that has not come whole, or what came behind one
    std::unique_ptr<TlsStream> tls_;
    std::unique_ptr<WebSocket> web_;
    mqtt::WireBuffer network_;
    std::string why_;
};

}  // namespace stentor::server
