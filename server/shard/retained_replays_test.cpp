#include "server/shard/retained_replays.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace stentor::server {
namespace {

RetainedReplay replay_of(std::string text, std::uint64_t cookie) {
    RetainedReplay replay;
    replay.text = std::move(text);
    replay.cookie = cookie;
    return replay;
}

TEST(RetainedReplays, GoInTheOrderTheyCameAndEndWithThePlaceOfTheFirst) {
    RetainedReplays replays;
    EXPECT_TRUE(replays.empty());
    replays.add(replay_of("b", 1));
    replays.add(replay_of("a", 2));
    EXPECT_EQ(replays.front().text, "b");
    EXPECT_EQ(replays.under_way(1)->text, "b");
    EXPECT_EQ(replays.under_way(2), nullptr);
    replays.pop_front();
    EXPECT_EQ(replays.front().text, "a");
    EXPECT_EQ(replays.under_way(1), nullptr);
    replays.pop_front();
    EXPECT_TRUE(replays.empty());
    EXPECT_EQ(replays.under_way(2), nullptr);
}

TEST(RetainedReplays, ASubscriptionHasOneTheLatest) {
    RetainedReplays replays;
    replays.add(replay_of("a", 1));
    replays.add(replay_of("b", 2));
    replays.add(replay_of("a", 3));
    EXPECT_EQ(replays.front().text, "b");
    replays.pop_front();
    EXPECT_EQ(replays.front().cookie, 3U);
    replays.pop_front();
    EXPECT_TRUE(replays.empty());
}

TEST(RetainedReplays, AreDroppedByTheirSubscription) {
    RetainedReplays replays;
    EXPECT_FALSE(replays.drop("a"));
    replays.add(replay_of("a", 1));
    replays.add(replay_of("b", 2));
    EXPECT_FALSE(replays.drop("c"));
    EXPECT_TRUE(replays.drop("a"));
    EXPECT_FALSE(replays.drop("a"));
    EXPECT_EQ(replays.front().text, "b");
    EXPECT_TRUE(replays.drop("b"));
    EXPECT_TRUE(replays.empty());
    EXPECT_FALSE(replays.drop("b"));
}

}  // namespace
}  // namespace stentor::server
