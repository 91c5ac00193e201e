#include "protocol/codec/reason_code.hpp"

#include "protocol/codec/types.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string_view>

namespace stentor::mqtt {
namespace {

TEST(ReasonCode, HasANameForEveryCodeOfTheTable) {
    std::set<std::string_view> names;
    for (unsigned code = 0; code < 256; ++code) {
        const std::string_view text = name(static_cast<ReasonCode>(code));
        if (text == "unknown") continue;
        EXPECT_TRUE(names.insert(text).second) << text;
    }
    EXPECT_EQ(names.size(), 43U);  // table 2-6: 0x00 .. 0x19 are 8, 0x80 .. 0xA2 are 35
    EXPECT_EQ(name(ReasonCode::success), "success");
    EXPECT_EQ(name(static_cast<ReasonCode>(0x7F)), "unknown");
}

TEST(ReasonCode, MapsToReturnCodesAndBack) {
    for (unsigned code = 0; code <= 5; ++code) {
        const auto return_code = static_cast<ConnectReturnCode>(code);
        EXPECT_EQ(connect_return_code(reason_code(return_code)), return_code);
    }
    // Nothing in 3.1.1 says "malformed": close [MQTT-3.2.2-6 of 3.1.1].
    EXPECT_EQ(connect_return_code(ReasonCode::malformed_packet), std::nullopt);
    EXPECT_EQ(connect_return_code(ReasonCode::banned), ConnectReturnCode::not_authorized);
}

TEST(SubscriptionOptions, SurviveTheirByte) {
    unsigned accepted = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const auto options = SubscriptionOptions::from_byte(static_cast<std::byte>(byte));
        if (!options) {
            EXPECT_EQ(options.error().reason,
                      byte >= 0x40 ? ReasonCode::malformed_packet : ReasonCode::protocol_error);
            continue;
        }
        ++accepted;
        EXPECT_EQ(options->to_byte(), static_cast<std::byte>(byte));
    }
    EXPECT_EQ(accepted, 3U * 2U * 2U * 3U);
}

TEST(PacketType, IsSpelledAsInTheSpecification) {
    EXPECT_EQ(name(PacketType::connect), "CONNECT");
    EXPECT_EQ(name(PacketType::auth), "AUTH");
    EXPECT_EQ(name(static_cast<PacketType>(0)), "RESERVED");
}

}  // namespace
}  // namespace stentor::mqtt
