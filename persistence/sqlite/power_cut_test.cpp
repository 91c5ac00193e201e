// The power goes at every single operation on the disk of a run in which segments are begun,
// filled, sealed, collected and removed, and state.db is written and checkpointed; then the store
// is opened again. STENTOR_POWER_STEP=n tries every nth operation: 1 by night, 12 otherwise,
// beginning anywhere.

#include "base/random.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/faulty_vfs.hpp"
#include "persistence/sqlite/random_traffic.hpp"
#include "persistence/sqlite/state_facts.hpp"
#include "persistence/sqlite/store_under_test.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kBatches = 60;
constexpr std::uint64_t kKept = 40;  // positions that somebody still needs
constexpr std::uint64_t kJumped = 1'000'000;

/// What the store was asked to keep, and what it said of it.
struct History {
    std::vector<Record> records;             // position i + 1
    std::vector<std::size_t> boundaries{0};  // of batches
    std::size_t acknowledged = 0;            // records
    std::uint64_t needed = 1;
    std::uint64_t operations = 0;

    void add(std::vector<Record>& batch, Record record) {
        records.push_back(record);
        batch.push_back(std::move(record));
    }
};

class PowerCut : public testing::TestWithParam<AcknowledgeAfter> {
  protected:
    [[nodiscard]] static SqliteEngineOptions options(const kit::TempDir& directory,
                                                     const FaultyVfs& vfs) {
        SqliteEngineOptions small;
        small.directory = directory.path().string();
        small.acknowledge_after = GetParam();
        small.vfs = vfs.name();
        small.segment_bytes_max = 3000;
        small.row_bytes_max = 300;
        small.tail_bytes_max = 500;
        small.apply_chunk_bytes = 400;
        small.disk_free_bytes_min = 0;
        return small;
    }

    /// Sessions and values at random, messages, and a session that has the newest one in flight and
    /// forgets the one before it.
    static std::vector<Record> next_batch(Random& random,
                                          RandomTraffic& traffic,
                                          History& history) {
        std::vector<Record> batch;
        if (history.records.empty()) history.add(batch, samples::attached("pinning"));
        for (std::uint64_t i = random.between(1, 4); i != 0; --i) {
            const Seq last{history.records.size()};
            history.add(batch, traffic.next(last));
            const Seq seq{history.records.size() + 1};
            history.add(batch, samples::logged("t", std::to_string(seq.value())));
            history.add(batch, samples::delivered("pinning", seq, {samples::unfinished(seq, 1)}));
        }
        history.boundaries.push_back(history.records.size());
        return batch;
    }

    static History run(Store& store, FaultyVfs& vfs, std::uint64_t cut) {
        History history;
        Random random{1};
        RandomTraffic traffic{1};
        const std::uint64_t before = vfs.operations();
        if (cut != kNever) vfs.cut_power_after(cut);
        for (std::size_t i = 0; i < kBatches && vfs.has_power(); ++i) {
            if (!store.commit(next_batch(random, traffic, history))) break;
            history.acknowledged = history.records.size();
            if (history.acknowledged <= kKept) continue;
            // Not all of the pinned message's neighbours: it outlives its segment.
            history.needed = history.acknowledged - kKept;
            store.engine().needed_from(kShard, Seq{history.needed});
        }
        history.operations = vfs.operations() - before;
        return history;
    }

    static std::uint64_t operations_of_a_run() {
        const kit::TempDir directory;
        FaultyVfs vfs{0};
        Store store{options(directory, vfs)};
        EXPECT_TRUE(store.open().has_value());
        return run(store, vfs, kNever).operations;
    }

    /// How many records are there, whatever jump came behind them.
    static std::size_t survivors(const Store& store, const History& history) {
        const std::uint64_t last = store.recovered().last.value();
        if (GetParam() == AcknowledgeAfter::disk || store.recovered().clean) return last;
        EXPECT_GT(last, kJumped) << "no client may hold a position from the future";
        const auto facts_found = facts(store.recovered().state);
        StoredState state;
        std::size_t found = std::string::npos;
        for (std::size_t i = 0; i <= history.records.size(); ++i) {
            if (i != 0) state.apply(Seq{i}, history.records[i - 1]);
            const bool is_boundary =
                std::binary_search(history.boundaries.begin(), history.boundaries.end(), i);
            if (is_boundary && facts(state) == facts_found) found = i;
        }
        return found;
    }

