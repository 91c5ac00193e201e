#include "persistence/state/stored_state.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace stentor::store {
namespace {

[[nodiscard]] auto find_subscription(StoredSession& session, std::string_view filter) noexcept {
    return std::find_if(session.subscriptions.begin(),
                        session.subscriptions.end(),
                        [&](const StoredSubscription& s) { return s.filter == filter; });
}

/// Where the subscriptions of a session are: a record may be about as many as the session has.
/// While it lives nothing else adds to them.
class Places {
  public:
    Places(StoredSession& session, std::size_t wanted) : session_{&session} {
        constexpr std::size_t kWorthAnIndex = 16;
        if (wanted < kWorthAnIndex) return;
        session.subscriptions.reserve(session.subscriptions.size() + wanted);  // the keys stay
        for (std::size_t i = 0; i < session.subscriptions.size(); ++i) {
            by_filter_.emplace(session.subscriptions[i].filter, i);
        }
        is_indexed_ = true;
    }

    /// Null: there is none.
    [[nodiscard]] StoredSubscription* find(std::string_view filter) const noexcept {
        if (is_indexed_) {
            const auto place = by_filter_.find(filter);
            return place == by_filter_.end() ? nullptr : &session_->subscriptions[place->second];
        }
        const auto found = find_subscription(*session_, filter);
        return found == session_->subscriptions.end() ? nullptr : &*found;
    }

    StoredSubscription& add(StoredSubscription subscription) {
        session_->subscriptions.push_back(std::move(subscription));
        StoredSubscription& added = session_->subscriptions.back();
        if (is_indexed_) by_filter_.emplace(added.filter, session_->subscriptions.size() - 1);
        return added;
    }

  private:
    StoredSession* session_;
    bool is_indexed_ = false;
    std::unordered_map<std::string_view, std::size_t> by_filter_;
};

[[nodiscard]] bool replays(const StoredSubscription& subscription) noexcept {
    return subscription.replay_next.has_value();
}

/// From when on the subscription that `wanted` replaces counts, and what it owes until then.
void replace(StoredSubscription& subscription,
             const SubscriptionRecord& wanted,
             Seq seq,
             Seq sent_through) {
    const mqtt::QoS before = subscription.options.qos;
    // What a shared one gets does not wait in the log.
    if (leaves_span(before, wanted.options.qos, wanted.keeps_since) &&
        !subscription.filter.starts_with("$share/")) {
        subscription.kept.keep({.since = subscription.since, .until = seq, .qos = before},
                               sent_through);
    }
    if (!wanted.keeps_since) subscription.since = seq;
}

}  // namespace

std::optional<Seq> needed_from(const StoredSession& session) noexcept {
    std::optional<Seq> needed;
    const auto also = [&](Seq seq) { needed = needed ? std::min(*needed, seq) : seq; };
    for (const StoredSubscription& subscription : session.subscriptions) {
        also(next(std::max(session.sent_through, subscription.since)));
        if (const auto kept = subscription.kept.needed_from(session.sent_through)) also(*kept);
    }
    return needed;
}

void StoredState::apply(Seq seq, const Record& record) {
    std::visit([&](const auto& alternative) { on(seq, alternative); }, record);
}

void StoredState::keep(Seq seq, const MessagePtr& message) {
    STENTOR_ASSERT(is_referenced(seq), "nobody would ever let go of it");
    if (pinned_.try_emplace(seq, message).second) message_bytes_ += message->bytes();
}

MessagePtr StoredState::held_message(Seq seq) const {
    if (const auto pinned = pinned_.find(seq); pinned != pinned_.end()) return pinned->second;
    const auto topic = retained_topics_.find(seq);
    return topic == retained_topics_.end() ? nullptr : retained_.at(topic->second).message;
}

void StoredState::restore(StoredSession session) {
    for (const Unfinished& entry : session.unfinished) refer_to(entry.seq);
    if (session.attached) open_replays(session);
    put_back(std::move(session));
}

void StoredState::restore_retained(StoredRetained value) {
    const std::string topic{value.message->topic()};
    message_bytes_ += value.message->bytes();
    retained_topics_.emplace(value.seq, topic);
    const bool is_new = retained_.emplace(topic, std::move(value)).second;
    STENTOR_ASSERT(is_new, "a topic has one value");
}

