#include "server/transport/proxy_header.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace stentor::server {
namespace {

using std::literals::string_view_literals::operator""sv;

ProxyHeader whole(std::string_view text) {
    const auto step = parse_proxy_header(as_bytes(text));
    const auto* header = std::get_if<ProxyHeader>(&step);
    EXPECT_NE(header, nullptr) << text;
    return header == nullptr ? ProxyHeader{} : *header;
}

/// Every true prefix of a header asks for more; what stands behind it is not looked at.
void expect_prefixes_wait(const std::string& text) {
    for (std::size_t size = 0; size < text.size(); ++size) {
        const auto step = parse_proxy_header(as_bytes(std::string_view{text}.substr(0, size)));
        EXPECT_TRUE(std::holds_alternative<ProxyNeedsMore>(step)) << size;
    }
    EXPECT_EQ(whole(text + "\x10\x0C").bytes_used, text.size());
}

bool malformed(std::string_view text) {
    return std::holds_alternative<ProxyMalformed>(parse_proxy_header(as_bytes(text)));
}

TEST(ProxyHeader, Version1) {
    const std::string line = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 1883\r\n";
    expect_prefixes_wait(line);
    EXPECT_EQ(whole(line).address, "192.0.2.1");
    EXPECT_EQ(whole(line).port, 56324);
    EXPECT_EQ(whole("PROXY TCP6 2001:db8::1 ::1 1 2\r\n").address, "2001:db8::1");
    EXPECT_EQ(whole("PROXY UNKNOWN\r\n").address, "");
    EXPECT_EQ(whole("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n").address, "");
}

TEST(ProxyHeader, Version1Malformed) {
    EXPECT_TRUE(malformed("\x10\x0C\x00\x04MQTT"sv));
    EXPECT_TRUE(malformed("PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n"));
    EXPECT_TRUE(malformed("PROXY TCP4 2001:db8::1 ::1 1 2\r\n"));
    EXPECT_TRUE(malformed("PROXY TCP4 192.0.2.1 198.51.100.7 65536 1883\r\n"));
    EXPECT_TRUE(malformed("PROXY TCP4 192.0.2.1 198.51.100.7 1x 1883\r\n"));
    EXPECT_TRUE(malformed("PROXY TCP4 192.0.2.1 zz 1 1883\r\n"));
    EXPECT_TRUE(malformed("PROXY TCP4 192.0.2.1 ::1 1 1883\r\n"));
    EXPECT_TRUE(malformed("PROXY TCP4 192.0.2.1 198.51.100.7 1 zz\r\n"));
    EXPECT_TRUE(malformed("PROXY UDP4 192.0.2.1 198.51.100.7 1 1883\r\n"));
    EXPECT_TRUE(malformed("PROXY " + std::string(200, 'x')));
}

const std::string kStart{"\r\n\r\n\0\r\nQUIT\n", 12};

TEST(ProxyHeader, Version2) {
    const std::string v4 =
        kStart + std::string{"\x21\x11\x00\x0C\xC0\x00\x02\x01\x7F\0\0\x01\xDC\x04\x07\x5B", 16};
    expect_prefixes_wait(v4);
    EXPECT_EQ(whole(v4).address, "192.0.2.1");
    EXPECT_EQ(whole(v4).port, 56324);
    const std::string v6 = kStart + std::string{"\x21\x21\x00\x29", 4} + "\x20\x01\x0d\xb8" +
                           std::string(11, '\0') + "\x01" + std::string(16, '\0') +
                           std::string{"\0\x07\0\x08", 4} + std::string{"\x03\0\x02ok", 5};
    expect_prefixes_wait(v6);
    EXPECT_EQ(whole(v6).address, "2001:db8::1");
    EXPECT_EQ(whole(v6).port, 7);
    EXPECT_EQ(whole(kStart + std::string{"\x20\x00\x00\x00", 4}).address, "");
    EXPECT_EQ(whole(kStart + std::string{"\x21\x31\x00\x00", 4}).address, "");
}

TEST(ProxyHeader, Version2Malformed) {
    EXPECT_TRUE(malformed(kStart + std::string{"\x11\x11\x00\x0C", 4}));
    EXPECT_TRUE(malformed(kStart + std::string{"\x22\x11\x00\x0C", 4}));
    EXPECT_TRUE(malformed(kStart + std::string{"\x21\x11\xFF\xFF", 4}));
    for (const char family : {'\x12', '\x22', '\x32', '\x13', '\x41'}) {  // datagrams, unknown
        EXPECT_TRUE(malformed(kStart + '\x21' + family + std::string{"\0\0", 2}));
        EXPECT_FALSE(malformed(kStart + '\x20' + family + std::string{"\0\0", 2}));
    }
    EXPECT_TRUE(malformed(kStart + std::string{"\x21\x11\x00\x02xx", 6}));
    EXPECT_TRUE(malformed("\r\n\r\nX"));
}

}  // namespace
}  // namespace stentor::server
