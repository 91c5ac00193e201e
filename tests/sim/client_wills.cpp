// The wills of a simulated client, and what must have become of them.
#include "protocol/codec/property_writer.hpp"
#include "tests/sim/client.hpp"

#include <algorithm>
#include <utility>

namespace stentor::sim {

using mqtt::ProtocolVersion;
using mqtt::QoS;

void Client::set_will() {
    will_.reset();
    if (polite_ || !random_.chance(persona_.will_per_mille, 1000)) {
        session_->set_will(std::nullopt);
        return;
    }
    WillInstance will;
    will.wire = wire_;
    will.durable = durable_now_;
    will.expiry_seconds = expiry_now_;
    mqtt::ClientWill what;
    what.qos = static_cast<QoS>(random_.below(3));
    what.retain = random_.chance(1, 4);
    mqtt::PropertyWriter writer;
    if (persona_.version == ProtocolVersion::v5 && random_.chance(1, 2)) {
        will.delay_seconds = static_cast<std::uint32_t>(random_.between(1, 8));
        writer.number(mqtt::Property::will_delay_interval, will.delay_seconds);
    }
    what.topic = "will/" + persona_.name;
    const Published& entry = oracle_->publishing({.publisher = persona_.name,
                                                  .topic = what.topic,
                                                  .qos = what.qos,
                                                  .retain = what.retain,
                                                  .is_will = true});
    will.id = entry.id;
    what.payload = to_owned(as_bytes(entry.payload));
    what.properties = to_owned(writer.bytes());
    trace_->add("{} has will {} qos {} retain {} delay {}",
                persona_.name,
                will.id,
                static_cast<int>(what.qos),
                what.retain,
                will.delay_seconds);
    session_->set_will(std::move(what));
    will_ = wills_.size();
    wills_.push_back(std::move(will));
}

WillFate Client::fate_of(const WillInstance& will, const Faults& faults) const {
    if (!will.connack_seen || !will.wire->server_closed) return WillFate::unknown;
    const Instant closed = will.wire->server_closed_at;
    const bool crashed_since = std::any_of(faults.crashes.begin(),
                                           faults.crashes.end(),
                                           [&](Instant crash) { return crash >= closed; });
    if (will.disconnected) {
        return will.wire->disconnect_heard && !crashed_since ? WillFate::must_not_come
                                                             : WillFate::unknown;
    }
    // Its commit fails, the next CONNECT's does not, and the crash comes before the second attempt.
    if (faults.commits_fail && crashed_since) return WillFate::unknown;
    if (will.delay_seconds == 0 || !will.durable) return WillFate::must_come;
    const std::uint32_t delay = std::min(will.delay_seconds, will.expiry_seconds);
    const Instant due = saturating_add(closed, std::chrono::seconds{delay} - persona_.clock_slack);
    if (will.next_connack == kNever) return WillFate::unknown;
    if (will.next_clean || !will.next_present) return WillFate::must_come;
    if (will.next_connack < due) return WillFate::must_not_come;
    // A broker that dies before it was due begins to wait anew.
    Instant waits_from = closed;
    for (const Instant crash : faults.crashes) {
        if (crash <= will.next_connack) waits_from = std::max(waits_from, crash);
    }
    const Duration patience = std::chrono::seconds{delay + 6} + persona_.clock_slack;
    return will.next_connect > saturating_add(waits_from, patience) ? WillFate::must_come
                                                                    : WillFate::unknown;
}

void Client::judge_wills(const Faults& faults) {
    for (const WillInstance& will : wills_) {
        const WillFate fate = fate_of(will, faults);
        oracle_->will_ended(will.id, fate);
        trace_->add("{} will {} fate {}", persona_.name, will.id, static_cast<int>(fate));
    }
}

}  // namespace stentor::sim