void StoredState::restore_pinned(Seq seq) { pinned_.try_emplace(seq); }

void StoredState::drop_unreferenced() {
    std::erase_if(pinned_, [this](const auto& pin) {
        if (is_referenced(pin.first)) return false;
        no_longer_held(pin.second);
        return true;
    });
}

void StoredState::hand_over(Seq seq) {
    MessagePtr& message = pinned_.at(seq);
    no_longer_held(message);
    message.reset();
}

void StoredState::no_longer_held(const MessagePtr& pinned) noexcept {
    if (pinned != nullptr) message_bytes_ -= pinned->bytes();
}

std::optional<StoredSession> StoredState::take_out(const ClientId& client) {
    auto session = sessions_.extract(client);
    if (session.empty()) return std::nullopt;
    if (session.mapped().will) message_bytes_ -= session.mapped().will->message->bytes();
    return std::move(session.mapped());
}

std::optional<StoredRetained> StoredState::take_out_retained(const std::string& topic) {
    auto value = retained_.extract(topic);
    if (value.empty()) return std::nullopt;
    retained_topics_.erase(value.mapped().seq);
    message_bytes_ -= value.mapped().message->bytes();
    return std::move(value.mapped());
}

void StoredState::put_back(StoredSession session) {
    if (session.will) message_bytes_ += session.will->message->bytes();
    ClientId client = session.client;
    const bool is_new = sessions_.emplace(std::move(client), std::move(session)).second;
    STENTOR_ASSERT(is_new, "one session per client");
}

std::vector<Seq> StoredState::referenced(Seq first, Seq last) const {
    std::vector<Seq> found;
    for (const auto& [seq, count] : references_) {
        if (first <= seq && seq <= last) found.push_back(seq);
    }
    return found;
}

void StoredState::on(Seq seq, const MessageRecord& record) {
    if (record.sets_retained) set_retained(seq, record.message);
    if (record.inbound) {
        if (StoredSession* session = find(record.inbound->client)) {
            session->inbound.insert(record.inbound->packet_id);
        }
    }
    if (!record.fires_will_of.empty()) forget_will(record.fires_will_of);
}

void StoredState::on(Seq /*seq*/, const InboundForgotten& record) {
    if (StoredSession* session = find(record.client)) session->inbound.erase(record.packet_id);
}

void StoredState::on(Seq seq, const Attached& record) {
    auto [place, is_new] = sessions_.try_emplace(record.client);
    StoredSession& session = place->second;
    // What only waited for its will has no state that could go on.
    if (!is_new && (record.discards_earlier_state || session.transient)) {
        clear(session);
        is_new = true;
    }
    if (is_new) {
        session.client = record.client;
        session.sent_through = seq;
        session.transient = record.expiry_seconds == 0;
    }
    if (!session.attached) open_replays(session);  // else: the last connection died with the broker
    session.attached = true;
    session.detached_at = Instant{};
    session.version = record.version;
    session.expiry_seconds = record.expiry_seconds;
    session.user = record.user;
    set_will(session, record.will);
}

void StoredState::on(Seq /*seq*/, const Detached& record) {
    StoredSession* session = find(record.client);
    if (session == nullptr) return;
    deliver(*session, record.delivery);
    if (!record.keeps_will) set_will(*session, std::nullopt);
    if (session->attached) close_replays(*session);
    session->attached = false;
    session->detached_at = record.at;
    session->expiry_seconds = record.expiry_seconds;
    if (record.expiry_seconds != 0) return;
    if (!session->will) {
        clear(*session);
        sessions_.erase(record.client);
        return;
    }
    StoredSession remains;
    remains.client = session->client;
    remains.version = session->version;
    remains.detached_at = record.at;
    remains.user = std::move(session->user);
    remains.transient = true;
    std::optional<WillRecord> will = session->will;
    clear(*session);
    *session = std::move(remains);
    set_will(*session, std::move(will));
}

void StoredState::on(Seq /*seq*/, const SessionEnded& record) {
    StoredSession* session = find(record.client);
    if (session == nullptr) return;
    clear(*session);
    sessions_.erase(record.client);
}

