#pragma once
// The shared subscriptions at home on one shard: who is a member, whose turn it is, and what waits
// until a member has room (MQTT 5.0 4.8.2).
// One thread: the shard's. Members are sessions of any shard, named by SharedMember; what is here
// is in memory only: positions of groups in the log are a later step (docs/limits.md).

#include "base/ids.hpp"
#include "protocol/message.hpp"
#include "server/shard/shard_message.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stentor::server {

class SharedGroups {
  public:
    struct Member {
        SharedMember who;
        ShareTerms terms;
        std::uint32_t given = 0;  // messages published with QoS 1/2 it has not done with
        bool away = false;

        [[nodiscard]] bool has_room() const noexcept { return !away && given < terms.window; }
    };
    struct Waiting {
        MessagePtr message;
        Seq seq;
    };
    /// In which messages of a group wait: what is set aside, and all else.
    enum class Line : std::uint8_t { set_aside, usual };
    struct Group {
        std::uint64_t key = 0;
        std::string filter;
        std::uint32_t slot = 0;
        std::size_t next = 0;  // round robin
        std::vector<Member> members;
        /// QoS 1/2, until somebody has room; changed by append(), take_first() and put_back(), as
        /// are the next two.
        /// Whoever appends bounds it (ShardOptions); put_back() may exceed that by what members
        /// had, at most their windows. In the order in which they came, which is Seq order for
        /// those that are logged.
        std::deque<Waiting> waiting;
        /// What members gave back: older than all of that, so first; unlogged ones before the rest.
        std::map<std::pair<Seq, std::uint64_t>, MessagePtr> returned;
        /// What was first in turn and is too large for whoever had room then, while a connected
        /// member can take it: what came after it does not wait for that member.
        std::map<std::pair<Seq, std::uint64_t>, MessagePtr> set_aside;
        std::uint64_t keys = 0;         // the second part of keys: as they came
        std::size_t waiting_bytes = 0;  // a message that many groups wait for counts for each

        [[nodiscard]] bool has_first(Line line) const noexcept {
            if (line == Line::set_aside) return !set_aside.empty();
            return !returned.empty() || !waiting.empty();
        }
        [[nodiscard]] std::size_t waiting_messages() const noexcept {
            return returned.size() + set_aside.size() + waiting.size();
        }
        /// What take_first() would take. There must be something.
        [[nodiscard]] const mqtt::Message& first(Line line) const noexcept {
            if (line == Line::set_aside) return *set_aside.begin()->second;
            return *(returned.empty() ? waiting.front().message : returned.begin()->second);
        }
        /// The lowest position among what waits; nothing: all of that is unlogged.
        [[nodiscard]] std::optional<Seq> lowest() const;
    };

    struct Joined {
        Group* group;
        bool is_new;  // the group did not exist: index its filter
    };
    Joined join(const SharedJoin& join);

    /// The group if it has lost its last member, connected or away: the caller removes it from the
    /// index and then calls erase(). Null otherwise. A leave of an earlier attachment is ignored.
    [[nodiscard]] Group* leave(const SharedLeave& leave);
    void erase(Group& group);

    /// Null if there is none (any more).
    [[nodiscard]] Group* find(std::uint64_t key) noexcept;
    [[nodiscard]] Group* at(std::uint32_t slot) noexcept {
        return slot < slots_.size() ? slots_[slot].get() : nullptr;
    }
    [[nodiscard]] std::size_t slots() const noexcept { return slots_.size(); }

    /// A member has done with messages, and has room for as many. The group, if it is there.
    Group* done(const SharedDone::Item& item) noexcept;

    struct Choice {
        enum class Why : std::uint8_t {
            found,
            nobody_there,  // with room, whatever the message
            others_only,   // those with room cannot take it, but one that is connected could
            too_large,     // nobody who is connected can take it (MQTT 5.0 3.1.2.11.4)
        };
        Why why = Why::nobody_there;
        Member* member = nullptr;  // if found; lives until the next join or leave
    };
    /// Whose turn it is among those that have room and can take the message.
    [[nodiscard]] static Choice pick(Group& group, const mqtt::Message& message) noexcept;
    /// The same for a message that nobody acknowledges: every connected member has room.
    [[nodiscard]] static Choice pick_connected(Group& group, const mqtt::Message& message) noexcept;
    /// Whether a client with these terms can be sent the message [MQTT-3.1.2-24].
    [[nodiscard]] static bool fits(const ShareTerms& terms, const mqtt::Message& message) noexcept;

    void append(Group& group, Waiting message);
    /// There must be one.
    Waiting take_first(Group& group, Line line) noexcept;
    /// Moves the first of the usual line, which there must be, to the other.
    void set_first_aside(Group& group);
    /// Puts back what a member could not do, before what is younger. Never refused; a pool of
    /// workers that vanishes gives back all it had.
    void put_back(Group& group, Waiting message);

    [[nodiscard]] std::size_t size() const noexcept { return by_key_.size(); }
    /// Of all groups.
    [[nodiscard]] std::size_t waiting_bytes() const noexcept { return waiting_bytes_; }

  private:
    [[nodiscard]] static Member* find_member(Group& group, const SharedMember& who) noexcept;

    std::vector<std::unique_ptr<Group>> slots_;
    std::vector<std::uint32_t> free_;
    boost::unordered_flat_map<std::uint64_t, std::uint32_t> by_key_;
    std::size_t waiting_bytes_ = 0;
};

}  // namespace stentor::server
