#include "server/transport/address_gate.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace stentor::server {
namespace {

using Among = AddressGate::Among;
using Answer = AddressGate::Answer;
using Speaks = AddressGate::Speaks;

class AddressGateTest : public testing::Test {
  protected:
    Answer enter(AddressGate& gate,
                 std::string_view address,
                 Speaks speaks = Speaks::for_itself,
                 Among among = Among::all) {
        AddressPlace place;
        const Answer answer = gate.enter(address, speaks, among, now, place);
        if (answer == Answer::welcome) places.push_back(std::move(place));
        return answer;
    }
    static bool nobody(std::string_view /*address*/) { return false; }

    Instant now{std::chrono::hours{1}};
    std::vector<AddressPlace> places;
};

TEST_F(AddressGateTest, BoundsTheConnectionsOfAll) {
    AddressGate gate{{.connections_max = 2}, {}, nobody};
    EXPECT_EQ(enter(gate, "127.0.0.1"), Answer::welcome);
    EXPECT_EQ(enter(gate, ""), Answer::welcome);
    EXPECT_EQ(enter(gate, "192.0.2.1"), Answer::too_many);
    EXPECT_EQ(gate.connections(), 2U);
    places.pop_back();
    EXPECT_EQ(enter(gate, "192.0.2.1"), Answer::welcome);
    places.clear();
    EXPECT_EQ(gate.connections(), 0U);
}

TEST_F(AddressGateTest, WhoIsBoundedOtherwiseTakesNoPlaceAndNeedsNone) {
    AddressGate gate{{.connections_max = 1, .connections_per_address_max = 2}, {}, nobody};
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(enter(gate, "192.0.2.1", Speaks::for_itself, Among::themselves), Answer::welcome);
    }
    EXPECT_EQ(enter(gate, "192.0.2.1", Speaks::for_itself, Among::themselves),
              Answer::too_many_of_address);
    EXPECT_EQ(gate.connections(), 0U);
    EXPECT_EQ(enter(gate, "192.0.2.2"), Answer::welcome);
    EXPECT_EQ(enter(gate, "192.0.2.3", Speaks::for_itself, Among::themselves), Answer::welcome);
    EXPECT_EQ(enter(gate, "192.0.2.3"), Answer::too_many);
    places.pop_back();
    EXPECT_EQ(gate.connections(), 1U);
    places.clear();
    EXPECT_EQ(gate.connections(), 0U);
}

TEST_F(AddressGateTest, BoundsTheConnectionsOfAnAddress) {
    AddressGate gate{{.connections_per_address_max = 2}, {}, nobody};
    EXPECT_EQ(enter(gate, "2001:db8::1"), Answer::welcome);
    EXPECT_EQ(enter(gate, "2001:db8::2"), Answer::welcome);
    EXPECT_EQ(enter(gate, "2001:db8::3"), Answer::too_many_of_address);
    EXPECT_EQ(gate.connections(), 2U);
    EXPECT_EQ(enter(gate, "2001:db8:0:1::1"), Answer::welcome);
    places.erase(places.begin());
    EXPECT_EQ(enter(gate, "2001:db8::3"), Answer::welcome);
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(enter(gate, "127.0.0.1"), Answer::welcome);
        EXPECT_EQ(enter(gate, "2001:db8::3", Speaks::for_others), Answer::welcome);
    }
    places.clear();  // before the gate goes
}

TEST_F(AddressGateTest, BoundsHowOftenAnAddressComes) {
    AddressGate gate{{.connects_per_second_per_address_max = 4}, {}, nobody};
    for (int i = 0; i < 4; ++i) EXPECT_EQ(enter(gate, "192.0.2.1"), Answer::welcome);
    EXPECT_EQ(enter(gate, "192.0.2.1"), Answer::too_often);
    EXPECT_EQ(enter(gate, "192.0.2.2"), Answer::welcome);
    now += std::chrono::milliseconds{250};
    EXPECT_EQ(enter(gate, "192.0.2.1"), Answer::welcome);
    EXPECT_EQ(enter(gate, "192.0.2.1"), Answer::too_often);
    places.clear();  // before the gate goes
}

TEST_F(AddressGateTest, WhoTurnsOutToBeTheSameHasNotComeTwice) {
    for (const std::uint32_t places_max : {0U, 3U}) {
        AddressGate gate{
            {.connections_per_address_max = places_max, .connects_per_second_per_address_max = 2},
            {},
            nobody};
        for (int i = 0; i < 2; ++i) {
            AddressPlace place;
            EXPECT_EQ(gate.enter("192.0.2.1", Speaks::for_itself, Among::all, now, place),
                      Answer::welcome);
            EXPECT_EQ(gate.turns_out("192.0.2.1", Speaks::for_itself, now, place), Answer::welcome);
            places.push_back(std::move(place));
        }
        EXPECT_EQ(enter(gate, "192.0.2.1"), Answer::too_often);
        // Another one is counted there.
        AddressPlace place;
        EXPECT_EQ(gate.enter("192.0.2.2", Speaks::for_itself, Among::all, now, place),
                  Answer::welcome);
        EXPECT_EQ(gate.turns_out("192.0.2.1", Speaks::for_itself, now, place), Answer::too_often);
        places.clear();
    }
}

TEST_F(AddressGateTest, CountsForWhomAProxySpeaks) {
    AddressGate gate{{.connections_max = 3, .connections_per_address_max = 1},
                     {},
                     [](std::string_view address) { return address == "192.0.2.66"; }};
    AddressPlace first;
    AddressPlace second;
    ASSERT_EQ(gate.enter("10.0.0.1", Speaks::for_others, Among::all, now, first), Answer::welcome);
    ASSERT_EQ(gate.enter("10.0.0.1", Speaks::for_others, Among::all, now, second), Answer::welcome);
    EXPECT_EQ(gate.turns_out("192.0.2.1", Speaks::for_itself, now, first), Answer::welcome);
    EXPECT_EQ(gate.turns_out("192.0.2.1", Speaks::for_itself, now, second),
              Answer::too_many_of_address);
    EXPECT_EQ(gate.turns_out("192.0.2.66", Speaks::for_itself, now, second), Answer::banned);
    EXPECT_EQ(gate.turns_out("192.0.2.2", Speaks::for_itself, now, second), Answer::welcome);
    EXPECT_EQ(gate.connections(), 2U);
    first = AddressPlace{};
    EXPECT_EQ(enter(gate, "192.0.2.1"), Answer::welcome);
    EXPECT_EQ(enter(gate, "192.0.2.66"), Answer::banned);
    EXPECT_EQ(gate.connections(), 2U);
    places.clear();  // before the gate goes
}

}  // namespace
}  // namespace stentor::server