void StoredState::on(Seq seq, const Subscribed& record) {
    StoredSession* session = find(record.client);
    if (session == nullptr) return;
    session->has_other_subscriptions = true;
    Places places{*session, record.subscriptions.size()};
    for (const SubscriptionRecord& wanted : record.subscriptions) {
        StoredSubscription* subscription = places.find(wanted.filter);
        if (subscription == nullptr) {
            subscription = &places.add({.filter = wanted.filter,
                                        .options = {},
                                        .subscription_identifier = 0,
                                        .since = seq,
                                        .replay_next = std::nullopt,
                                        .replay_until = {},
                                        .kept = {}});
        } else {
            replace(*subscription, wanted, seq, session->sent_through);
        }
        subscription->options = wanted.options;
        subscription->subscription_identifier = wanted.subscription_identifier;
        // A replay under way was promised by an earlier SUBACK and goes on unless a new one starts.
        if (!wanted.replays_retained) continue;
        const bool replayed = replays(*subscription);
        const Seq earlier = subscription->replay_until;
        subscription->replay_next.emplace();
        subscription->replay_until = seq;
        if (session->attached) {
            open_replay(seq);
            if (replayed) close_replay(earlier);
        }
    }
}

void StoredState::on(Seq /*seq*/, const Unsubscribed& record) {
    StoredSession* session = find(record.client);
    if (session == nullptr) return;
    const std::unordered_set<std::string_view> ended{record.filters.begin(), record.filters.end()};
    std::erase_if(session->subscriptions, [&](const StoredSubscription& subscription) {
        if (!ended.contains(subscription.filter)) return false;
        session->has_other_subscriptions = true;
        if (session->attached && replays(subscription)) close_replay(subscription.replay_until);
        return true;
    });
}

void StoredState::on(Seq /*seq*/, const DeliveryState& record) {
    if (StoredSession* session = find(record.client)) deliver(*session, record);
}

void StoredState::on(Seq /*seq*/, const RetainedReplay& record) {
    StoredSession* session = find(record.client);
    if (session == nullptr) return;
    deliver(*session, record.delivery);
    // Replays are made in the order of their subscriptions: it is likely to be the next one.
    std::vector<StoredSubscription>& all = session->subscriptions;
    auto subscription =
        all.begin() + static_cast<std::ptrdiff_t>(std::min(next_replayed_, all.size()));
    if (subscription == all.end() || subscription->filter != record.filter) {
        subscription = find_subscription(*session, record.filter);
    }
    if (subscription == all.end() || !replays(*subscription)) return;
    if (subscription->replay_until != record.until) return;
    next_replayed_ =
        static_cast<std::size_t>(subscription - all.begin()) + (record.next_topic.empty() ? 1 : 0);
    if (!record.next_topic.empty()) {
        subscription->replay_next = record.next_topic;
        return;
    }
    subscription->replay_next.reset();
    if (session->attached) close_replay(subscription->replay_until);
}

void StoredState::on(Seq /*seq*/, const WillForgotten& record) { forget_will(record.client); }

void StoredState::on(Seq /*seq*/, const RetainedForgotten& record) {
    const auto place = retained_.find(record.topic);
    if (place != retained_.end() && place->second.seq == record.seq) drop_retained(place);
}

StoredSession* StoredState::find(const ClientId& client) noexcept {
    const auto place = sessions_.find(client);
    return place == sessions_.end() ? nullptr : &place->second;
}

void StoredState::deliver(StoredSession& session, const DeliveryState& state) {
    std::vector<Unfinished>& list = session.unfinished;
    // New references first, so that a message both lists name is not let go in between.
    for (const Unfinished& entry : state.changed) refer_to(entry.seq);
    const auto is_over = [&](const Unfinished& entry) {
        const auto is_done = [&](PacketId id) { return id == entry.packet_id; };
        const auto replaces = [&](const Unfinished& c) { return c.packet_id == entry.packet_id; };
        return state.whole || std::any_of(state.done.begin(), state.done.end(), is_done) ||
               std::any_of(state.changed.begin(), state.changed.end(), replaces);
    };
    for (const Unfinished& entry : list) {
        if (is_over(entry)) release(entry.seq);
    }
    std::erase_if(list, is_over);
    list.insert(list.end(), state.changed.begin(), state.changed.end());
    std::stable_sort(list.begin(), list.end(), [](const Unfinished& a, const Unfinished& b) {
        return a.seq < b.seq;
    });
    session.sent_through = std::max(session.sent_through, state.sent_through);
    if (state.loss) session.loss = *state.loss;
}

