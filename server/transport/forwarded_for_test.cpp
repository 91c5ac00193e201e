#include "server/transport/forwarded_for.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace stentor::server {
namespace {

ForwardedClient client_of(std::string_view list) {
    static const NetworkList kTrusted =
        NetworkList::parse(std::vector<std::string>{"127.0.0.1", "10.0.0.0/8", "fd00::/8"}).value();
    return forwarded_client(list, kTrusted).value_or(ForwardedClient{.address = "nobody"});
}

TEST(ForwardedFor, LastThatIsNoProxyIsTheClient) {
    EXPECT_EQ(client_of("192.0.2.1").address, "192.0.2.1");
    EXPECT_EQ(client_of("6.6.6.6, 192.0.2.1").address, "192.0.2.1");
    EXPECT_EQ(client_of("6.6.6.6,192.0.2.1 ,10.1.1.1,\t127.0.0.1").address, "192.0.2.1");
    EXPECT_EQ(client_of(",, 192.0.2.1 ,, ").address, "192.0.2.1");
    EXPECT_FALSE(client_of("192.0.2.1").is_proxy);
}

TEST(ForwardedFor, FirstOfProxiesAloneIsTheClient) {
    EXPECT_EQ(client_of("10.0.0.9, 10.1.1.1").address, "10.0.0.9");
    EXPECT_TRUE(client_of("10.0.0.9, 10.1.1.1").is_proxy);
    EXPECT_EQ(client_of("").address, "");
    EXPECT_EQ(client_of(" , ").address, "");
}

TEST(ForwardedFor, PortsAndBrackets) {
    EXPECT_EQ(client_of("192.0.2.1:5678").address, "192.0.2.1");
    EXPECT_EQ(client_of("192.0.2.1:5678").port, 5678);
    EXPECT_EQ(client_of("[2001:db8::1]:443").address, "2001:db8::1");
    EXPECT_EQ(client_of("[2001:db8::1]:443").port, 443);
    EXPECT_EQ(client_of("[2001:db8::1]").address, "2001:db8::1");
    EXPECT_EQ(client_of("2001:db8::1").address, "2001:db8::1");
    EXPECT_EQ(client_of("6.6.6.6, 192.0.2.1, 10.1.1.1:1, [fd00::1]:2").address, "192.0.2.1");
}

TEST(ForwardedFor, WhatIsNoAddressIsNobody) {
    for (const char* text : {"unknown",
                             "6.6.6.6, unknown",
                             "6.6.6.6, unknown, 10.1.1.1",
                             "192.0.2.1:",
                             "192.0.2.1:x",
                             "192.0.2.1:70000",
                             "192.0.2.01",
                             "[192.0.2.1]",
                             "[2001:db8::1",
                             "[2001:db8::1]443",
                             "[2001:db8::1]:",
                             "unix:",
                             ":5678",
                             "\"192.0.2.1\"",
                             "192.0.2.1 6.6.6.6"}) {
        EXPECT_EQ(client_of(text).address, "nobody") << text;
    }
    // What stands before the client does not matter.
    EXPECT_EQ(client_of("unknown, 192.0.2.1").address, "192.0.2.1");
}

}  // namespace
}  // namespace stentor::server
