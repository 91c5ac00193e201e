#include "base/address.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor {
namespace {

TEST(Address, NetworksKeepTheirFirstBits) {
    const auto all_of = [](const char* text) {
        const auto network = parse_network(text);
        EXPECT_TRUE(network.has_value()) << text;
        return masked(network->address, network->bits);
    };
    EXPECT_EQ(all_of("10.1.2.3/8"), *parse_address("10.0.0.0"));
    EXPECT_EQ(all_of("10.255.2.3/9"), *parse_address("10.128.0.0"));
    EXPECT_EQ(all_of("10.1.2.3"), *parse_address("::ffff:10.1.2.3"));
    EXPECT_EQ(all_of("2001:db8:1:2:3::/33"), *parse_address("2001:db8::"));
    EXPECT_EQ(all_of("::1/0"), *parse_address("::"));
    for (const char* wrong :
         {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::/129", "host", "/8"}) {
        EXPECT_FALSE(parse_network(wrong).has_value()) << wrong;
    }
}

TEST(Address, ACustomerIsAnIpv4AddressOrAnIpv6Network) {
    const auto key = [](const char* text) { return std::string{AddressKey::of(text)->text()}; };
    EXPECT_EQ(key("192.0.2.1"), key("::ffff:192.0.2.1"));
    EXPECT_NE(key("192.0.2.1"), key("192.0.2.2"));
    EXPECT_EQ(key("2001:db8::1"), key("2001:db8::ffff:1"));
    EXPECT_NE(key("2001:db8::1"), key("2001:db8:0:1::1"));
    EXPECT_TRUE(AddressKey::of("127.8.8.8")->is_loopback());
    EXPECT_TRUE(AddressKey::of("::1")->is_loopback());
    EXPECT_FALSE(AddressKey::of("::2")->is_loopback());
    EXPECT_FALSE(AddressKey::of("").has_value());
}

}  // namespace
}  // namespace stentor
