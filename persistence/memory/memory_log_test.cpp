#include "persistence/memory/memory_log.hpp"

#include "base/random.hpp"
#include "persistence/contract/samples.hpp"
#include "protocol/topic/match.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stentor::store {
namespace {

using samples::logged;

CommitGroupPtr group(const MemoryLog& log, std::vector<Record> records) {
    WriteBatch batch = samples::batch(ShardId{0}, 1, std::move(records));
    GroupBuilder builder{log.last(), log.at()};
    builder.add(batch);
    return builder.take();
}

Page read(const MemoryLog& log, Seq after, std::vector<std::string> filters, Seq limit) {
    ReadRequest request;
    request.after = after;
    request.filters = make_intrusive<FilterSet>(std::move(filters));
    return log.read(request, limit);
}

TEST(GroupBuilder, KeepsOrderAndSaysWhoseRecordsTheyAre) {
    WriteBatch a = samples::batch(ShardId{2}, 7, {logged("a"), logged("b")});
    WriteBatch b = samples::batch(ShardId{1}, 3, {logged("c")});
    a.at = Instant{Duration{9}};
    b.at = Instant{Duration{4}};
    GroupBuilder builder{Seq{10}, Instant{}};
    EXPECT_TRUE(builder.is_empty());
    builder.add(a);
    builder.add(b);
    const CommitGroupPtr group = builder.take();
    EXPECT_EQ(group->first, Seq{11});
    EXPECT_EQ(group->last(), Seq{13});
    EXPECT_EQ(group->at, Instant{Duration{9}});
    ASSERT_EQ(group->slices.size(), 2U);
    EXPECT_EQ(group->slices[0].ticket, 7U);
    EXPECT_EQ(group->slices[1].shard, ShardId{1});
    EXPECT_EQ(group->slices[1].begin, 2U);
    EXPECT_EQ(group->slices[1].count, 1U);
    EXPECT_TRUE(a.records.empty());
}

TEST(MemoryLog, ReadsNothingBeyondWhatWasHandedOver) {
    MemoryLog log{{}};
    log.append(*group(log, {logged("t"), logged("t"), logged("t")}));
    for (const char* filter : {"t", "+"}) {
        const Page page = read(log, kNoSeq, {filter}, Seq{2});
        EXPECT_EQ(page.entries.size(), 2U);
        EXPECT_EQ(page.complete_through, Seq{2});
    }
    EXPECT_EQ(read(log, Seq{5}, {"t"}, Seq{2}).complete_through, Seq{5});
}

TEST(MemoryLog, ReadsTheSameByTopicAndByScan) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        SCOPED_TRACE(seed);
        Random random{seed};
        MemoryLog log{{.scanned_per_page_max = random.between(1, 20)}};
        const auto topic = [&] { return "t/" + std::to_string(random.below(5)); };
        for (int i = 0; i < 60; ++i) log.append(*group(log, {logged(topic())}));
        const std::vector<std::string> filters = {topic(), topic()};
        std::vector<std::string> scanned = filters;
        scanned.emplace_back("none/+");
        const auto all = [&](const std::vector<std::string>& wanted) {
            std::vector<Seq> seqs;
            Seq after;
            while (after < log.last()) {
                ReadRequest request;
                request.after = after;
                request.filters = make_intrusive<FilterSet>(wanted);
                request.messages_max = random.between(1, 5);
                const Page page = log.read(request, log.last());
                for (const auto& entry : page.entries) seqs.push_back(entry.seq);
                EXPECT_GT(page.complete_through, after);
                after = page.complete_through;
            }
            return seqs;
        };
        EXPECT_EQ(all(filters), all(scanned));
    }
}

