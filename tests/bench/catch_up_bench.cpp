// What sessions that come back cost the log: whole catch-ups through the engine's contract, over a
// million records in small sealed segments, page after page. The log is made once, in a temporary
// directory, and takes some seconds.
//
// CPU is that of the whole process: on a busy machine it says more than the time does. Counters:
// pages; messages; page_max_ms, the most processor time that the reader took for one page; with a
// crowd also how long a bystander waited for each of his pages, who asks again and again.

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/random.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"
#include "tests/kit/temp_dir.hpp"
#include "tests/kit/thread_cpu.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

constexpr std::size_t kRecords = 1'000'000;
constexpr std::size_t kDevices = 10'000;
constexpr std::size_t kBatch = 512;
constexpr ShardId kShard{0};
const std::string kPayload(64, 'x');

std::string device(std::size_t number) { return "device/" + std::to_string(number) + "/state"; }

/// Per million: 50 broadcasts, 10 needles, 10,000 alarms of 200 sources; the rest is from devices.
std::string topic_of(std::size_t record, Random& random) {
    if (record % 20'000 == 0) return "broadcast/all";
    if (record % 100'000 == 2) return "rare/needle";
    if (record % 100 == 1) return "alarm/" + std::to_string(random.below(200)) + "/level";
    return device(random.below(kDevices));
}

double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1000.0; }

/// Collects what the engine answers.
class Answers final : public CommitSink {
  public:
    void group_committed(CommitGroupPtr group) override {
        const std::lock_guard lock{mutex_};
        last_ = group->last();
    }
    void ticket_done(ShardId /*shard*/, CommitTicket ticket, Result<void> result) override {
        STENTOR_ASSERT(result.has_value());
        const std::lock_guard lock{mutex_};
        tickets_ = ticket;
        changed_.notify_one();
    }
    void page_read(ShardId /*shard*/, Page page) override {
        STENTOR_ASSERT(page.result.has_value());
        const std::lock_guard lock{mutex_};
        const Duration cpu = kit::thread_cpu();
        page_max_ = std::max(page_max_, cpu - cpu_before_);
        cpu_before_ = cpu;
        pages_.push_back({.page = std::move(page), .at = monotonic_now()});
        changed_.notify_one();
    }

    struct Answer {
        Page page;
        Instant at;
    };
    std::deque<Answer> wait() {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return !pages_.empty(); });
        return std::exchange(pages_, {});
    }
    void wait_for_ticket(CommitTicket ticket) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return tickets_ >= ticket; });
    }
    Duration take_page_max() {
        const std::lock_guard lock{mutex_};
        return std::exchange(page_max_, {});
    }
    [[nodiscard]] Seq last() const { return last_; }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Answer> pages_;
    Duration cpu_before_{};  // the reader's
    Duration page_max_{};
    CommitTicket tickets_ = 0;
    Seq last_;
};

/// The store with the log in it, opened anew after it was made: all but its end is sealed, and
/// nothing of it is in memory.
class Log {
  public:
    Log() {
        options_.directory = directory_.path().string();
        options_.acknowledge_after = AcknowledgeAfter::os;
        options_.segment_bytes_max = std::size_t{4} << 20U;
        fill();
        open();
    }
    ~Log() { engine_->drain_and_close(); }
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    SqliteEngine& engine() { return *engine_; }
    Answers& answers() { return *answers_; }
    [[nodiscard]] Seq last() const { return last_; }

  private:
    void open() {
        engine_ = std::make_unique<SqliteEngine>(options_);
        STENTOR_ASSERT(engine_->recover().has_value());
        answers_ = std::make_unique<Answers>();
        engine_->start(*answers_);
    }
    void fill() {
        open();
        Random random{1};
        CommitTicket ticket = 0;
        for (std::size_t record = 0; record < kRecords;) {
            WriteBatch batch = samples::batch(kShard, ++ticket, {});
            for (std::size_t i = 0; i < kBatch && record < kRecords; ++i, ++record) {
                batch.add(samples::logged(topic_of(record, random), kPayload));
            }
            STENTOR_ASSERT(engine_->submit(batch) == Push::ok);
            if (ticket > 16) answers_->wait_for_ticket(ticket - 16);
        }
        answers_->wait_for_ticket(ticket);
        last_ = answers_->last();
        engine_->drain_and_close();
    }

