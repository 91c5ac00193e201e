// The suite every storage engine passes; see engine_under_test.hpp for how an engine joins.
//
// The tests play the shards, from one thread or, where a test says so, from one thread per shard;
// the engine reports to a RecordingSink. Nothing waits for time to pass: an EngineUnderTest is
// driven until a condition holds.

#include "base/random.hpp"
#include "persistence/contract/engine.hpp"
#include "persistence/contract/engine_under_test.hpp"
#include "persistence/contract/recording_sink.hpp"
#include "persistence/contract/samples.hpp"
#include "protocol/topic/match.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace stentor::store {
namespace {

class EngineContract : public testing::TestWithParam<EngineCase> {
  protected:
    static constexpr ShardId kShard{0};

    void SetUp() override { open({}); }
    void TearDown() override {
        if (started_) engine().drain_and_close();
    }

    /// Instead of the engine that SetUp() made.
    void open(const EngineBounds& bounds) {
        if (started_) engine().drain_and_close();
        bounds_ = bounds;
        under_test_ = GetParam().make(bounds);
        recover_and_start();
    }

    void recover_and_start() {
        auto recovered = engine().recover();
        ASSERT_TRUE(recovered.has_value()) << recovered.error().message();
        recovered_ = *std::move(recovered);
        sink_ = std::make_unique<RecordingSink>(recovered_.last);
        engine().start(*sink_);
        started_ = true;
    }

    StorageEngine& engine() { return under_test_->engine(); }

    void wait_until(const std::function<bool()>& condition) {
        ASSERT_TRUE(under_test_->drive(*sink_, condition)) << "the engine stood still";
    }

    /// Submits, again while the engine is full, and returns the ticket.
    CommitTicket submit(ShardId shard, std::vector<Record> records) {
        const CommitTicket ticket = ++tickets_[shard];
        WriteBatch batch = samples::batch(shard, ticket, std::move(records));
        wait_until([&] { return engine().submit(batch) == Push::ok; });
        return ticket;
    }

    Result<void> result_of(ShardId shard, CommitTicket ticket) {
        wait_until([&] { return sink_->result(shard, ticket).has_value(); });
        return sink_->result(shard, ticket).value_or(make_error_code(StoreErrc::io_error));
    }

    /// Submits one record, waits for its commit and returns its position.
    Seq commit(Record record) {
        std::vector<Record> records;
        records.push_back(std::move(record));
        return commit_all(std::move(records)).front();
    }

    std::vector<Seq> commit_all(std::vector<Record> records) {
        const CommitTicket ticket = submit(kShard, std::move(records));
        const auto result = result_of(kShard, ticket);
        EXPECT_TRUE(result.has_value());
        return sink_->positions(kShard, ticket);
    }

    Page read(ReadRequest request) {
        request.cookie = ++cookie_;
        const std::uint64_t cookie = request.cookie;
        wait_until([&] { return engine().read(request) == Push::ok; });
        wait_until([&] { return sink_->page(cookie).has_value(); });
        return sink_->page(cookie).value_or(Page{});
    }

    static ReadRequest request(Seq after, FilterSetPtr filters) {
        ReadRequest request;
        request.shard = kShard;
        request.after = after;
        request.filters = std::move(filters);
        return request;
    }
    static ReadRequest request(Seq after, std::vector<std::string> filters) {
        return request(after, make_intrusive<FilterSet>(std::move(filters)));
    }

    static ReadRequest request_only(std::vector<Seq> only) {
        ReadRequest request;
        request.shard = kShard;
        request.only = std::move(only);
        return request;
    }

    /// All that matches after `after`, page by page, each of which must advance.
    std::vector<Seq> read_all(Seq after,
                              const std::vector<std::string>& filters,
                              std::size_t messages_max = 128) {
        std::vector<Seq> found;
        const Seq last = sink_->last();
        const auto set = make_intrusive<FilterSet>(filters);
        while (after < last) {
            ReadRequest next_page = request(after, FilterSetPtr{set});
            next_page.messages_max = messages_max;
            const Page page = read(std::move(next_page));
            EXPECT_TRUE(page.result.has_value());
            EXPECT_GT(page.complete_through, after);
            EXPECT_LE(page.entries.size(), messages_max);
            for (const PageEntry& entry : page.entries) {
                EXPECT_GT(entry.seq, after);
                EXPECT_LE(entry.seq, page.complete_through);
                found.push_back(entry.seq);
            }
            if (page.complete_through <= after) break;
            after = page.complete_through;
        }
        EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
        return found;
    }

