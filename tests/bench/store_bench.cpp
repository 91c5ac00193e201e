// What an acknowledgement on disk costs: commits and messages per second, and how long a batch
// waits for its commit, by batch size and promise. Also the two forms of the log that the engine's
// rows were chosen over. A plain program: Google Benchmark has no percentiles.
//
//     bench_store [DIRECTORY]     default: the current one; files are made below it and removed

#include "base/clock.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/database.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

constexpr Duration kRunTime = std::chrono::seconds{3};
const std::string kPayload(64, 'x');

struct Outcome {
    std::uint64_t messages = 0;
    Duration elapsed{};
    std::vector<Duration> waits;
    double cpu_seconds = 0;  // of the whole process: this program's messages included
};

[[nodiscard]] double cpu_seconds() {
    return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC);
}

void print(const std::string& what, Outcome outcome) {
    std::sort(outcome.waits.begin(), outcome.waits.end());
    const auto at = [&](double part) {
        if (outcome.waits.empty()) return 0.0;
        const auto place =
            static_cast<std::size_t>(part * static_cast<double>(outcome.waits.size() - 1));
        return static_cast<double>(outcome.waits[place].count()) / 1000.0;
    };
    const double seconds = static_cast<double>(outcome.elapsed.count()) / 1e6;
    std::printf(
        "%-48s %7.0f batches/s %8.0f messages/s p50 %6.2f p99 %6.2f ms, %5.2f us CPU each\n",
        what.c_str(),
        static_cast<double>(outcome.waits.size()) / seconds,
        static_cast<double>(outcome.messages) / seconds,
        at(0.5),
        at(0.99),
        outcome.messages == 0 ? 0.0
                              : outcome.cpu_seconds * 1e6 / static_cast<double>(outcome.messages));
    std::fflush(stdout);
}

/// Topics of `topics` devices in turn.
class Messages {
  public:
    explicit Messages(std::size_t topics) : topics_{topics} {}
    MessageRecord next() {
        return samples::logged("device/" + std::to_string(at_++ % topics_) + "/state", kPayload);
    }

  private:
    std::size_t topics_;
    std::size_t at_ = 0;
};

/// Runs `commit(count)` again and again in this thread.
Outcome one_after_the_other(std::size_t batch, const std::function<void(std::size_t)>& commit) {
    Outcome outcome;
    const Instant begin = monotonic_now();
    const double cpu = cpu_seconds();
    for (Instant now = begin; now - begin < kRunTime;) {
        commit(batch);
        const Instant done = monotonic_now();
        outcome.waits.push_back(done - now);
        outcome.messages += batch;
        now = done;
    }
    outcome.elapsed = monotonic_now() - begin;
    outcome.cpu_seconds = cpu_seconds() - cpu;
    return outcome;
}

/// Counts answers and notes how long each took.
class Answers final : public CommitSink {
  public:
    void group_committed(CommitGroupPtr /*group*/) override {}
    void ticket_done(ShardId /*shard*/, CommitTicket ticket, Result<void> result) override {
        const Instant now = monotonic_now();
        const std::lock_guard lock{mutex_};
        if (!result) ++failures_;
        waits_.push_back(now - submitted_[ticket % submitted_.size()]);
        changed_.notify_one();
    }
    void page_read(ShardId /*shard*/, Page page) override {
        const std::lock_guard lock{mutex_};
        page_ = std::move(page);
        has_page_ = true;
        changed_.notify_one();
    }

    /// Before the ticket is submitted; waits while `open_max` have no answer.
    void expect(CommitTicket ticket, std::size_t open_max) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return ticket - 1 - waits_.size() < open_max; });
        submitted_[ticket % submitted_.size()] = monotonic_now();
    }
    void wait_for_all(std::size_t tickets) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return waits_.size() >= tickets; });
    }
    Page wait_for_page() {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return std::exchange(has_page_, false); });
        return std::move(page_);
    }
    [[nodiscard]] std::vector<Duration> waits() const { return waits_; }
    [[nodiscard]] std::size_t failures() const { return failures_; }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Instant> submitted_ = std::vector<Instant>(4096);
    std::vector<Duration> waits_;
    std::size_t failures_ = 0;
    Page page_;
    bool has_page_ = false;
};

void read_back(SqliteEngine& engine,
               Answers& answers,
               Seq last,
               const std::string& filter,
               std::size_t pages_max) {
    std::vector<Duration> waits;
    std::uint64_t messages = 0;
    const Instant begin = monotonic_now();
    const double cpu = cpu_seconds();
    for (Seq after = kNoSeq; after < last && waits.size() < pages_max;) {
        ReadRequest request;
        request.after = after;
        request.filters = make_intrusive<FilterSet>(std::vector<std::string>{filter});
        const Instant asked = monotonic_now();
        (void)engine.read(request);
        const Page page = answers.wait_for_page();
        waits.push_back(monotonic_now() - asked);
        messages += page.entries.size();
        after = page.complete_through;
    }
    print("  pages of " + filter,
          {.messages = messages,
           .elapsed = monotonic_now() - begin,
           .waits = std::move(waits),
           .cpu_seconds = cpu_seconds() - cpu});
}

