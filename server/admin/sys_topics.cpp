#include "server/admin/sys_topics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace stentor::admin {

namespace {

template <class Array>
std::uint64_t sum_of(const Array& counts) {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

}  // namespace

void SysTopics::say(std::string_view name, std::string text) {
    std::string topic = "$SYS/broker/";
    topic += name;
    std::string& last = last_[topic];
    if (last == text) return;
    last = text;
    changed_.push_back({std::move(topic), std::move(text)});
}

void SysTopics::say(std::string_view name, std::uint64_t value) {
    say(name, std::to_string(value));
}

void SysTopics::say_load(std::string_view name,
                         std::size_t which,
                         std::uint64_t total,
                         Duration since) {
    static constexpr std::array<double, 3> kMinutes{1, 5, 15};
    static constexpr std::array<std::string_view, 3> kNames{"1min", "5min", "15min"};
    Load& load = loads_[which];
    const double minutes = std::chrono::duration<double, std::ratio<60>>(since).count();
    const std::uint64_t more = total - std::min(total, std::exchange(load.last, total));
    for (std::size_t i = 0; i < kMinutes.size(); ++i) {
        if (minutes > 0) {
            const double rate = static_cast<double>(more) / minutes;
            load.per_minute[i] =
                rate + std::exp(-minutes / kMinutes[i]) * (load.per_minute[i] - rate);
        }
        say(fmt::format("load/{}/{}", name, kNames[i]), fmt::format("{:.2f}", load.per_minute[i]));
    }
}

std::vector<SysTopics::Value> SysTopics::round(const MetricsInput& input,
                                               Instant now,
                                               std::uint64_t uptime_seconds) {
    changed_.clear();
    const server::ShardSnapshot& all = input.figures.all;
    const server::Counters& counters = all.counters;
    const Duration since = at_ == Instant::min() ? Duration::zero() : now - at_;
    at_ = now;
    const std::uint64_t connected = all.sessions_connected;
    const std::uint64_t away = all.sessions_away;
    clients_max_ = std::max(clients_max_, connected + away);
    const std::uint64_t packets_in = sum_of(counters.packets_received);
    const std::uint64_t packets_out = sum_of(counters.packets_sent);
    const std::uint64_t messages_in = sum_of(counters.messages_received);
    const std::uint64_t messages_out = sum_of(counters.messages_sent);
    const std::uint64_t dropped = sum_of(counters.messages_dropped);
    say("version", "stentor version " + input.version);
    say("uptime", std::to_string(uptime_seconds) + " seconds");
    say("clients/total", connected + away);
    say("clients/connected", connected);
    say("clients/active", connected);
    say("clients/disconnected", away);
    say("clients/inactive", away);
    say("clients/maximum", clients_max_);
    say("messages/received", packets_in);
    say("messages/sent", packets_out);
    say("messages/inflight", all.inflight_messages);
    say("bytes/received", all.traffic.bytes_received);
    say("bytes/sent", all.traffic.bytes_sent);
    say("publish/messages/received", messages_in);
    say("publish/messages/sent", messages_out);
    say("publish/messages/dropped", dropped);
    say("publish/bytes/received", counters.publish_bytes_received);
    say("retained messages/count", all.retained_messages);
    say("subscriptions/count", all.subscriptions);
    say("shared_subscriptions/count", all.shared_groups);
    // Those for durable sessions, and the retained ones, as Mosquitto has it.
    say("store/messages/count", all.log_messages + all.retained_messages);
    say("messages/stored", all.log_messages + all.retained_messages);
    say("store/messages/bytes", input.log_bytes);
    for (std::size_t i = 0; i < server::Counters::kDropReasons; ++i) {
        const std::string_view reason = server::name(static_cast<mqtt::DropReason>(i));
        say(fmt::format("dropped/{}", reason), counters.messages_dropped[i]);
    }
    say_load("messages/received", 0, packets_in, since);
    say_load("messages/sent", 1, packets_out, since);
    say_load("publish/received", 2, messages_in, since);
    say_load("publish/sent", 3, messages_out, since);
    say_load("publish/dropped", 4, dropped, since);
    say_load("bytes/received", 5, all.traffic.bytes_received, since);
    say_load("bytes/sent", 6, all.traffic.bytes_sent, since);
    say_load("sockets", 7, counters.connections_opened, since);
    return std::exchange(changed_, {});
}

}  // namespace stentor::admin
