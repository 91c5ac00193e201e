#pragma once
// Clients, subscriptions and retained values as the API shows them (docs/http.md).
// Pure. Any thread.

#include "base/clock.hpp"
#include "server/shard/inquiry.hpp"

#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace stentor::admin {

/// What points in time are turned into text by: the store's clock and the time of day at one
/// moment.
struct TimeScale {
    Instant store_now;
    std::int64_t unix_ms_now = 0;

    /// "2026-11-23T18:00:00Z".
    [[nodiscard]] std::string text(Instant at) const;
};

/// Whether a client gets what is published while it is away, and if not why.
struct OfflineVerdict {
    bool gets = false;
    std::string why = {};  // empty if it does
};
[[nodiscard]] OfflineVerdict offline_verdict(const server::ClientDetails& client);

[[nodiscard]] boost::json::object to_json(const server::ClientSummary& client,
                                          const TimeScale& scale,
                                          std::span<const std::string> listeners);
[[nodiscard]] boost::json::object to_json(const server::ClientDetails& client,
                                          const TimeScale& scale,
                                          std::span<const std::string> listeners);

[[nodiscard]] boost::json::object to_json(const server::ListedSubscription& subscription);

/// A payload that is longer is not shown, and `payload` is null.
inline constexpr std::size_t kPayloadShownMax = std::size_t{1} << 20U;
[[nodiscard]] boost::json::object to_json(const server::RetainedValue& value,
                                          const TimeScale& scale);

}  // namespace stentor::admin
