#include "base/ids.hpp"

#include <boost/unordered/unordered_flat_map.hpp>
#include <gtest/gtest.h>

#include <type_traits>
#include <unordered_set>

namespace stentor {
namespace {

static_assert(sizeof(ShardId) == 2 && sizeof(PacketId) == 2 && sizeof(Seq) == 8);
static_assert(!std::is_convertible_v<std::uint16_t, PacketId>);
static_assert(!std::is_convertible_v<PacketId, std::uint16_t>);
static_assert(!std::is_constructible_v<PacketId, ShardId>);
static_assert(std::is_trivially_copyable_v<ConnectionId> && sizeof(ConnectionId) == 8);

TEST(Ids, CompareByValue) {
    EXPECT_EQ(PacketId{7}, PacketId{7});
    EXPECT_LT(Seq{7}, Seq{8});
    EXPECT_EQ(Seq{}, kNoSeq);
    EXPECT_EQ(next(kNoSeq), Seq{1});
}

TEST(Ids, AreKeysOfStandardAndBoostContainers) {
    std::unordered_set<PacketId> standard{PacketId{1}, PacketId{1}, PacketId{2}};
    EXPECT_EQ(standard.size(), 2U);
    boost::unordered_flat_map<ConnectionId, SessionId> flat;
    flat[ConnectionId{.slot = 1, .generation = 1}] = SessionId{5};
    EXPECT_TRUE(flat.contains(ConnectionId{.slot = 1, .generation = 1}));
    EXPECT_FALSE(flat.contains(ConnectionId{.slot = 1, .generation = 2}));
}

TEST(Ids, ConnectionIdSurvivesPacking) {
    const ConnectionId id{.slot = 0xdeadbeef, .generation = 0x80000001};
    EXPECT_EQ(ConnectionId::unpack(id.packed()), id);
    EXPECT_EQ(kNoConnection.packed(), 0U);
}

}  // namespace
}  // namespace stentor
