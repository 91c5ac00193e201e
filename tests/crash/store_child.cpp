// The victim of store_kill_test: a sqlite engine under steady load that says what was acknowledged.
//
//     store_child DIRECTORY disk|os SEED
//
// Message n has the payload "n"; the line "acked n position" follows once it is committed. The
// session `c` and the retained value of `latest` keep up with it, and old messages are let go.

#include "base/random.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/sqlite_engine.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <variant>

namespace stentor::store {
namespace {

class Reporter final : public CommitSink {
  public:
    void group_committed(CommitGroupPtr group) override { last_ = group; }
    void ticket_done(ShardId /*shard*/, CommitTicket ticket, Result<void> result) override {
        if (!result) std::_Exit(3);
        for (const CommitSlice& slice : last_->slices) {
            if (slice.ticket != ticket) continue;
            for (std::uint32_t i = slice.begin; i < slice.begin + slice.count; ++i) {
                const auto* published = std::get_if<MessageRecord>(&last_->records[i]);
                if (published == nullptr || !published->for_durable_sessions) continue;
                report(published->message->payload(), Seq{last_->first.value() + i});
            }
        }
    }
    void page_read(ShardId /*shard*/, Page /*page*/) override {}
    /// The last position that was reported. Any thread.
    [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_; }

  private:
    void report(ByteView payload, Seq seq) {
        const std::string line =
            "acked " + std::string{as_text(payload)} + ' ' + std::to_string(seq.value()) + '\n';
        if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::_Exit(4);
        acknowledged_ = seq.value();
    }
    CommitGroupPtr last_;
    std::atomic<std::uint64_t> acknowledged_{0};
};

std::uint64_t latest_of(const StoredState& state) {
    const auto value = state.retained().find("latest");
    if (value == state.retained().end()) return 0;
    return std::stoull(std::string{as_text(value->second.message->payload())});
}

int run(const std::string& directory, AcknowledgeAfter after, std::uint64_t seed) {
    SqliteEngineOptions options;
    options.directory = directory;
    options.acknowledge_after = after;
    // Small, so that sealing, applying and removing happen all the time.
    options.segment_bytes_max = 20'000;
    options.row_bytes_max = 1000;
    options.tail_bytes_max = 5000;
    options.apply_chunk_bytes = 5000;
    SqliteEngine engine{options};
    auto recovered = engine.recover();
    if (!recovered) return 2;
    Reporter reporter;
    engine.start(reporter);
    Random random{seed};
    std::uint64_t number = latest_of(recovered->state);
    Seq seq = recovered->last;
    for (CommitTicket ticket = 1;; ++ticket) {
        WriteBatch batch = samples::batch(ShardId{0}, ticket, {});
        if (ticket == 1) batch.add(samples::attached("c"));
        for (std::uint64_t i = random.between(1, 5); i != 0; --i) {
            const std::string payload = std::to_string(++number);
            batch.add(samples::logged("t/" + std::to_string(number % 7), payload));
            batch.add(samples::retained("latest", payload));
            const Seq sent{seq.value() + batch.records.size() - 1};
            batch.add(samples::delivered("c", sent, {samples::unfinished(sent, 1)}));
        }
        seq = Seq{seq.value() + batch.records.size()};
        while (engine.submit(batch) == Push::full) std::this_thread::yield();
        constexpr std::uint64_t kKept = 300;
        // Not by what has been submitted: any number of batches may be under way.
        const std::uint64_t acknowledged = reporter.acknowledged();
        if (acknowledged > kKept) engine.needed_from(ShardId{0}, Seq{acknowledged - kKept});
    }
}

}  // namespace
}  // namespace stentor::store

int main(int argc, char** argv) {
    using stentor::store::AcknowledgeAfter;
    if (argc != 4) return 1;
    const auto after =
        std::string{argv[2]} == "disk" ? AcknowledgeAfter::disk : AcknowledgeAfter::os;
    return stentor::store::run(argv[1], after, std::stoull(argv[3]));
}
