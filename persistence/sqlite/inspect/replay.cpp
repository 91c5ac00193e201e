#include "persistence/sqlite/inspect/replay.hpp"

#include "persistence/sqlite/inspect/fields.hpp"

#include <type_traits>
#include <variant>

namespace stentor::store {
namespace {

/// The session a record is about; null for messages and retained values.
[[nodiscard]] const ClientId* client_of(const Record& record) {
    return std::visit(
        [](const auto& r) -> const ClientId* {
            using Kind = std::decay_t<decltype(r)>;
            if constexpr (std::is_same_v<Kind, MessageRecord> ||
                          std::is_same_v<Kind, RetainedForgotten>) {
                return nullptr;
            } else {
                return &r.client;
            }
        },
        record);
}

[[nodiscard]] bool begins_anew(const Record& record) {
    if (std::holds_alternative<SessionEnded>(record)) return true;
    const auto* attached = std::get_if<Attached>(&record);
    return attached != nullptr && attached->discards_earlier_state;
}

[[nodiscard]] bool same(const StoredRetained& a, const StoredRetained& b) {
    return a.seq == b.seq && equal(a.message->payload(), b.message->payload());
}

}  // namespace

void Replay::gap() {
    state_ = {};
    known_.clear();
    topics_.clear();
    last_ = kNoSeq;
}

void Replay::apply(Seq seq, const Record& record) {
    last_ = seq;
    if (const auto* published = std::get_if<MessageRecord>(&record)) {
        if (published->sets_retained) topics_.emplace(published->message->topic());
    }
    const ClientId* client = client_of(record);
    if (client == nullptr) {
        state_.apply(seq, record);  // of sessions and values only those that are here change
        return;
    }
    if (begins_anew(record)) known_.insert(*client);
    if (knows(*client)) state_.apply(seq, record);
}

Replay::Difference Replay::compare(const StoredState& state) const {
    Difference difference;
    for (const ClientId& client : known_) {
        const auto there = state.sessions().find(client);
        const auto here = state_.sessions().find(client);
        const std::string is =
            there == state.sessions().end() ? "nothing" : description(there->second);
        const std::string should =
            here == state_.sessions().end() ? "nothing" : description(here->second);
        ++difference.sessions;
        if (is == should) continue;
        std::string& line = difference.lines.emplace_back("session ");
        line.append(client).append(" is {").append(is).append("}, by the log {");
        line.append(should).append("}");
    }
    for (const std::string& topic : topics_) {
        const auto there = state.retained().find(topic);
        const auto here = state_.retained().find(topic);
        ++difference.retained;
        const bool is_there = there != state.retained().end();
        const bool is_here = here != state_.retained().end();
        if (!is_there && !is_here) continue;
        if (is_there && is_here && same(there->second, here->second)) continue;
        difference.lines.push_back("the retained value of " + topic + " is not the log's");
    }
    return difference;
}

std::string description(const StoredSession& session) {
    Fields fields;
    fields.add("client", session.client)
        .add("version", static_cast<int>(session.version))
        .add("attached", session.attached)
        .add("expiry_seconds", session.expiry_seconds)
        .add("detached_at", session.detached_at.time_since_epoch().count())
        .add("user", session.user)
        .add("sent_through", session.sent_through.value())
        .add("transient", session.transient)
        .add("lost", session.loss.messages)
        .add("lost_reason", static_cast<int>(session.loss.reason));
    std::vector<Fields> unfinished;
    for (const Unfinished& item : session.unfinished) {
        unfinished.emplace_back()
            .add("seq", item.seq.value())
            .add("id", item.packet_id.value())
            .add("qos", static_cast<int>(item.qos))
            .add("phase", static_cast<int>(item.phase))
            .add("retain", item.retain);
    }
    std::vector<Fields> inbound;
    for (const PacketId id : session.inbound) inbound.emplace_back().add("id", id.value());
    std::vector<Fields> subscriptions;
    for (const StoredSubscription& subscription : session.subscriptions) {
        Fields& item = subscriptions.emplace_back();
        item.add("filter", subscription.filter)
            .add("options", std::to_integer<int>(subscription.options.to_byte()))
            .add("identifier", subscription.subscription_identifier)
            .add("since", subscription.since.value());
        if (subscription.replay_next) {
            item.add("replay_next", *subscription.replay_next)
                .add("replay_until", subscription.replay_until.value());
        }
        std::vector<Fields> kept;
        for (const KeptSpan& span : subscription.kept.all()) {
            if (span.until <= session.sent_through) continue;
            kept.emplace_back()
                .add("since", span.since.value())
                .add("until", span.until.value())
                .add("qos", static_cast<int>(span.qos));
        }
        if (!kept.empty()) item.add("kept", kept);
    }
    if (!unfinished.empty()) fields.add("unfinished", unfinished);
    if (!inbound.empty()) fields.add("inbound", inbound);
    if (!subscriptions.empty()) fields.add("subscriptions", subscriptions);
    if (session.will) {
        fields.add("will", session.will->message->topic())
            .add("will_delay_seconds", session.will->delay_seconds);
    }
    return fields.text();
}

}  // namespace stentor::store
