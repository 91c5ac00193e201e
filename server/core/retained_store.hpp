#pragma once
// The retained messages of one shard's part of the topics, in the order of their levels.
// One thread: the shard's. Holds counted references; a payload exists once, wherever it is used.

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/intrusive.hpp"
#include "protocol/message.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {

using MessagePtr = IntrusivePtr<const mqtt::Message>;

struct RetainedLimits {
    std::size_t messages_max = 1'000'000;
    std::size_t bytes_max = SIZE_MAX;  // topics and payloads as RetainedStore::bytes() counts them
};

struct RetainedValue {
    MessagePtr message;  // not null
    Seq seq;
};

/// Where a paged query goes on. The default one begins at the start; a stored one stays good
/// whatever is set or cleared in between, also in another run of the program.
struct RetainedCursor {
    std::string next_topic;  // everything before it has been seen
    bool done = false;
};

struct RetainedPageLimits {
    std::size_t values_max = 100;
    std::size_t steps_max = 1000;  // topics looked at, matching or not: bounds a page's time
};

class RetainedStore {
  public:
    enum class Stored : std::uint8_t {
        added,
        replaced,
        cleared,           // the payload was empty and there was a value [MQTT-3.3.1-6]
        nothing_to_clear,  // ... and there was none [MQTT-3.3.1-7]
        stale,             // the topic has seen a newer Seq; nothing has changed
        refused,           // a limit; the topic has no value now, the caller counts and tells
    };

    explicit RetainedStore(RetainedLimits limits = {});
    ~RetainedStore();
    RetainedStore(RetainedStore&&) noexcept;
    RetainedStore& operator=(RetainedStore&&) noexcept;
    RetainedStore(const RetainedStore&) = delete;
    RetainedStore& operator=(const RetainedStore&) = delete;

    /// Makes `value` the one of its message's topic, or clears that topic if the payload is empty,
    /// unless the topic has already seen this Seq or a newer one. Refused is only what would go
    /// past a limit: a clear never is, nor a replacement that is no larger. Constant time where the
    /// topic has a value before and after, otherwise O(log n).
    Stored store(RetainedValue value);

    /// Adds a topic's value of an earlier run, whatever the limits say: what is on disk stays, also
    /// when the limit, or this shard's share of it, has become smaller. Only new topics are
    /// refused.
    void restore(RetainedValue value);

    /// Promises that no store() with a Seq at or below `seq` follows: what was remembered to
    /// recognise late ones after a clear is forgotten. Call it once per commit group.
    void applied_through(Seq seq);

    /// The unexpired value of exactly that topic, or null. Lives until the next non-const call.
    [[nodiscard]] const RetainedValue* find(std::string_view topic, Instant now) const;

    /// Appends to `out` the next values whose topics match the valid `filter` (without
    /// "$share/{name}/"), whose Seq is at most `through` and that have not expired, in topic order,
    /// and moves the cursor behind them. A page may be empty; it always advances. Every topic
    /// that has a fitting value during the whole query is seen once. Topics that cannot match are
    /// skipped in ranges: the cost follows the filter's literal levels, not the size of the store.
    void match(std::string_view filter,
               Seq through,
               Instant now,
               RetainedPageLimits limits,
               RetainedCursor& cursor,
               std::vector<RetainedValue>& out) const;

    /// Looks at up to `steps_max` topics from where the last call ended and drops the expired ones.
    /// Returns those.
    [[nodiscard]] std::vector<RetainedValue> sweep(Instant now, std::size_t steps_max);

    /// Keeps `message` readable by `seq` whatever happens to its topic, until as many unpin().
    /// An unfinished delivery pins what it refers to; recovery pins anew.
    void pin(Seq seq, MessagePtr message);
    void unpin(Seq seq);  // must be pinned (asserted)
    /// The pinned message, or null. Expiry does not apply.
    [[nodiscard]] const mqtt::Message* find_pinned(Seq seq) const;

    [[nodiscard]] std::size_t size() const noexcept;
    /// Topics and payloads of the current values, with what the store itself needs for each.
    [[nodiscard]] std::size_t bytes() const noexcept;
    [[nodiscard]] std::size_t pinned() const noexcept;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace stentor::server
