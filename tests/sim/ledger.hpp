#pragma once
// The entries of the oracle's ledger: what was published, and who asked for what.
// Values.
//
// Moments are numbers that rise with every entry ("ticks"), so that before and after are exact.

#include "base/clock.hpp"
#include "protocol/codec/packet.hpp"
#include "protocol/codec/types.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace stentor::sim {

using MessageId = std::uint64_t;
using Tick = std::uint64_t;
inline constexpr Tick kNoTick = UINT64_MAX;  // never, or not yet

/// Something a client published, or left as its will.
struct Published {
    MessageId id = 0;
    std::string publisher;
    std::string topic;
    std::string payload;  // empty: clears a retained value
    mqtt::QoS qos = mqtt::QoS::at_most_once;
    bool retain = false;
    bool is_will = false;
    std::optional<std::uint32_t> expiry_seconds;
    Tick sent = 0;
    Tick connection = 0;  // the publisher's
    Instant sent_at;
    unsigned sends = 1;
    Tick acked = kNoTick;  // the broker has taken it: PUBACK or PUBREC without a failure
    Instant acked_at = kNever;
    Tick settled = kNoTick;  // by then everything that it led to had happened
    bool refused = false;    // an acknowledgement with a failure, for all that was sent
    bool excused = false;    // a crash was allowed to take it
};

enum class WillFate : std::uint8_t { unknown, must_come, must_not_come };

/// What one SUBSCRIBE asked for.
struct Version {
    mqtt::SubscriptionOptions options;
    std::uint32_t identifier = 0;
    Tick requested = 0;
    Tick acked = kNoTick;
};

/// A subscription from the SUBSCRIBE that made it to its end, with all that changed its options.
struct Subscription {
    std::string text;
    std::string share;  // empty: not shared
    std::string filter;
    std::vector<Version> versions;
    std::set<Tick> unsubscribing;  // requests whose answer has not come, and may never
    Tick unsubscribed = kNoTick;
    Tick ended = kNoTick;
    bool may_continue = false;  // the UNSUBSCRIBE before it may never have arrived

    /// While it may still deliver what is published now.
    [[nodiscard]] bool alive() const noexcept {
        return unsubscribed == kNoTick && ended == kNoTick && !versions.empty();
    }
    [[nodiscard]] bool certain() const noexcept { return alive() && unsubscribing.empty(); }
    [[nodiscard]] Tick first_unsubscribing() const noexcept {
        return unsubscribing.empty() ? kNoTick : *unsubscribing.begin();
    }
};

/// Whether `client` is meant at all, as far as No Local goes.
[[nodiscard]] inline bool wants(const mqtt::SubscriptionOptions& options,
                                const std::string& client,
                                const Published& message) {
    return !options.no_local || message.publisher != client;
}

}  // namespace stentor::sim
