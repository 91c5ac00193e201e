#include "server/shard/session_table.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::server {
namespace {

SessionEntry& create(SessionTable& table, const std::string& client_id) {
    SessionEntry& entry = table.create(client_id);
    entry.durable = true;
    return entry;
}

TEST(SessionTable, FindsThemAwakeOrResting) {
    SessionTable table;
    for (int i = 0; i < 1000; ++i) {
        SessionEntry& entry = create(table, "c" + std::to_string(i));
        if (i % 2 == 0) table.rest(entry);
    }
    EXPECT_EQ(table.size(), 1000U);
    EXPECT_EQ(table.at_rest(), 500U);
    EXPECT_EQ(table.slot_of("c4"), 4U);
    EXPECT_EQ(table.slot_of("c1000"), std::nullopt);
    EXPECT_EQ(table.at_rest(), 500U) << "asked for its slot, nobody wakes";
    for (int i = 0; i < 1000; ++i) {
        const SessionEntry* found = table.find("c" + std::to_string(i));
        ASSERT_NE(found, nullptr) << i;
        EXPECT_EQ(found->client_id, "c" + std::to_string(i));
        EXPECT_EQ(found->slot, static_cast<std::uint32_t>(i));
    }
    EXPECT_EQ(table.find("c1000"), nullptr);
}

TEST(SessionTable, WhoRestsIsNotAttachedAndWakesForThoseWhoKnewIt) {
    SessionTable table;
    SessionEntry& entry = create(table, "c");
    const std::uint32_t slot = entry.slot;
    entry.generation = 5;
    table.rest(entry);
    EXPECT_EQ(table.at(slot), nullptr);
    EXPECT_EQ(table.attached(slot, 5), nullptr);
    ASSERT_NE(table.resting(slot), nullptr);
    SessionEntry* same = table.same(slot, 4);
    ASSERT_NE(same, nullptr);
    EXPECT_EQ(same->generation, 5U);
    EXPECT_EQ(table.resting(slot), nullptr);
    EXPECT_EQ(table.at(slot), same);
}

TEST(SessionTable, ASlotIsUsedAgainUnderAnotherGeneration) {
    SessionTable table;
    SessionEntry& first = create(table, "first");
    const std::uint32_t slot = first.slot;
    first.generation = 5;
    table.rest(first);
    table.erase(*table.find("first"));
    EXPECT_EQ(table.size(), 0U);
    EXPECT_EQ(table.find("first"), nullptr);
    SessionEntry& second = create(table, "second");
    EXPECT_EQ(second.slot, slot);
    EXPECT_GT(second.born, 5U);
    table.rest(second);
    EXPECT_EQ(table.same(slot, 5), nullptr) << "another session";
    EXPECT_NE(table.resting(slot), nullptr) << "and it was not woken for it";
}

}  // namespace
}  // namespace stentor::server
