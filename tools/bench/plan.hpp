#pragma once
// Who publishes on which topic, and who listens to it: the shape of a workload.
// Pure. Any thread.
//
// A *flow* is one publisher's messages on one topic; its order is what MQTT promises. There are
// max(publishers, topics) of them: flow f is publisher f % publishers on topic f % topics. So many
// publishers share one topic, one publisher serves many, or each has its own.
// Clients are numbered publishers first, then subscribers.

#include "protocol/codec/types.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace stentor::bench {

enum class Listening : std::uint8_t {
    nothing,
    own,  // subscriber n to topic n
    all,  // every subscriber to every topic
};

struct Plan {
    std::string run;  // part of client identifiers and topics
    std::uint32_t publishers = 0;
    std::uint32_t subscribers = 0;
    std::uint32_t topics = 1;
    Listening listening = Listening::all;
    std::uint32_t filters_per_client = 0;  // more of them, that match nothing
    mqtt::QoS qos = mqtt::QoS::at_most_once;

    [[nodiscard]] std::uint32_t clients() const noexcept { return publishers + subscribers; }
    [[nodiscard]] bool is_publisher(std::uint32_t client) const noexcept {
        return client < publishers;
    }
    [[nodiscard]] std::uint32_t flows() const noexcept {
        return publishers == 0 ? 0 : std::max(publishers, topics);
    }
    [[nodiscard]] std::uint32_t publisher_of(std::uint32_t flow) const noexcept {
        return flow < publishers ? flow : flow % std::max(publishers, 1U);
    }
    [[nodiscard]] std::uint32_t topic_of(std::uint32_t flow) const noexcept {
        return flow < topics ? flow : flow % std::max(topics, 1U);
    }
    /// How many subscribers get a message, while all are there.
    [[nodiscard]] std::uint32_t fan() const noexcept {
        if (listening == Listening::nothing) return 0;
        return listening == Listening::all ? subscribers : std::min(subscribers, 1U);
    }

    [[nodiscard]] std::string client_id(std::uint32_t client) const;
    /// All topics have the same length.
    [[nodiscard]] std::string topic(std::uint32_t topic) const;
    [[nodiscard]] std::vector<std::string> filters(std::uint32_t client) const;
};

/// The number that stamps carry for `run`; never 0.
[[nodiscard]] std::uint32_t run_number(const std::string& run) noexcept;

}  // namespace stentor::bench