    static std::vector<Seq> positions_of(const Page& page) {
        std::vector<Seq> positions;
        for (const PageEntry& entry : page.entries) positions.push_back(entry.seq);
        return positions;
    }

    /// Every shard reports, then one more commit makes sure that the engine has looked at it.
    void need_from(Seq seq) {
        for (std::uint16_t shard = 0; shard < bounds_.shards; ++shard) {
            engine().needed_from(ShardId{shard}, seq);
        }
    }

    EngineBounds bounds_;
    std::unique_ptr<EngineUnderTest> under_test_;
    std::unique_ptr<RecordingSink> sink_;
    Recovered recovered_;
    bool started_ = false;
    std::map<ShardId, CommitTicket> tickets_;
    std::uint64_t cookie_ = 0;
};

// --- commits ---

TEST_P(EngineContract, PositionsBeginAfterTheRecoveredOne) {
    EXPECT_TRUE(recovered_.clean);
    EXPECT_EQ(commit(samples::logged("t")), next(recovered_.last));
    EXPECT_EQ(commit(samples::logged("t")), next(next(recovered_.last)));
}

TEST_P(EngineContract, ABatchIsCommittedWholeAndInOrder) {
    const Seq before = sink_->last();
    const auto positions = commit_all(
        {samples::logged("a"), samples::logged("b"), samples::attached("c"), samples::logged("d")});
    ASSERT_EQ(positions.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(positions[i], Seq{before.value() + i + 1});
    }
    EXPECT_EQ(std::get<MessageRecord>(sink_->record(positions[1])).message->topic(), "b");
    EXPECT_EQ(std::get<Attached>(sink_->record(positions[2])).client, "c");
}

TEST_P(EngineContract, EveryTicketIsAnsweredOnceAndInItsShardsOrder) {
    open({.shards = 3});
    for (int i = 0; i < 200; ++i) {
        submit(ShardId{static_cast<std::uint16_t>(i % 3)}, {samples::logged("t")});
    }
    wait_until([&] { return sink_->tickets_done() == 200; });
    EXPECT_EQ(sink_->complaints(), "");
    for (const auto& [shard, last] : tickets_) {
        for (CommitTicket ticket = 1; ticket <= last; ++ticket) {
            EXPECT_TRUE(sink_->result(shard, ticket)->has_value());
            EXPECT_EQ(sink_->positions(shard, ticket).size(), 1U);
        }
    }
}

TEST_P(EngineContract, RecordsTravelUnchanged) {
    MessageRecord record = samples::logged("t", "payload");
    record.wanted_by = 5;
    record.inbound = InboundQos2{.client = "c", .packet_id = PacketId{7}};
    const Seq seq = commit(record);
    const auto committed = std::get<MessageRecord>(sink_->record(seq));
    EXPECT_EQ(committed.wanted_by, 5U);
    EXPECT_EQ(samples::encoded(committed), samples::encoded(record));
}

TEST_P(EngineContract, TheClockOfAGroupNeverGoesBack) {
    const auto commit_at = [&](int microseconds) {
        WriteBatch batch = samples::batch(kShard, ++tickets_[kShard], {samples::logged("t")});
        batch.at = Instant{Duration{microseconds}};
        wait_until([&] { return engine().submit(batch) == Push::ok; });
        (void)result_of(kShard, tickets_[kShard]);
        return sink_->clock();
    };
    EXPECT_EQ(commit_at(50), Instant{Duration{50}});
    EXPECT_EQ(commit_at(20), Instant{Duration{50}});
    EXPECT_EQ(commit_at(70), Instant{Duration{70}});
}

TEST_P(EngineContract, AFullQueueSaysSoAndLeavesTheBatchAlone) {
    open({.queue_batches_max = 4});
    const auto pause = under_test_->pause(*sink_);
    std::size_t taken = 0;
    WriteBatch batch;
    for (; taken < 1000; ++taken) {
        batch = samples::batch(kShard, taken + 1, {samples::logged("t")});
        if (engine().submit(batch) == Push::full) break;
    }
    ASSERT_LT(taken, 1000U);
    EXPECT_EQ(batch.records.size(), 1U);
    EXPECT_EQ(batch.bytes, record_bytes(batch.records[0]));
    pause->end();
    wait_until([&] { return engine().submit(batch) == Push::ok; });
    wait_until([&] { return sink_->tickets_done() == taken + 1; });
    EXPECT_EQ(sink_->complaints(), "");
}

TEST_P(EngineContract, AFullReadQueueSaysSoAndLeavesTheRequestAlone) {
    open({.reads_max = 4});
    const auto pause = under_test_->pause(*sink_);
    std::size_t taken = 0;
    ReadRequest wanted;
    for (; taken < 1000; ++taken) {
        wanted = request(kNoSeq, {"t"});
        wanted.cookie = taken + 1;
        if (engine().read(wanted) == Push::full) break;
    }
    ASSERT_LT(taken, 1000U);
    ASSERT_NE(wanted.filters, nullptr);
    pause->end();
    wait_until([&] { return engine().read(wanted) == Push::ok; });
    wait_until([&] { return sink_->pages() == taken + 1; });
    EXPECT_EQ(sink_->complaints(), "") << "pages come in the order of their requests";
}

TEST_P(EngineContract, BeyondItsBytesItRefusesMessagesAndNothingElse) {
    open({.log_bytes_max = 20'000});
    std::vector<Seq> kept;
    while (engine().room() == Room::enough && kept.size() < 1000) {
        const CommitTicket ticket = submit(kShard, {samples::logged("t", std::string(1000, 'x'))});
        if (!result_of(kShard, ticket).has_value()) break;
        kept.push_back(sink_->positions(kShard, ticket).front());
    }
    ASSERT_GT(kept.size(), 2U);
    ASSERT_LT(kept.size(), 1000U);
    const CommitTicket refused =
        submit(kShard, {samples::logged("t", std::string(5000, 'x')), samples::attached("c")});
    EXPECT_EQ(result_of(kShard, refused), Result<void>{make_error_code(StoreErrc::store_full)});
    EXPECT_TRUE(sink_->positions(kShard, refused).empty()) << "nothing of the batch is in the log";
    commit(samples::attached("c"));
    MessageRecord clearing = samples::retained("r", "");
    clearing.for_durable_sessions = true;
    commit(clearing);
    EXPECT_EQ(sink_->complaints(), "");
    EXPECT_EQ(read_all(recovered_.last, {"t"}), kept);

    need_from(next(sink_->last()));
    // Forgetting takes as long as it takes.
    Result<void> result = make_error_code(StoreErrc::store_full);
    for (int i = 0; i < 1000 && !result.has_value(); ++i) {
        result = result_of(kShard, submit(kShard, {samples::logged("t", std::string(5000, 'x'))}));
    }
    EXPECT_TRUE(result.has_value());
    wait_until([&] { return engine().room() == Room::enough; });
}

TEST_P(EngineContract, MessagesForDurableSessionsAreCounted) {
    EXPECT_EQ(engine().log_messages(), 0U);
    commit(samples::attached("c"));
    MessageRecord unlogged = samples::retained("r", "value");
    unlogged.for_durable_sessions = false;
    commit(unlogged);
    for (int i = 0; i < 5; ++i) commit(samples::logged("t"));
    commit(samples::subscribed("c", "t"));
    wait_until([&] { return engine().log_messages() == 5; });
}

// --- reads ---

TEST_P(EngineContract, ReadsWhatMatches) {
    const char* topics[] = {"a", "a/b", "a/b/c", "b", "/", "$SYS/a", "$a", "A", "a/", "a//b"};
    std::vector<std::pair<Seq, std::string>> all;
    for (int round = 0; round < 3; ++round) {
        for (const char* topic : topics) all.emplace_back(commit(samples::logged(topic)), topic);
    }
    const std::vector<std::vector<std::string>> wanted = {{"a"},
                                                          {"a/b", "b"},
                                                          {"a", "a"},
                                                          {"none"},
                                                          {"#"},
                                                          {"+"},
                                                          {"a/#"},
                                                          {"+/b"},
                                                          {"+/+"},
                                                          {"/"},
                                                          {"$SYS/#"},
                                                          {"$SYS/a"},
                                                          {"$a", "b"},
                                                          {"a/+/c", "A"},
                                                          {"a/+", "a/b"}};
    for (const auto& filters : wanted) {
        SCOPED_TRACE(testing::PrintToString(filters));
        std::vector<Seq> expected;
        for (const auto& [seq, topic] : all) {
            const auto matches = [&, &t = topic](auto& f) { return mqtt::matches(f, t); };
            if (std::any_of(filters.begin(), filters.end(), matches)) expected.push_back(seq);
        }
        EXPECT_EQ(read_all(recovered_.last, filters), expected);
        EXPECT_EQ(read_all(recovered_.last, filters, 2), expected);
    }
}

TEST_P(EngineContract, ThousandsOfFiltersFindAllOnceAndInOrder) {
    const auto numbered = [](const std::string& behind, int count) {
        std::vector<std::string> filters;
        for (int i = 0; i < count; ++i) filters.push_back("d/" + std::to_string(i) + behind);
        return filters;
    };
    const auto with = [](std::vector<std::string> filters, std::vector<std::string> more) {
        filters.insert(filters.end(), more.begin(), more.end());
        return filters;
    };
    Random random{11};
    std::vector<std::pair<Seq, std::string>> all;
    for (int batch = 0; batch < 12; ++batch) {
        std::vector<Record> records;
        std::vector<std::string> topics;
        for (int i = 0; i < 40; ++i) {
            topics.push_back("d/" + std::to_string(random.below(4000)) +
                             (random.chance(1, 3) ? "/s" : "/t"));
            records.emplace_back(samples::logged(topics.back()));
        }
        const std::vector<Seq> positions = commit_all(std::move(records));
        for (std::size_t i = 0; i < topics.size(); ++i) {
            all.emplace_back(positions[i], topics[i]);
        }
    }
    const std::vector<std::vector<std::string>> wanted = {
        numbered("/s", 2000),                                     // exact
        numbered("/gone", 2000),                                  // of which none is there
        with(numbered("/s", 2000), {"d/+/t"}),                    // and a wildcard beside them
        with(numbered("/s", 2000), {"d/+/s", "d/7/#", "+/9/t"}),  // that overlap
        numbered("/+", 1500),                                     // as many wildcards
        with(numbered("/#", 500), numbered("/s", 1000))};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        SCOPED_TRACE(i);
        std::vector<Seq> expected;
        for (const auto& [seq, topic] : all) {
            const auto matches = [&, &t = topic](auto& f) { return mqtt::matches(f, t); };
            if (std::any_of(wanted[i].begin(), wanted[i].end(), matches)) expected.push_back(seq);
        }
        EXPECT_EQ(read_all(recovered_.last, wanted[i]), expected);
        EXPECT_EQ(read_all(recovered_.last, wanted[i], 3), expected);
    }
}

// What one session's pages leave behind for the next must not be what that one gets.
TEST_P(EngineContract, SessionsReadAtTheSameTimeFromDifferentPlaces) {
    std::vector<std::pair<Seq, std::string>> all;
    for (int i = 0; i < 120; ++i) {
        const std::string topic = "t/" + std::to_string(i % 7) + (i % 2 == 0 ? "/a" : "/b");
        all.emplace_back(commit(samples::logged(topic)), topic);
    }
    struct Reader {
        std::vector<std::string> filters;
        FilterSetPtr set;
        Seq begin;
        Seq after;
        std::vector<Seq> found = {};
    };
    const std::vector<std::vector<std::string>> filters = {
        {"t/1/a"}, {"t/1/a", "t/2/b"}, {"#"}, {"t/+/a"}, {"t/3/#", "t/4/a"}, {"nothing"}};
    std::vector<Reader> readers;
    for (std::size_t i = 0; i < 24; ++i) {
        const Seq begin{recovered_.last.value() + i * 37 % 110};
        const auto& of = filters[i % filters.size()];
        readers.push_back({of, make_intrusive<FilterSet>(of), begin, begin});
    }
    const Seq last = sink_->last();
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        std::map<std::uint64_t, Reader*> asked;
        for (Reader& reader : readers) {
            if (reader.after >= last) continue;
            ReadRequest wanted = request(reader.after, reader.set);
            wanted.cookie = ++cookie_;
            wanted.messages_max = 5;
            asked.emplace(wanted.cookie, &reader);
            wait_until([&] { return engine().read(wanted) == Push::ok; });
        }
        for (const auto& [cookie, reader] : asked) {
            const std::uint64_t answered = cookie;
            wait_until([&] { return sink_->page(answered).has_value(); });
            const Page page = sink_->page(answered).value_or(Page{});
            ASSERT_GT(page.complete_through, reader->after);
            reader->after = page.complete_through;
            for (const PageEntry& entry : page.entries) reader->found.push_back(entry.seq);
            goes_on = true;
        }
    }
    for (const Reader& reader : readers) {
        SCOPED_TRACE(testing::PrintToString(reader.filters));
        std::vector<Seq> expected;
        for (const auto& [seq, topic] : all) {
            const auto matches = [&, &t = topic](auto& f) { return mqtt::matches(f, t); };
            if (seq <= reader.begin) continue;
            if (std::any_of(reader.filters.begin(), reader.filters.end(), matches)) {
                expected.push_back(seq);
            }
        }
        EXPECT_EQ(reader.found, expected);
    }
}

TEST_P(EngineContract, ReadsOnlyWhatDurableSessionsWait) {
    commit(samples::retained("t", "1"));
    const Seq waiting = commit(samples::logged("t"));
    MessageRecord inbound;
    inbound.message = samples::message("t");
    inbound.inbound = InboundQos2{.client = "c", .packet_id = PacketId{1}};
    commit(inbound);
    EXPECT_EQ(read_all(recovered_.last, {"t"}), std::vector{waiting});
    EXPECT_EQ(read_all(recovered_.last, {"#"}), std::vector{waiting});
}

TEST_P(EngineContract, APageBeginsAfterItsPosition) {
    const Seq first = commit(samples::logged("t"));
    const Seq second = commit(samples::logged("t"));
    for (const char* filter : {"t", "#"}) {
        EXPECT_EQ(read_all(first, {filter}), std::vector{second});
        const Page level = read(request(second, {filter}));
        EXPECT_TRUE(level.entries.empty());
        EXPECT_EQ(level.complete_through, second);
    }
}

TEST_P(EngineContract, PagesKeepTheirBounds) {
    for (int i = 0; i < 20; ++i) commit(samples::logged("t", std::string(100, 'x')));
    const std::size_t bytes = samples::message("t", std::string(100, 'x'))->bytes();
    for (const char* filter : {"t", "+"}) {
        ReadRequest by_count = request(recovered_.last, {filter});
        by_count.messages_max = 3;
        Page page = read(std::move(by_count));
        ASSERT_EQ(page.entries.size(), 3U);
        EXPECT_EQ(page.complete_through, page.entries.back().seq);

        ReadRequest by_bytes = request(recovered_.last, {filter});
        by_bytes.bytes_max = bytes * 4 + 1;
        EXPECT_EQ(read(std::move(by_bytes)).entries.size(), 4U);

        ReadRequest too_few = request(recovered_.last, {filter});
        too_few.bytes_max = 1;
        page = read(std::move(too_few));
        ASSERT_EQ(page.entries.size(), 1U) << "one message always fits, or nothing would advance";
        EXPECT_EQ(page.complete_through, page.entries.back().seq);
    }
}

TEST_P(EngineContract, EmptyPagesAdvance) {
    for (int i = 0; i < 50; ++i) commit(samples::logged("other/" + std::to_string(i)));
    const Seq wanted = commit(samples::logged("wanted"));
    commit(samples::attached("c"));
    EXPECT_EQ(read_all(recovered_.last, {"+", "wanted"}), std::vector{wanted});
    EXPECT_EQ(read_all(recovered_.last, {"wanted"}), std::vector{wanted});
    EXPECT_EQ(read_all(recovered_.last, {"nothing/+"}), std::vector<Seq>{});
    EXPECT_EQ(read_all(recovered_.last, {"nothing"}), std::vector<Seq>{});
}

TEST_P(EngineContract, ReadsExactlyTheWantedPositions) {
    const Seq a = commit(samples::logged("a"));
    const Seq other = commit(samples::attached("c"));
    const Seq b = commit(samples::logged("b"));
    const Seq value = commit(samples::retained("r", "1"));
    Page page = read(request_only({a, other, b, value}));
    EXPECT_EQ(positions_of(page), (std::vector{a, b, value}));
    EXPECT_EQ(page.complete_through, value);

    ReadRequest bounded = request_only({a, b, value});
    bounded.messages_max = 2;
    page = read(std::move(bounded));
    EXPECT_EQ(positions_of(page), (std::vector{a, b}));
    EXPECT_EQ(page.complete_through, b);
}

// The trap of the seam: a page that knew of a group the shard has not seen would make the session
// live too early.
TEST_P(EngineContract, APageNeverRunsAheadOfTheCommitStream) {
    open({.shards = 2});
    for (int i = 0; i < 100; ++i) {
        submit(ShardId{static_cast<std::uint16_t>(i % 2)}, {samples::logged("t")});
        ReadRequest any = request(recovered_.last, {i % 2 == 0 ? "t" : "#"});
        any.cookie = ++cookie_;
        wait_until([&] { return engine().read(any) == Push::ok; });
    }
    wait_until([&] { return sink_->pages() == 100 && sink_->tickets_done() == 100; });
    EXPECT_EQ(sink_->complaints(), "");
}

// --- trimming ---

TEST_P(EngineContract, ForgetsNothingUntilEveryShardHasSpoken) {
    open({.shards = 2});
    const Seq seq = commit(samples::logged("t"));
    engine().needed_from(ShardId{0}, next(seq));
    for (int i = 0; i < 20; ++i) commit(samples::attached("c"));
    EXPECT_EQ(read_all(recovered_.last, {"t"}), std::vector{seq});
}

TEST_P(EngineContract, ForgetsWhatNobodyNeeds) {
    open({.shards = 2});
    std::vector<Seq> seqs(100);
    for (Seq& seq : seqs) seq = commit(samples::logged("t"));
    engine().needed_from(ShardId{0}, next(seqs[99]));
    engine().needed_from(ShardId{1}, seqs[60]);
    engine().needed_from(ShardId{1}, seqs[10]);  // goes back: ignored
    std::vector<Seq> left;
    for (int i = 0; i < 1000 && (left.empty() || left.front() != seqs[60]); ++i) {
        commit(samples::attached("c"));
        left = read_all(recovered_.last, {"t"});
    }
    if (under_test_->keeps_whole_segments()) {
        EXPECT_LE(left.size(), seqs.size());
        left.erase(left.begin(), left.end() - 40);
    }
    EXPECT_EQ(left, std::vector(seqs.begin() + 60, seqs.end()));
}

TEST_P(EngineContract, KeepsUnfinishedAndRetainedMessagesForEver) {
    commit(samples::attached("c"));
    commit(samples::subscribed("c", "#"));
    const Seq value = commit(samples::retained("r", "value"));
    const Seq superseded = commit(samples::retained("s", "old"));
    const Seq sent = commit(samples::logged("t", "sent"));
    const Seq done = commit(samples::logged("t", "done"));
    commit(samples::delivered(
        "c", done, {samples::unfinished(superseded, 2), samples::unfinished(sent, 1)}));
    commit(samples::retained("s", "new"));
    need_from(next(sink_->last()));
    for (int i = 0; i < 50; ++i) commit(samples::attached("d"));

    const Page page = read(request_only({value, superseded, sent}));
    ASSERT_EQ(positions_of(page), (std::vector{value, superseded, sent}));
    EXPECT_EQ(as_text(page.entries[0].message->payload()), "value");
    EXPECT_EQ(as_text(page.entries[1].message->payload()), "old");
    EXPECT_EQ(as_text(page.entries[2].message->payload()), "sent");
}

// --- several shards at once ---

TEST_P(EngineContract, ShardsSubmitAndReadConcurrently) {
    constexpr std::uint16_t kShards = 4;
    constexpr std::uint64_t kBatches = 150;
    open({.shards = kShards, .queue_batches_max = 8, .reads_max = 8});
    const auto play = [&](std::uint16_t shard) {
        Random random{shard};
        std::uint64_t submitted = 0;
        std::uint64_t asked = 0;
        WriteBatch batch;
        while (submitted < kBatches || asked < kBatches) {
            if (submitted < kBatches) {
                if (batch.records.empty()) {
                    batch = samples::batch(ShardId{shard}, submitted + 1, {});
                    for (std::uint64_t i = random.between(1, 4); i != 0; --i) {
                        batch.add(samples::logged("t/" + std::to_string(shard)));
                    }
                }
                if (engine().submit(batch) == Push::ok) {
                    batch = WriteBatch{};
                    ++submitted;
                }
            }
            if (asked < kBatches) {
                ReadRequest wanted = request(sink_->last(), {random.chance(1, 2) ? "t/0" : "t/+"});
                wanted.shard = ShardId{shard};
                wanted.cookie = shard * kBatches + asked + 1;
                if (engine().read(wanted) == Push::ok) ++asked;
            }
            engine().needed_from(ShardId{shard}, sink_->last());
            under_test_->give_way(*sink_);
        }
    };
    if (under_test_->has_threads()) {
        std::vector<std::jthread> shards;
        for (std::uint16_t shard = 0; shard < kShards; ++shard) shards.emplace_back(play, shard);
    } else {
        for (std::uint16_t shard = 0; shard < kShards; ++shard) play(shard);
    }
    wait_until([&] {
        return sink_->tickets_done() == kShards * kBatches && sink_->pages() == kShards * kBatches;
    });
    EXPECT_EQ(sink_->complaints(), "");
}

// --- the end, and after ---

TEST_P(EngineContract, ClosingAnswersEverything) {
    open({.shards = 2});
    for (int i = 0; i < 50; ++i) {
        submit(ShardId{static_cast<std::uint16_t>(i % 2)}, {samples::logged("t")});
        ReadRequest wanted = request(recovered_.last, {"t"});
        wait_until([&] { return engine().read(wanted) == Push::ok; });
    }
    engine().drain_and_close();
    started_ = false;
    EXPECT_EQ(sink_->tickets_done(), 50U);
    EXPECT_EQ(sink_->pages(), 50U);
    EXPECT_EQ(sink_->last(), Seq{recovered_.last.value() + 50});
    EXPECT_EQ(sink_->complaints(), "");
}

TEST_P(EngineContract, ClosingRightAfterStartingIsFine) {
    engine().drain_and_close();
    started_ = false;
    EXPECT_EQ(sink_->tickets_done(), 0U);
}

TEST_P(EngineContract, AllIsThereAfterARestart) {
    if (!under_test_->keeps()) GTEST_SKIP() << "this engine keeps nothing";
    commit(samples::attached("c"));
    const Seq since = commit(samples::subscribed("c", "t"));
    const Seq sent = commit(samples::logged("t", "sent"));
    const Seq waiting = commit(samples::logged("t", "waiting"));
    const Seq value = commit(samples::retained("r", "value"));
    commit(samples::delivered("c", sent, {samples::unfinished(sent, 1)}));
    const Seq last = sink_->last();
    engine().drain_and_close();
    started_ = false;
    under_test_->reopen();
    recover_and_start();
    EXPECT_TRUE(recovered_.clean);
    EXPECT_EQ(recovered_.last, last);
    const StoredSession& session = recovered_.state.sessions().at("c");
    EXPECT_TRUE(session.attached);
    EXPECT_EQ(session.sent_through, sent);
    ASSERT_EQ(session.subscriptions.size(), 1U);
    EXPECT_EQ(session.subscriptions[0].since, since);
    ASSERT_EQ(session.unfinished.size(), 1U);
    EXPECT_EQ(recovered_.state.retained().at("r").seq, value);
    EXPECT_EQ(positions_of(read(request_only({sent, value}))), (std::vector{sent, value}));
    EXPECT_EQ(read_all(sent, {"t"}), std::vector{waiting});
    EXPECT_EQ(commit(samples::logged("t")), next(last));
}

INSTANTIATE_TEST_SUITE_P(Engine,
                         EngineContract,
                         testing::ValuesIn(engine_cases()),
                         [](const auto& engine) { return engine.param.name; });

}  // namespace
}  // namespace stentor::store
