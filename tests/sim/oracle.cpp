#include "tests/sim/oracle.hpp"

#include "protocol/topic/validate.hpp"

#include <algorithm>
#include <utility>

namespace stentor::sim {

void Oracle::complain(std::string what) {
    trace_->add("COMPLAINT: {}", what);
    if (!complaint_) complaint_ = std::move(what);
}

const Published& Oracle::publishing(const Publishing& what) {
    Published message;
    message.id = next_id_++;
    message.publisher = what.publisher;
    message.topic = what.topic;
    if (!what.empty) {
        message.payload = std::to_string(message.id) + ' ' + std::string(what.padding, 'x');
    }
    message.qos = what.qos;
    message.retain = what.retain;
    message.is_will = what.is_will;
    message.expiry_seconds = what.expiry_seconds;
    message.sent = tick();
    message.connection = clients_[what.publisher].connecting;
    message.sent_at = now_;
    if (message.retain) retained_by_topic_[message.topic].push_back(message.id);
    if (!what.ordered) disordered_.insert(message.id);
    return messages_.emplace(message.id, std::move(message)).first->second;
}

void Oracle::withdrawn(MessageId id) {
    const Published& message = messages_.at(id);
    if (message.retain) std::erase(retained_by_topic_[message.topic], id);
    messages_.erase(id);
}

void Oracle::sent_again(MessageId id) { ++messages_.at(id).sends; }

void Oracle::taken(MessageId id) {
    Published& message = messages_.at(id);
    if (message.acked != kNoTick) return;
    message.acked = tick();
    message.acked_at = now_;
    ++taken_;
}

void Oracle::refused(MessageId id) {
    Published& message = messages_.at(id);
    if (message.sends == 1) message.refused = true;
}

void Oracle::will_ended(MessageId id, WillFate fate) {
    if (!messages_.at(id).excused) wills_[id] = fate;
}

void Oracle::connecting(const std::string& name) {
    Client& client = clients_[name];
    client.connecting = tick();
    client.connecting_at = now_;
    client.seen.clear();
}

void Oracle::connected(const std::string& name, bool session_present) {
    Client& client = clients_[name];
    if (!session_present) end_session(client);
}

void Oracle::end_session(Client& client) {
    const Tick at = tick();
    for (Subscription& subscription : client.subscriptions) {
        if (subscription.ended == kNoTick) subscription.ended = at;
        // The broker may have noticed only now.
        if (!subscription.share.empty()) worker_ended_ = at;
    }
    client.copies.clear();
    client.newest.clear();
}

void Oracle::disconnected(const std::string& name, bool session_ends) {
    if (session_ends) end_session(clients_[name]);
}

Subscription* Oracle::current(Client& client, const std::string& text) {
    // One that was never granted is as if it had not been asked for.
    const auto at = std::find_if(
        client.subscriptions.rbegin(), client.subscriptions.rend(), [&](const Subscription& each) {
            return each.text == text && !each.versions.empty();
        });
    return at != client.subscriptions.rend() && at->alive() ? &*at : nullptr;
}

Tick Oracle::subscribing(const std::string& name,
                         const std::string& text,
                         mqtt::SubscriptionOptions options,
                         std::uint32_t identifier) {
    Client& client = clients_[name];
    Subscription* subscription = current(client, text);
    if (subscription == nullptr || !subscription->unsubscribing.empty()) {
        const auto parsed = mqtt::parse_subscription_filter(text);
        Subscription fresh;
        fresh.text = text;
        if (parsed.is_shared()) fresh.share = parsed.share_name;
        fresh.filter = parsed.filter;
        fresh.may_continue = subscription != nullptr;
        client.subscriptions.push_back(std::move(fresh));
        subscription = &client.subscriptions.back();
    }
    subscription->versions.push_back(
        {.options = options, .identifier = identifier, .requested = tick(), .acked = kNoTick});
    return subscription->versions.back().requested;
}

void Oracle::subscribed(const std::string& name,
                        const std::string& text,
                        Tick requested,
                        bool success) {
    for (Subscription& subscription : clients_[name].subscriptions) {
        const auto at = std::find_if(subscription.versions.begin(),
                                     subscription.versions.end(),
                                     [&](const Version& v) { return v.requested == requested; });
        if (at == subscription.versions.end()) continue;
        if (success) {
            at->acked = tick();
        } else {
            subscription.versions.erase(at);
        }
        return;
    }
    complain("SUBACK for nothing: " + name + ' ' + text);
}

Tick Oracle::unsubscribing(const std::string& name, const std::string& text) {
    const Tick at = tick();
    for (Subscription& subscription : clients_[name].subscriptions) {
        if (subscription.text != text || !subscription.alive()) continue;
        subscription.unsubscribing.insert(at);
    }
    return at;
}

void Oracle::unsubscribed(const std::string& name,
                          const std::string& text,
                          Tick requested,
                          bool success) {
    const Tick at = tick();
    Subscription* stays = nullptr;  // the request failed
    bool is_next = true;            // of those asked for afterwards the first
    for (Subscription& subscription : clients_[name].subscriptions) {
        if (subscription.text != text || subscription.ended != kNoTick) continue;
        if (subscription.first_unsubscribing() <= requested) {
            if (success) {  // it settles earlier requests whose answers were lost, too
                subscription.unsubscribed = std::min(subscription.unsubscribed, at);
            } else {
                subscription.unsubscribing.erase(requested);
                stays = &subscription;
            }
        } else if (success) {
            // The later ones may still be what the first one was: their UNSUBSCRIBE has no answer.
            if (std::exchange(is_next, false)) subscription.may_continue = false;
        } else if (stays != nullptr && !subscription.versions.empty() &&
                   stays->first_unsubscribing() > subscription.versions.front().requested) {
            // What was asked for after it was the same subscription all the time.
            stays->versions.insert(
                stays->versions.end(), subscription.versions.begin(), subscription.versions.end());
            stays->unsubscribing = subscription.unsubscribing;
            subscription.versions.clear();
            subscription.ended = at;
        }
    }
}

void Oracle::crashed(bool lossy) {
    crashed_ = tick();
    if (!lossy) return;
    for (auto& [id, message] : messages_) message.excused = true;
    for (auto& [name, client] : clients_) end_session(client);
    for (auto& [id, fate] : wills_) fate = WillFate::unknown;
}

void Oracle::settle() {
    const Tick at = tick();
    for (auto& [id, message] : messages_) {
        // What becomes of a will may show later.
        if (!message.is_will && message.settled == kNoTick) message.settled = at;
    }
    for (auto& [topic, ids] : retained_by_topic_) {
        std::erase_if(ids, [&, &all = ids](MessageId id) { return is_replaced(id, all); });
    }
}

}  // namespace stentor::sim
