#include "server/admin/http_server.hpp"

#include "base/random.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

namespace stentor::admin {
namespace {

namespace asio = boost::asio;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kLast = "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

/// Answers with the request's target and body; "/none" is refused before the body is read.
class Echo final : public HttpHandler {
  public:
    asio::awaitable<Begun> begin(Call& call) override {
        if (call.request->target() == "/none")
            co_return Begun{error_reply(Status::not_found, "x", "x")};
        co_return Begun{.refusal = {}, .body_bytes_max = 10};
    }
    asio::awaitable<Reply> answer(Call& call) override {
        const auto target = call.request->target();
        std::string text{target.data(), target.size()};
        co_return Reply{.body = text + ' ' + call.request->body()};
    }
};

/// A client that blocks.
class Peer {
  public:
    explicit Peer(std::uint16_t port) : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(port);
        EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address),
                  0);
    }
    void say(std::string_view text) {
        (void)::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
    /// More of what comes; false at the end.
    bool read(std::string& to) {
        std::array<char, 4096> chunk{};
        const ssize_t got = ::recv(socket_.get(), chunk.data(), chunk.size(), 0);
        if (got > 0) to.append(chunk.data(), static_cast<std::size_t>(got));
        return got > 0;
    }
    std::string rest() {
        std::string text;
        while (read(text)) {
        }
        return text;
    }
    /// Until the answer's body has come, which ends so.
    std::string until(std::string_view end) {
        std::string text;
        while (!text.ends_with(end) && read(text)) {
        }
        return text;
    }

  private:
    Descriptor socket_;
};

std::vector<int> statuses(std::string_view text) {
    constexpr std::string_view kBegin = "HTTP/1.1 ";
    std::vector<int> found;
    for (std::size_t at = text.find(kBegin); at != std::string_view::npos;
         at = text.find(kBegin, at + 1)) {
        found.push_back(std::stoi(std::string{text.substr(at + kBegin.size(), 3)}));
    }
    return found;
}

class HttpServerTest : public testing::Test {
  public:
    void start() {
        auto listener = server::Listener::open({.host = "127.0.0.1", .port = 0, .path = {}}, 0);
        ASSERT_TRUE(listener);
        port = listener->port();
        listeners.push_back(*std::move(listener));
        doors.emplace_back();
        doors.back().speech = server::Door::Speech::http;
        server.emplace(limits, listeners, doors, addresses, handler);
        server->start();
    }
    ~HttpServerTest() override {
        if (server) server->finish();
    }
    std::string ask(std::string_view text) const {
        Peer peer{port};
        peer.say(text);
        return peer.rest();
    }

    HttpLimits limits;
    std::uint16_t port = 0;
    std::vector<server::Listener> listeners;
    std::vector<server::Door> doors;
    server::AddressGate addresses{{}, random_hash_key(), [](std::string_view) { return false; }};
    Echo handler;
    std::optional<HttpServer> server;
};

TEST_F(HttpServerTest, KeepsTheConnectionAndTheOrder) {
    start();
    Peer peer{port};
    for (int i = 0; i < 3; ++i) {
        peer.say(kGet);
        EXPECT_THAT(peer.until("/a "), StartsWith("HTTP/1.1 200 OK\r\n"));
    }
    peer.say(std::string{kGet} + "GET /none HTTP/1.1\r\nHost: h\r\n\r\n" + std::string{kLast} +
             std::string{kGet});
    EXPECT_EQ(statuses(peer.rest()), (std::vector<int>{200, 404, 200}));
}