void StoredState::set_will(StoredSession& session, std::optional<WillRecord> will) {
    if (session.will) message_bytes_ -= session.will->message->bytes();
    session.will = std::move(will);
    if (session.will) message_bytes_ += session.will->message->bytes();
}

void StoredState::forget_will(const ClientId& client) {
    StoredSession* session = find(client);
    if (session == nullptr) return;
    set_will(*session, std::nullopt);
    if (!session->transient) return;
    clear(*session);
    sessions_.erase(client);
}

/// Lets go of everything; `session` is as good as new, but without a name.
void StoredState::clear(StoredSession& session) {
    if (session.attached) close_replays(session);
    for (const Unfinished& entry : session.unfinished) release(entry.seq);
    set_will(session, std::nullopt);
    session = StoredSession{};
}

void StoredState::set_retained(Seq seq, const MessagePtr& message) {
    const std::string topic{message->topic()};
    const auto place = retained_.find(topic);
    if (place != retained_.end()) {
        if (place->second.seq >= seq) return;
        drop_retained(place);
    }
    if (message->payload().empty()) return;  // [MQTT-3.3.1-6] [MQTT-3.3.1-7]
    retained_.emplace(topic, StoredRetained{.seq = seq, .message = message});
    retained_topics_.emplace(seq, topic);
    message_bytes_ += message->bytes();
}

/// It is not its topic's value any more; who has it in flight, or may have, still finds it.
void StoredState::drop_retained(Retained::iterator value) {
    const auto& [seq, message] = value->second;
    message_bytes_ -= message->bytes();
    if (OpenReplays* holder = holder_of(seq)) {
        holder->held.push_back(seq);
        refer_to(seq);
    }
    if (is_referenced(seq)) keep(seq, message);
    retained_topics_.erase(seq);
    retained_.erase(value);
}

void StoredState::refer_to(Seq seq) { ++references_[seq]; }

void StoredState::release(Seq seq) {
    const auto reference = references_.find(seq);
    STENTOR_ASSERT(reference != references_.end());
    if (--reference->second != 0) return;
    references_.erase(reference);
    const auto pinned = pinned_.find(seq);
    if (pinned == pinned_.end()) return;
    no_longer_held(pinned->second);
    pinned_.erase(pinned);
}

void StoredState::open_replay(Seq until) { ++open_replays_[until].count; }

void StoredState::close_replay(Seq until) {
    const auto open = open_replays_.find(until);
    STENTOR_ASSERT(open != open_replays_.end());
    if (--open->second.count != 0) return;
    const std::vector<Seq> held = std::move(open->second.held);
    open_replays_.erase(open);
    for (const Seq value : held) {
        // An older replay may have sent it as well; a newer one has read its successor.
        const auto older = open_replays_.lower_bound(until);
        if (older != open_replays_.begin() && std::prev(older)->first >= value) {
            std::prev(older)->second.held.push_back(value);
        } else {
            release(value);
        }
    }
}

void StoredState::open_replays(const StoredSession& session) {
    for (const StoredSubscription& subscription : session.subscriptions) {
        if (replays(subscription)) open_replay(subscription.replay_until);
    }
}

void StoredState::close_replays(const StoredSession& session) {
    for (const StoredSubscription& subscription : session.subscriptions) {
        if (replays(subscription)) close_replay(subscription.replay_until);
    }
}

/// Of the replays under way that may have sent the value at this position, the newest.
StoredState::OpenReplays* StoredState::holder_of(Seq value) noexcept {
    if (open_replays_.empty()) return nullptr;
    const auto newest = std::prev(open_replays_.end());
    return newest->first >= value ? &newest->second : nullptr;
}

}  // namespace stentor::store
