#pragma once
// The sink of the engines' tests: writes down all that an engine reports and complains about what
// the contract forbids. Any thread.

#include "base/assert.hpp"
#include "persistence/contract/engine.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {

class RecordingSink final : public CommitSink {
  public:
    explicit RecordingSink(Seq recovered) : last_{recovered} {}

    void group_committed(CommitGroupPtr group) override {
        std::unique_lock lock{mutex_};
        idle_.wait(lock, [this] { return !held_; });
        if (group->records.empty()) complain("an empty group");
        if (group->first != next(last_)) complain("positions with a gap or twice");
        if (group->at < at_) complain("a clock that goes back");
        std::uint32_t covered = 0;
        for (const CommitSlice& slice : group->slices) {
            if (slice.begin != covered || slice.count == 0) complain("slices with a gap");
            covered += slice.count;
            auto& positions = positions_[{slice.shard, slice.ticket}];
            if (!positions.empty()) complain("a batch committed twice");
            for (std::uint32_t i = 0; i < slice.count; ++i) {
                positions.push_back(Seq{group->first.value() + slice.begin + i});
            }
        }
        if (covered != group->records.size()) complain("slices that do not cover the group");
        last_ = group->last();
        at_ = group->at;
        groups_.push_back(std::move(group));
        changed_.notify_all();
    }

    void ticket_done(ShardId shard, CommitTicket ticket, Result<void> result) override {
        std::unique_lock lock{mutex_};
        idle_.wait(lock, [this] { return !held_; });
        if (results_.contains({shard, ticket})) complain("a ticket answered twice");
        if (ticket != ++last_ticket_[shard]) complain("a ticket out of order");
        if (result.has_value() != positions_.contains({shard, ticket})) {
            complain("a ticket before its group, or a failed one with a group");
        }
        results_.emplace(std::pair{shard, ticket}, result);
        changed_.notify_all();
    }

    void page_read(ShardId shard, Page page) override {
        std::unique_lock lock{mutex_};
        idle_.wait(lock, [this] { return !held_; });
        if (page.complete_through > last_) complain("a page ahead of the commit stream");
        if (page.cookie != 0 && page.cookie <= last_cookie_[shard]) complain("a page out of order");
        last_cookie_[shard] = page.cookie;
        ++pages_;
        answers_[page.cookie] = std::move(page);
        changed_.notify_all();
    }

    void store_failed() override {
        const std::lock_guard lock{mutex_};
        if (has_failed_) complain("a store that fails twice");
        has_failed_ = true;
        changed_.notify_all();
    }

    /// While held, no call of the engine returns.
    void hold() {
        const std::lock_guard lock{mutex_};
        held_ = true;
    }
    void let_go() {
        const std::lock_guard lock{mutex_};
        held_ = false;
        idle_.notify_all();
    }

    /// Until something is reported, at most so long; `condition` runs without the sink's lock.
    bool wait(const std::function<bool()>& condition, std::chrono::seconds at_most) {
        const auto version = [this] { return groups_.size() + results_.size() + pages_; };
        for (auto left = std::chrono::milliseconds{at_most}; left.count() > 0;) {
            std::size_t seen = 0;
            {
                const std::lock_guard lock{mutex_};
                seen = version();
            }
            if (condition()) return true;
            // Not all that a condition looks at is reported (room for a batch): look again soon.
            constexpr std::chrono::milliseconds kPatience{5};
            std::unique_lock lock{mutex_};
            if (!changed_.wait_for(lock, kPatience, [&] { return version() != seen; })) {
                left -= kPatience;
            }
        }
        return condition();
    }

    [[nodiscard]] Seq last() const {
        const std::lock_guard lock{mutex_};
        return last_;
    }
    [[nodiscard]] Instant clock() const {
        const std::lock_guard lock{mutex_};
        return at_;
    }
    [[nodiscard]] bool has_failed() const {
        const std::lock_guard lock{mutex_};
        return has_failed_;
    }
    [[nodiscard]] std::size_t tickets_done() const {
        const std::lock_guard lock{mutex_};
        return results_.size();
    }
    [[nodiscard]] std::size_t pages() const {
        const std::lock_guard lock{mutex_};
        return pages_;
    }
    [[nodiscard]] std::optional<Result<void>> result(ShardId shard, CommitTicket ticket) const {
        const std::lock_guard lock{mutex_};
        const auto place = results_.find({shard, ticket});
        return place == results_.end() ? std::nullopt : std::optional{place->second};
    }
    [[nodiscard]] std::vector<Seq> positions(ShardId shard, CommitTicket ticket) const {
        const std::lock_guard lock{mutex_};
        const auto place = positions_.find({shard, ticket});
        return place == positions_.end() ? std::vector<Seq>{} : place->second;
    }
    [[nodiscard]] std::optional<Page> page(std::uint64_t cookie) const {
        const std::lock_guard lock{mutex_};
        const auto place = answers_.find(cookie);
        return place == answers_.end() ? std::nullopt : std::optional{place->second};
    }
    [[nodiscard]] Record record(Seq seq) const {
        const std::lock_guard lock{mutex_};
        for (const CommitGroupPtr& group : groups_) {
            if (group->first <= seq && seq <= group->last()) {
                return group->records[seq.value() - group->first.value()];
            }
        }
        assertion_failed(__FILE__, __LINE__, "record(seq)", "never committed");
    }
    [[nodiscard]] std::size_t groups() const {
        const std::lock_guard lock{mutex_};
        return groups_.size();
    }
    /// What the engine did against the contract, one line each.
    [[nodiscard]] std::string complaints() const {
        const std::lock_guard lock{mutex_};
        return complaints_;
    }

  private:
    void complain(const char* what) { complaints_ += std::string{what} + '\n'; }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::condition_variable idle_;
    bool held_ = false;
    Seq last_;
    Instant at_;
    std::vector<CommitGroupPtr> groups_;
    std::map<std::pair<ShardId, CommitTicket>, std::vector<Seq>> positions_;
    std::map<std::pair<ShardId, CommitTicket>, Result<void>> results_;
    std::map<ShardId, CommitTicket> last_ticket_;
    std::map<ShardId, std::uint64_t> last_cookie_;
    std::map<std::uint64_t, Page> answers_;
    std::size_t pages_ = 0;
    bool has_failed_ = false;
    std::string complaints_;
};

}  // namespace stentor::store