    kit::TempDir directory_;
    SqliteEngineOptions options_;
    std::unique_ptr<Answers> answers_;
    std::unique_ptr<SqliteEngine> engine_;
    Seq last_;
};

Log& the_log() {
    static Log log;
    return log;
}

/// Sessions that catch up: each asks for its next page when it has got one, as a shard does.
class Crowd {
  public:
    void add(std::vector<std::string> filters, Seq after) {
        sessions_.push_back({make_intrusive<FilterSet>(std::move(filters)), after});
    }
    /// Asks for a page of its own again and again while the others catch up. The last one.
    void add_bystander(const std::string& filter, Seq after) {
        bystander_ = sessions_.size();
        add({filter}, after);
    }

    void catch_up(benchmark::State& state) {
        Log& log = the_log();
        (void)log.answers().take_page_max();
        std::size_t behind = sessions_.size() - (bystander_ ? 1 : 0);
        for (std::size_t i = 0; i < behind; ++i) waiting_.push_back(i);
        if (bystander_) {
            bystander_waits_ = true;
            sessions_[*bystander_].asked = monotonic_now();
        }
        ask();
        while (behind != 0) {
            for (Answers::Answer& answer : log.answers().wait()) {
                if (take(std::move(answer))) --behind;
            }
            ask();
        }
        while (open_ != 0) {
            for (Answers::Answer& answer : log.answers().wait()) (void)take(std::move(answer));
        }
        report(state);
    }

  private:
    static constexpr std::size_t kOpenMax = 64;
    struct Session {
        FilterSetPtr filters;
        Seq after;
        Instant asked = {};
    };

    /// As a shard does: not all at once, and who is nearly level has every other turn.
    void ask() {
        while (open_ < kOpenMax) {
            if (bystander_waits_) {
                ask_for(*bystander_);
                bystander_waits_ = false;
            }
            if (waiting_.empty()) return;
            ask_for(waiting_.front());
            waiting_.pop_front();
        }
    }
    void ask_for(std::size_t number) {
        Session& session = sessions_[number];
        ReadRequest request;
        request.shard = kShard;
        request.cookie = number;
        request.after = session.after;
        request.filters = session.filters;
        STENTOR_ASSERT(the_log().engine().read(request) == Push::ok);
        ++open_;
    }
    /// Whether a session has arrived at the end.
    bool take(Answers::Answer answer) {
        const Page& page = answer.page;
        Session& session = sessions_[page.cookie];
        --open_;
        if (page.cookie == bystander_) {
            waits_.push_back(answer.at - std::exchange(session.asked, {}));
            session.asked = monotonic_now();
            bystander_waits_ = true;
            return false;
        }
        ++pages_;
        messages_ += page.entries.size();
        session.after = page.complete_through;
        if (session.after >= the_log().last()) return true;
        waiting_.push_back(page.cookie);
        return false;
    }
    void report(benchmark::State& state) {
        state.counters["pages"] = static_cast<double>(pages_);
        state.counters["messages"] = static_cast<double>(messages_);
        state.counters["page_max_ms"] = milliseconds(the_log().answers().take_page_max());
        if (waits_.empty()) return;
        std::sort(waits_.begin(), waits_.end());
        state.counters["bystander_p50_ms"] = milliseconds(waits_[waits_.size() / 2]);
        state.counters["bystander_max_ms"] = milliseconds(waits_.back());
    }

    std::vector<Session> sessions_;
    std::deque<std::size_t> waiting_;
    std::optional<std::size_t> bystander_;
    bool bystander_waits_ = false;
    std::size_t open_ = 0;
    std::size_t pages_ = 0;
    std::size_t messages_ = 0;
    std::vector<Duration> waits_;
};

/// One session with these filters, from `part` of the log's records to its end.
void one_session(benchmark::State& state, const std::vector<std::string>& filters, double part) {
    const auto last = the_log().last().value();
    const Seq after{last - static_cast<std::uint64_t>(part * static_cast<double>(last))};
    for ([[maybe_unused]] auto step : state) {
        Crowd crowd;
        crowd.add(filters, after);
        crowd.catch_up(state);
    }
}

std::vector<std::string> numbered(const std::string& before,
                                  const std::string& behind,
                                  std::size_t count) {
    std::vector<std::string> filters;
    for (std::size_t i = 0; i < count; ++i) {
        filters.push_back(before + std::to_string(i) + behind);
    }
    return filters;
}

