#pragma once
// A store on a directory as the engine's own tests use it: opened, closed and opened again.
// Tests only. One thread. A store that does not answer within a minute is an assertion that fails.

#include "base/assert.hpp"
#include "persistence/contract/recording_sink.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {

inline constexpr ShardId kShard{0};

/// An engine on a directory, its sink, and the calls of a shard that waits for each answer.
class Store {
  public:
    explicit Store(SqliteEngineOptions options) : options_{std::move(options)} {}
    ~Store() { close(); }
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    Result<void> open() {
        engine_ = std::make_unique<SqliteEngine>(options_);
        auto recovered = engine_->recover();
        if (!recovered) {
            engine_.reset();
            return recovered.error();
        }
        recovered_ = *std::move(recovered);
        sink_ = std::make_unique<RecordingSink>(recovered_.last);
        ticket_ = 0;
        engine_->start(*sink_);
        return {};
    }
    void close() {
        if (engine_ != nullptr) engine_->drain_and_close();
        engine_.reset();
    }

    Result<void> commit(std::vector<Record> records) {
        WriteBatch batch = samples::batch(kShard, ++ticket_, std::move(records));
        batch.at = now_;
        STENTOR_ASSERT(wait([&] { return engine_->submit(batch) == Push::ok; }));
        STENTOR_ASSERT(wait([&] { return sink_->result(kShard, ticket_).has_value(); }));
        return sink_->result(kShard, ticket_).value_or(make_error_code(StoreErrc::io_error));
    }
    Result<void> commit(Record record) {
        std::vector<Record> records;
        records.push_back(std::move(record));
        return commit(std::move(records));
    }

    /// All that waits after `after`, page by page; lost() says what pages have said of what is
    /// missing.
    std::vector<PageEntry> read_all(const std::vector<std::string>& filters = {"#"},
                                    Seq after = kNoSeq) {
        const auto wanted = make_intrusive<FilterSet>(filters);
        std::vector<PageEntry> found;
        lost_ = 0;
        while (after < sink_->last()) {
            ReadRequest request;
            request.shard = kShard;
            request.cookie = ++cookie_;
            request.after = after;
            request.filters = wanted;
            STENTOR_ASSERT(wait([&] { return engine_->read(request) == Push::ok; }));
            STENTOR_ASSERT(wait([&] { return sink_->page(cookie_).has_value(); }));
            Page page = sink_->page(cookie_).value_or(Page{});
            STENTOR_ASSERT(page.result.has_value());
            if (page.complete_through <= after) break;
            STENTOR_ASSERT(page.lost_messages == 0 || page.entries.empty());
            lost_ += page.lost_messages;
            after = page.complete_through;
            for (PageEntry& entry : page.entries) found.push_back(std::move(entry));
        }
        return found;
    }

    /// A message that is held whatever becomes of its segment; null if there is none.
    MessagePtr read_one(Seq seq) {
        ReadRequest request;
        request.shard = kShard;
        request.cookie = ++cookie_;
        request.only = {seq};
        STENTOR_ASSERT(wait([&] { return engine_->read(request) == Push::ok; }));
        STENTOR_ASSERT(wait([&] { return sink_->page(cookie_).has_value(); }));
        const Page page = sink_->page(cookie_).value_or(Page{});
        STENTOR_ASSERT(page.result.has_value());
        lost_ = page.lost_messages;
        return page.entries.empty() ? MessagePtr{} : page.entries.front().message;
    }

    /// Of the last read_all() or read_one().
    [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

    bool wait(const std::function<bool()>& condition) {
        return sink_->wait(condition, std::chrono::seconds{60});
    }

    /// The clock of the commits from here on.
    void set_now(Instant now) { now_ = now; }

    SqliteEngine& engine() { return *engine_; }
    const Recovered& recovered() const { return recovered_; }
    RecordingSink& sink() { return *sink_; }
    SqliteEngineOptions& options() { return options_; }

  private:
    SqliteEngineOptions options_;
    std::unique_ptr<SqliteEngine> engine_;
    std::unique_ptr<RecordingSink> sink_;
    Recovered recovered_;
    Instant now_;
    CommitTicket ticket_ = 0;
    std::uint64_t cookie_ = 0;
    std::uint64_t lost_ = 0;
};

}  // namespace stentor::store
