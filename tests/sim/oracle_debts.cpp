// What a client must have received by now.
#include "protocol/topic/match.hpp"
#include "tests/sim/oracle.hpp"

#include <algorithm>
#include <utility>

namespace stentor::sim {

using mqtt::QoS;

/// Of retained messages of one topic: whether another one has certainly taken its place.
bool Oracle::is_replaced(MessageId id, const std::vector<MessageId>& all) const {
    const Published& message = messages_.at(id);
    const Tick over = std::min(message.acked, message.settled);
    return std::any_of(all.begin(), all.end(), [&](MessageId other_id) {
        const Published& other = messages_.at(other_id);
        return other.acked != kNoTick && !other.refused && other.sent > over;
    });
}

bool Oracle::owed_by(const Subscription& subscription,
                     const std::string& client,
                     const Published& message) const {
    if (!subscription.certain() || !mqtt::matches(subscription.filter, message.topic)) return false;
    bool begun = false;
    for (std::size_t i = 0; i < subscription.versions.size(); ++i) {
        const Version& version = subscription.versions[i];
        begun = begun || version.acked < message.sent;
        const bool replaced = i + 1 < subscription.versions.size() &&
                              subscription.versions[i + 1].acked < message.sent;
        if (replaced) continue;
        // What waits keeps the QoS that it came by [MQTT-3.8.4-4].
        const bool came_later = i != 0 && message.acked < version.requested;
        if (version.options.qos == QoS::at_most_once && !came_later) return false;
        if (!wants(version.options, client, message)) return false;
    }
    return begun;
}

bool Oracle::is_owed(const std::string& name,
                     const Client& client,
                     const Published& message) const {
    if (message.excused || message.expiry_seconds || message.payload.empty()) return false;
    if (message.qos == QoS::at_most_once) return false;
    if (message.is_will) {
        const auto fate = wills_.find(message.id);
        if (fate == wills_.end() || fate->second != WillFate::must_come) return false;
    } else if (message.acked == kNoTick) {
        return false;
    }
    return std::any_of(client.subscriptions.begin(),
                       client.subscriptions.end(),
                       [&](const Subscription& subscription) {
                           return subscription.share.empty() &&
                                  owed_by(subscription, name, message);
                       });
}

std::optional<std::string> Oracle::unmet() const {
    std::uint64_t deliveries = 0;
    for (const auto& [id, message] : messages_) {
        if (message.settled != kNoTick) continue;
        for (const auto& [name, client] : clients_) {
            const auto copies = client.copies.find(id);
            if (copies != client.copies.end() && copies->second.all != 0) continue;
            if (!is_owed(name, client, message) || ++deliveries <= counted_lost_) continue;
            return fmt::format("{} never received message {} (topic {}, QoS {}) of {}{}",
                               name,
                               id,
                               message.topic,
                               static_cast<int>(message.qos),
                               message.publisher,
                               message.is_will ? ", a will" : "");
        }
    }
    for (const auto& [name, client] : clients_) {
        if (auto missing = unmet_replay(name, client)) return missing;
    }
    return std::nullopt;
}

const Published* Oracle::certain_value(const std::vector<MessageId>& ids) const {
    const Published* value = nullptr;
    for (const MessageId id : ids) {
        if (is_replaced(id, ids)) continue;
        if (value != nullptr) return nullptr;  // one of several
        value = &messages_.at(id);
    }
    if (value == nullptr || value->acked == kNoTick || value->refused || value->excused) {
        return nullptr;
    }
    const bool lasts = !value->payload.empty() && !value->expiry_seconds;
    return lasts && value->qos != QoS::at_most_once ? value : nullptr;
}

/// A SUBSCRIBE that asked for retained values got them, whatever happened in between: what was set
/// before it is replayed, what is set after it comes live, and what comes at the same time is
/// either.
std::optional<std::string> Oracle::unmet_replay(const std::string& name,
                                                const Client& client) const {
    for (const Subscription& subscription : client.subscriptions) {
        if (!subscription.certain() || !subscription.share.empty()) continue;
        const Version& version = subscription.versions.back();
        if (version.acked == kNoTick || version.options.qos == QoS::at_most_once) continue;
        if (version.options.retain_handling != mqtt::RetainHandling::send) continue;
        for (const auto& [topic, ids] : retained_by_topic_) {
            if (!mqtt::matches(subscription.filter, topic)) continue;
            const Published* value = certain_value(ids);
            if (value == nullptr || !wants(version.options, name, *value)) continue;
            const auto copies = client.copies.find(value->id);
            if (copies != client.copies.end() && copies->second.last > version.requested) continue;
            // What did not come with the replay came through the log, and may be lost there.
            if (counted_lost_ != 0 && value->acked >= version.requested) continue;
            return fmt::format(
                "{} never received the retained message {} (topic {}) that {} asked for",
                name,
                value->id,
                topic,
                subscription.text);
        }
    }
    return std::nullopt;
}

void Oracle::judge_end() {
    for (const auto& [id, fate] : wills_) {
        if (fate == WillFate::must_not_come && seen_.contains(id)) {
            complain(fmt::format("message {} came, a will that was cancelled", id));
        }
    }
    for (const auto& [id, message] : messages_) {
        if (message.settled != kNoTick) continue;
        for (const auto& [name, client] : clients_) {
            if (is_owed(name, client, message)) ++obligations_;
        }
    }
    if (auto missing = unmet()) complain(*std::move(missing));
    if (told_lost_ > counted_lost_) {
        complain(fmt::format(
            "sessions were told of {} losses, the broker counted {}", told_lost_, counted_lost_));
    }
    judge_shared_end();
}

std::optional<std::string> Oracle::unmet_retained(
    const std::map<std::string, std::string>& seen) const {
    for (const auto& [topic, ids] : retained_by_topic_) {
        const auto value = seen.find(topic);
        bool may_be_absent = true;
        bool fits = false;
        bool is_open = false;
        for (const MessageId id : ids) {
            const Published& message = messages_.at(id);
            is_open = is_open || message.is_will || message.excused;
            if (message.acked != kNoTick && !message.refused) may_be_absent = false;
        }
        if (is_open) continue;  // nothing says when a will came
        for (const MessageId id : ids) {
            const Published& message = messages_.at(id);
            if (message.refused || is_replaced(id, ids)) continue;
            if (message.payload.empty() || message.expiry_seconds) may_be_absent = true;
            if (value != seen.end() && value->second == message.payload) fits = true;
        }
        if (value == seen.end() ? may_be_absent : fits) continue;
        return fmt::format("a new client gets {:.20} as the retained value of {}",
                           value == seen.end() ? "nothing" : value->second,
                           topic);
    }
    for (const auto& [topic, payload] : seen) {
        if (!retained_by_topic_.contains(topic)) {
            return "a new client gets a retained value of " + topic;
        }
    }
    return std::nullopt;
}

/// A message for a shared subscription reaches one of its members; in QoS 2 exactly one.
void Oracle::judge_shared_end() {
    for (const auto& [id, message] : messages_) {
        if (message.excused || message.expiry_seconds || message.is_will) continue;
        if (message.payload.empty() || message.settled != kNoTick) continue;
        if (message.acked == kNoTick || message.qos == QoS::at_most_once) continue;
        if (message.sent < crashed_) continue;  // positions of groups are not stored
        // In flight in QoS 2 it dies with the member's session [MQTT-4.8.2-5].
        if (message.qos == QoS::exactly_once && message.sent < worker_ended_) continue;
        std::map<std::pair<std::string, std::string>, bool> owed;  // by group
        for (const auto& [name, client] : clients_) {
            for (const Subscription& subscription : client.subscriptions) {
                if (subscription.share.empty()) continue;
                if (owed_by(subscription, name, message)) {
                    owed[{subscription.share, subscription.filter}] = true;
                }
            }
        }
        // A member with QoS 0 gets its share with QoS 0, and may lose it.
        for (const auto& [name, client] : clients_) {
            for (const Subscription& subscription : client.subscriptions) {
                const bool loses = std::any_of(
                    subscription.versions.begin(), subscription.versions.end(), [](const auto& v) {
                        return v.options.qos == QoS::at_most_once;
                    });
                if (loses) owed.erase({subscription.share, subscription.filter});
            }
        }
        if (owed.empty()) continue;
        ++obligations_;
        if (worker_copies_[id] < owed.size()) {
            complain(fmt::format("message {} (topic {}) reached no member of a shared subscription",
                                 id,
                                 message.topic));
        }
    }
}

}  // namespace stentor::sim