void rare_exact(benchmark::State& state) { one_session(state, {"rare/needle"}, 1); }
void absent_exact(benchmark::State& state) { one_session(state, {"nobody/writes/this"}, 1); }
void one_device(benchmark::State& state) { one_session(state, {device(7)}, 1); }
void everything(benchmark::State& state) { one_session(state, {"#"}, 1); }
void one_percent_with_prefix(benchmark::State& state) { one_session(state, {"alarm/+/level"}, 1); }
void one_percent_without_prefix(benchmark::State& state) { one_session(state, {"+/+/level"}, 1); }
void exact_and_wildcard(benchmark::State& state) {
    one_session(state, {"alarm/+/level", "broadcast/all", "alarm/7/level"}, 1);
}
void ten_thousand_of_which_ten_match(benchmark::State& state) {
    auto filters = numbered("device/", "/gone", 9990);
    for (std::size_t i = 0; i < 10; ++i) filters.push_back(device(i));
    one_session(state, filters, 1);
}
void ten_thousand_that_match_all(benchmark::State& state) {
    one_session(state, numbered("device/", "/state", kDevices), 0.1);
}
void ten_thousand_wildcards(benchmark::State& state) {
    one_session(state, numbered("device/", "/+", kDevices), 0.1);
}

void crowd_of_own_topics(benchmark::State& state) {
    const auto last = the_log().last().value();
    for ([[maybe_unused]] auto step : state) {
        Crowd crowd;
        for (std::int64_t i = 0; i < state.range(0); ++i) {
            crowd.add({device(static_cast<std::size_t>(i))}, Seq{last - last / 10});
        }
        crowd.add_bystander("rare/needle", Seq{last - 1000});
        crowd.catch_up(state);
    }
}
void crowd_of_one_broadcast(benchmark::State& state) {
    for ([[maybe_unused]] auto step : state) {
        Crowd crowd;
        for (std::int64_t i = 0; i < state.range(0); ++i) crowd.add({"broadcast/all"}, kNoSeq);
        crowd.add_bystander("rare/needle", Seq{the_log().last().value() - 1000});
        crowd.catch_up(state);
    }
}
void crowd_of_everything(benchmark::State& state) {
    const auto last = the_log().last().value();
    for ([[maybe_unused]] auto step : state) {
        Crowd crowd;
        for (std::int64_t i = 0; i < state.range(0); ++i) {
            crowd.add({"#"}, Seq{last - last / 100});
        }
        crowd.add_bystander("rare/needle", Seq{last - 1000});
        crowd.catch_up(state);
    }
}
/// Beside a session with so many filters that all match.
void bystander_of_ten_thousand_filters(benchmark::State& state) {
    const auto last = the_log().last().value();
    for ([[maybe_unused]] auto step : state) {
        Crowd crowd;
        crowd.add(numbered("device/", "/state", kDevices), Seq{last - last / 50});
        crowd.add_bystander("rare/needle", Seq{last - 1000});
        crowd.catch_up(state);
    }
}

/// A whole catch-up is long enough to be measured once; what it reads is cached by the system.
void once(benchmark::internal::Benchmark* run) {
    run->Iterations(1)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime()->UseRealTime();
}
BENCHMARK(rare_exact)->Apply(once);
BENCHMARK(absent_exact)->Apply(once);
BENCHMARK(one_device)->Apply(once);
BENCHMARK(everything)->Apply(once);
BENCHMARK(one_percent_with_prefix)->Apply(once);
BENCHMARK(one_percent_without_prefix)->Apply(once);
BENCHMARK(exact_and_wildcard)->Apply(once);
BENCHMARK(ten_thousand_of_which_ten_match)->Apply(once);
BENCHMARK(ten_thousand_that_match_all)->Apply(once);
BENCHMARK(ten_thousand_wildcards)->Apply(once);
BENCHMARK(bystander_of_ten_thousand_filters)->Apply(once);
BENCHMARK(crowd_of_own_topics)->Apply(once)->Arg(1000)->Arg(10'000);
BENCHMARK(crowd_of_one_broadcast)->Apply(once)->Arg(1000)->Arg(10'000);
BENCHMARK(crowd_of_everything)->Apply(once)->Arg(100)->Arg(1000);

}  // namespace
}  // namespace stentor::store
