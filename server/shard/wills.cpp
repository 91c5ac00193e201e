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
    if (session_ends || entry.will->will.delay_seconds == 0) {
        publish_will(entry, now);
    } else {
        wait_for_will(entry, now);
    }
}

/// Of a connection that ended at `since`, with a delay: until the end of that or of the session,
/// whichever is first (MQTT 5.0 3.1.3.2.2).
void Shard::wait_for_will(SessionEntry& entry, Instant since) {
    const Duration delay = std::chrono::seconds{entry.will->will.delay_seconds};
    entry.will->due = std::min(saturating_add(since, delay), entry.expires_at());
    timers_.set(entry.will->due, TimerKind::will_delay, entry.slot, entry.generation);
}

/// Either the will of a CONNECT that has not been answered waits from here on, or the one that it
/// would have cancelled goes on waiting: a client that was not let in has not come back.
void Shard::set_wills_aside(SessionEntry& entry,
                            std::unique_ptr<BeforeAttach> before,
                            mqtt::CloseWill what,
                            Instant now) {
    Unanswered& aside = entry.unanswered.emplace_back();
    aside.generation = entry.generation;
    aside.before = std::move(before);
    aside.ended_at = now;
    if (what != mqtt::CloseWill::forget) aside.will = std::move(entry.will);
    entry.will.reset();
    entry.will_stored = true;  // one of the two
}

/// It is known now whether the log has that attach, whose connection has ended.
void Shard::settle_unanswered(const AttachmentRef& who, Attach outcome, Instant now) {
    SessionEntry* entry = sessions_.same(who.slot, who.generation);
    if (entry == nullptr || entry->unanswered.empty()) return;
    if (entry->unanswered.front().generation != who.generation) return;
    Unanswered settled = std::move(entry->unanswered.front());
    entry->unanswered.erase(entry->unanswered.begin());
    // Of another CONNECT since, which is not answered either.
    BeforeAttach* later = nullptr;
    if (!entry->unanswered.empty()) {
        later = entry->unanswered.front().before.get();
    } else if (entry->attached != nullptr) {
        later = entry->attached->before.get();
    }
    if (later != nullptr) {
        return settle_before(*later, entry->client_id, std::move(settled), outcome, now);
    }
    if (entry->attached != nullptr) return;
    if (outcome == Attach::committed) {
        entry->will = std::move(settled.will);
        entry->will_stored = entry->will != nullptr;
        if (entry->will == nullptr) return;
        if (entry->will->will.delay_seconds == 0) return publish_will(*entry, now);
        return wait_for_will(*entry, settled.ended_at);
    }
    restore_before(*entry, std::move(*settled.before));
}

/// The same where another CONNECT has come and is not answered: what the session is before that.
void Shard::settle_before(BeforeAttach& later,
                          std::string_view client_id,
                          Unanswered settled,
                          Attach outcome,
                          Instant now) {
    if (outcome == Attach::failed) {
        later = std::move(*settled.before);
        return;
    }
    later.will = std::move(settled.will);
    later.will_stored = later.will != nullptr;
    if (later.will == nullptr) return;
    const std::uint32_t delay = later.will->will.delay_seconds;
    later.will->due = saturating_add(settled.ended_at, std::chrono::seconds{delay});
    if (delay != 0) return;
    // The log's is replaced, or left over for the end of that connection to forget.
    const std::unique_ptr<PendingWill> will = std::move(later.will);
    publish_will_of(client_id, later.identity, will->will.message, false, now);
}

void Shard::publish_will(SessionEntry& entry, Instant now) {
    const std::unique_ptr<PendingWill> will = std::move(entry.will);
    const bool stored = std::exchange(entry.will_stored, false);
    publish_will_of(entry.client_id, entry.identity, will->will.message, stored, now);
}

void Shard::publish_will_of(std::string_view client_id,
                            const Identity& identity,
                            const MessagePtr& will,
                            bool stored,
                            Instant now) {
    const std::string owner = stored ? std::string{client_id} : std::string{};
    if (!shared_.access->allows(TopicAction::publish, identity, client_id, will->topic())) {
        drop(mqtt::DropReason::not_authorized, client_id);
        if (stored) {
            const store::WillForgotten record{owner};
            commits_.add(record, TryAgain{std::make_unique<store::Record>(record)});
        }
        return;
    }
    auto message = mqtt::published_at(*will, now);
    const Routed routed = route(std::move(message),
                                {.inbound = {}, .fires_will_of = owner, .is_will = true},
                                NothingToDo{},
                                now);
    if (routed.outcome == mqtt::Ingress::released) {
        release(routed.message, routed.destinations, now);
    } else if (routed.outcome == mqtt::Ingress::refused) {
        drop(mqtt::DropReason::retained_limit, client_id);
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
