#include "server/admin/cursors.hpp"

#include <gtest/gtest.h>

namespace stentor::admin {
namespace {

const Cursors::Place kPlace{
    .shard = 3, .at = {.listing = 4'000'000'000, .slot = 17, .next_text = "a/+/\xC3\xA4"}};

void expect_back(const Cursors& cursors, const std::string& cursor, const Cursors::Place& place) {
    const auto back = cursors.place('s', cursor);
    ASSERT_TRUE(back) << cursor;
    EXPECT_EQ(back->shard, place.shard);
    EXPECT_EQ(back->at.listing, place.at.listing);
    EXPECT_EQ(back->at.slot, place.at.slot);
    EXPECT_EQ(back->at.next_text, place.at.next_text);
    EXPECT_FALSE(back->at.done);
}

std::string_view code_of(const auto& result) { return result ? "" : result.error().code; }

TEST(Cursors, PlacesComeBack) {
    Cursors cursors{9};
    expect_back(cursors, cursors.of('s', kPlace), kPlace);
    const Cursors::Place begin;
    expect_back(cursors, cursors.of('s', begin), begin);
    EXPECT_EQ(*cursors.topic('r', cursors.of_topic('r', "a/b")), "a/b");
    EXPECT_EQ(*Cursors{10}.topic('r', cursors.of_topic('r', "a/b")), "a/b");
}

TEST(Cursors, WhatIsNoneIsRefused) {
    Cursors cursors{9};
    const std::string good = cursors.of('s', kPlace);
    EXPECT_EQ(code_of(cursors.place('c', good)), "bad_cursor");
    EXPECT_EQ(code_of(Cursors{10}.place('s', good)), "stale_cursor");
    for (std::size_t cut = 0; cut < good.find('t'); ++cut) {
        EXPECT_EQ(code_of(cursors.place('s', good.substr(0, cut))), "bad_cursor") << cut;
    }
    for (const char* bad : {"",
                            "s",
                            "s9",
                            "s9.70000.0.0.t",
                            "s9.0.0.0.x",
                            "s9.0.0.0.t*",
                            "s9.0.0.0.n9.0.1",
                            "s-9.0.0.0.t"}) {
        EXPECT_EQ(code_of(cursors.place('s', bad)), "bad_cursor") << bad;
    }
    EXPECT_EQ(code_of(cursors.topic('r', "r")), "bad_cursor");
    EXPECT_EQ(code_of(cursors.topic('r', "rn9.0.")), "stale_cursor");
}

TEST(Cursors, TheNewestLongTextsAreRemembered) {
    Cursors cursors{9};
    const std::string text(60'000, 'x');
    const std::string first = cursors.of_topic('r', text + '0');
    EXPECT_LT(first.size(), 100U);
    std::string last;
    for (std::size_t i = 1; i < Cursors::kLongTextsMax; ++i) last = cursors.of_topic('r', text);
    EXPECT_EQ(*cursors.topic('r', first), text + '0');
    last = cursors.of_topic('r', text + '1');
    EXPECT_EQ(code_of(cursors.topic('r', first)), "stale_cursor");
    EXPECT_EQ(*cursors.topic('r', last), text + '1');
    EXPECT_EQ(code_of(Cursors{10}.topic('r', last)), "stale_cursor");
}

}  // namespace
}  // namespace stentor::admin