void engine_run(const std::string& directory,
                AcknowledgeAfter after,
                std::size_t batch,
                std::size_t open_max,
                std::size_t topics) {
    std::filesystem::remove_all(directory);
    SqliteEngineOptions options;
    options.directory = directory;
    options.acknowledge_after = after;
    SqliteEngine engine{options};
    if (!engine.recover()) return;
    Answers answers;
    engine.start(answers);
    Messages messages{topics};
    CommitTicket ticket = 0;
    const Instant begin = monotonic_now();
    const double cpu = cpu_seconds();
    while (monotonic_now() - begin < kRunTime) {
        WriteBatch next_batch = samples::batch(ShardId{0}, ++ticket, {});
        for (std::size_t i = 0; i < batch; ++i) next_batch.add(messages.next());
        answers.expect(ticket, open_max);
        while (engine.submit(next_batch) == Push::full) {
        }
    }
    answers.wait_for_all(ticket);
    const Duration elapsed = monotonic_now() - begin;
    const char* names[] = {"disk", "os", "memory"};
    print(std::string{"engine, "} + names[static_cast<int>(after)] + ", batch " +
              std::to_string(batch) + " x " + std::to_string(open_max) + " open, " +
              std::to_string(topics) + " topics",
          {.messages = ticket * batch,
           .elapsed = elapsed,
           .waits = answers.waits(),
           .cpu_seconds = cpu_seconds() - cpu});
    if (answers.failures() != 0) std::printf("  %zu failed\n", answers.failures());
    if (batch >= 512) {
        const Seq last{ticket * batch};
        read_back(engine, answers, last, "device/7/state", 2000);
        read_back(engine, answers, last, "device/+/state", 2000);
    }
    engine.drain_and_close();
    std::uint64_t bytes = 0;
    for (const auto& file : std::filesystem::recursive_directory_iterator{directory}) {
        if (file.is_regular_file()) bytes += file.file_size();
    }
    std::printf("  %.0f bytes on disk per message\n",
                static_cast<double>(bytes) / static_cast<double>(ticket * batch));
    const Instant reopened = monotonic_now();
    SqliteEngine again{options};
    if (again.recover()) {
        std::printf("  opened again in %.0f ms\n",
                    static_cast<double>((monotonic_now() - reopened).count()) / 1000.0);
        again.start(answers);
        again.drain_and_close();
    }
    std::filesystem::remove_all(directory);
}

/// One row per message with an index on its topic.
void plain_rows(const std::string& directory, std::size_t batch) {
    std::filesystem::create_directory(directory);
    constexpr FileFormat kFormat{
        .application_id = 1,
        .version = 1,
        .schema =
            "CREATE TABLE message(seq INTEGER PRIMARY KEY, topic BLOB, body BLOB);"
            "CREATE INDEX by_topic ON message(topic, seq)"};
    auto database = Database::open(directory + "/rows.db", Database::Open::or_create, kFormat, "");
    if (!database) return;
    (void)database->run("PRAGMA synchronous=FULL");
    database->checkpoint_from(1000);
    auto insert = database->prepare("INSERT INTO message(topic, body) VALUES(?1, ?2)");
    if (!insert) return;
    Messages messages{10'000};
    print("rows with an index, batch " + std::to_string(batch),
          one_after_the_other(batch, [&](std::size_t count) {
              auto transaction = Transaction::begin(*database, Transaction::Kind::write);
              for (std::size_t i = 0; i < count; ++i) {
                  const MessageRecord record = messages.next();
                  const Bytes body = samples::encoded(record);
                  insert->bind(1, as_bytes(record.message->topic())).bind(2, ByteView{body});
                  (void)insert->run();
              }
              (void)transaction->commit();
          }));
    std::filesystem::remove_all(directory);
}

/// Appends to a plain file, with fdatasync.
void raw_file(const std::string& directory, std::size_t batch) {
    std::filesystem::create_directory(directory);
    const std::string path = directory + "/raw.log";
    const int descriptor = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    Messages messages{10'000};
    print("raw file, batch " + std::to_string(batch),
          one_after_the_other(batch, [&](std::size_t count) {
              LogRowWriter row{{.first = Seq{1}, .at = {}, .wall_unix_ms = 0}};
              for (std::size_t i = 0; i < count; ++i) row.add(messages.next());
              const Bytes bytes = row.take();
              if (::write(descriptor, bytes.data(), bytes.size()) < 0 ||
                  ::fdatasync(descriptor) != 0) {
                  std::perror("raw file");
              }
          }));
    ::close(descriptor);
    std::filesystem::remove_all(directory);
}

int run(const std::string& where) {
    const std::string directory = where + "/store-bench";
    for (const std::size_t batch : {1U, 64U, 512U}) {
        raw_file(directory, batch);
        plain_rows(directory, batch);
        engine_run(directory, AcknowledgeAfter::disk, batch, 1, 10'000);
    }
    engine_run(directory, AcknowledgeAfter::disk, 1, 64, 10'000);
    engine_run(directory, AcknowledgeAfter::disk, 64, 8, 10'000);
    engine_run(directory, AcknowledgeAfter::disk, 512, 8, 10'000);
    engine_run(directory, AcknowledgeAfter::disk, 512, 8, 1'000'000);
    engine_run(directory, AcknowledgeAfter::os, 64, 8, 10'000);
    return 0;
}

}  // namespace
}  // namespace stentor::store

int main(int argc, char** argv) { return stentor::store::run(argc > 1 ? argv[1] : "."); }
