#include "server/shard/shared_groups.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace stentor::server {
namespace {

using Line = SharedGroups::Line;
using Waiting = SharedGroups::Waiting;
using Why = SharedGroups::Choice::Why;

Waiting waiting(std::string_view topic, Seq seq) {
    return {mqtt::Message::create({.topic = topic}), seq};
}

/// The topics of all that waits, as it would be given.
std::string given(SharedGroups& groups, SharedGroups::Group& group) {
    std::string topics;
    while (group.has_first(Line::usual)) {
        const Waiting first = groups.take_first(group, Line::usual);
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
    const Waiting a = groups.take_first(group, Line::usual);
    const Waiting b = groups.take_first(group, Line::usual);
    const Waiting c = groups.take_first(group, Line::usual);
    EXPECT_EQ(group.lowest(), Seq{'d'});
    groups.put_back(group, b);
    groups.put_back(group, c);
    groups.put_back(group, a);
    EXPECT_EQ(group.lowest(), Seq{'a'});
    EXPECT_EQ(group.waiting_messages(), 5U);
    EXPECT_EQ(group.first(Line::usual).topic(), "a");
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

/// In 3.1.1 with QoS 1: fixed header, topic, identifier, payload.
mqtt::MessagePtr of_size(std::size_t packet_bytes) {
    const std::size_t fixed_header = packet_bytes < 2 + 128 ? 2 : 3;
    const Bytes payload(packet_bytes - fixed_header - 3 - 2);
    return mqtt::Message::create(
        {.topic = "t", .payload = payload, .qos = mqtt::QoS::at_least_once});
}

SharedJoin member(std::uint32_t slot, std::uint32_t packet_bytes_max) {
    SharedJoin join;
    join.key = 1;
    join.filter = "t";
    join.member = {ShardId{0}, slot, 1};
    join.terms = {.window = 1,
                  .packet_bytes_max = packet_bytes_max,
                  .version = mqtt::ProtocolVersion::v3_1_1,
                  .qos = mqtt::QoS::exactly_once};
    return join;
}

TEST(SharedGroupsTest, WhoCannotTakeAMessageIsPassedOver) {
    SharedGroups groups;
    SharedGroups::Group& group = *groups.join(member(0, 100)).group;
    (void)groups.join(member(1, 200));
    (void)groups.join(member(2, 300));
    std::string turns;
    for (const std::size_t bytes : {100U, 200U, 101U, 100U, 201U, 300U, 100U, 100U}) {
        const auto choice = SharedGroups::pick(group, *of_size(bytes));
        ASSERT_EQ(choice.why, Why::found);
        turns += std::to_string(choice.member->who.slot);
    }
    EXPECT_EQ(turns, "12122201") << "those who can take it still take turns";
    EXPECT_EQ(SharedGroups::pick(group, *of_size(301)).why, Why::too_large);
    EXPECT_EQ(SharedGroups::pick_connected(group, *of_size(301)).why, Why::too_large);
}

TEST(SharedGroupsTest, WhoHasNoRoomOrIsAwayCanStillBeTheOnlyOneWhoCanTakeIt) {
    SharedGroups groups;
    SharedGroups::Group& group = *groups.join(member(0, 100)).group;
    (void)groups.join(member(1, 200));
    auto large = SharedGroups::pick(group, *of_size(200));
    ASSERT_EQ(large.why, Why::found);
    ++large.member->given;
    EXPECT_EQ(SharedGroups::pick(group, *of_size(200)).why, Why::others_only);
    EXPECT_EQ(SharedGroups::pick_connected(group, *of_size(200)).why, Why::found);
    EXPECT_EQ(groups.leave({.key = 1, .member = {ShardId{0}, 1, 1}, .away = true}), nullptr);
    EXPECT_EQ(SharedGroups::pick(group, *of_size(200)).why, Why::too_large);
    EXPECT_EQ(SharedGroups::pick_connected(group, *of_size(200)).why, Why::too_large);
    EXPECT_EQ(groups.leave({.key = 1, .member = {ShardId{0}, 0, 1}, .away = true}), nullptr);
    EXPECT_EQ(SharedGroups::pick(group, *of_size(200)).why, Why::nobody_there);
    EXPECT_EQ(SharedGroups::pick_connected(group, *of_size(200)).why, Why::nobody_there);
}

TEST(SharedGroupsTest, WhatIsSetAsideStillCounts) {
    SharedGroups groups;
    SharedGroups::Group group;
    for (const char* topic : {"a", "b", "c"}) {
        groups.append(group, waiting(topic, Seq{static_cast<std::uint64_t>(*topic)}));
    }
    const std::size_t bytes = groups.waiting_bytes();
    groups.set_first_aside(group);
    groups.set_first_aside(group);
    EXPECT_EQ(groups.waiting_bytes(), bytes);
    EXPECT_EQ(group.waiting_bytes, bytes);
    EXPECT_EQ(group.waiting_messages(), 3U);
    EXPECT_EQ(group.lowest(), Seq{'a'});
    EXPECT_EQ(group.first(Line::usual).topic(), "c");
    EXPECT_EQ(group.first(Line::set_aside).topic(), "a");
    EXPECT_EQ(groups.take_first(group, Line::set_aside).seq, Seq{'a'});
    EXPECT_EQ(group.lowest(), Seq{'b'});
    EXPECT_EQ(groups.take_first(group, Line::set_aside).seq, Seq{'b'});
    EXPECT_FALSE(group.has_first(Line::set_aside));
    EXPECT_EQ(given(groups, group), "c");
}

}  // namespace
}  // namespace stentor::server
