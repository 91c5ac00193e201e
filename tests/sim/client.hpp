#pragma once
// A simulated MQTT client: a ClientSession, a wire, and manners. Tells the oracle everything it
// does and sees.
// One thread; all its choices come from its own generator.

#include "base/clock.hpp"
#include "base/random.hpp"
#include "protocol/codec/wire_buffer.hpp"
#include "protocol/session/client/client_session.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/sim/trace.hpp"
#include "tests/sim/wire.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace stentor::sim {

struct Persona {
    std::string name;
    mqtt::ProtocolVersion version = mqtt::ProtocolVersion::v5;
    bool durable = true;
    std::uint32_t expiry_seconds = 0xFFFF'FFFF;  // 5.0 and durable
    std::uint16_t receive_maximum = 0;           // 0: not announced
    std::uint32_t packet_bytes_max = 0;          // 0: not announced
    std::uint16_t topic_aliases = 0;
    std::uint16_t keep_alive_seconds = 0;
    unsigned clean_per_mille = 0;  // of its CONNECTs
    unsigned will_per_mille = 0;
    unsigned drop_per_mille = 0;      // of its turns: ends the connection somehow
    unsigned withhold_per_mille = 0;  // ... answers nothing for a while
    unsigned publish_per_mille = 0;
    unsigned subscribe_per_mille = 0;
    unsigned retain_per_mille = 200;  // of what it publishes
    bool retains_for_good = false;    // with QoS 1 or 2, and never clears
    bool shares = false;              // subscribes to shared subscriptions only
    bool answers_out_of_order = false;
    std::uint32_t away_ms_max = 3000;  // between two connections
    Duration clock_slack{};            // how far the broker's clock and ours may be apart
    std::vector<std::string> topics;
    std::vector<std::string> filters;
    std::vector<std::string> first_filters;  // subscribed to as soon as it is connected
    mqtt::QoS first_qos = mqtt::QoS::exactly_once;
};

class Client {
  public:
    using Connect = std::function<void(const WirePtr&)>;  // hands the wire to some shard

    Client(Persona persona,
           Random random,
           const Instant& now,
           Oracle& oracle,
           Trace& trace,
           Connect connect);

    /// Reads, answers, writes, and does something of its own.
    void turn();

    /// From now on: connected, prompt, and silent otherwise.
    void be_polite();
    /// As before be_polite().
    void be_rude() { polite_ = false; }
    void broker_crashed() { last_crash_ = *now_; }
    /// The broker died and may have forgotten what it knew: so does the client.
    void forget();
    /// DISCONNECT, without a word to the oracle about the session.
    void leave();
    /// Ends whatever session it has: CONNECT with Clean Start, expiry 0.
    void end_session();
    /// Nothing on its way in either direction and nothing owed.
    [[nodiscard]] bool quiet() const;
    [[nodiscard]] std::string describe() const;
    [[nodiscard]] bool connected() const { return session_.has_value() && session_->connected(); }
    [[nodiscard]] std::size_t unacknowledged() const {
        return session_ ? session_->unacknowledged() : 0;
    }
    struct Faults {
        std::vector<Instant> crashes;  // when the broker was there again
        bool commits_fail = false;
    };
    /// Tells the oracle what must have become of its wills.
    void judge_wills(const Faults& faults);

    // For scripts.
    void connect(mqtt::CleanStart clean);
    void publish(const std::string& topic, mqtt::QoS qos, bool retain, bool empty = false);
    void subscribe(const std::string& filter, mqtt::SubscriptionOptions options);
    void unsubscribe(const std::string& filter);
    void drop();
    [[nodiscard]] const std::vector<std::string>& transcript() const { return transcript_; }
    [[nodiscard]] const Persona& persona() const { return persona_; }
    /// RETAIN set, by topic, since the last connect().
    [[nodiscard]] const std::map<std::string, std::string>& retained() const { return retained_; }
    void keep_transcript() { keeps_transcript_ = true; }

  private:
    struct Owed {
        enum class Kind : std::uint8_t { acknowledge, release, complete } kind;
        PacketId packet_id;
        mqtt::QoS qos = mqtt::QoS::exactly_once;
    };
    struct Request {
        PacketId packet_id;
        std::vector<std::string> filters;
        Tick requested = 0;
    };
    struct WillInstance {
        MessageId id = 0;
        WirePtr wire;
        std::uint32_t delay_seconds = 0;
        std::uint32_t expiry_seconds = 0;
        bool durable = false;
        bool connack_seen = false;
        bool disconnected = false;  // a DISCONNECT that forgets it has been sent
        // The next CONNECT that was not refused.
        Instant next_connect = kNever;
        Instant next_connack = kNever;
        bool next_clean = false;
        bool next_present = false;
    };

    void new_session();
    [[nodiscard]] Bytes connect_properties(std::uint32_t expiry) const;
    void set_will();
    void read();
    void handle(const mqtt::ClientEvent& event);
    void on_connected(const mqtt::Connected& event);
    void on_received(const mqtt::Received& event);
    void on_done(MessageId id, mqtt::ReasonCode reason);
    void on_suback(const mqtt::SubscribeDone& suback);
    void on_unsuback(const mqtt::UnsubscribeDone& unsuback);
    void on_closed(const mqtt::Closed& closed);
    void check_session_present(bool present);
    void answer();
    void flush();
    void lost();
    void misbehave();
    void act();
    void publish_something();
    void subscribe_something();
    /// Asked to end its session, and told that there is none.
    [[nodiscard]] bool has_ended() const noexcept { return ended_ && known_ == Known::none; }
    [[nodiscard]] WillFate fate_of(const WillInstance& will, const Faults& faults) const;

    Persona persona_;
    Random random_;
    const Instant* now_;
    Oracle* oracle_;
    Trace* trace_;
    Connect connect_;

    std::optional<mqtt::ClientSession> session_;
    WirePtr wire_;
    Bytes input_;
    mqtt::WireBuffer out_;
    std::deque<Owed> owed_;
    std::vector<Request> subscribing_;
    std::vector<Request> unsubscribing_;
    std::map<PacketId, MessageId> unanswered_;    // QoS 1/2 received and not answered
    std::map<MessageId, mqtt::QoS> outstanding_;  // sent and not done, in order
    std::deque<MessageId> puback_order_;          // on this connection
    std::vector<WillInstance> wills_;
    std::optional<std::size_t> will_;  // of this connection
    std::vector<std::string> transcript_;
    std::map<std::string, std::string> retained_;

    bool polite_ = false;
    bool ended_ = false;  // connects only to end its session
    bool keeps_transcript_ = false;
    bool must_clean_ = false;
    bool transient_before_ = false;  // the last connection had a session of its own
    bool clean_ = false;             // of this connection
    bool durable_now_ = false;       // of this connection
    std::uint32_t expiry_now_ = 0;
    bool was_connected_ = false;
    bool first_filters_done_ = false;
    Instant reconnect_at_;
    Instant withhold_until_;
    Instant deaf_until_;
    std::uint64_t last_unexpected_ = 0;

    // What is known of the session at the broker.
    enum class Known : std::uint8_t { none, maybe, yes };
    Known known_ = Known::none;
    Known known_at_connect_ = Known::none;
    Instant last_crash_;
    std::uint32_t known_expiry_ = 0;
    Instant last_heard_;
    Instant heard_before_;  // as of connect()
    std::vector<WirePtr> old_wires_;
    Instant connect_sent_at_;
};

}  // namespace stentor::sim
