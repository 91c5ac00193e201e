#pragma once
// The part of a Session that exists while the client has PUBLISH packets unfinished or has set
// topic aliases. Internal to the session. Pure values, used on the session's shard.
// Bounds, kept by the session: `waiting` by receive_maximum (5.0: the client is
// disconnected, 3.1.1: reading pauses); `ids` by the 65,535 identifiers; aliases by
// topic_aliases_max and kAliasTopicBytesMax (5.0: the client is disconnected).

#include "base/ids.hpp"
#include "protocol/session/inbound_ids.hpp"
#include "protocol/session/ring.hpp"
#include "protocol/session/session.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::mqtt {

/// A QoS 1/2 PUBLISH that waits: for its commit, or behind one that does (rule 8).
struct Session::IngressEntry {
    MessagePtr message;  // only if it is to be released
    std::uint64_t destinations = 0;
    std::uint64_t ticket = 0;
    PacketId packet_id;
    QoS qos = QoS::at_least_once;
    ReasonCode reason = ReasonCode::success;
    bool awaits_commit = false;
};

struct Session::Inbound {
    Ring<IngressEntry> waiting;  // in arrival order
    InboundIds ids;              // of QoS 2, those in `waiting` included
    std::vector<std::string> topic_of_alias;
    std::size_t alias_topic_bytes = 0;
    std::size_t qos1_waiting = 0;

    /// False if that would be too much for all aliases together: one of any length always fits.
    [[nodiscard]] bool set_alias(std::string& known, std::string_view topic) {
        if (known == topic) return true;
        const std::size_t bytes = alias_topic_bytes - known.size() + topic.size();
        if (bytes > kAliasTopicBytesMax) return false;
        alias_topic_bytes = bytes;
        std::string{topic}.swap(known);  // nothing of a longer one before it is kept
        return true;
    }

    /// What counts against our Receive Maximum: it begins anew with each connection (5.0, 4.9).
    [[nodiscard]] std::size_t unfinished() const noexcept {
        return qos1_waiting + ids.of_this_connection();
    }
};

}  // namespace stentor::mqtt
