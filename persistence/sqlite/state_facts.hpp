#pragma once
// What a StoredState says, as lines that tests compare and people read.
// Pure. Tests only.

#include "persistence/state/stored_state.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace stentor::store {

/// One line per session and retained value, sorted; messages by their names, pins as far as
/// unfinished deliveries name them.
[[nodiscard]] inline std::vector<std::string> facts(const StoredState& state) {
    std::vector<std::string> lines;
    const auto number = [](auto value) { return std::to_string(value) + ' '; };
    for (const auto& [client, s] : state.sessions()) {
        std::string line = client + ": ";
        line += number(static_cast<int>(s.version)) + number(s.expiry_seconds) +
                number(int{s.attached}) + number(s.detached_at.time_since_epoch().count()) +
                s.user + ' ' + number(s.sent_through.value()) + number(int{s.transient});
        for (const Unfinished& u : s.unfinished) {
            line += "u" + number(u.seq.value()) + number(u.packet_id.value()) +
                    number(static_cast<int>(u.qos)) + number(static_cast<int>(u.phase)) +
                    number(int{u.retain});
            const bool is_pinned = state.pinned().contains(u.seq);
            line += is_pinned ? "pinned " : "";
        }
        if (s.loss != SessionLoss{}) {
            line += "l" + number(s.loss.messages) + number(static_cast<int>(s.loss.reason));
        }
        for (const PacketId id : s.inbound) line += "i" + number(id.value());
        if (s.will) {
            line += "w" + number(s.will->delay_seconds) + std::string{s.will->message->topic()};
        }
        for (const StoredSubscription& f : s.subscriptions) {
            line += " f" + f.filter + ' ' + number(std::to_integer<int>(f.options.to_byte())) +
                    number(f.subscription_identifier) + number(f.since.value()) +
                    (f.replay_next ? "r'" + *f.replay_next + "' " : "") +
                    number(f.replay_until.value());
            for (const KeptSpan& kept : f.kept.all()) {
                if (kept.until <= s.sent_through) continue;  // forgotten at the next occasion
                line += "k" + number(kept.since.value()) + number(kept.until.value()) +
                        number(static_cast<int>(kept.qos));
            }
        }
        lines.push_back(line);
    }
    for (const auto& [topic, value] : state.retained()) {
        lines.push_back(topic + " = " + number(value.seq.value()) +
                        std::string{as_text(value.message->payload())});
    }
    std::sort(lines.begin(), lines.end());
    return lines;
}

}  // namespace stentor::store
