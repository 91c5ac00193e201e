#pragma once
// The client's side of MQTT 3.1.1 and 5.0: connecting, acknowledgement flows, windows, aliases,
// keepalive, and what survives a reconnect.
//
// Pure: no socket, clock or thread. Bytes and time go in; bytes (appended to a WireBuffer) and
// events come out. A movable value, used by one thread at a time. A steady flow of messages
// allocates nothing once its window has been open.
//
// One session lives through any number of connections:
//     session.connect(CleanStart::no, now, out);          // a new transport is open
//     while (bytes arrive)
//         for (;;) { auto event = session.next(input, now, out); ... until NeedInput }
//     session.on_time(now, out) whenever deadline() has passed
// What is in `out` is to be sent after every call, also before closing.

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/codec/encoder.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/property_writer.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "protocol/session/client/client_types.hpp"
#include "protocol/session/client/outbound_store.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stentor::mqtt {

template <class T>
using SendResult = Result<T, SendRefusal>;

class ClientSession {
  public:
    /// `options.connect_properties` must be a valid block for CONNECT (ours, so it is asserted).
    explicit ClientSession(ClientOptions options);
    ClientSession(ClientSession&&) noexcept = default;
    ClientSession& operator=(ClientSession&&) noexcept = default;
    ClientSession(const ClientSession&) = delete;
    ClientSession& operator=(const ClientSession&) = delete;
    ~ClientSession() = default;

    // --- a connection's life ---

    /// The will of the next connect(); nothing: none.
    void set_will(std::optional<ClientWill> will) { options_.will = std::move(will); }

    /// Starts on a new transport: sends CONNECT. Whatever the last connection left half done is
    /// kept until CONNACK says whether the server has kept it too.
    void connect(CleanStart clean_start, Instant now, WireBuffer& out);

    /// Takes packets from the front of `input`, which is shortened by them, and answers what has to
    /// be answered, until one has something to tell. Call until NeedInput; after Closed every call
    /// returns NeedInput and leaves the input alone. The event's views point into `input` or the
    /// session.
    [[nodiscard]] ClientEvent next(ByteView& input, Instant now, WireBuffer& out);

    /// When on_time() has something to do; kNever if nothing.
    [[nodiscard]] Instant deadline() const noexcept;
    /// Sends PINGREQ when it is due [MQTT-3.1.2-20]; gives up on a server that is silent.
    [[nodiscard]] std::optional<Closed> on_time(Instant now, WireBuffer& out);

    /// Sends DISCONNECT (in 3.1.1 without reason and properties); afterwards only connect() may
    /// follow [MQTT-3.14.4-2].
    void disconnect(ReasonCode reason, ByteView properties, WireBuffer& out);
    /// After disconnect(): takes what still comes from the front of `input`, up to the DISCONNECT
    /// (or refusing CONNACK) of a server that did not agree with what we sent before. Everything
    /// else is passed over.
    [[nodiscard]] std::optional<Closed> last_word(ByteView& input);
    /// The transport has gone. Not needed after Closed or disconnect().
    void connection_lost() noexcept;

    // --- sending; properties are blocks as PropertyWriter builds them, ignored in 3.1.1 ---

    /// `packet.dup` and `packet.packet_id` are the session's business. `token` comes back with
    /// PublishDone. With QoS 0 the result is kNoPacketId and nothing is kept. The topic name is
    /// not judged. An empty topic with a topic alias among the properties is possible once the
    /// alias is known.
    [[nodiscard]] SendResult<PacketId> publish(const Publish& packet,
                                               std::uint64_t token,
                                               Instant now,
                                               WireBuffer& out);
    /// The filters' grammar is not judged.
    [[nodiscard]] SendResult<PacketId> subscribe(std::span<const SubscriptionView> subscriptions,
                                                 ByteView properties,
                                                 Instant now,
                                                 WireBuffer& out);
    [[nodiscard]] SendResult<PacketId> unsubscribe(std::span<const std::string_view> filters,
                                                   ByteView properties,
                                                   Instant now,
                                                   WireBuffer& out);
    /// AUTH: an answer (continue_authentication) or a fresh start (re_authenticate). 5.0 only.
    void authenticate(ReasonCode reason, ByteView properties, Instant now, WireBuffer& out);
    /// PINGREQ; PingDone comes with its answer: the server has read all that was sent before. The
    /// answer is due within ping_timeout, so call it when `out` has left. Only while connected; one
    /// at a time.
    void ping(Instant now, WireBuffer& out);

    // --- manual answers ---

    /// PUBACK or PUBREC for a received message; false if none is owed (any more). With QoS 2 a
    /// failure ends the delivery.
    bool acknowledge(PacketId packet_id, ReasonCode reason, Instant now, WireBuffer& out);
    /// PUBREL after PublishReceived; false if none is owed.
    bool release(PacketId packet_id, Instant now, WireBuffer& out);
    /// PUBCOMP after ReleaseReceived; false if none is owed.
    bool complete(PacketId packet_id, Instant now, WireBuffer& out);

    // --- facts ---

