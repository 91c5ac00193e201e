#pragma once
// The log of the memory engines: the messages that durable sessions wait for, by position and by
// topic, and the state that all records so far amount to.
//
// A value without a thread: the memory engine owns one on its writer thread, the simulated engine
// one per incarnation. Copying copies pointers to messages, not their bytes.

#include "base/ids.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/record.hpp"
#include "persistence/state/stored_state.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace stentor::store {

struct MemoryLogOptions {
    std::uint16_t shards = 1;                              // that report needed_from()
    std::size_t bytes_max = std::size_t{1} << 30U;         // of messages: waiting, retained, pinned
    std::size_t scanned_per_page_max = std::size_t{4096};  // messages a scan looks at for one page
    std::size_t survey_messages_min = std::size_t{4096};   // fewer are not worth surveys of needs
};

/// Collects batches into the commit after position `last` at the clock `at`, or later if a batch
/// says so.
class GroupBuilder {
  public:
    GroupBuilder(Seq last, Instant at);

    /// Takes the records, at least one; the batch keeps its shard and ticket.
    void add(WriteBatch& batch);
    [[nodiscard]] bool is_empty() const noexcept { return group_->records.empty(); }
    /// The group of what was added, which must not be empty. The builder is used up.
    [[nodiscard]] CommitGroupPtr take() noexcept;

  private:
    IntrusivePtr<CommitGroup> group_;
};

/// What of the batch's messages a log would keep.
[[nodiscard]] std::size_t kept_bytes(const WriteBatch& batch) noexcept;

class MemoryLog {
  public:
    explicit MemoryLog(const MemoryLogOptions& options);

    /// The newest position; kNoSeq before the first group.
    [[nodiscard]] Seq last() const noexcept { return last_; }
    /// The clock of the newest group.
    [[nodiscard]] Instant at() const noexcept { return at_; }
    [[nodiscard]] const StoredState& state() const noexcept { return state_; }
    /// What the messages cost: those in the log and those the state holds.
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_ + state_.message_bytes(); }
    [[nodiscard]] std::size_t messages() const noexcept { return entries_.size(); }

    /// Whether so many bytes of messages may be added; none always may.
    [[nodiscard]] bool has_room_for(std::size_t kept_bytes) const noexcept;
    [[nodiscard]] Room room() const noexcept;

    /// Takes a committed group; it must begin behind last().
    void append(const CommitGroup& group);

    /// Positions up to `seq` will not be used: the next group begins behind it.
    void jump_to(Seq seq) noexcept;

    /// Answers with what lies at or below `limit` (what readers were told is committed).
    [[nodiscard]] Page read(const ReadRequest& request, Seq limit) const;

    /// See StorageEngine::needed_from(); takes effect in trim().
    void needed_from(ShardId shard, Seq seq) noexcept;
    /// See StorageEngine: by size only, a tenth before the bound.
    [[nodiscard]] GiveWay give_way() const noexcept;
    /// See StorageEngine; takes effect in trim() once all shards have given one.
    [[nodiscard]] bool wants_survey(ShardId shard) const noexcept;
    void survey(ShardId shard, NeedSurvey survey);
    /// Asks all shards anew: until each has called needed_from() again, nothing is forgotten.
    void forget_needs() noexcept;

    enum class Trimmed : std::uint8_t { all, more_to_do };
    /// Forgets what no shard needs, at most `messages_max` at a time; by surveys, all at once.
    Trimmed trim(std::size_t messages_max);

  private:
    struct Entry {
        Seq seq;
        MessagePtr message;
    };
    class PageBuilder;

    void read_only(const ReadRequest& request, Seq limit, PageBuilder& page) const;
    void read_exact(const ReadRequest& request, Seq limit, PageBuilder& page) const;
    void scan(const ReadRequest& request, Seq limit, PageBuilder& page) const;
    [[nodiscard]] std::deque<Entry>::const_iterator first_after(Seq seq) const;
    [[nodiscard]] std::size_t count_after(Seq seq) const;
    [[nodiscard]] MessagePtr message_at(Seq seq) const;
    void forget(const Entry& entry);
    void trim_by_surveys();

    MemoryLogOptions options_;
    Seq last_ = kNoSeq;
    Instant at_;
    std::deque<Entry> entries_;  // ascending
    std::unordered_map<std::string, std::deque<Seq>> by_topic_;
    std::size_t bytes_ = 0;  // of entries_
    StoredState state_;
    std::vector<std::optional<Seq>> needed_;  // by shard, like the next
    std::vector<std::optional<NeedSurvey>> surveys_;
    std::size_t surveyed_ = 0;  // messages that the last surveys left
};

}  // namespace stentor::store
