// Every single call of a run, and of a start, fails once, or finds the disk full: what was
// acknowledged is there afterwards, and what was refused is not. STENTOR_FAILURE_STEP=n tries every
// nth call: 1 by night, more otherwise, beginning anywhere.

#include "base/random.hpp"
#include "persistence/contract/samples.hpp"
#include "persistence/sqlite/faulty_vfs.hpp"
#include "persistence/sqlite/random_traffic.hpp"
#include "persistence/sqlite/state_facts.hpp"
#include "persistence/sqlite/store_under_test.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

constexpr std::uint64_t kKept = 40;  // positions that somebody still needs

SqliteEngineOptions small_options(const kit::TempDir& directory,
                                  const FaultyVfs& vfs,
                                  AcknowledgeAfter after) {
    SqliteEngineOptions small;
    small.directory = directory.path().string();
    small.acknowledge_after = after;
    small.vfs = vfs.name();
    small.segment_bytes_max = 3000;
    small.row_bytes_max = 300;
    small.tail_bytes_max = 500;
    small.apply_chunk_bytes = 400;
    small.apply_interval = std::chrono::milliseconds{20};
    small.disk_free_bytes_min = 0;
    return small;
}

/// What is to be in the store, by position.
class Ledger {
  public:
    using Batch = std::vector<Record>;

    /// Sessions and values at random, messages, and a session that has the newest one in flight
    /// and forgets the one before it.
    [[nodiscard]] Batch next_batch() {
        Batch batch;
        const auto position = [&] { return Seq{last_.value() + batch.size()}; };
        if (records_.empty()) batch.push_back(samples::attached("pinning"));
        for (std::uint64_t i = random_.between(1, 4); i != 0; --i) {
            batch.push_back(traffic_.next(position()));
            const Seq seq = next(position());
            batch.push_back(samples::logged("t", std::to_string(seq.value())));
            batch.push_back(samples::delivered("pinning", seq, {samples::unfinished(seq, 1)}));
        }
        return batch;
    }

    void add(const Batch& batch) {
        for (const Record& record : batch) {
            last_ = next(last_);
            records_.emplace(last_, record);
        }
    }
    /// Positions have jumped.
    void go_on_after(Seq seq) { last_ = seq; }
    [[nodiscard]] Seq last() const { return last_; }
    [[nodiscard]] Seq needed() const {
        return Seq{last_.value() > kKept ? last_.value() - kKept : 1};
    }

    [[nodiscard]] std::vector<std::string> facts() const {
        StoredState state;
        for (const auto& [seq, record] : records_) state.apply(seq, record);
        return store::facts(state);
    }
    [[nodiscard]] std::vector<Seq> messages() const {
        std::vector<Seq> found;
        for (auto at = records_.lower_bound(needed()); at != records_.end(); ++at) {
            if (wanted_message(at->second) != nullptr) found.push_back(at->first);
        }
        return found;
    }

  private:
    Random random_{1};
    RandomTraffic traffic_{1};
    std::map<Seq, Record> records_;
    Seq last_;
};

/// A store, and what it has promised.
class Broker {
  public:
    explicit Broker(const SqliteEngineOptions& options) : store_{options} {}

    [[nodiscard]] Store& store() { return store_; }
    [[nodiscard]] Ledger& ledger() { return ledger_; }

    void commit(int batches) {
        for (int i = 0; i < batches && !testing::Test::HasFailure(); ++i) commit_one();
    }
    /// If the store has failed, it is opened again as a broker does.
    void settle() {
        if (store_.sink().has_failed()) reopen({});
    }
    /// After open().
    void check() {
        EXPECT_EQ(facts(store_.recovered().state), ledger_.facts());
        std::vector<Seq> found;
        for (const PageEntry& entry : store_.read_all()) {
            if (entry.seq >= ledger_.needed()) found.push_back(entry.seq);
        }
        EXPECT_EQ(found, ledger_.messages());
        const auto& sessions = store_.recovered().state.sessions();
        if (const auto pinning = sessions.find("pinning"); pinning != sessions.end()) {
            for (const Unfinished& item : pinning->second.unfinished) {
                const auto message = store_.read_one(item.seq);
                ASSERT_TRUE(message != nullptr) << "unfinished " << item.seq.value();
                EXPECT_EQ(as_text(message->payload()), std::to_string(item.seq.value()));
            }
        }
        EXPECT_EQ(store_.sink().complaints(), "");
    }

