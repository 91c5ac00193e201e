#include "server/config/service_url.hpp"

#include <gtest/gtest.h>

namespace stentor::config {
namespace {

TEST(ServiceUrl, HasAHostAPortAndATarget) {
    const auto plain = parse_service_url("http://127.0.0.1:8000/login?broker=a%20b");
    ASSERT_TRUE(plain);
    EXPECT_FALSE(plain->uses_tls);
    EXPECT_EQ(plain->host, "127.0.0.1");
    EXPECT_EQ(plain->port, 8000);
    EXPECT_EQ(plain->target, "/login?broker=a%20b");
    const auto tls = parse_service_url("HTTPS://auth.example.org");
    ASSERT_TRUE(tls);
    EXPECT_TRUE(tls->uses_tls);
    EXPECT_EQ(tls->host, "auth.example.org");
    EXPECT_EQ(tls->port, 443);
    EXPECT_EQ(tls->target, "/");
    const auto six = parse_service_url("http://[::1]/x");
    ASSERT_TRUE(six);
    EXPECT_EQ(six->host, "::1");
    EXPECT_EQ(six->port, 80);
    EXPECT_EQ(parse_service_url("http://a?x")->target, "/?x");
}

TEST(ServiceUrl, MistakesAreNamed) {
    struct {
        const char* text;
        const char* said;
    } const kWrong[] = {
        {"auth.example.org/login", "not a URL"},
        {"", "not a URL"},
        {"http://a b/", "not a URL"},
        {"ftp://a/", "\"ftp://\""},
        {"mqtt://a/", "\"mqtt://\""},
        {"https://anna:secret@a/", "no name and password"},
        {"https://a/#x", "fragment"},
        {"https:///x", "host"},
        {"https://a:0/", "port"},
        {"https://a:70000/", "port"},
    };
    for (const auto& [text, said] : kWrong) {
        const auto url = parse_service_url(text);
        ASSERT_FALSE(url) << text;
        EXPECT_NE(url.error().what.find(said), std::string::npos) << text << url.error().what;
        EXPECT_EQ(url.error().what.find("secret"), std::string::npos);
        EXPECT_FALSE(url.error().hint.empty());
    }
}

}  // namespace
}  // namespace stentor::config