    [[nodiscard]] bool connected() const noexcept { return state_ == State::connected; }
    /// As of the last CONNACK.
    [[nodiscard]] const ServerLimits& server() const noexcept { return server_; }
    [[nodiscard]] const ClientOptions& options() const noexcept { return options_; }
    /// Ours, or the one the server assigned, which is used for every later connect().
    [[nodiscard]] const std::string& client_id() const noexcept { return options_.client_id; }
    /// How many QoS 1/2 messages publish() would take now.
    [[nodiscard]] std::size_t window_left() const noexcept;
    /// QoS 1/2 messages that are not done.
    [[nodiscard]] std::size_t unacknowledged() const noexcept { return messages_; }
    /// PUBACK, PUBREC and PUBCOMP that fitted nothing: a server that is sound sends none.
    [[nodiscard]] std::uint64_t unexpected_acknowledgements() const noexcept { return unexpected_; }

  private:
    enum class State : std::uint8_t { idle, connecting, connected, leaving, closed };
    enum class Inbound : std::uint8_t { qos1, qos2, qos2_received, qos2_released };
    using Phase = OutboundStore::Phase;

    struct TextHash {  // look-up by string_view
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };

    // Handlers return NeedInput when there is nothing to tell.
    ClientEvent dispatch(PacketView& packet, Instant now, WireBuffer& out);
    ClientEvent on(const ConnackView& packet, Instant now, WireBuffer& out);
    ClientEvent on(PublishView& packet, Instant now, WireBuffer& out);
    ClientEvent on_qos2(const PublishView& packet, Instant now, WireBuffer& out);
    ClientEvent on(const PubackView& packet, Instant now, WireBuffer& out);
    ClientEvent on(const PubrecView& packet, Instant now, WireBuffer& out);
    ClientEvent on(const PubrelView& packet, Instant now, WireBuffer& out);
    ClientEvent on(const PubcompView& packet, Instant now, WireBuffer& out);
    ClientEvent on(const SubackView& packet, WireBuffer& out);
    ClientEvent on(const UnsubackView& packet, WireBuffer& out);
    ClientEvent on_pingresp();
    void send_pingreq(Instant now, WireBuffer& out);
    ClientEvent on(const DisconnectView& packet);
    ClientEvent server_error(ReasonCode reason, const char* detail, WireBuffer& out);
    PublishDone finish(PacketId packet_id, const AckView& packet, Instant now, WireBuffer& out);

    [[nodiscard]] bool resolve_alias(PublishView& packet);
    [[nodiscard]] Inbound* find_inbound(PacketId packet_id) noexcept;
    void add_inbound(PacketId packet_id, Inbound phase);
    void forget_inbound(PacketId packet_id) noexcept;
    void send_ack(
        PacketType type, PacketId packet_id, ReasonCode reason, Instant now, WireBuffer& out);

    void take_limits(const ConnackView& packet);
    void resume(Instant now, WireBuffer& out);
    void lose_session();
    void send_waiting(Instant now, WireBuffer& out);

    [[nodiscard]] bool obey() const noexcept {
        return options_.limit_checks == ServerLimitChecks::obey;
    }
    [[nodiscard]] std::size_t packet_bytes_max() const noexcept;
    [[nodiscard]] std::optional<SendRefusal> refusal(const Publish& packet) const noexcept;

    /// How a PUBLISH goes out and how it is kept.
    struct Aliased {
        std::string_view topic;
        ByteView properties;
        std::string_view kept_topic;
        ByteView kept_properties = {};  // without the alias
        std::uint16_t learnt = 0;       // the server knows this alias from the packet on
    };
    [[nodiscard]] SendResult<Aliased> with_alias(const Publish& packet);
    [[nodiscard]] SendResult<Aliased> with_given_alias(const Publish& packet, std::uint16_t alias);
    void learn_alias(std::uint16_t alias, std::string_view topic);

    ClientOptions options_;
    std::uint16_t own_receive_maximum_;
    std::uint16_t own_topic_alias_maximum_;
    std::uint32_t own_packet_bytes_max_;
    bool authenticates_;  // an Authentication Method is announced

    State state_ = State::idle;
    CleanStart clean_start_ = CleanStart::yes;
    ServerLimits server_;
    std::optional<Decoder> decoder_;

    OutboundStore outbound_;
    std::size_t messages_ = 0;         // PUBLISH among outbound_
    std::size_t on_wire_ = 0;          // of those, counting against the server's Receive Maximum
    std::deque<PacketId> waiting_;     // to be sent (again) as the window opens, in order
    std::deque<ClientEvent> pending_;  // told before the next packet; no views in them
    std::vector<std::pair<PacketId, Inbound>> inbound_;  // sorted by identifier

    std::vector<std::string> aliases_in_;   // [alias - 1]; empty: not known
    std::vector<std::string> aliases_out_;  // [alias - 1]
    std::unordered_map<std::string, std::uint16_t, TextHash, std::equal_to<>> alias_of_;
    PropertyWriter with_alias_;
    PropertyWriter without_alias_;

    Instant connack_due_ = kNever;
    Instant sign_of_life_due_ = kNever;
    Instant last_sent_;
    std::uint32_t pings_unanswered_ = 0;
    std::uint32_t pings_until_done_ = 0;  // answers up to that of ping(); 0: none is awaited
    std::uint64_t unexpected_ = 0;
};

}  // namespace stentor::mqtt
