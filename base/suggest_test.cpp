#include "base/suggest.hpp"

#include <gtest/gtest.h>

#include <array>

namespace stentor {
namespace {

constexpr std::array<std::string_view, 5> kWords{
    "packet_bytes_max", "receive_maximum", "password_file", "url", "tls"};

TEST(Suggest, CountsInsertionsDeletionsReplacementsAndSwaps) {
    EXPECT_EQ(edit_distance("", ""), 0U);
    EXPECT_EQ(edit_distance("abc", ""), 3U);
    EXPECT_EQ(edit_distance("serve", "server"), 1U);
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
    EXPECT_EQ(edit_distance("chekc", "check"), 1U);
}

TEST(Suggest, FindsTheNearestName) {
    EXPECT_EQ(nearest("packet_byte_max", kWords), "packet_bytes_max");
    EXPECT_EQ(nearest("packet-bytes-max", kWords), "packet_bytes_max");
    EXPECT_EQ(nearest("Receive_Maximun", kWords), "receive_maximum");
    EXPECT_EQ(nearest("ulr", kWords), "url");
}

TEST(Suggest, CompletesACutOffName) {
    EXPECT_EQ(nearest("password", kWords), "password_file");
    EXPECT_EQ(nearest("packet_bytes", kWords), "packet_bytes_max");
    EXPECT_EQ(nearest("--prop", std::array<std::string_view, 2>{"--port", "--property"}),
              "--property");
}

TEST(Suggest, SaysNothingRatherThanNonsense) {
    EXPECT_EQ(nearest("", kWords), "");
    EXPECT_EQ(nearest("xyz", kWords), "");
    EXPECT_EQ(nearest("colour", kWords), "");
    // Two of three letters are no typing mistakes, however many dashes stand before them.
    constexpr std::array<std::string_view, 2> kFlags{"--qos", "--port"};
    EXPECT_EQ(nearest("--foo", kFlags), "");
    EXPECT_EQ(nearest("--qso", kFlags), "--qos");
    EXPECT_EQ(nearest("-prot", kFlags), "--port");
    EXPECT_EQ(nearest("--", kFlags), "");
    EXPECT_EQ(nearest(std::string(10'000, 'u'), kWords), "");
}

}  // namespace
}  // namespace stentor
