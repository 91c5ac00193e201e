#pragma once
// $SYS/broker/...: what the broker says about itself over MQTT, named as Mosquitto names it, and
// $SYS/broker/dropped/<reason>.
// Pure: figures and times in, topics and texts out. One thread; it remembers the last round, for
// what has changed and for averages.

#include "base/clock.hpp"
#include "server/admin/metrics_page.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::admin {

class SysTopics {
  public:
    struct Value {
        std::string topic;
        std::string text;
    };

    /// What has another value than in the round before; all of it in the first round, and in the
    /// first after forget().
    [[nodiscard]] std::vector<Value> round(const MetricsInput& input,
                                           Instant now,
                                           std::uint64_t uptime_seconds);
    /// Nobody has the values of earlier rounds any more.
    void forget() { last_.clear(); }

  private:
    /// Exponentially weighted averages per minute over 1, 5 and 15 minutes.
    struct Load {
        std::uint64_t last = 0;
        std::array<double, 3> per_minute{};
    };

    void say(std::string_view name, std::string text);
    void say(std::string_view name, std::uint64_t value);
    void say_load(std::string_view name, std::size_t which, std::uint64_t total, Duration since);

    std::unordered_map<std::string, std::string> last_;
    std::vector<Value> changed_;
    std::array<Load, 8> loads_{};
    Instant at_ = Instant::min();
    std::uint64_t clients_max_ = 0;
};

}  // namespace stentor::admin
