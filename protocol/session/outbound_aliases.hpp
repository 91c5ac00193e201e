#pragma once
// Topic aliases towards one client: the first topics sent get them, for the life of the connection,
// and up to kAliasTopicBytesMax of them.
// Internal to the session.
// Pure. Used on its session's shard.

#include "protocol/message.hpp"
#include "protocol/session/session.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace stentor::mqtt {

class Session::Aliases {
  public:
    struct Choice {
        std::uint16_t alias = 0;  // 0: send the topic without one
        bool known = false;       // the client has the topic already: it may be left out
    };

    explicit Aliases(std::uint16_t aliases_max) noexcept : aliases_max_{aliases_max} {}

    /// Changes nothing: the alias is the topic's only once the packet has really been written.
    [[nodiscard]] Choice choose(const Message& message) const noexcept {
        if (const auto at = aliases_.find(message.topic_hash()); at != aliases_.end()) {
            // Two topics of one hash: the later one goes without.
            if (at->second.topic != message.topic()) return {};
            return {.alias = at->second.alias, .known = true};
        }
        if (aliases_.size() >= aliases_max_) return {};
        if (bytes_ + message.topic().size() > kAliasTopicBytesMax) return {};
        return {.alias = static_cast<std::uint16_t>(aliases_.size() + 1), .known = false};
    }

    /// The packet with the choice's alias and the full topic has been written.
    void establish(const Message& message, std::uint16_t alias) {
        bytes_ += message.topic().size();
        aliases_.emplace(message.topic_hash(), Entry{std::string{message.topic()}, alias});
    }

    [[nodiscard]] std::size_t memory_bytes() const noexcept {
        return sizeof(Aliases) + bytes_ +
               aliases_.bucket_count() * sizeof(std::pair<std::uint64_t, Entry>);
    }

  private:
    struct Entry {
        std::string topic;
        std::uint16_t alias = 0;
    };
    boost::unordered_flat_map<std::uint64_t, Entry> aliases_;
    std::size_t bytes_ = 0;
    std::uint16_t aliases_max_;
};

}  // namespace stentor::mqtt