    static void check(Store& store, const History& history) {
        const std::size_t last = survivors(store, history);
        ASSERT_NE(last, std::string::npos) << "no moment of the history was like this";
        if (GetParam() == AcknowledgeAfter::disk || store.recovered().clean) {
            EXPECT_GE(last, history.acknowledged);
        }
        EXPECT_TRUE(std::binary_search(history.boundaries.begin(), history.boundaries.end(), last));
        StoredState expected;
        std::vector<std::uint64_t> wanted;
        for (std::size_t i = 0; i < last; ++i) {
            expected.apply(Seq{i + 1}, history.records[i]);
            if (i + 1 >= history.needed && wanted_message(history.records[i]) != nullptr) {
                wanted.push_back(i + 1);
            }
        }
        EXPECT_EQ(facts(store.recovered().state), facts(expected));
        std::vector<std::uint64_t> found;
        for (const PageEntry& entry : store.read_all()) {
            if (entry.seq.value() >= history.needed) found.push_back(entry.seq.value());
        }
        EXPECT_EQ(found, wanted);
        const auto& sessions = store.recovered().state.sessions();
        if (const auto pinning = sessions.find("pinning"); pinning != sessions.end()) {
            for (const Unfinished& item : pinning->second.unfinished) {
                const auto message = store.read_one(item.seq);
                ASSERT_TRUE(message != nullptr) << "unfinished " << item.seq.value();
                EXPECT_EQ(as_text(message->payload()), std::to_string(item.seq.value()));
            }
        }
        EXPECT_TRUE(store.commit(samples::logged("t")).has_value());
        EXPECT_EQ(store.sink().complaints(), "");
    }

    [[nodiscard]] static std::uint64_t step() {
        const char* value = std::getenv("STENTOR_POWER_STEP");
        return value == nullptr ? 12 : std::strtoull(value, nullptr, 10);
    }
    /// Not always the same ones.
    [[nodiscard]] static std::uint64_t first_cut() { return random_seed() % step(); }
};

TEST_P(PowerCut, AtEveryOperationLosesNothingThatWasPromised) {
    const std::uint64_t operations = operations_of_a_run();
    for (std::uint64_t cut = first_cut(); cut < operations; cut += step()) {
        SCOPED_TRACE(testing::Message() << "power for " << cut << " operations");
        const kit::TempDir directory;
        FaultyVfs vfs{cut + 1};
        Store store{options(directory, vfs)};
        ASSERT_TRUE(store.open().has_value());
        const History history = run(store, vfs, cut);
        store.close();
        vfs.power_up();
        ASSERT_TRUE(store.open().has_value());
        ASSERT_NO_FATAL_FAILURE(check(store, history));
        store.close();
        if (HasFailure()) return;
    }
    RecordProperty("operations", std::to_string(operations));
}

// A process that is killed leaves writes that the system has and the disk has not. What the next
// one recovers from them it shows to its clients: from then on it must not be lost, either.
TEST_P(PowerCut, AfterAKillLosesNothingThatWasRecovered) {
    const std::uint64_t operations = operations_of_a_run();
    for (std::uint64_t cut = first_cut(); cut < operations; cut += 2 * step()) {
        SCOPED_TRACE(testing::Message() << "killed after " << cut << " operations");
        const kit::TempDir directory;
        FaultyVfs vfs{cut + 1};
        Store store{options(directory, vfs)};
        ASSERT_TRUE(store.open().has_value());
        const History history = run(store, vfs, cut);
        store.close();
        vfs.restart_process();
        if (cut % 2 != 0) {  // the power goes while the next one recovers
            vfs.cut_power_after(cut % 37);
            (void)store.open();
            store.close();
            vfs.power_up();
        }
        ASSERT_TRUE(store.open().has_value());
        const Seq recovered = store.recovered().last;
        const auto state = facts(store.recovered().state);
        vfs.cut_power_after(0);
        store.close();
        vfs.power_up();
        ASSERT_TRUE(store.open().has_value());
        if (GetParam() == AcknowledgeAfter::disk) {
            EXPECT_EQ(store.recovered().last, recovered);
            EXPECT_EQ(facts(store.recovered().state), state);
        }
        ASSERT_NO_FATAL_FAILURE(check(store, history));
        store.close();
        if (HasFailure()) return;
    }
}

// The first start: files and directories are new, and not all of them need to be there afterwards.
TEST_P(PowerCut, WhileAStoreIsMadeLeavesOneThatOpens) {
    for (std::uint64_t cut = 0;; ++cut) {
        SCOPED_TRACE(testing::Message() << "power for " << cut << " operations");
        const kit::TempDir directory;
        FaultyVfs vfs{cut + 1};
        Store store{options(directory, vfs)};
        vfs.cut_power_after(cut);
        (void)store.open();
        const bool had_enough = vfs.has_power();
        store.close();
        vfs.power_up();
        ASSERT_TRUE(store.open().has_value());
        EXPECT_TRUE(store.commit(samples::logged("t")).has_value());
        EXPECT_EQ(store.read_all().size(), 1U);
        if (had_enough) return;
    }
}

INSTANTIATE_TEST_SUITE_P(Mode,
                         PowerCut,
                         testing::Values(AcknowledgeAfter::disk, AcknowledgeAfter::os),
                         [](const auto& mode) {
                             return mode.param == AcknowledgeAfter::disk ? "disk" : "os";
                         });

}  // namespace
}  // namespace stentor::store
