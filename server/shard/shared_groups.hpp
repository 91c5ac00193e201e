#pragma once
// The shared subscriptions at home on one shard: who is a member, whose turn it is, and what waits
// while nobody is there (MQTT 5.0 4.8.2).
// One thread: the shard's. Members are sessions of any shard, named by SharedMember; what is here
// is in memory only: positions of groups in the log are a later step (docs/limits.md).

#include "base/ids.hpp"
#include "protocol/codec/types.hpp"
#include "protocol/message.hpp"
#include "server/shard/shard_message.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::server {

class SharedGroups {
  public:
    struct Member {
        SharedMember who;
        mqtt::SubscriptionOptions options;
        std::uint32_t subscription_identifier = 0;
        bool away = false;
    };
    struct Waiting {
        MessagePtr message;
        Seq seq;
    };
    struct Group {
        std::string share_name;
        std::string filter;
        std::uint32_t slot = 0;
        std::size_t next = 0;  // round robin
        std::vector<Member> members;
        std::deque<Waiting> waiting;  // nobody was there to take it
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

    [[nodiscard]] Group* at(std::uint32_t slot) noexcept {
        return slot < slots_.size() ? slots_[slot].get() : nullptr;
    }

    /// Whose turn it is; null while no member is connected. Lives until the next join or leave.
    [[nodiscard]] const Member* pick(Group& group) noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return by_name_.size(); }

  private:
    using Key = std::pair<std::string, std::string>;
    std::vector<std::unique_ptr<Group>> slots_;
    std::vector<std::uint32_t> free_;
    std::map<Key, std::uint32_t> by_name_;
};

}  // namespace stentor::server
