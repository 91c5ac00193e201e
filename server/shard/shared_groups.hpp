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
        std::uint32_t window = 0;
        std::uint32_t given = 0;  // messages published with QoS 1/2 it has not done with
        bool away = false;

        [[nodiscard]] bool has_room() const noexcept { return !away && given < window; }
    };
    struct Waiting {
        MessagePtr message;
        Seq seq;
    };
    struct Group {
        std::uint64_t key = 0;
        std::string filter;
        std::uint32_t slot = 0;
        std::size_t next = 0;  // round robin
        std::vector<Member> members;
        /// QoS 1/2, until somebody has room; changed by append(), take_first() and put_back().
        /// Whoever appends bounds it (ShardOptions); put_back() may exceed that by what members
        /// had, at most their windows. In the order in which they came, which is Seq order for
        /// those that are logged.
        std::deque<Waiting> waiting;
        /// What members gave back: older than all of that, so first; unlogged ones before the rest.
        std::map<std::pair<Seq, std::uint64_t>, MessagePtr> returned;
        std::uint64_t returns = 0;      // the second part of keys: as they came
        std::size_t waiting_bytes = 0;  // a message that many groups wait for counts for each

        [[nodiscard]] bool has_waiting() const noexcept {
            return !returned.empty() || !waiting.empty();
        }
        [[nodiscard]] std::size_t waiting_messages() const noexcept {
            return returned.size() + waiting.size();
        }
        /// What take_first() would take. There must be something.
        [[nodiscard]] const mqtt::Message& first() const noexcept {
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

    /// Whose turn it is among those that have room; null if nobody has. Lives until the next join
    /// or leave.
    [[nodiscard]] static Member* pick(Group& group) noexcept;
    /// The same for a message that nobody acknowledges: any connected member.
    [[nodiscard]] static Member* pick_connected(Group& group) noexcept;

    void append(Group& group, Waiting message);
    /// There must be one.
    Waiting take_first(Group& group) noexcept;
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
