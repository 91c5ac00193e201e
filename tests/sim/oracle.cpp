#include "tests/sim/oracle.hpp"

#include "base/assert.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/validate.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace stentor::sim {

using mqtt::QoS;

namespace {

std::optional<MessageId> id_of(std::string_view payload) {
    MessageId id = 0;
    const auto [end, error] = std::from_chars(payload.data(), payload.data() + payload.size(), id);
    if (error != std::errc{}) return std::nullopt;
    return id;
}

bool wants(const mqtt::SubscriptionOptions& options,
           const std::string& client,
           const Published& message) {
    return !options.no_local || message.publisher != client;
}

}  // namespace

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

Oracle::Subscription* Oracle::current(Client& client, const std::string& text) {
    for (auto at = client.subscriptions.rbegin(); at != client.subscriptions.rend(); ++at) {
        // One that was never granted is as if it had not been asked for.
        if (at->text != text || at->versions.empty()) continue;
        return at->alive() ? &*at : nullptr;
    }
    return nullptr;
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

std::vector<Oracle::Candidate> Oracle::live_candidates(const Client& client,
                                                       const Published& message) const {
    std::vector<Candidate> found;
    for (const Subscription& subscription : client.subscriptions) {
        if (subscription.ended != kNoTick || subscription.versions.empty()) continue;
        if (subscription.unsubscribed < message.sent) continue;
        // The members of a shared subscription find what has waited for them.
        if (!rules_.late_messages && message.acked < subscription.versions.front().requested &&
            !message.is_will && subscription.share.empty() && !subscription.may_continue) {
            continue;
        }
        if (!mqtt::matches(subscription.filter, message.topic)) continue;
        for (std::size_t i = 0; i < subscription.versions.size(); ++i) {
            const bool replaced = i + 1 < subscription.versions.size() &&
                                  subscription.versions[i + 1].acked < message.sent;
            if (!replaced) found.push_back({&subscription, &subscription.versions[i]});
        }
    }
    return found;
}

std::vector<Oracle::Candidate> Oracle::replay_candidates(const Client& client,
                                                         const Published& message) const {
    std::vector<Candidate> found;
    if (!message.retain || message.payload.empty()) return found;
    for (const Subscription& subscription : client.subscriptions) {
        if (subscription.ended != kNoTick || !subscription.share.empty()) continue;
        if (subscription.unsubscribed < message.sent) continue;
        if (!mqtt::matches(subscription.filter, message.topic)) continue;
        // What one SUBSCRIBE asked for is sent by the options of the next.
        const bool asks = std::any_of(
            subscription.versions.begin(), subscription.versions.end(), [](const Version& version) {
                return version.options.retain_handling != mqtt::RetainHandling::do_not_send;
            });
        if (!asks) continue;
        for (const Version& version : subscription.versions) {
            found.push_back({&subscription, &version});
        }
    }
    return found;
}

void Oracle::received(const std::string& name, const mqtt::PublishView& packet) {
    ++deliveries_;
    Client& client = clients_[name];
    if (packet.payload.empty()) return;  // clears a value: which one it was cannot be told
    const auto id = id_of(as_text(packet.payload));
    const auto at = id ? messages_.find(*id) : messages_.end();
    if (at == messages_.end()) {
        complain(name + " received something that nobody sent");
        return;
    }
    judge(name, client, at->second, packet);
}

void Oracle::judge(const std::string& name,
                   Client& client,
                   const Published& message,
                   const mqtt::PublishView& packet) {
    const auto where = fmt::format("{} received message {} (topic {}, QoS {}, retain {}, dup {})",
                                   name,
                                   message.id,
                                   packet.topic,
                                   static_cast<int>(packet.qos),
                                   packet.retain,
                                   packet.dup);
    if (packet.topic != message.topic || as_text(packet.payload) != message.payload) {
        complain(where + " with another topic or payload");
    }
    if (message.refused) complain(where + " which was refused");
    if (packet.retain && !message.retain) complain(where + " with RETAIN, which it had not");
    const auto live = live_candidates(client, message);
    const auto replays =
        packet.retain ? replay_candidates(client, message) : std::vector<Candidate>{};
    const auto fits = [&](const Candidate& candidate) {
        const mqtt::SubscriptionOptions& options = candidate.version->options;
        if (!wants(options, name, message)) return false;
        return !packet.retain || options.retain_as_published;
    };
    const bool may_be_live = std::any_of(live.begin(), live.end(), fits);
    const bool may_be_replay =
        std::any_of(replays.begin(), replays.end(), [&](const Candidate& candidate) {
            return wants(candidate.version->options, name, message);
        });
    if (!may_be_live && !may_be_replay) {
        complain(where + " which no subscription of its wants");
        return;
    }
    QoS most = QoS::at_most_once;
    for (const Candidate& each : live) most = std::max(most, each.version->options.qos);
    for (const Candidate& each : replays) most = std::max(most, each.version->options.qos);
    if (packet.qos > std::min(most, message.qos)) complain(where + " with too high a QoS");
    judge_copies(name, client, message, packet, may_be_live && !may_be_replay);
    if (!packet.retain) judge_order(name, client, message, packet);
    if (may_be_replay && !may_be_live) judge_retained(name, client, message, packet, replays);
    client.seen[message.topic].emplace_back(message.id, packet.qos);
    judge_expiry(name, client, message, packet);
    std::vector<Candidate> all = live;
    all.insert(all.end(), replays.begin(), replays.end());
    judge_identifiers(name, message, packet, all);
    ++client.copies[message.id].all;
    client.copies[message.id].last = tick();
    seen_.insert(message.id);
    if (std::any_of(live.begin(), live.end(), [](const Candidate& each) {
            return !each.subscription->share.empty();
        })) {
        ++worker_copies_[message.id];
    }
}

void Oracle::judge_copies(const std::string& name,
                          Client& client,
                          const Published& message,
                          const mqtt::PublishView& packet,
                          bool is_live) {
    Copies& copies = client.copies[message.id];
    unsigned shared = 0;
    bool plain = false;
    unsigned replays = 0;
    for (const Subscription& subscription : client.subscriptions) {
        if (subscription.ended != kNoTick) continue;
        if (!mqtt::matches(subscription.filter, message.topic)) continue;
        if (subscription.share.empty()) {
            plain = true;
            for (const Version& version : subscription.versions) {
                if (message.retain &&
                    version.options.retain_handling != mqtt::RetainHandling::do_not_send) {
                    ++replays;
                }
            }
        } else {
            ++shared;
        }
    }
    const unsigned live_max = shared + (plain ? 1 : 0);
    if (packet.qos == QoS::exactly_once && !message.excused) {
        ++copies.any_twice;
        if (!packet.retain) ++copies.live_twice;
        // A retained copy in flight loses its RETAIN over a crash (docs/limits.md).
        const bool told_apart = !message.retain || crashed_ == 0;
        if ((told_apart && copies.live_twice > live_max) || copies.any_twice > live_max + replays) {
            complain(fmt::format("{} received QoS 2 message {} twice", name, message.id));
        }
    }
    if (!is_live || packet.retain || shared != 0) return;
    // The options are those of the moment of delivery: what one subscription wanted with QoS 0 when
    // it came, another that has changed since may want from the log.
    Tick& last = packet.qos == QoS::at_most_once ? copies.connection_qos0 : copies.connection;
    if (last == client.connecting && message.sends == 1 && !packet.dup) {
        complain(fmt::format("{} received message {} twice on one connection (dup {})",
                             name,
                             message.id,
                             packet.dup));
    }
    last = client.connecting;
}

void Oracle::judge_order(const std::string& name,
                         Client& client,
                         const Published& message,
                         const mqtt::PublishView& packet) {
    if (message.is_will || disordered_.contains(message.id)) return;
    for (const Subscription& subscription : client.subscriptions) {
        if (!subscription.share.empty()) return;
    }
    if (client.copies[message.id].all != 0) return;  // only the first delivery counts
    // A new connection may overtake what an earlier one left on its way to the log.
    MessageId& newest = client.newest[OrderKey{
        message.publisher, message.connection, message.topic, message.qos, packet.qos}];
    // What was sent again may have missed the subscription the first time.
    if (newest > message.id && message.sends == 1) {
        complain(fmt::format("{} received message {} of {} after its successor {}",
                             name,
                             message.id,
                             message.publisher,
                             newest));
    }
    newest = std::max(newest, message.id);
}

/// Of retained messages of one topic: whether another one has certainly taken its place.
bool Oracle::is_replaced(MessageId id, const std::vector<MessageId>& all) const {
    const Published& message = messages_.at(id);
    const Tick over = std::min(message.acked, message.settled);
    return std::any_of(all.begin(), all.end(), [&](MessageId other_id) {
        const Published& other = messages_.at(other_id);
        return other.acked != kNoTick && !other.refused && other.sent > over;
    });
}

/// Whether `newer` was certainly published after `older` had been.
static bool certainly_after(const Published& newer, const Published& older) {
    return !newer.is_will && !older.is_will && newer.sent > older.acked;
}

void Oracle::judge_retained(const std::string& name,
                            Client& client,
                            const Published& message,
                            const mqtt::PublishView& packet,
                            const std::vector<Candidate>& replays) {
    if (packet.dup || message.excused) return;
    // Not after a newer one on the same connection.
    for (const auto& [seen, qos] : client.seen[message.topic]) {
        const Published& other = messages_.at(seen);
        if (qos == QoS::at_most_once && packet.qos != qos) continue;  // may overtake
        if (other.retain && certainly_after(other, message)) {
            complain(fmt::format(
                "{} received retained message {} after the newer {}", name, message.id, other.id));
        }
    }
    // Not if it had been replaced before any SUBSCRIBE that may have asked for it.
    Tick asked = kNoTick;
    for (const Candidate& each : replays) asked = std::min(asked, each.version->requested);
    for (const MessageId id : retained_by_topic_[message.topic]) {
        const Published& other = messages_.at(id);
        if (!other.excused && certainly_after(other, message) && other.acked < asked) {
            complain(fmt::format("{} received retained message {} although {} had replaced it",
                                 name,
                                 message.id,
                                 other.id));
        }
    }
}

void Oracle::judge_expiry(const std::string& name,
                          const Client& client,
                          const Published& message,
                          const mqtt::PublishView& packet) {
    if (!message.expiry_seconds || message.is_will) return;
    const auto seconds = [](Duration duration) {
        return std::chrono::floor<std::chrono::seconds>(duration).count();
    };
    // For so long it has certainly waited in the broker.
    std::int64_t waited = 0;
    if (message.acked_at < client.connecting_at) {
        const Duration since = client.connecting_at - message.acked_at - rules_.clock_slack;
        waited = std::max<std::int64_t>(0, seconds(since));
    }
    const auto left = packet.properties.message_expiry_interval();
    if (left && (*left > *message.expiry_seconds || *left + waited > *message.expiry_seconds)) {
        if (!packet.dup) {
            complain(fmt::format("{} received message {} with {} s left of {}, after {} s",
                                 name,
                                 message.id,
                                 *left,
                                 *message.expiry_seconds,
                                 waited));
        }
    }
    if (!packet.dup && waited > *message.expiry_seconds) {
        complain(fmt::format("{} received message {} after it had expired", name, message.id));
    }
}

void Oracle::judge_identifiers(const std::string& name,
                               const Published& message,
                               const mqtt::PublishView& packet,
                               const std::vector<Candidate>& candidates) {
    // Of what was in flight when the broker died, the log keeps no identifiers (docs/limits.md).
    if (packet.dup && crashed_ > message.sent) return;
    for (const auto& identifier : packet.properties.subscription_identifiers()) {
        const bool known =
            std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& candidate) {
                return candidate.version->identifier == identifier.value;
            });
        if (!known) {
            complain(fmt::format("{} received message {} with subscription identifier {}",
                                 name,
                                 message.id,
                                 identifier.value));
        }
    }
    // Exactly those, where nothing has changed since before it was sent.
    if (packet.retain || message.is_will) return;
    std::multiset<std::uint32_t> wanted;
    QoS qos = QoS::at_most_once;
    for (const Candidate& each : candidates) {
        if (!each.subscription->share.empty() || each.subscription->versions.size() != 1 ||
            each.version->acked >= message.sent || !each.subscription->certain()) {
            return;
        }
        if (!wants(each.version->options, name, message)) continue;
        if (each.version->identifier != 0) wanted.insert(each.version->identifier);
        qos = std::max(qos, each.version->options.qos);
    }
    std::multiset<std::uint32_t> has;
    for (const auto& identifier : packet.properties.subscription_identifiers()) {
        has.insert(identifier.value);
    }
    // A 3.1.1 client gives no identifiers.
    if (has != wanted) {
        complain(fmt::format(
            "{} received message {} with the wrong subscription identifiers", name, message.id));
    }
    if (packet.qos != std::min(qos, message.qos)) {
        complain(fmt::format("{} received message {} with the wrong QoS {}",
                             name,
                             message.id,
                             static_cast<int>(packet.qos)));
    }
}