TEST(MemoryLog, TrimsInSlices) {
    MemoryLog log{{.shards = 1}};
    for (int i = 0; i < 10; ++i) log.append(*group(log, {logged("t")}));
    EXPECT_EQ(log.trim(3), MemoryLog::Trimmed::all) << "nobody has said what they need";
    log.needed_from(ShardId{0}, Seq{8});
    EXPECT_EQ(log.trim(3), MemoryLog::Trimmed::more_to_do);
    EXPECT_EQ(log.messages(), 7U);
    EXPECT_EQ(log.trim(100), MemoryLog::Trimmed::all);
    EXPECT_EQ(log.messages(), 3U);
    EXPECT_EQ(read(log, kNoSeq, {"t"}, log.last()).entries.front().seq, Seq{8});
}

TEST(MemoryLog, CostsNothingOnceEverythingIsConsumed) {
    MemoryLog log{{.shards = 1}};
    log.append(*group(log, {samples::attached("c"), samples::subscribed("c", "t")}));
    for (int round = 0; round < 10; ++round) {
        log.append(*group(log, {logged("t", std::string(1000, 'x')), logged("u")}));
        const Seq sent = log.last();
        log.append(*group(log, {samples::delivered("c", sent, {samples::unfinished(sent, 1)})}));
        log.needed_from(ShardId{0}, next(log.last()));
        (void)log.trim(100);
        EXPECT_GT(log.bytes(), 0U) << "the unfinished one";
        EXPECT_EQ(log.messages(), 0U);
        log.append(*group(log, {samples::delivered("c", sent)}));
        EXPECT_EQ(log.bytes(), 0U);
    }
}

TEST(MemoryLog, HasNoRoomForMessagesBeyondItsBound) {
    MemoryLog log{{.bytes_max = 2000}};
    EXPECT_TRUE(log.has_room_for(2000));
    EXPECT_FALSE(log.has_room_for(2001));
    log.append(*group(log, {samples::retained("r", std::string(2000, 'x'))}));
    EXPECT_EQ(log.room(), Room::none_for_messages);
    EXPECT_FALSE(log.has_room_for(1));
    EXPECT_TRUE(log.has_room_for(0));
    const auto kept = [](Record record) {
        return kept_bytes(samples::batch(ShardId{0}, 1, {std::move(record)}));
    };
    MessageRecord clearing = samples::retained("r", "");
    EXPECT_EQ(kept(clearing), 0U) << "clearing frees room";
    clearing.for_durable_sessions = true;
    EXPECT_EQ(kept(clearing), 0U) << "... also when sessions hear of it";
    EXPECT_EQ(kept(samples::attached("c")), 0U);
    EXPECT_GT(kept(samples::retained("r", "1")), 0U);
    EXPECT_GT(kept(logged("t")), 0U);
    MessageRecord will = logged("t");
    will.has_no_sender = true;
    EXPECT_EQ(kept(will), 0U) << "nobody would send it again";
    log.append(*group(log, {samples::retained("r", "")}));
    EXPECT_EQ(log.room(), Room::enough);
}

TEST(MemoryLog, ASurveyFreesWhatIsBehindSomebodyFarBehind) {
    MemoryLog log{{.shards = 2, .survey_messages_min = 3}};
    GroupBuilder group{kNoSeq, {}};
    std::vector<Record> records;
    for (const char* topic : {"a", "b", "a", "c"}) records.emplace_back(samples::logged(topic));
    WriteBatch batch = samples::batch(ShardId{0}, 1, std::move(records));
    group.add(batch);
    log.append(*group.take());
    ASSERT_TRUE(log.wants_survey(ShardId{0}));
    NeedSurvey needs{Seq{3}};
    needs.add("b", Seq{1});
    log.survey(ShardId{0}, needs);
    (void)log.trim(100);
    EXPECT_EQ(log.messages(), 4U) << "the other shard has not answered";
    EXPECT_FALSE(log.wants_survey(ShardId{0}));
    log.survey(ShardId{1}, NeedSurvey{Seq{3}});
    (void)log.trim(100);
    EXPECT_EQ(log.messages(), 2U) << "b is needed, c came after the survey";
    ReadRequest all;
    all.filters = make_intrusive<FilterSet>(std::vector<std::string>{"#"});
    EXPECT_EQ(log.read(all, log.last()).entries.size(), 2U);
}

}  // namespace
}  // namespace stentor::store