TEST_F(HttpServerTest, HeadHasNoBody) {
    start();
    const std::string answer = ask("HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, HasSubstr("Content-Length: 3\r\n"));
    EXPECT_TRUE(answer.ends_with("\r\n\r\n"));
}

TEST_F(HttpServerTest, TakesBodiesUpToTheHandlersBound) {
    start();
    EXPECT_TRUE(ask("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nConnection: close\r\n"
                    "\r\n0123456789")
                    .ends_with("/b 0123456789"));
    EXPECT_TRUE(ask("POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
                    "Connection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
                    .ends_with("/b abcde"));
    const std::string head = "POST /b HTTP/1.1\r\nHost: h\r\n";
    EXPECT_EQ(statuses(ask(head + "Content-Length: 11\r\n\r\n01234567890")), std::vector<int>{413});
    EXPECT_EQ(
        statuses(ask(head + "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n")),
        std::vector<int>{413});
    EXPECT_EQ(statuses(ask(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n")),
              std::vector<int>{400});
}

TEST_F(HttpServerTest, TellsWhoWaitsForItToGoOn) {
    start();
    Peer peer{port};
    peer.say(
        "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n"
        "Connection: close\r\n\r\n");
    EXPECT_EQ(peer.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.say("x");
    EXPECT_TRUE(peer.rest().ends_with("/b x"));
}

TEST_F(HttpServerTest, BoundsTheHead) {
    limits.head_bytes_max = 200;
    start();
    EXPECT_EQ(statuses(ask("GET /a HTTP/1.1\r\nHost: h\r\nX: " + std::string(500, 'x'))),
              std::vector<int>{431});
    EXPECT_EQ(statuses(ask("GET /" + std::string(500, 'x'))), std::vector<int>{431});
}

TEST_F(HttpServerTest, EndsWithWhatIsNoRequest) {
    start();
    EXPECT_EQ(statuses(ask("hello\r\n\r\n" + std::string{kGet})), std::vector<int>{400});
    // Ten bytes of a TLS hello.
    const std::string hello{"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10};
    EXPECT_EQ(ask(hello), "");
}

TEST_F(HttpServerTest, HalfARequestTimesOut) {
    limits.head_time = std::chrono::milliseconds{30};
    limits.body_time = std::chrono::milliseconds{30};
    start();
    EXPECT_EQ(ask(""), "");
    EXPECT_EQ(statuses(ask("GET /a HT")), std::vector<int>{408});
    EXPECT_EQ(ask("POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n1"), "");
}

TEST_F(HttpServerTest, SaysNothingToWhoStaysSilentBetweenRequests) {
    limits.idle_time = std::chrono::milliseconds{30};
    start();
    EXPECT_EQ(statuses(ask(kGet)), std::vector<int>{200});
}

TEST_F(HttpServerTest, BoundsItsConnections) {
    limits.connections_max = 2;
    start();
    std::vector<Peer> peers;
    for (int i = 0; i < 2; ++i) {
        peers.emplace_back(port).say(kGet);
        EXPECT_EQ(statuses(peers.back().until("/a ")), std::vector<int>{200});
    }
    EXPECT_EQ(server->connections(0), 2U);
    EXPECT_EQ(ask(kGet), "");
    const auto& refused = server->counters().refused_at_door;
    EXPECT_EQ(refused[static_cast<std::size_t>(server::RefusedAtDoor::http_connections_max)], 1U);
    peers.back().say(kLast);
    EXPECT_EQ(statuses(peers.back().rest()), std::vector<int>{200});
    peers.pop_back();
    while (server->connections(0) == 2) {
    }
    EXPECT_EQ(statuses(ask(kLast)), std::vector<int>{200});
}

TEST_F(HttpServerTest, FinishesWhateverItsPeersDo) {
    start();
    Peer idle{port};
    idle.say(kGet);
    EXPECT_EQ(statuses(idle.until("/a ")), std::vector<int>{200});
    Peer half{port};
    half.say("GET /a HT");
    while (server->counters().connections != 2) {
    }
    server->finish();
    EXPECT_EQ(idle.rest(), "");
    EXPECT_EQ(half.rest(), "");
    EXPECT_EQ(server->counters().connections, 0U);
}

}  // namespace
}  // namespace stentor::admin