void Oracle::crashed(bool lossy) {
    crashed_ = tick();
    if (!lossy) return;
    for (auto& [id, message] : messages_) message.excused = true;
    for (auto& [name, client] : clients_) end_session(client);
    for (auto& [id, fate] : wills_) fate = WillFate::unknown;
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
        if (version.options.qos == QoS::at_most_once) return false;
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
    for (const auto& [id, message] : messages_) {
        if (message.settled != kNoTick) continue;
        for (const auto& [name, client] : clients_) {
            const auto copies = client.copies.find(id);
            if (copies != client.copies.end() && copies->second.all != 0) continue;
            if (!is_owed(name, client, message)) continue;
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

const Published* Oracle::certain_value(const std::vector<MessageId>& ids, Tick asked) const {
    const Published* value = nullptr;
    for (const MessageId id : ids) {
        if (is_replaced(id, ids)) continue;
        if (value != nullptr) return nullptr;  // one of several
        value = &messages_.at(id);
    }
    if (value == nullptr || value->acked >= asked || value->refused || value->excused) {
        return nullptr;
    }
    const bool lasts = !value->payload.empty() && !value->expiry_seconds;
    return lasts && value->qos != QoS::at_most_once ? value : nullptr;
}

/// A SUBSCRIBE that asked for retained values got them, whatever happened in between.
std::optional<std::string> Oracle::unmet_replay(const std::string& name,
                                                const Client& client) const {
    for (const Subscription& subscription : client.subscriptions) {
        if (!subscription.certain() || !subscription.share.empty()) continue;
        const Version& version = subscription.versions.back();
        if (version.acked == kNoTick || version.options.qos == QoS::at_most_once) continue;
        if (version.options.retain_handling != mqtt::RetainHandling::send) continue;
        for (const auto& [topic, ids] : retained_by_topic_) {
            if (!mqtt::matches(subscription.filter, topic)) continue;
            const Published* value = certain_value(ids, version.requested);
            if (value == nullptr || !wants(version.options, name, *value)) continue;
            const auto copies = client.copies.find(value->id);
            if (copies != client.copies.end() && copies->second.last > version.requested) continue;
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
    judge_shared_end();
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
