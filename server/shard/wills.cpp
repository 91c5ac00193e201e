// Wills and the ends of sessions: when a will is due, and what time does to detached sessions.
#include "base/log.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

/// The connection has ended. `entry.attached` is already gone.
void Shard::will_after_close(SessionEntry& entry,
                             mqtt::CloseWill what,
                             bool session_ends,
                             Instant now) {
    if (!entry.will) return;
    if (what == mqtt::CloseWill::forget) {  // DISCONNECT with reason 0 [MQTT-3.14.4-3]
        entry.will.reset();
        return;  // the Detached (or SessionEnded) record that follows forgets it in the log
    }
    const std::uint32_t delay = entry.will->will.delay_seconds;
    if (session_ends || delay == 0) {
        publish_will(entry, now);
        return;
    }
    // At the end of the delay or of the session, whichever is first (MQTT 5.0 3.1.3.2.2).
    entry.will->due =
        std::min(saturating_add(now, std::chrono::seconds{delay}), entry.expires_at());
    timers_.set(entry.will->due, TimerKind::will_delay, entry.slot, entry.generation);
}

void Shard::publish_will(SessionEntry& entry, Instant now) {
    const MessagePtr will = std::move(entry.will->will.message);
    entry.will.reset();
    const bool stored = std::exchange(entry.will_stored, false);
    if (!shared_.access->allows(
            TopicAction::publish, entry.identity, entry.client_id, will->topic())) {
        drop(mqtt::DropReason::not_authorized, entry.client_id);
        if (stored) {
            const store::WillForgotten record{entry.client_id};
            commits_.add(record, TryAgain{std::make_unique<store::Record>(record)});
        }
        return;
    }
    auto message = mqtt::published_at(*will, now);
    const Routed routed =
        route(std::move(message),
              {.inbound = {}, .fires_will_of = stored ? entry.client_id : std::string{}},
              NothingToDo{},
              now);
    if (routed.outcome == mqtt::Ingress::released) {
        release(routed.message, routed.destinations, now);
    } else if (routed.outcome == mqtt::Ingress::refused) {
        drop(mqtt::DropReason::retained_limit, entry.client_id);
    }
}

void Shard::will_timer(std::uint32_t slot, std::uint32_t tag, Instant now) {
    SessionEntry* entry = sessions_.at(slot);
    if (entry == nullptr || !Timers::same_tag(tag, entry->generation)) return;
    if (entry->attached != nullptr || !entry->will || entry->will->due > now) return;
    publish_will(*entry, now);
}

void Shard::expiry_timer(std::uint32_t slot, std::uint32_t tag, Instant now) {
    if (const RestingSession* resting = sessions_.resting(slot)) {
        if (!Timers::same_tag(tag, resting->generation()) || resting->expires_at() > now) return;
        expire(sessions_.wake(slot), now);
        return;
    }
    SessionEntry* entry = sessions_.at(slot);
    if (entry == nullptr || !Timers::same_tag(tag, entry->generation)) return;
    if (entry->attached != nullptr || entry->expires_at() > now) return;
    expire(*entry, now);
}

/// Nobody has come back to a detached session. What waits for it in the log is not counted one by
/// one, that would be a read for each; the line says whether something may have waited.
void Shard::expire(SessionEntry& entry, Instant now) {
    if (entry.durable) {  // others are here for their will only
        ++counters_.sessions_expired;
        const std::size_t unfinished = entry.parts ? entry.parts->inflight.size() : 0;
        drop(mqtt::DropReason::session_ended, entry.client_id, unfinished);
        const auto needed = needed_position(entry);
        const bool waited = needed && *needed <= last_durable_;
        static LogEvery every{5, std::chrono::seconds{10}};
        if (const auto pass = every.admit(now)) {
            STENTOR_LOG(info,
                        LogEvent("session_expired",
                                 {{"client", entry.client_id},
                                  {"messages_may_have_waited", waited},
                                  {"unfinished", unfinished},
                                  {"suppressed", pass.suppressed}}),
                        "nobody came back within the session expiry interval; what waited is "
                        "dropped with it");
        }
    }
    discard_session(entry, now);
}

}  // namespace stentor::server
