#include "server/config/listen_url.hpp"

#include <gtest/gtest.h>

#include <string>

namespace stentor::config {
namespace {

TEST(ListenUrl, ReadsEverySchemeWithItsDefaultPort) {
    EXPECT_EQ(*parse_listen_url("mqtt://0.0.0.0"), (ListenUrl{Scheme::mqtt, "0.0.0.0", 1883, ""}));
    EXPECT_EQ(*parse_listen_url("mqtts://broker.example.com"),
              (ListenUrl{Scheme::mqtts, "broker.example.com", 8883, ""}));
    EXPECT_EQ(*parse_listen_url("ws://127.0.0.1"),
              (ListenUrl{Scheme::ws, "127.0.0.1", 8083, "/mqtt"}));
    EXPECT_EQ(*parse_listen_url("wss://127.0.0.1:443/other"),
              (ListenUrl{Scheme::wss, "127.0.0.1", 443, "/other"}));
    EXPECT_EQ(*parse_listen_url("http://localhost"),
              (ListenUrl{Scheme::http, "localhost", 8080, ""}));
    EXPECT_EQ(*parse_listen_url("https://localhost/"),
              (ListenUrl{Scheme::https, "localhost", 8443, ""}));
    EXPECT_EQ(*parse_listen_url("auto://localhost:1"),
              (ListenUrl{Scheme::automatic, "localhost", 1, ""}));
    EXPECT_EQ(*parse_listen_url("unix:///run/stentor/mqtt.sock"),
              (ListenUrl{Scheme::unix_socket, "", 0, "/run/stentor/mqtt.sock"}));
}

TEST(ListenUrl, ReadsIpv6InBracketsAndPortZero) {
    EXPECT_EQ(*parse_listen_url("mqtt://[::1]:0"), (ListenUrl{Scheme::mqtt, "::1", 0, ""}));
    EXPECT_EQ(*parse_listen_url("mqtt://[::]"), (ListenUrl{Scheme::mqtt, "::", 1883, ""}));
}

TEST(ListenUrl, WritesWhatItRead) {
    for (const char* text : {"mqtt://127.0.0.1:1883",
                             "mqtt://[fe80::1]:0",
                             "ws://0.0.0.0:8083/mqtt",
                             "unix:///tmp/x",
                             "auto://localhost:65535"}) {
        EXPECT_EQ(to_string(*parse_listen_url(text)), text);
    }
}

struct BadUrl {
    const char* text;
    const char* what;
    const char* hint;
};

TEST(ListenUrl, SaysWhatIsWrongAndWhatToWrite) {
    const BadUrl bad[] = {
        {"1883", "a listener URL needs a scheme", "write \"mqtt://127.0.0.1:1883\""},
        {"localhost:1883",
         "a listener URL needs a scheme",
         "write scheme://host:port, for example \"mqtt://127.0.0.1:1883\""},
        {"tcp://0.0.0.0:1883", "unknown scheme \"tcp\"", "write \"mqtt://\""},
        {"ssl://0.0.0.0:8883", "unknown scheme \"ssl\"", "write \"mqtts://\""},
        {"mqqt://0.0.0.0", "unknown scheme \"mqqt\"", "did you mean \"mqtt://\"?"},
        {"gopher://x",
         "unknown scheme \"gopher\"",
         "schemes are mqtt, mqtts, ws, wss, http, https, unix, auto"},
        {"mqtt://:1883",
         "the host is missing",
         "write 127.0.0.1 for this machine only, 0.0.0.0 or [::] for all addresses"},
        {"mqtt://*:1883",
         "\"*\" is not a host",
         "write 127.0.0.1 for this machine only, 0.0.0.0 or [::] for all addresses"},
        {"mqtt://::1:1883", "an IPv6 address stands in brackets", "write \"[::1]:1883\""},
        {"mqtt://[::1", "not an IPv6 address in brackets", R"(write "[::1]" or "[::]")"},
        {"mqtt://[zz]:1", "not an IPv6 address in brackets", R"(write "[::1]" or "[::]")"},
        {"mqtt://300.0.0.1:1883",
         "\"300.0.0.1\" is neither an address nor a host name",
         "an IPv4 address has four numbers from 0 to 255"},
        {"mqtt://a_b!c", "\"a_b!c\" is neither an address nor a host name", ""},
        {"mqtt://localhost:70000",
         "\"70000\" is not a port",
         "a port is a number from 0 to 65535; 0 picks a free one"},
        {"mqtt://localhost:x",
         "\"x\" is not a port",
         "a port is a number from 0 to 65535; 0 picks a free one"},
        {"mqtt://localhost:",
         "not a port",
         "a port is a number from 0 to 65535; 0 picks a free one"},
        {"mqtt://me:secret@localhost",
         "a listener URL has no user name",
         "who may connect is set in [auth], for example auth.password_file"},
        {"mqtt://localhost/mqtt", "only ws:// and wss:// listeners have a path", ""},
        {"ws://localhost/mqtt?x=1", "a listener URL ends after the path", ""},
        {"unix://run/x",
         "a unix listener needs an absolute path",
         "three slashes: \"unix:///run/stentor/mqtt.sock\""},
        {"mqtt://local host",
         "a listener URL has no blanks or control characters",
         "for example \"mqtt://127.0.0.1:1883\""},
    };
    for (const BadUrl& url : bad) {
        const auto result = parse_listen_url(url.text);
        ASSERT_TRUE(result.has_error()) << url.text;
        EXPECT_EQ(result.error().what, url.what) << url.text;
        EXPECT_EQ(result.error().hint, url.hint) << url.text;
        EXPECT_LE(result.error().offset + result.error().length, std::string{url.text}.size());
    }
}

TEST(ListenUrl, KnowsWhatOnlyThisMachineReaches) {
    for (const char* local : {"mqtt://127.0.0.1",
                              "mqtt://127.8.9.10:1",
                              "mqtt://[::1]",
                              "mqtt://[::ffff:127.0.0.1]",
                              "mqtt://localhost",
                              "unix:///tmp/x"}) {
        EXPECT_TRUE(is_loopback(*parse_listen_url(local))) << local;
    }
    for (const char* open : {"mqtt://0.0.0.0",
                             "mqtt://[::]",
                             "mqtt://192.168.1.1",
                             "mqtt://[::ffff:10.0.0.1]",
                             "mqtt://127.example.com",
                             "mqtt://localhost.example.com"}) {
        EXPECT_FALSE(is_loopback(*parse_listen_url(open))) << open;
    }
}

}  // namespace
}  // namespace stentor::config
