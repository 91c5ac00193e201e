// What was granted before the rules, the users or the bans changed, looked at again: in slices, so
// that a reload stalls nobody. Until a session's turn comes each of its messages is judged.
#include "base/log.hpp"
#include "protocol/topic/validate.hpp"
#include "server/shard/shard.hpp"

#include <algorithm>
#include <utility>

namespace stentor::server {

using mqtt::ReasonCode;

namespace {

// In one step; an empty slot costs 1. A filter is held against all rules of its user.
constexpr std::size_t kWorkPerStep = 4096;
constexpr std::size_t kFilterWork = 16;
constexpr std::size_t kClientWork = 8;

/// What somebody may say who would not be admitted any more as he was: that he is to be judged by
/// other credentials, and until then what asks for nothing new.
bool may_say_before_proof(const mqtt::PacketView& packet, bool proves_himself) {
    if (std::holds_alternative<mqtt::AuthView>(packet)) return true;
    return proves_himself && (std::holds_alternative<mqtt::PubackView>(packet) ||
                              std::holds_alternative<mqtt::PubrecView>(packet) ||
                              std::holds_alternative<mqtt::PubrelView>(packet) ||
                              std::holds_alternative<mqtt::PubcompView>(packet) ||
                              std::holds_alternative<mqtt::PingreqView>(packet));
}

}  // namespace

/// At the beginning of every round of calls, so that what is delivered in it is judged by the rules
/// as they are now.
void Shard::look_at_edition() noexcept {
    edition_ = shared_.access->edition();
    if (edition_ == review_.edition) return;
    review_ = Review{};
    review_.edition = edition_;
    review_.scanning = true;
}

/// Whether the session may have a message of that topic, which its subscriptions match.
bool Shard::may_read(const SessionEntry& entry, std::string_view topic) const {
    const Attachment* attached = entry.attached.get();
    if (attached != nullptr && attached->judged == edition_ && !attached->narrowed) return true;
    return shared_.access->allows(TopicAction::deliver, entry.identity, entry.client_id, topic);
}

void Shard::review_later(SessionEntry& entry) {
    entry.attached->judged = Attachment::kUnjudged;
    review_.waiting.push_back({entry.slot, entry.generation});
}

void Shard::review_some(Instant now) {
    std::size_t work = kWorkPerStep;
    while (work != 0) {
        if (!review_.waiting.empty()) {
            const AttachmentRef who = review_.waiting.front();
            SessionEntry* entry = sessions_.attached(who.slot, who.generation);
            if (entry != nullptr && entry->attached->judged != edition_ &&
                !review(*entry, work, now)) {
                return;
            }
            review_.waiting.pop_front();
            review_.begun = false;
            continue;
        }
        if (!review_.scanning) return;
        if (review_.next_slot >= sessions_.slots()) {
            review_.scanning = false;
            return;
        }
        --work;
        SessionEntry* entry = sessions_.at(review_.next_slot++);
        if (entry == nullptr || entry->attached == nullptr) continue;
        review_.waiting.push_back({entry->slot, entry->generation});
    }
}

/// False if it is to go on in the next step. The session may be gone afterwards. One that waits for
/// its CONNACK comes back when it has had it.
bool Shard::review(SessionEntry& entry, std::size_t& work, Instant now) {
    Attachment& attached = *entry.attached;
    if (!attached.open) return true;
    if (!std::exchange(review_.begun, true)) {
        review_.next_text.clear();
        review_.narrowed = 0;
        work -= std::min(work, kClientWork);
        Connection& connection = connection_of(entry);
        const ReasonCode standing =
            shared_.access->review(entry.identity, entry.client_id, *connection.peer);
        if (standing == ReasonCode::not_authorized && connection.exchange != nullptr) {
            wait_for_proof(connection, now);
            return true;  // reauthenticated() comes back to it, or closes
        }
        if (standing != ReasonCode::success) {
            send_away(entry, standing, now);
            return true;
        }
    }
    if (!judge_subscriptions(entry, work)) return false;
    attached.judged = edition_;
    attached.narrowed = review_.narrowed != 0 || shared_.access->checks_deliveries(entry.identity);
    if (attached.narrowed) take_back_queued(entry, now);
    if (review_.narrowed == 0) return true;
    counters_.subscriptions_narrowed += review_.narrowed;
    static LogEvery every{20, std::chrono::seconds{10}};
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(info,
                    LogEvent("subscriptions_narrowed",
                             {{"client", entry.client_id},
                              {"user", entry.identity.user},
                              {"subscriptions", review_.narrowed},
                              {"suppressed", pass.suppressed}}),
                    "subscriptions match more than the rules allow now: of what they match the "
                    "client gets what it may read");
    }
    return true;
}

