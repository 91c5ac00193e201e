#include "server/shard/shared_groups.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace stentor::server {
namespace {

using Waiting = SharedGroups::Waiting;

Waiting waiting(std::string_view topic, Seq seq) {
    return {mqtt::Message::create({.topic = topic}), seq};
}

/// The topics of all that waits, as it would be given.
std::string given(SharedGroups& groups, SharedGroups::Group& group) {
    std::string topics;
    while (group.has_waiting()) {
        const Waiting first = groups.take_first(group);
        EXPECT_EQ(groups.waiting_bytes(), group.waiting_bytes);
        topics += first.message->topic();
    }
    EXPECT_EQ(groups.waiting_bytes(), 0U);
    return topics;
}

TEST(SharedGroupsTest, WhatComesBackIsGivenFirstInItsOrder) {
    SharedGroups groups;
    SharedGroups::Group group;
    for (const char* topic : {"a", "b", "c", "d", "e"}) {
        groups.append(group, waiting(topic, Seq{static_cast<std::uint64_t>(*topic)}));
    }
    const Waiting a = groups.take_first(group);
    const Waiting b = groups.take_first(group);
    const Waiting c = groups.take_first(group);
    EXPECT_EQ(group.lowest(), Seq{'d'});
    groups.put_back(group, b);
    groups.put_back(group, c);
    groups.put_back(group, a);
    EXPECT_EQ(group.lowest(), Seq{'a'});
    EXPECT_EQ(group.waiting_messages(), 5U);
    EXPECT_EQ(group.first().topic(), "a");
    EXPECT_EQ(given(groups, group), "abcde");
}

TEST(SharedGroupsTest, WhatIsNotLoggedKeepsItsOrder) {
    SharedGroups groups;
    SharedGroups::Group group;
    groups.append(group, waiting("c", kNoSeq));
    groups.append(group, waiting("d", Seq{4}));
    groups.put_back(group, waiting("a", kNoSeq));
    groups.put_back(group, waiting("b", kNoSeq));
    EXPECT_EQ(group.lowest(), Seq{4});
    EXPECT_EQ(given(groups, group), "abcd");
    EXPECT_EQ(group.lowest(), std::nullopt);
}

}  // namespace
}  // namespace stentor::server