  private:
    void commit_one() {
        const Ledger::Batch batch = ledger_.next_batch();
        const auto result = store_.commit(batch);
        if (result) {
            ledger_.add(batch);
            store_.engine().needed_from(kShard, ledger_.needed());
        } else if (result.error() == StoreErrc::io_error) {
            ASSERT_TRUE(store_.wait([&] { return store_.sink().has_failed(); }));
            reopen(batch);
        } else {
            // Nothing of it is in the log: what comes next has its positions.
            ASSERT_TRUE(result.error() == StoreErrc::store_full ||
                        result.error() == StoreErrc::commit_failed)
                << result.error().message();
        }
    }

    /// Of what failed nobody knows: it is there, or not.
    void reopen(const Ledger::Batch& in_doubt) {
        EXPECT_EQ(store_.sink().complaints(), "");
        store_.options().reopens_after = store_.sink().last();
        store_.close();
        ASSERT_TRUE(store_.open().has_value()) << "one failure, and it has been";
        store_.options().reopens_after.reset();
        const auto found = facts(store_.recovered().state);
        if (found != ledger_.facts() || store_.recovered().last > ledger_.last()) {
            Ledger with = ledger_;
            with.add(in_doubt);
            if (found == with.facts()) ledger_ = with;
        }
        ASSERT_EQ(found, ledger_.facts());
        const Seq last = store_.recovered().last;
        if (store_.options().acknowledge_after == AcknowledgeAfter::disk) {
            ASSERT_EQ(last, ledger_.last());
        }
        ASSERT_GE(last, ledger_.last());
        ledger_.go_on_after(last);
    }

    Store store_;
    Ledger ledger_;
};

using Parameters = std::tuple<AcknowledgeAfter, FaultyVfs::Fault>;

class EveryFailure : public testing::TestWithParam<Parameters> {
  protected:
    [[nodiscard]] static AcknowledgeAfter after() { return std::get<0>(GetParam()); }
    [[nodiscard]] static FaultyVfs::Fault fault() { return std::get<1>(GetParam()); }
    [[nodiscard]] static std::uint64_t step(std::uint64_t in_the_gate) {
        const char* value = std::getenv("STENTOR_FAILURE_STEP");
        return value == nullptr ? in_the_gate : std::strtoull(value, nullptr, 10);
    }
    /// Not always the same ones.
    [[nodiscard]] static std::uint64_t first(std::uint64_t step) { return random_seed() % step; }

    enum class Stop : std::uint8_t { clean, killed, power_cut };
    static void stop(Broker& broker, FaultyVfs& vfs, Stop how) {
        if (how != Stop::clean) vfs.cut_power_after(0);
        broker.store().close();
        if (how == Stop::killed) vfs.restart_process();
        if (how == Stop::power_cut) vfs.power_up();
    }
};

class EveryFailureOfARun : public EveryFailure {};
class EveryFailureOfAStart : public EveryFailure {};

// The disk fails, or is full, for one call of a run that begins, fills, seals, copies and removes
// segments and writes state.db, and of the stop that follows. Then the power goes half of the time.
TEST_P(EveryFailureOfARun, LosesNothingThatWasPromised) {
    constexpr int kBatches = 60;
    constexpr int kBatchesAfter = 3;  // so that what was lost would still be needed
    const std::uint64_t step = this->step(100);
    bool has_failed = true;
    std::uint64_t call = first(step);
    for (; has_failed; call += step) {
        SCOPED_TRACE(testing::Message() << "call " << call << " fails");
        const kit::TempDir directory;
        FaultyVfs vfs{call + 1};
        vfs.promise_safe_neighbours();
        Broker broker{small_options(directory, vfs, after())};
        ASSERT_TRUE(broker.store().open().has_value());
        vfs.fail_after(call, fault());
        for (int i = 0; i < kBatches && !vfs.has_failed(); ++i) broker.commit(1);
        broker.commit(kBatchesAfter);
        broker.settle();
        if (HasFailure()) return;
        const bool loses_power =
            call % 2 != 0 && after() == AcknowledgeAfter::disk && vfs.has_failed();
        stop(broker, vfs, loses_power ? Stop::power_cut : Stop::clean);
        has_failed = vfs.has_failed();
        vfs.be_healthy();
        ASSERT_TRUE(broker.store().open().has_value());
        ASSERT_NO_FATAL_FAILURE(broker.check());
        EXPECT_TRUE(broker.store().commit(samples::logged("t")).has_value());
        if (HasFailure()) return;
    }
    RecordProperty("calls", std::to_string(call));
}

