#include "persistence/sqlite/topic_index.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace stentor::store {
namespace {

TEST(TopicIndex, FindsPositionsAfterOne) {
    TopicIndex index;
    for (std::uint64_t seq : {1U, 3U, 4U, 9U}) index.add("a", Seq{seq});
    index.add("b", Seq{5});
    std::vector<Seq> found;
    index.find("a", Seq{1}, 2, found);
    EXPECT_EQ(found, (std::vector{Seq{3}, Seq{4}}));
    index.find("b", kNoSeq, 2, found);
    index.find("c", kNoSeq, 2, found);
    EXPECT_EQ(found, (std::vector{Seq{3}, Seq{4}, Seq{5}}));
}

TEST(TopicFilter, NeverDeniesWhatIsThere) {
    TopicIndex index;
    for (int i = 0; i < 5000; ++i) index.add("device/" + std::to_string(i), Seq{1});
    const TopicFilter filter{index};
    const TopicFilter read_back{filter.bytes()};
    int wrong = 0;
    for (int i = 0; i < 5000; ++i) {
        EXPECT_TRUE(read_back.may_contain("device/" + std::to_string(i)));
        wrong += read_back.may_contain("other/" + std::to_string(i)) ? 1 : 0;
    }
    EXPECT_LT(wrong, 150);
    EXPECT_FALSE(TopicFilter{}.may_contain("t"));
    EXPECT_FALSE(TopicFilter{TopicIndex{}}.may_contain("t"));
}

}  // namespace
}  // namespace stentor::store
