#include "server/transport/address_lanes.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace stentor::server {
namespace {

ConnectionId number(std::uint32_t slot) { return {.slot = slot, .generation = 1}; }

std::vector<std::uint32_t> take(AddressLanes& lanes, std::size_t count) {
    std::vector<std::uint32_t> slots;
    while (count-- != 0) slots.push_back(lanes.take_next().slot);
    return slots;
}

TEST(AddressLanes, AnAddressWithManyDelaysAnotherByOne) {
    AddressLanes lanes;
    for (std::uint32_t i = 0; i < 1000; ++i) lanes.add(number(i), 1);
    lanes.add(number(2000), 2);
    EXPECT_EQ(take(lanes, 2), (std::vector<std::uint32_t>{0, 2000}));
}

TEST(AddressLanes, WhoCameLastToAHeapIsTheSecondOfItAndTheOldestTheFirst) {
    AddressLanes lanes;
    for (std::uint32_t i = 0; i < 1000; ++i) lanes.add(number(i), 1);
    EXPECT_EQ(take(lanes, 4), (std::vector<std::uint32_t>{0, 999, 1, 998}));
}

TEST(AddressLanes, LanesHaveTheirTurnsWhoeverLeaves) {
    AddressLanes lanes;
    for (std::uint32_t i = 0; i < 9; ++i) lanes.add(number(i), i % 3);
    EXPECT_TRUE(lanes.remove(number(1)));
    EXPECT_FALSE(lanes.remove(number(1)));
    EXPECT_EQ(take(lanes, 4), (std::vector<std::uint32_t>{0, 4, 2, 6}));
    EXPECT_TRUE(lanes.remove(number(7)));  // the last of its lane
    EXPECT_EQ(take(lanes, 3), (std::vector<std::uint32_t>{8, 3, 5}));
    EXPECT_TRUE(lanes.empty());
}

TEST(AddressLanes, TheOldestOfTheLongestGoes) {
    AddressLanes lanes;
    for (std::uint32_t i = 0; i < 3; ++i) lanes.add(number(i), 1);
    for (std::uint32_t i = 10; i < 12; ++i) lanes.add(number(i), 2);
    EXPECT_EQ(lanes.take_oldest_of_longest(2), number(0));
    EXPECT_EQ(lanes.take_oldest_of_longest(2), number(10)) << "as long: its own";
    EXPECT_EQ(lanes.take_oldest_of_longest(2), number(1));
    EXPECT_EQ(lanes.size(), 2U);
}

TEST(AddressLanes, AnotherGenerationOfASlotIsSomebodyElse) {
    AddressLanes lanes;
    lanes.add(number(1), 1);
    EXPECT_FALSE(lanes.contains({.slot = 1, .generation = 2}));
    EXPECT_FALSE(lanes.remove({.slot = 1, .generation = 2}));
    EXPECT_TRUE(lanes.contains(number(1)));
}

}  // namespace
}  // namespace stentor::server
