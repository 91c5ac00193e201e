#include "protocol/session/session.hpp"

#include "base/assert.hpp"
#include "protocol/session/inbound.hpp"
#include "protocol/session/outbound.hpp"
#include "protocol/session/outbound_aliases.hpp"

#include <cstring>
#include <utility>

namespace stentor::mqtt {

namespace {

void wipe(std::optional<std::string>& secret) noexcept {
    if (!secret) return;
    std::string& text = *secret;
    explicit_bzero(text.data(), text.size());
    secret.reset();
}

}  // namespace

Session::Session(ConnectRequest request, const SessionLimits& limits, SessionParts parts)
    : request_{std::move(request)},
      limits_{&limits},
      sent_through_{parts.sent_through},
      session_expiry_seconds_{request_.session_expiry_seconds},
      last_packet_id_{parts.last_packet_id} {
    wipe(request_.password);
    for (const std::uint16_t id : parts.inbound_qos2) {
        inbound().ids.carry_over(PacketId{id});
    }
    for (InflightMessage& from : parts.inflight) {
        Outbound& out = outbound();
        const bool received = from.phase == DeliveryPhase::received;
        Outgoing entry;
        if (!received && from.message) out.hold(entry, std::move(from.message));
        entry.seq = from.seq;
        entry.subscription_identifiers = SubscriptionIds{from.subscription_identifiers};
        entry.packet_id = from.packet_id;
        entry.qos = from.qos;
        entry.phase = received ? Outgoing::Phase::received : Outgoing::Phase::sent;
        entry.retain = from.retain;
        entry.listed = durable();
        entry.share_tag = from.share_tag;
        entry.repeated = true;
        entry.identifiers_lost = from.identifiers_lost;
        STENTOR_ASSERT(entry.packet_id != kNoPacketId && !out.find(entry.packet_id));
        ++out.open;
        ++(received ? out.slots_used : out.unsent);
        const bool is_lost = entry.seq == kNoSeq && !entry.message && !received;
        out.inflight.push_back(std::move(entry));
        // It was never in the log, and the process that had it is gone. The client may have it, so
        // its exchange ends as it must.
        if (is_lost && from.qos == QoS::exactly_once) mark_received(out.inflight.size() - 1);
    }
}

Session::Session(Session&& other) noexcept = default;
Session& Session::operator=(Session&& other) noexcept = default;
Session::~Session() = default;

void Session::restore_inbound(PacketId packet_id) { inbound().ids.carry_over(packet_id); }

void Session::forget_inbound(PacketId packet_id) {
    if (inbound_) inbound_->ids.erase(packet_id);
}

Session::Inbound& Session::inbound() {
    if (!inbound_) inbound_ = std::make_unique<Inbound>();
    return *inbound_;
}

Session::Outbound& Session::outbound() {
    if (!outbound_) outbound_ = std::make_unique<Outbound>();
    return *outbound_;
}

std::size_t Session::window() const noexcept {
    return std::min(request_.receive_maximum, limits_->inflight_maximum);  // [MQTT-3.3.4-9]
}

bool Session::outbox_has_room(const Effects& fx) const noexcept {
    return fx.out->size() < limits_->outbox_bytes_max;
}

void Session::close(ReasonCode reason, const char* detail, Effects& fx) {
    if (closed_) return;  // the first reason is the one that counts
    closed_ = true;
    // What does not fit, or is too much, is within the rules.
    const bool is_violation =
        reason != ReasonCode::packet_too_large && reason != ReasonCode::quota_exceeded;
    fx.close = Close{.reason = reason,
                     .detail = detail,
                     .send_disconnect = is_v5() && connack_sent_,
                     .will = CloseWill::publish,
                     .is_violation = is_violation};
}

void Session::release_idle_memory() {
    if (inbound_ && inbound_->waiting.empty() && inbound_->ids.empty()) {
        if (inbound_->topic_of_alias.empty()) {
            inbound_.reset();
        } else {
            inbound_->waiting = {};
            inbound_->ids = {};
        }
    }
    if (outbound_ && outbound_->idle()) outbound_.reset();
}

void Session::advance(Seq position) noexcept { sent_through_ = std::max(sent_through_, position); }

std::size_t Session::inflight_count() const noexcept { return outbound_ ? outbound_->open : 0; }

std::size_t Session::inbound_count() const noexcept {
    return inbound_ ? inbound_->qos1_waiting + inbound_->ids.size() : 0;
}

std::size_t Session::queued_count() const noexcept {
    return outbound_ ? outbound_->queue.size() : 0;
}

std::size_t Session::bytes() const noexcept {
    const auto heap = [](const std::string& text) {
        return text.capacity() > sizeof(std::string) / 2 ? text.capacity() + 1 : 0;
    };
    std::size_t total = sizeof(Session) + heap(request_.client_id) +
                        heap(request_.authentication_method) +
                        heap(request_.user_name.value_or(std::string{}));
    if (request_.will) total += request_.will->message->bytes();
    if (inbound_) {
        total += sizeof(Inbound) + inbound_->waiting.memory_bytes() + inbound_->ids.memory_bytes();
        for (const std::string& topic : inbound_->topic_of_alias) {
            total += sizeof(std::string) + heap(topic);
        }
    }
    if (outbound_) {
        total += sizeof(Outbound) + outbound_->inflight.memory_bytes() +
                 outbound_->queue.memory_bytes() + outbound_->pubrels_due.memory_bytes() +
                 outbound_->queue_bytes;
    }
    if (aliases_) total += aliases_->memory_bytes();
    return total;
}

}  // namespace stentor::mqtt
