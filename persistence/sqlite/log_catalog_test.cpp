#include "persistence/sqlite/log_catalog.hpp"

#include "persistence/contract/samples.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace stentor::store {
namespace {

class LogCatalogTest : public testing::Test {
  protected:
    LogCatalogTest() {
        catalog_.add_segment("log/1", Seq{1}, Instant{});
        catalog_.start_after(kNoSeq);
    }
    void commit(Record record, std::size_t bytes) {
        auto group = make_intrusive<CommitGroup>();
        group->first = next(catalog_.last());
        group->records.push_back(std::move(record));
        catalog_.add_group(std::move(group), bytes, bytes);
        catalog_.handed_over(catalog_.last());
    }
    LogCatalog catalog_{1000};
};

TEST_F(LogCatalogTest, OnlyGroupsWithMessagesStayInMemory) {
    commit(samples::attached("c"), 10);
    commit(samples::logged("t"), 10);
    commit(samples::subscribed("c", "t"), 1'000'000);
    commit(samples::logged("t"), 10);
    commit(samples::attached("d"), 10);
    const LogSnapshot all = catalog_.snapshot(kNoSeq, 8, 100);
    EXPECT_EQ(all.tail_first, Seq{1});
    ASSERT_EQ(all.groups.size(), 2U);
    EXPECT_EQ(all.groups[0]->first, Seq{2});
    EXPECT_EQ(all.groups[1]->first, Seq{4});
    EXPECT_EQ(all.groups_through, Seq{5});
    EXPECT_EQ(catalog_.snapshot(kNoSeq, 8, 1).groups_through, Seq{3}) << "then comes another one";
    const LogSnapshot rest = catalog_.snapshot(Seq{4}, 8, 100);
    EXPECT_TRUE(rest.groups.empty());
    EXPECT_EQ(rest.groups_through, Seq{5});
}

TEST_F(LogCatalogTest, TheTailBeginsBehindWhatItHasLost) {
    commit(samples::logged("t"), 600);
    commit(samples::attached("c"), 10);
    EXPECT_EQ(catalog_.snapshot(kNoSeq, 8, 100).tail_first, Seq{1});
    commit(samples::logged("t"), 600);
    const LogSnapshot begun_before = catalog_.snapshot(kNoSeq, 8, 100);
    EXPECT_EQ(begun_before.tail_first, Seq{2});
    EXPECT_TRUE(begun_before.groups.empty());
    EXPECT_EQ(catalog_.snapshot(Seq{1}, 8, 100).groups.size(), 1U);
}

}  // namespace
}  // namespace stentor::store
