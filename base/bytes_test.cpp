#include "base/bytes.hpp"

#include <gtest/gtest.h>

#include <array>

namespace stentor {
namespace {

TEST(Bytes, TextAndBytesAreTheSameMemory) {
    const std::string_view text = "a\0b";
    EXPECT_EQ(as_text(as_bytes(text)), text);
    EXPECT_EQ(as_bytes("xyz").size(), 3U);
    EXPECT_TRUE(as_bytes("").empty());
    EXPECT_EQ(as_text({}), "");
}

TEST(Bytes, IntegersAreBigEndian) {
    std::array<std::byte, 8> buffer{};
    store_u16(buffer, 0x0102);
    EXPECT_EQ(to_hex(ByteView{buffer}.first(2)), "0102");
    EXPECT_EQ(load_u16(buffer), 0x0102);
    store_u32(buffer, 0xfffefdfcU);
    EXPECT_EQ(to_hex(ByteView{buffer}.first(4)), "fffefdfc");
    EXPECT_EQ(load_u32(buffer), 0xfffefdfcU);
    store_u64(buffer, 0x8001020304050607U);
    EXPECT_EQ(to_hex(buffer), "8001020304050607");
    EXPECT_EQ(load_u64(buffer), 0x8001020304050607U);
}

TEST(BytesDeathTest, LoadBeyondTheEndIsOurMistake) {
    const std::array<std::byte, 1> one{};
    EXPECT_DEATH((void)load_u16(one), "assertion failed");
}

TEST(Bytes, HexGoesBothWays) {
    EXPECT_EQ(to_hex(as_bytes("\x10\xff"), " "), "10 ff");
    EXPECT_EQ(to_hex({}), "");
    EXPECT_EQ(to_hex(from_hex("00 0A:ff_7F\n80").value()), "000aff7f80");
    EXPECT_TRUE(from_hex("").value().empty());
    EXPECT_TRUE(from_hex("  \n").value().empty());
}

TEST(Bytes, HexRefusesWhatIsNotHex) {
    EXPECT_FALSE(from_hex("1").has_value());
    EXPECT_FALSE(from_hex("10 2").has_value());
    EXPECT_FALSE(from_hex("1 0").has_value());
    EXPECT_FALSE(from_hex("zz").has_value());
    EXPECT_FALSE(from_hex("0x10").has_value());
}

TEST(Bytes, EqualComparesContents) {
    EXPECT_TRUE(equal(as_bytes("ab"), to_owned(as_bytes("ab"))));
    EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("abc")));
}

}  // namespace
}  // namespace stentor
