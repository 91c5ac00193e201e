#include "server/core/match_set.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace stentor::server {
namespace {

Subscriber subscriber(SubscriberId id, std::uint32_t identifier) {
    return {.id = id, .options = {}, .subscription_identifier = identifier, .since = kNoSeq};
}

using Grouped = std::vector<std::pair<SubscriberId, std::vector<std::uint32_t>>>;

Grouped collect(const MatchGroups& groups) {
    Grouped result;
    for (std::size_t i = 0; i < groups.size(); ++i) {
        result.emplace_back(groups[i].id(), std::vector<std::uint32_t>{});
        for (const Subscriber& entry : groups[i]) {
            EXPECT_EQ(entry.id, groups[i].id());
            result.back().second.push_back(entry.subscription_identifier);
        }
    }
    return result;
}

const SubscriberId kAnna = SubscriberId::session(0);
const SubscriberId kBert = SubscriberId::session(700);
const SubscriberId kGroup = SubscriberId::shared_group(0);

TEST(MatchGroups, BringASubscribersEntriesTogether) {
    const std::vector<Subscriber> first{subscriber(kAnna, 1), subscriber(kBert, 2)};
    const std::vector<Subscriber> second{subscriber(kGroup, 3), subscriber(kAnna, 4)};
    const std::vector<Subscriber> third{subscriber(kAnna, 5)};
    MatchSet matches;
    matches.append(first);
    EXPECT_TRUE(matches.is_single_source());
    matches.append(second);
    matches.append(third);
    EXPECT_FALSE(matches.is_single_source());
    EXPECT_EQ(matches.size(), 5U);

    MatchGroups groups;
    groups.assign(matches);
    EXPECT_EQ(collect(groups), (Grouped{{kAnna, {1, 4, 5}}, {kBert, {2}}, {kGroup, {3}}}));
}

TEST(MatchGroups, ForgetThePreviousRound) {
    const std::vector<Subscriber> entries{subscriber(kAnna, 1)};
    MatchSet matches;
    matches.append(entries);
    MatchGroups groups;
    for (int round = 0; round < 3; ++round) {
        groups.assign(matches);
        EXPECT_EQ(collect(groups), (Grouped{{kAnna, {1}}}));
    }
    groups.assign(MatchSet{});
    EXPECT_EQ(groups.size(), 0U);
}

TEST(SubscriberId, TellsSessionsFromSharedGroups) {
    EXPECT_NE(SubscriberId::session(7), SubscriberId::shared_group(7));
    EXPECT_TRUE(SubscriberId::shared_group(7).is_shared_group());
    EXPECT_FALSE(SubscriberId::session(7).is_shared_group());
    EXPECT_EQ(SubscriberId::shared_group(7).slot(), 7U);
    EXPECT_EQ(SubscriberId::session(SessionId{7}).slot(), 7U);
}

}  // namespace
}  // namespace stentor::server