/// A packet of somebody whose turn in the review may be far: who must not stay does nothing more
/// but go, or authenticate anew (MQTT 5.0 section 4.12.1). False: he has been sent away.
bool Shard::may_still_say(SessionEntry& entry, const mqtt::PacketView& packet, Instant now) {
    if (entry.identity.edition == edition_) return true;
    if (std::holds_alternative<mqtt::DisconnectView>(packet)) return true;
    Connection& connection = connection_of(entry);
    const ReasonCode standing =
        shared_.access->review(entry.identity, entry.client_id, *connection.peer);
    if (standing == ReasonCode::success) return true;
    if (standing == ReasonCode::not_authorized &&
        may_say_before_proof(packet, connection.exchange != nullptr)) {
        return true;
    }
    send_away(entry, standing, now);
    return false;
}

/// Its new credentials decide, if they come in time.
void Shard::wait_for_proof(Connection& connection, Instant now) {
    const Instant until = saturating_add(now, options_.connect_timeout);
    connection.valid_until = std::min(connection.valid_until, until);
    watch_credentials(connection);
}

/// The client may not stay.
void Shard::send_away(SessionEntry& entry, ReasonCode reason, Instant now) {
    ++counters_.clients_sent_away;
    Connection& connection = connection_of(entry);
    static LogEvery every{20, std::chrono::seconds{10}};
    if (const auto pass = every.admit(now)) {
        STENTOR_LOG(info,
                    LogEvent("client_sent_away",
                             {{"client", entry.client_id},
                              {"user", entry.identity.user},
                              {"peer", connection.peer->address},
                              {"reason", mqtt::name(reason)},
                              {"suppressed", pass.suppressed}}),
                    "{}",
                    reason == ReasonCode::banned
                        ? "the client is banned"
                        : "the client would not be admitted any more as it was");
    }
    // Banned is CONNACK's alone (3.14.2.1 does not list 0x8A for DISCONNECT) [MQTT-3.14.2-1].
    close(connection,
          {.reason = reason == ReasonCode::banned ? ReasonCode::administrative_action : reason,
           .detail =
               reason == ReasonCode::banned ? "banned" : "the credentials are not valid any more",
           .send_disconnect = true},
          now);
}

/// False if it is to go on in the next step, where review_.next_text says.
bool Shard::judge_subscriptions(SessionEntry& entry, std::size_t& work) {
    auto at = std::lower_bound(entry.subscriptions.begin(),
                               entry.subscriptions.end(),
                               review_.next_text,
                               [](const Subscription& s, auto& text) { return s.text < text; });
    for (; at != entry.subscriptions.end(); ++at) {
        if (work == 0) {
            review_.next_text = at->text;
            return false;
        }
        work -= std::min(work, kFilterWork);
        if (at->share_key != 0) {
            judge_share(entry, *at);
            if (at->withheld) ++review_.narrowed;
            continue;
        }
        const bool allowed = shared_.access->allows(
            TopicAction::subscribe, entry.identity, entry.client_id, at->text);
        if (!allowed) ++review_.narrowed;
    }
    return true;
}

/// Work goes to members who may have all of it: who has come to be allowed less is away, until the
/// rules allow it again, and what it has not begun is others'.
void Shard::judge_share(SessionEntry& entry, Subscription& subscription) {
    const auto filter = mqtt::parse_subscription_filter(subscription.text).filter;
    const bool allowed =
        shared_.access->allows(TopicAction::subscribe, entry.identity, entry.client_id, filter);
    if (allowed != subscription.withheld) return;
    subscription.withheld = !allowed;
    if (allowed) {
        send_join(entry, subscription, 0);
        return;
    }
    unindex_subscription(entry, subscription, Leaving::away);
    return_shared(entry);
}

/// What a transient session has not been sent and may not have any more.
void Shard::take_back_queued(SessionEntry& entry, Instant now) {
    if (entry.attached->session.queued_count() == 0) return;
    std::vector<mqtt::InflightMessage> shares;
    with_session(entry, now, [&](auto& session, auto& fx) {
        session.withdraw_queued(
            [&](const mqtt::Message& message) { return may_read(entry, message.topic()); },
            shares,
            fx);
    });
    return_unfinished(shares);
}

}  // namespace stentor::server
