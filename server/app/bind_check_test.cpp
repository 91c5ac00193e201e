#include "server/app/bind_check.hpp"

#include "server/app/port_owner.hpp"
#include "tests/kit/temp_dir.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>

namespace stentor::app {
namespace {

using config::Scheme;

/// A listening socket of the test's own.
class Listener {
  public:
    Listener() : fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(fd_, 1), 0);
        socklen_t size = sizeof address;
        EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
        port_ = ntohs(address.sin_port);
    }
    explicit Listener(const std::string& path)
        : fd_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(&address.sun_path, path.data(), path.size());
        EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(fd_, 1), 0);
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    ~Listener() { ::close(fd_); }

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }

  private:
    int fd_;
    std::uint16_t port_ = 0;
};

TEST(PortOwner, FindsThisProcess) {
    const Listener listener;
    const auto owner = owner_of_port(listener.port());
    ASSERT_TRUE(owner.has_value());
    EXPECT_EQ(owner->pid, ::getpid());
    EXPECT_EQ(owner->uid, ::getuid());
    EXPECT_EQ(describe(*owner), owner->name + " (pid " + std::to_string(::getpid()) + ")");
}

TEST(PortOwner, FindsTheHolderOfASocketFile) {
    const kit::TempDir dir;
    const Listener listener{dir.file("s")};
    const auto owner = owner_of_unix_socket(dir.file("s"));
    ASSERT_TRUE(owner.has_value());
    EXPECT_EQ(owner->pid, ::getpid());
    EXPECT_FALSE(owner_of_unix_socket(dir.file("other")).has_value());
}

TEST(BindCheck, LetsFreeAddressesPass) {
    const kit::TempDir dir;
    EXPECT_FALSE(bind_problem({Scheme::mqtt, "127.0.0.1", 0, ""}).has_value());
    EXPECT_FALSE(bind_problem({Scheme::mqtt, "localhost", 0, ""}).has_value());
    EXPECT_FALSE(bind_problem({Scheme::unix_socket, "", 0, dir.file("s")}).has_value());
}

TEST(BindCheck, NamesWhoHoldsAPort) {
    const Listener listener;
    const auto problem = bind_problem({Scheme::mqtt, "127.0.0.1", listener.port(), ""});
    ASSERT_TRUE(problem.has_value());
    EXPECT_EQ(problem->what.find("cannot listen on mqtt://127.0.0.1:"), 0U) << problem->what;
    const std::string who = "(pid " + std::to_string(::getpid()) + ")";
    EXPECT_NE(problem->what.find("the port is in use by "), std::string::npos) << problem->what;
    EXPECT_NE(problem->what.find(who), std::string::npos) << problem->what;
    EXPECT_EQ(problem->hint,
              "stop it, or listen elsewhere: --listen mqtt://127.0.0.1:0 picks a free port");
}

TEST(BindCheck, ExplainsAddressesThatAreNotOurs) {
    const auto problem = bind_problem({Scheme::mqtt, "192.0.2.1", 0, ""});
    ASSERT_TRUE(problem.has_value());
    EXPECT_EQ(problem->hint, "the address is not one of this machine: see `ip address`");
}

TEST(BindCheck, ExplainsSocketFiles) {
    const kit::TempDir dir;
    const auto in_the_way = bind_problem({Scheme::unix_socket, "", 0, dir.write("file", "text")});
    ASSERT_TRUE(in_the_way.has_value());
    EXPECT_NE(in_the_way->what.find("a file that is no socket is in the way"), std::string::npos);
    const auto nowhere = bind_problem({Scheme::unix_socket, "", 0, dir.file("no/s")});
    ASSERT_TRUE(nowhere.has_value());
    EXPECT_EQ(nowhere->hint, "make the directory, or give the listener another path");
    const Listener listener{dir.file("s")};
    const auto used = bind_problem({Scheme::unix_socket, "", 0, dir.file("s")});
    ASSERT_TRUE(used.has_value());
    EXPECT_NE(used->what.find("the socket is in use by "), std::string::npos) << used->what;
}

}  // namespace
}  // namespace stentor::app
