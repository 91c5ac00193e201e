#pragma once
// What a session's subscriptions will be once the SUBSCRIBE and UNSUBSCRIBE packets that are on
// their way to the log have got there. A packet is judged against that: what the client sent before
// it has happened, whether or not it has been committed ([MQTT-4.6.0-6] speaks of PUBLISH; clients
// that send one SUBSCRIBE behind the other expect it here as well).
// Owned by an attachment while anything is on its way; one thread: the shard's. Bounded by what may
// wait for commits (docs/limits.md).

#include "protocol/codec/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace stentor::server {

class SubscriptionForecast {
  public:
    using Granted = std::optional<mqtt::QoS>;  // none: no such subscription

    /// A change of `filter` is on its way, behind which it is `after`. `now`: what it is at this
    /// moment, in the session.
    void begin(const std::string& filter, Granted now, Granted after) {
        const auto [at, is_new] = filters_.try_emplace(filter);
        Filter& changed = at->second;
        if (is_new) {
            changed.after = now;
            changed.now = now.has_value();
        }
        surplus_ += number(after, filter) - number(changed.after, filter);
        changed.after = after;
        ++changed.on_their_way;
    }

    /// One of these changes has happened or failed; the session now has the subscription or not.
    void end(const std::string& filter, bool has_it) {
        const auto at = filters_.find(filter);
        if (at == filters_.end()) return;
        Filter& changed = at->second;
        const Granted there = has_it ? Granted{mqtt::QoS::at_most_once} : std::nullopt;
        const Granted before = changed.now ? Granted{mqtt::QoS::at_most_once} : std::nullopt;
        surplus_ -= number(there, filter) - number(before, filter);
        changed.now = has_it;
        if (--changed.on_their_way != 0) return;
        surplus_ -= number(changed.after, filter) - number(there, filter);  // 0 unless one failed
        filters_.erase(at);
    }

    /// What `filter` will be; nullptr: as it is in the session.
    [[nodiscard]] const Granted* find(const std::string& filter) const {
        const auto at = filters_.find(filter);
        return at == filters_.end() ? nullptr : &at->second.after;
    }

    /// What a subscription counts for: a long one takes as much memory as several.
    [[nodiscard]] static std::size_t weight(std::string_view filter) noexcept {
        constexpr std::size_t kBytesOfOne = 1024;
        return 1 + filter.size() / kBytesOfOne;
    }

    /// How many subscriptions there will be, by weight, if there are `now` in the session.
    [[nodiscard]] std::size_t count(std::size_t now) const noexcept {
        return static_cast<std::size_t>(static_cast<std::ptrdiff_t>(now) + surplus_);
    }

    [[nodiscard]] bool empty() const noexcept { return filters_.empty(); }

  private:
    struct Filter {
        Granted after;
        std::uint32_t on_their_way = 0;
        bool now = false;
    };
    static std::ptrdiff_t number(const Granted& granted, std::string_view filter) noexcept {
        return granted ? static_cast<std::ptrdiff_t>(weight(filter)) : 0;
    }

    std::unordered_map<std::string, Filter> filters_;
    std::ptrdiff_t surplus_ = 0;  // subscriptions there will be and are not, less the opposite
};

}  // namespace stentor::server
