#pragma once
// The retained replays that an attached session still has to make, in the order of their
// subscriptions (rule 9). One SUBSCRIBE may ask for ten thousand: everything here takes constant
// time. Empty, it owns no memory, whatever it has held. One thread: the shard's.

#include "base/ids.hpp"
#include "server/core/retained_store.hpp"

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::server {

/// Retained values on their way to a new subscription, from all shards, in topic order.
struct RetainedReplay {
    std::string text;    // the subscription
    std::string filter;  // without $share
    Seq until;
    // Not kNoSeq: it was interrupted, and goes on at this position. What came in between and goes
    // out with QoS 0 is not in the log's pages, so it is replayed as well.
    Seq resumed_at;
    std::uint64_t cookie = 0;  // of this replay alone
    struct Source {
        ShardId shard;
        RetainedCursor cursor;
        std::deque<RetainedValue> values = {};  // fetched and not yet sent
        bool asked = false;
        std::vector<std::string> superseded = {};  // live while a page was on its way
    };
    std::vector<Source> sources;
    std::string next_topic;   // everything before it has been sent
    bool progressed = false;  // next_topic has moved since the last commit
};

/// At most one for a subscription, so no more than limits.subscriptions_per_session_max. Only the
/// first is under way: the others have asked for nothing and have no values.
class RetainedReplays {
  public:
    using List = std::list<RetainedReplay>;

    [[nodiscard]] bool empty() const noexcept { return some_ == nullptr; }
    [[nodiscard]] RetainedReplay& front() noexcept { return some_->list.front(); }
    [[nodiscard]] const RetainedReplay& front() const noexcept { return some_->list.front(); }
    /// The one of that cookie if it is the first; null otherwise.
    [[nodiscard]] RetainedReplay* under_way(std::uint64_t cookie) noexcept {
        return !empty() && front().cookie == cookie ? &front() : nullptr;
    }

    /// To the end; takes the place of an earlier one of the same subscription.
    void add(RetainedReplay replay);
    /// Of the subscription `text`; false if there is none.
    bool drop(std::string_view text);
    void pop_front();

  private:
    struct Some {
        List list;
        std::unordered_map<std::string_view, List::iterator> by_text;  // keys: the entries' texts
    };

    void erase(List::iterator replay);

    std::unique_ptr<Some> some_;  // null: none
};

}  // namespace stentor::server