// The same for the start of a store that was killed, or stopped: it opens, or says why not, and
// opens the next time.
TEST_P(EveryFailureOfAStart, LeavesAStoreThatOpens) {
    const std::uint64_t step = this->step(6);
    for (const Stop how : {Stop::killed, Stop::clean}) {
        const kit::TempDir made;
        FaultyVfs maker{1};
        maker.promise_safe_neighbours();
        Broker before{small_options(made, maker, after())};
        ASSERT_TRUE(before.store().open().has_value());
        before.commit(20);
        stop(before, maker, how);
        bool has_failed = true;
        for (std::uint64_t call = first(step); has_failed; call += step) {
            SCOPED_TRACE(testing::Message() << "call " << call << " fails, "
                                            << (how == Stop::clean ? "after a stop" : "killed"));
            const kit::TempDir directory;
            std::filesystem::copy(
                made.path(), directory.path(), std::filesystem::copy_options::recursive);
            FaultyVfs vfs{call + 1};
            Broker broker{small_options(directory, vfs, after())};
            broker.ledger() = before.ledger();
            vfs.fail_after(call, fault());
            const auto opened = broker.store().open();
            has_failed = vfs.has_failed();
            if (!opened && fault() == FaultyVfs::Fault::disk_full) {
                EXPECT_EQ(opened.error(), StoreErrc::store_full) << opened.error().message();
            } else if (!opened) {
                // A broker that starts waits for it.
                EXPECT_TRUE(is_of_the_disk(opened.error())) << opened.error().message();
            }
            EXPECT_TRUE(opened.has_value() || has_failed);
            broker.store().close();
            vfs.be_healthy();
            ASSERT_TRUE(broker.store().open().has_value());
            ASSERT_NO_FATAL_FAILURE(broker.check());
            broker.commit(1);
            if (call % 2 != 0 && after() == AcknowledgeAfter::disk) {
                stop(broker, vfs, Stop::power_cut);
                ASSERT_TRUE(broker.store().open().has_value());
                ASSERT_NO_FATAL_FAILURE(broker.check());
            }
            if (HasFailure()) return;
        }
    }
}

// And for the first start.
TEST_P(EveryFailureOfAStart, WhileAStoreIsMadeLeavesOneThatOpens) {
    const std::uint64_t step = this->step(6);
    bool has_failed = true;
    for (std::uint64_t call = first(step); has_failed; call += step) {
        SCOPED_TRACE(testing::Message() << "call " << call << " fails");
        const kit::TempDir directory;
        FaultyVfs vfs{call + 1};
        Store store{small_options(directory, vfs, after())};
        vfs.fail_after(call, fault());
        (void)store.open();
        has_failed = vfs.has_failed();
        store.close();
        vfs.be_healthy();
        ASSERT_TRUE(store.open().has_value());
        EXPECT_TRUE(store.commit(samples::logged("t")).has_value());
        EXPECT_EQ(store.read_all().size(), 1U);
        if (HasFailure()) return;
    }
}

std::string name_of(const testing::TestParamInfo<Parameters>& info) {
    std::string name = std::get<0>(info.param) == AcknowledgeAfter::disk ? "disk" : "os";
    switch (std::get<1>(info.param)) {
        case FaultyVfs::Fault::io_error:
            return name + "_io_error";
        case FaultyVfs::Fault::no_room:
            return name + "_no_room";
        case FaultyVfs::Fault::disk_full:
            break;
    }
    return name + "_disk_full";
}

constexpr auto kModes = {AcknowledgeAfter::disk, AcknowledgeAfter::os};

INSTANTIATE_TEST_SUITE_P(Mode,
                         EveryFailureOfARun,
                         testing::Combine(testing::ValuesIn(kModes),
                                          testing::Values(FaultyVfs::Fault::io_error,
                                                          FaultyVfs::Fault::no_room)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Mode,
                         EveryFailureOfAStart,
                         testing::Combine(testing::ValuesIn(kModes),
                                          testing::Values(FaultyVfs::Fault::io_error,
                                                          FaultyVfs::Fault::no_room,
                                                          FaultyVfs::Fault::disk_full)),
                         name_of);

}  // namespace
}  // namespace stentor::store
