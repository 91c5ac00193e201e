#pragma once
// Drives a Session in tests as a shard would, and says in text what it answered: every call returns
// the packets sent and the effects, one line each ("PUBACK 1", "close 82", "release m1 to 3").
// Test code; one thread.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/session/session.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::mqtt::test {

using Lines = std::vector<std::string>;

/// A CONNECT's outcome with short ways to vary it.
[[nodiscard]] ConnectRequest transient(ProtocolVersion version = ProtocolVersion::v5);
[[nodiscard]] ConnectRequest durable(ProtocolVersion version = ProtocolVersion::v5);

struct TestMessage {
    std::string topic = "t";
    std::string payload = "m";
    QoS qos = QoS::at_least_once;
    std::optional<std::uint32_t> expiry_seconds = {};
};
[[nodiscard]] MessagePtr message(const TestMessage& fields, Instant arrival = {});

/// A PUBLISH from the client and what the shard makes of it.
struct FromClient {
    std::string topic = "t";
    std::string payload = "m";
    QoS qos = QoS::at_least_once;
    std::uint16_t id = 0;
    bool dup = false;
    std::optional<std::uint16_t> alias = {};
    Ingress outcome = Ingress::released;
    ReasonCode reason = ReasonCode::success;
    std::uint64_t ticket = 0;
};

/// A message to the client.
struct ToClient {
    std::string payload = "m";
    QoS qos = QoS::at_least_once;
    std::string topic = "t";
    bool retain = false;
    std::vector<std::uint32_t> subscription_identifiers = {};
    std::optional<std::uint32_t> expiry_seconds = {};
};

/// All packets in `bytes` as lines; what the client's decoder refuses is a line too.
[[nodiscard]] Lines describe(ProtocolVersion version, ByteView bytes);

class Script {
  public:
    explicit Script(ConnectRequest request, SessionLimits limits = {}, SessionParts parts = {});
    Script(const Script&) = delete;
    Script& operator=(const Script&) = delete;
    ~Script() = default;

    /// Time passes.
    void wait(std::chrono::seconds time) { now_ += time; }
    /// From now on what is sent stays in the outbox, as with a client that does not read; nothing
    /// is shown until read().
    void stop_reading() { reading_ = false; }
    [[nodiscard]] Lines read();

    [[nodiscard]] Lines connack(bool present = false,
                                std::span<const UserProperty> user_properties = {});
    [[nodiscard]] Lines inflight_again();
    [[nodiscard]] Lines publish(const FromClient& packet);
    [[nodiscard]] Lines committed(std::uint64_t ticket);
    [[nodiscard]] Lines failed(std::uint64_t ticket, ReasonCode reason);
    [[nodiscard]] Lines puback(std::uint16_t id, ReasonCode reason = ReasonCode::success);
    [[nodiscard]] Lines pubrec(std::uint16_t id, ReasonCode reason = ReasonCode::success);
    [[nodiscard]] Lines pubcomp(std::uint16_t id, ReasonCode reason = ReasonCode::success);
    [[nodiscard]] Lines pubrel(std::uint16_t id);
    [[nodiscard]] Lines forgotten(std::uint16_t id);
    [[nodiscard]] Lines ping();
    [[nodiscard]] Lines disconnect(ReasonCode reason = ReasonCode::normal_disconnection,
                                   std::optional<std::uint32_t> session_expiry = {});
    [[nodiscard]] Lines suback(std::uint16_t id, std::vector<ReasonCode> codes);
    [[nodiscard]] Lines unsuback(std::uint16_t id, std::vector<ReasonCode> codes);
    [[nodiscard]] Lines deliver(const ToClient& to);
    [[nodiscard]] Lines logged(std::uint64_t seq, const ToClient& to);
    [[nodiscard]] Lines pinned(std::uint64_t seq, const ToClient& to);
    [[nodiscard]] Lines restore(std::uint64_t seq, const std::optional<ToClient>& to);
    [[nodiscard]] Lines server_disconnect(ReasonCode reason,
                                          std::string_view reason_string = {},
                                          std::string_view reference = {});
    /// take_delivery_change() in text: "through 5 free 3 sent 1=q2@5 received 2=q2@4".
    [[nodiscard]] std::string take();
    [[nodiscard]] Lines commit();

    [[nodiscard]] Session& session() { return session_; }
    [[nodiscard]] Instant now() const { return now_; }

  private:
    [[nodiscard]] Lines observe();
    [[nodiscard]] Lines logged_lines(Session::Logged result);

    SessionLimits limits_;
    ProtocolVersion version_;
    Session session_;
    WireBuffer wire_;
    Effects fx_;
    Instant now_{std::chrono::hours{1}};
    bool reading_ = true;
};

}  // namespace stentor::mqtt::test
