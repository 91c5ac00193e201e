#include "protocol/codec/refused_connect.hpp"

#include "base/bytes.hpp"
#include "protocol/codec/encoder.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

namespace stentor::mqtt {
namespace {

/// CONNECT of `level` with these properties and the empty identifier.
Bytes connect(const std::string& properties, const std::string& level = "05") {
    const Bytes block = from_hex(properties).value();
    const auto size = static_cast<std::uint8_t>(block.size());
    Bytes packet{std::byte{0x10}, static_cast<std::byte>(10 + 1 + size + 2)};
    const Bytes head = from_hex("00044d515454" + level + "02003c").value();
    packet.insert(packet.end(), head.begin(), head.end());
    packet.push_back(std::byte{size});
    packet.insert(packet.end(), block.begin(), block.end());
    packet.insert(packet.end(), 2, std::byte{0});
    return packet;
}

std::optional<std::size_t> told(const std::string& properties) {
    return connack_bytes_max(connect(properties));
}

TEST(ConnackBytesMax, IsWhatTheClientSaysWhateverElseIsWrong) {
    EXPECT_EQ(told(""), kPacketBytesMax);
    EXPECT_EQ(told("27 00000005"), 5U);
    EXPECT_EQ(told("27 00000005 210000"), 5U);  // Receive Maximum 0
    EXPECT_EQ(told("210000 26 0001 61 0001 ff 27 00000005"), 5U);
    EXPECT_EQ(told("27 00000009 27 00000005"), 5U);  // twice
    EXPECT_EQ(told("27 ffffffff"), kPacketBytesMax);
}

TEST(ConnackBytesMax, IsUnknownWhereSomethingMayHide) {
    EXPECT_EQ(told("27 00000000"), std::nullopt);
    EXPECT_EQ(told("00"), std::nullopt);  // no such property: who knows its length
    EXPECT_EQ(told("7f 27 00000005"), std::nullopt);
    EXPECT_EQ(told("15 0009 61"), std::nullopt);  // overruns the block
    EXPECT_EQ(told("27 0000"), std::nullopt);
    const Bytes whole = connect("27 00000005");
    for (std::size_t size = 0; size + 2 < whole.size(); ++size) {
        EXPECT_EQ(connack_bytes_max(ByteView{whole}.first(size)), std::nullopt) << size;
    }
    EXPECT_EQ(connack_bytes_max(connect("27 00000005", "04")), std::nullopt);
    EXPECT_EQ(connack_bytes_max(connect("27 00000005", "09")), std::nullopt);
}

}  // namespace
}  // namespace stentor::mqtt
