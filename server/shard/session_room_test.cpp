#include "server/shard/session_room.hpp"

#include <gtest/gtest.h>

namespace stentor::server {
namespace {

TEST(SessionRoom, NoMoreSessionsThanTheBound) {
    SessionRoom room{{.sessions_max = 2}};
    room.session_begins(10);
    EXPECT_TRUE(room.has_room_for_session(10));
    room.session_begins(10);
    EXPECT_FALSE(room.has_room_for_session(10));
    room.session_ends(10);
    EXPECT_TRUE(room.has_room_for_session(10));
}

TEST(SessionRoom, BytesAddUp) {
    SessionRoom room{{}};
    room.session_begins(24);
    room.filter_begins(32);
    room.filter_begins(7);
    EXPECT_EQ(room.bytes(), SessionRoom::kSession + 24 + 2 * SessionRoom::kFilter + 39);
    room.filter_ends(32);
    room.filter_ends(7);
    room.session_ends(24);
    EXPECT_EQ(room.bytes(), 0U);
    EXPECT_EQ(room.sessions(), 0U);
}

TEST(SessionRoom, WhoTakesMuchIsRefusedBeforeWhoTakesLittle) {
    constexpr std::size_t kBound = 100'000;
    SessionRoom room{{.bytes_max = kBound}};
    room.session_begins(10);
    std::size_t own = 0;
    while (room.has_room_for_filter(own, 1000)) {
        room.filter_begins(1000);
        own += SessionRoom::kFilter + 1000;
    }
    EXPECT_LE(room.bytes(), kBound);
    EXPECT_GT(room.bytes(), kBound - 2000);
    EXPECT_TRUE(room.has_room_for_session(10));
    room.session_begins(10);
    EXPECT_TRUE(room.has_room_for_filter(0, 1000));
    EXPECT_FALSE(room.has_room_for_filter(own, 1000));
}

TEST(SessionRoom, EqualPartsAreNoWayAroundTheBound) {
    constexpr std::size_t kBound = 100'000;
    SessionRoom room{{.bytes_max = kBound}};
    for (int i = 0; i < 10'000 && room.has_room_for_session(20); ++i) {
        room.session_begins(20);
        for (std::size_t own = 0; room.has_room_for_filter(own, 100);) {
            room.filter_begins(100);
            own += SessionRoom::kFilter + 100;
        }
    }
    EXPECT_FALSE(room.has_room_for_session(20));
    EXPECT_GT(room.bytes(), kBound);
    EXPECT_LE(room.bytes(), 2 * kBound);
}

}  // namespace
}  // namespace stentor::server
