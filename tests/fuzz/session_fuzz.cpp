// The broker's side of a session against a model that knows only what is on the wire and what is
// committed. The input is a row of steps: packets of the client (raw bytes through the decoder, or
// well-formed acknowledgements), messages to it, commits that succeed or fail, a client that stops
// reading. The model holds the rules that no client and no timing may break.
// Input: one byte of version and kind of session, one of windows, then steps of a byte and
// operands.

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "protocol/codec/decoder.hpp"
#include "protocol/session/session.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace stentor;        // NOLINT(google-build-using-namespace): a program of one file
using namespace stentor::mqtt;  // NOLINT(google-build-using-namespace)

constexpr Instant kNow{std::chrono::hours{1}};

class Input {
  public:
    explicit Input(ByteView bytes) noexcept : rest_{bytes} {}
    [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
    std::uint8_t byte() noexcept {
        if (rest_.empty()) return 0;
        const auto value = std::to_integer<std::uint8_t>(rest_.front());
        rest_ = rest_.subspan(1);
        return value;
    }
    ByteView bytes(std::size_t count) noexcept {
        const ByteView taken = rest_.first(std::min(count, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }

  private:
    ByteView rest_;
};

class Target {
  public:
    explicit Target(Input input) : input_{input} {
        const std::uint8_t kind = input_.byte();
        const std::uint8_t sizes = input_.byte();
        ConnectRequest request;
        request.version = (kind & 1U) != 0 ? ProtocolVersion::v5 : ProtocolVersion::v3_1_1;
        request.client_id = "fuzz";
        request.session_expiry_seconds = (kind & 2U) != 0 ? 60 : 0;
        request.receive_maximum = static_cast<std::uint16_t>(1U + (sizes & 3U));
        request.topic_alias_maximum = (kind & 4U) != 0 ? 2 : 0;  // 3.1.1 too: not to be used
        request.packet_bytes_max = (kind & 8U) != 0 ? 24 : 0xFFFFFFFF;
        limits_.inflight_maximum = static_cast<std::uint16_t>(1U + (sizes >> 2U & 3U));
        limits_.receive_maximum = static_cast<std::uint16_t>(1U + (sizes >> 4U & 3U));
        limits_.outbox_bytes_max = 200;
        limits_.transient_queue_messages_max = 4;
        window_ = std::min(request.receive_maximum, limits_.inflight_maximum);
        version_ = request.version;
        durable_ = request.durable();
        fx_.out = &wire_;
        session_.emplace(std::move(request), limits_, SessionParts{});
        (void)session_->send_connack(false, {}, fx_);
        look();
    }

    void run() {
        while (!input_.empty() && !closed_) {
            step(input_.byte());
            if (reading_) look();
        }
        look();
        finish();
    }

  private:
    void step(std::uint8_t code) {
        const auto operand = static_cast<std::uint8_t>(code >> 4U);
        switch (code & 15U) {
            case 0:
                return raw(input_.bytes(input_.byte()));
            case 1:
                return acknowledge(PubackView{}, operand);
            case 2:
                return acknowledge(PubrecView{}, operand);
            case 3:
                return acknowledge(PubcompView{}, operand);
            case 4:
                return pubrel(PacketId{operand});
            case 5:
            case 6:
                return publish(operand);
            case 7:
            case 8:
                return message_to_client(operand);
            case 9:
                return take();
            case 10:
                return commit();
            case 11:
                return ingress_commit((operand & 1U) != 0);
            case 12:
                reading_ = !reading_;
                return;
            case 13:
                session_->pump(kNow, fx_);
                return;
            case 14:
                session_->on(PingreqView{}, fx_);
                return;
            default:
                forget();
                return;
        }
    }

    /// What a client may send after CONNECT, as bytes.
    void raw(ByteView bytes) {
        Decoder decoder{DecodeLimits{}};
        const auto connect =
            from_hex(version_ == ProtocolVersion::v5 ? "10 0d 0004 4d515454 05 02 0000 00 0000"
                                                     : "10 0c 0004 4d515454 04 02 0000 0000");
        STENTOR_ASSERT(decoder.next(*connect).has_value());
        while (!bytes.empty() && !closed_) {
            const auto step = decoder.next(bytes);
            if (!step) return;
            const auto* decoded = std::get_if<Decoded>(&*step);
            if (decoded == nullptr) return;
            std::visit([this](const auto& packet) { receive(packet); }, decoded->packet);
            bytes = bytes.subspan(decoded->bytes_used);
            look();
        }
    }

    void receive(const PublishView& packet) { publish(packet, 0); }
    void receive(const PubackView& packet) { received_ack(packet); }
    void receive(const PubrecView& packet) { received_ack(packet); }
    void receive(const PubcompView& packet) { received_ack(packet); }
    void receive(const PubrelView& packet) { pubrel(packet.packet_id); }
    void receive(const PingreqView& packet) { session_->on(packet, fx_); }
    void receive(const DisconnectView& packet) {
        session_->on(packet, fx_);
        STENTOR_ASSERT(fx_.close.has_value());
    }
    template <class Other>
    void receive(const Other& /*packet*/) {}

    template <class View>
    void acknowledge(View view, std::uint8_t operand) {
        view.packet_id = PacketId{static_cast<std::uint16_t>(1U + operand % 8U)};
        const bool fails = operand >= 8 && version_ == ProtocolVersion::v5;
        view.reason = fails ? ReasonCode::quota_exceeded : ReasonCode::success;
        received_ack(view);
    }

    /// The slot is free as soon as the client has ended the exchange.
    template <class View>
    void received_ack(const View& view) {
        look();
        const auto at = wire_ids_.find(view.packet_id);
        const bool ends = std::is_same_v<View, PubackView> ||
                          (std::is_same_v<View, PubcompView> && at != wire_ids_.end() &&
                           at->second.pubrel_sent) ||
                          (std::is_same_v<View, PubrecView> && is_failure(view.reason));
        if (at != wire_ids_.end() && ends) wire_ids_.erase(at);
        session_->on(view, kNow, fx_);
    }

    void publish(std::uint8_t operand) {
        PublishView view;
        view.qos = static_cast<QoS>(operand % 3U);
        if (view.qos != QoS::at_most_once) {
            view.packet_id = PacketId{static_cast<std::uint16_t>(1U + operand)};
        }
        view.topic = "t";
        publish(view, input_.byte());
    }

    void publish(const PublishView& view, std::uint8_t outcome_code) {
        const auto route = session_->accept_publish(view, kNow, fx_);
        if (!route) return;
        STENTOR_ASSERT(!route->topic.empty() && route->packet == &view);
        const bool must_wait = route->keep_identifier;
        const auto outcome = must_wait ? Ingress::pending : static_cast<Ingress>(outcome_code & 3U);
        if (outcome == Ingress::pending) tickets_.push_back(++ticket_);
        if (view.qos != QoS::at_most_once) unanswered_.push_back({view.packet_id, view.qos});
        const auto message = Message::create({.topic = route->topic,
                                              .properties = view.properties,
                                              .payload = view.payload,
                                              .publisher = "fuzz",
                                              .qos = view.qos,
                                              .retain = view.retain,
                                              .arrival = kNow,
                                              .message_expiry_seconds = {}});
        const auto reason = outcome == Ingress::refused ? ReasonCode::not_authorized  //
                                                        : ReasonCode::success;
        session_->ingress(view.packet_id, view.qos, outcome, reason, message, 1, ticket_, fx_);
    }

    void ingress_commit(bool succeeds) {
        if (tickets_.empty()) return;
        const std::uint64_t ticket = tickets_.front();
        tickets_.pop_front();
        if (succeeds) {
            session_->ingress_committed(ticket, fx_);
        } else {
            session_->ingress_failed(ticket, ReasonCode::quota_exceeded, fx_);
        }
    }

    void pubrel(PacketId id) {
        if (id == kNoPacketId) return;
        PubrelView view;
        view.packet_id = id;
        if (session_->on(view, fx_) == Session::Pubrel::commit_forget) {
            STENTOR_ASSERT(durable_);
            forgets_.push_back(id);
        }
    }

    void forget() {
        if (forgets_.empty()) return;
        session_->forget_committed(forgets_.front(), fx_);
        forgets_.pop_front();
    }

    void message_to_client(std::uint8_t operand) {
        const auto qos = static_cast<QoS>(operand % 3U);
        const std::string payload = std::to_string(seq_ + 1) + std::string(operand, '.');
        const auto message = Message::create({.topic = (operand & 8U) != 0 ? "a/longer/topic" : "t",
                                              .properties = {},
                                              .payload = as_bytes(payload),
                                              .publisher = {},
                                              .qos = qos,
                                              .retain = false,
                                              .arrival = kNow,
                                              .message_expiry_seconds = {}});
        const Grant grant{.qos = qos};
        if (!durable_ || qos == QoS::at_most_once) {
            if (qos != QoS::at_most_once) ++seq_;
            session_->deliver(message, grant, kNow, fx_);
            return;
        }
        const bool open = session_->window_open();
        const auto result = session_->deliver_logged(Seq{seq_ + 1}, message, grant, kNow, fx_);
        STENTOR_ASSERT(open || result == Session::Logged::window_full || !fx_.drops.empty() ||
                       wire_.size() < limits_.outbox_bytes_max);
        if (result == Session::Logged::taken) ++seq_;
        STENTOR_ASSERT(session_->sent_through() == Seq{seq_});
    }

    void take() {
        if (!durable_) {
            STENTOR_ASSERT(session_->commit_need() == CommitNeed::none);
            return;
        }
        changes_.push_back(session_->take_delivery_change());
        STENTOR_ASSERT(session_->commit_need() == CommitNeed::none);
    }

    void commit() {
        if (changes_.empty()) return;
        for (const PacketId id : changes_.front().done) {
            STENTOR_ASSERT(stored_.erase(id) == 1);
        }
        for (const auto& item : changes_.front().changed) {
            stored_.insert_or_assign(item.packet_id, item);
        }
        STENTOR_ASSERT(stored_.size() <= 65'535);
        changes_.pop_front();
        session_->delivery_committed(kNow, fx_);
    }

    /// Reads everything the session has sent and judges it.
    void look() {
        const Bytes bytes = wire_.take();
        Decoder decoder{version_, DecodeLimits{}};
        for (ByteView rest{bytes}; !rest.empty();) {
            const auto step = decoder.next(rest);
            STENTOR_ASSERT(step.has_value() && std::holds_alternative<Decoded>(*step));
            const Decoded& decoded = std::get<Decoded>(*step);
            STENTOR_ASSERT(decoded.bytes_used <= session_->request().packet_bytes_max);
            std::visit([this](const auto& packet) { sent(packet); }, decoded.packet);
            rest = rest.subspan(decoded.bytes_used);
        }
        if (fx_.pause_reading || fx_.resume_reading) {
            STENTOR_ASSERT(fx_.pause_reading != fx_.resume_reading);
        }
        if (fx_.close) closed_ = true;
        fx_.clear();
    }

    void sent(const PublishView& packet) {
        STENTOR_ASSERT(!packet.dup);
        if (packet.qos == QoS::at_most_once) return;
        const auto [at, is_new] =
            wire_ids_.emplace(packet.packet_id, OnWire{.qos = packet.qos, .pubrel_sent = false});
        STENTOR_ASSERT(is_new);
        STENTOR_ASSERT(wire_ids_.size() <= window_);
        const auto number = std::stoull(std::string{as_text(packet.payload)});
        STENTOR_ASSERT(number > last_sent_);
        last_sent_ = number;
        if (!durable_) return;
        const auto listed = stored_.find(packet.packet_id);
        STENTOR_ASSERT(listed == stored_.end() || listed->second.seq == Seq{number});
        STENTOR_ASSERT(packet.qos == QoS::at_least_once || listed != stored_.end());
    }

    void sent(const PubrelView& packet) {
        if (packet.reason != ReasonCode::success) return;
        const auto at = wire_ids_.find(packet.packet_id);
        if (at == wire_ids_.end()) {  // 3.1.1's answer to an unknown PUBREC
            STENTOR_ASSERT(version_ == ProtocolVersion::v3_1_1);
            return;
        }
        at->second.pubrel_sent = true;
        if (!durable_ || version_ == ProtocolVersion::v3_1_1) return;
        STENTOR_ASSERT(stored_.at(packet.packet_id).phase == DeliveryPhase::received);
    }

    /// In the order of the PUBLISH packets [MQTT-4.6.0-2]; a PUBREC may answer a duplicate besides.
    void sent(const PubackView& packet) {
        STENTOR_ASSERT(!unanswered_.empty() && unanswered_.front().id == packet.packet_id);
        unanswered_.pop_front();
    }
    void sent(const PubrecView& packet) {
        const bool next = !unanswered_.empty() && unanswered_.front().id == packet.packet_id &&
                          unanswered_.front().qos == QoS::exactly_once;
        if (next) {
            unanswered_.pop_front();
            if (!is_failure(packet.reason)) answered_.insert(packet.packet_id);
        } else {
            STENTOR_ASSERT(answered_.contains(packet.packet_id));
        }
    }
    template <class Other>
    void sent(const Other& /*packet*/) {}

    void finish() {
        STENTOR_ASSERT(session_->inflight_count() <= window_);
        STENTOR_ASSERT(session_->queued_count() <= limits_.transient_queue_messages_max);
        const SessionParts parts = std::move(*session_).take_parts();
        std::set<PacketId> ids;
        for (const InflightMessage& entry : parts.inflight) {
            STENTOR_ASSERT(ids.insert(entry.packet_id).second);
            STENTOR_ASSERT(entry.message || entry.phase == DeliveryPhase::received);
        }
    }

    struct OnWire {
        QoS qos;
        bool pubrel_sent;
    };
    struct Unanswered {
        PacketId id;
        QoS qos;
    };

    Input input_;
    SessionLimits limits_;
    ProtocolVersion version_ = ProtocolVersion::v5;
    bool durable_ = false;
    std::size_t window_ = 0;
    WireBuffer wire_;
    Effects fx_;
    std::optional<Session> session_;
    bool closed_ = false;
    bool reading_ = true;
    std::map<PacketId, OnWire> wire_ids_;
    std::map<PacketId, DeliveryChange::Item> stored_;
    std::deque<DeliveryChange> changes_;
    std::deque<std::uint64_t> tickets_;
    std::deque<PacketId> forgets_;
    std::deque<Unanswered> unanswered_;
    std::set<PacketId> answered_;
    std::uint64_t ticket_ = 0;
    std::uint64_t seq_ = 0;
    std::uint64_t last_sent_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Target target{Input{std::as_bytes(std::span{data, size})}};
    target.run();
    return 0;
}
