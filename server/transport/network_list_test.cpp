#include "server/transport/network_list.hpp"

#include <gtest/gtest.h>

namespace stentor::server {
namespace {

NetworkList list(std::vector<std::string> texts) { return NetworkList::parse(texts).value(); }

TEST(NetworkList, AddressIsANetworkOfOne) {
    EXPECT_TRUE(list({"10.1.2.3"}).contains("10.1.2.3"));
    EXPECT_FALSE(list({"10.1.2.3"}).contains("10.1.2.4"));
    EXPECT_TRUE(list({"::1"}).contains("::1"));
    EXPECT_FALSE(list({}).contains("127.0.0.1"));
}

TEST(NetworkList, PrefixesOfAnyLength) {
    const NetworkList odd = list({"10.128.0.0/9", "fd00::/7"});
    EXPECT_TRUE(odd.contains("10.200.1.1"));
    EXPECT_FALSE(odd.contains("10.100.1.1"));
    EXPECT_TRUE(odd.contains("fcff::1"));
    EXPECT_FALSE(odd.contains("fe80::1"));
    EXPECT_TRUE(list({"0.0.0.0/0"}).contains("203.0.113.9"));
    EXPECT_FALSE(list({"0.0.0.0/0"}).contains("2001:db8::1"));
    EXPECT_TRUE(list({"::/0"}).contains("203.0.113.9"));
}

TEST(NetworkList, MappedIpv4IsIpv4) {
    EXPECT_TRUE(list({"127.0.0.0/8"}).contains("::ffff:127.0.0.1"));
}

TEST(NetworkList, RefusesWhatIsNoNetwork) {
    for (const char* text :
         {"", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8x", "host", "/8"}) {
        EXPECT_FALSE(NetworkList::parse(std::vector<std::string>{text})) << text;
    }
    EXPECT_FALSE(list({"::/0"}).contains("host"));
    EXPECT_FALSE(list({"::/0"}).contains(""));
}

}  // namespace
}  // namespace stentor::server
