// Whether a packet that a client received may be.
#include "protocol/topic/match.hpp"
#include "tests/sim/oracle.hpp"

#include <algorithm>
#include <charconv>

namespace stentor::sim {

using mqtt::QoS;

namespace {

std::optional<MessageId> id_of(std::string_view payload) {
    MessageId id = 0;
    const auto [end, error] = std::from_chars(payload.data(), payload.data() + payload.size(), id);
    if (error != std::errc{}) return std::nullopt;
    return id;
}

/// Whether `newer` was certainly published after `older` had been.
bool certainly_after(const Published& newer, const Published& older) {
    return !newer.is_will && !older.is_will && newer.sent > older.acked;
}

}  // namespace

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

}  // namespace stentor::sim
