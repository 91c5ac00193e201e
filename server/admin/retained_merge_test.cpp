#include "server/admin/retained_merge.hpp"

#include "protocol/message.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace stentor::admin {
namespace {

server::RetainedFound page(const std::vector<std::string>& topics, server::RetainedCursor cursor) {
    server::RetainedFound found{.cursor = std::move(cursor)};
    for (const std::string& topic : topics) {
        found.values.push_back({.message = mqtt::Message::create({.topic = topic}), .seq = Seq{1}});
        found.wanted.push_back(topic.ends_with('!'));
    }
    return found;
}

std::string take(RetainedMerge& merge) {
    const auto item = merge.next();
    return item ? std::string{item->value.message->topic()} + (item->wanted ? " wanted" : "") : "-";
}

TEST(RetainedMerge, TopicsComeInOrderOverAllShards) {
    RetainedMerge merge{2, ""};
    EXPECT_EQ(merge.shard_to_ask(), ShardId{0});
    merge.add(ShardId{0}, page({"a", "c"}, {.next_topic = "e"}));
    EXPECT_EQ(merge.shard_to_ask(), ShardId{1});
    merge.add(ShardId{1}, page({"a/b!", "d"}, {.next_topic = {}, .done = true}));
    EXPECT_EQ(merge.shard_to_ask(), std::nullopt);
    EXPECT_EQ(take(merge), "a");
    EXPECT_EQ(take(merge), "a/b! wanted");
    EXPECT_EQ(merge.next_topic(), "c");
    EXPECT_EQ(take(merge), "c");
    EXPECT_EQ(merge.shard_to_ask(), ShardId{0}) << "what it has may come before d";
    EXPECT_EQ(merge.cursor(ShardId{0}).next_topic, "e");
    EXPECT_EQ(merge.next_topic(), "d");
    merge.add(ShardId{0}, page({}, {.next_topic = "x"}));
    EXPECT_EQ(merge.shard_to_ask(), ShardId{0}) << "an empty page is not the end";
    merge.add(ShardId{0}, page({}, {.next_topic = {}, .done = true}));
    EXPECT_EQ(take(merge), "d");
    EXPECT_EQ(take(merge), "-");
    EXPECT_EQ(merge.next_topic(), std::nullopt);
}

TEST(RetainedMerge, BeginsWhereItIsTold) {
    RetainedMerge merge{3, "m"};
    for (std::uint16_t i = 0; i < 3; ++i) EXPECT_EQ(merge.cursor(ShardId{i}).next_topic, "m");
    EXPECT_EQ(merge.next_topic(), "m");
}

}  // namespace
}  // namespace stentor::admin
