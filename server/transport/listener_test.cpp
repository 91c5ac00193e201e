#include "server/transport/listener.hpp"

#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <cerrno>
#include <filesystem>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>

namespace stentor::server {
namespace {

/// errno, or 0.
int connect_to(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    const Descriptor socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const auto* const name = reinterpret_cast<const sockaddr*>(&address);
    return ::connect(socket.get(), name, sizeof address) == 0 ? 0 : errno;
}

TEST(Listener, ServesIpv4UnderAName) {
    const auto listener = Listener::open({.host = "localhost", .port = 0, .path = {}}, 3);
    ASSERT_TRUE(listener) << listener.error().what;
    EXPECT_NE(listener->port(), 0);
    EXPECT_EQ(listener->index(), 3);
    EXPECT_TRUE(listener->is_loopback());
    EXPECT_EQ(connect_to(listener->port()), 0);
}

TEST(Listener, SaysWhyItCannotListen) {
    const auto first = Listener::open({.host = "127.0.0.1", .port = 0, .path = {}}, 0);
    ASSERT_TRUE(first);
    const auto second = Listener::open({.host = "127.0.0.1", .port = first->port(), .path = {}}, 0);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EADDRINUSE);
    const auto nowhere = Listener::open({.host = "no.such.host.invalid", .port = 0, .path = {}}, 0);
    ASSERT_FALSE(nowhere);
    EXPECT_EQ(nowhere.error().code, 0);
    EXPECT_NE(nowhere.error().what.find("cannot resolve"), std::string::npos);
    const auto deep =
        Listener::open({.host = {}, .port = 0, .path = "/" + std::string(200, 'x')}, 0);
    ASSERT_FALSE(deep);
    EXPECT_EQ(deep.error().code, ENAMETOOLONG);
}

TEST(Listener, ReplacesASocketFileThatNobodyListensOn) {
    const kit::TempDir dir;
    const std::string path = dir.file("socket");
    {
        // The file outlives its socket, as after a kill.
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        const Descriptor socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        const auto* const address = reinterpret_cast<const sockaddr*>(&name);
        ASSERT_EQ(::bind(socket.get(), address, sizeof name), 0);
    }
    {
        const auto listener = Listener::open({.host = {}, .port = 0, .path = path}, 0);
        ASSERT_TRUE(listener) << listener.error().what;
        EXPECT_TRUE(listener->is_unix());
        const auto second = Listener::open({.host = {}, .port = 0, .path = path}, 0);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, EADDRINUSE);
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace stentor::server
