#include "auth/http/client/http_authenticator.hpp"

#include "auth/test_doubles.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace stentor::auth {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Decisions;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
const std::string kNoAnswer = "no answer";  // and the connection stays open
const std::string kClose = "close";

std::string reply(const std::string& body, const std::string& more = {}) {
    return "HTTP/1.1 200 OK\r\n" + more + "Content-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}
const std::string kAllow = reply(R"({"result": "allow"})");

/// Answers, on a thread of its own, what the test says.
class WebService {
  public:
    using Request = http::request<http::string_body>;
    /// `question` counts all, `on_connection` those of one connection, from 0.
    using Answer = std::function<std::string(const Request&, int question, int on_connection)>;

    explicit WebService(Answer answer) : answer_{std::move(answer)} {
        asio::co_spawn(io_, accept(), asio::detached);
        thread_ = std::thread{[this] { io_.run(); }};
    }
    WebService(const WebService&) = delete;
    WebService& operator=(const WebService&) = delete;
    ~WebService() {
        io_.stop();
        thread_.join();
    }

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] int questions() const { return questions_; }
    [[nodiscard]] int connections() const { return connections_; }
    [[nodiscard]] int most_at_a_time() const { return most_; }

  private:
    asio::awaitable<void> accept() {
        while (true) {
            auto [error, socket] = co_await acceptor_.async_accept(kTuple);
            if (error) co_return;
            ++connections_;
            asio::co_spawn(io_, talk(std::move(socket)), asio::detached);
        }
    }
    asio::awaitable<void> talk(tcp::socket socket) {
        boost::beast::flat_buffer buffer;
        for (int i = 0;; ++i) {
            Request request;
            const auto [error, size] = co_await http::async_read(socket, buffer, request, kTuple);
            if (error) co_return;
            most_ = std::max(most_.load(), ++open_);
            const std::string text = answer_(request, questions_++, i);
            if (text == kNoAnswer) {
                asio::steady_timer never{io_, seconds{3600}};
                co_await never.async_wait(kTuple);
            }
            --open_;
            if (text == kClose) co_return;
            const auto [unsent, sent] =
                co_await asio::async_write(socket, asio::buffer(text), kTuple);
            if (unsent) co_return;
        }
    }

    Answer answer_;
    asio::io_context io_{1};
    tcp::acceptor acceptor_{io_, {asio::ip::make_address("127.0.0.1"), 0}};
    const std::uint16_t port_ = acceptor_.local_endpoint().port();
    std::atomic<int> questions_{0};
    std::atomic<int> connections_{0};
    std::atomic<int> open_{0};
    std::atomic<int> most_{0};
    std::thread thread_;
};

class HttpLoginTest : public testing::Test {
  protected:
    ~HttpLoginTest() override { loop.stop(); }

    void open(const WebService& service, HttpLoginOptions options = {}) {
        options.host = "127.0.0.1";
        options.port = service.port();
        options.target = "/login?x=1";
        auto logins = HttpLogins::open(std::move(options), loop);
        ASSERT_TRUE(logins);
        std::vector<std::unique_ptr<const Authenticator>> links;
        links.push_back(std::make_unique<HttpAuthenticator>(*logins, HttpAsksAbout::others));
        chain = std::make_shared<const Chain>(std::move(links), std::vector<std::string>{});
    }
    void ask(Ticket ticket, const std::string& password, std::uint64_t lane = 1) {
        authenticate(chain,
                     {.client_id = "c",
                      .user = "anna",
                      .password = password,
                      .peer_address = "192.0.2.1",
                      .lane = lane},
                     ticket,
                     sink);
    }
    /// One client, and what is said of it.
    Decision visit(const std::string& password) {
        const std::size_t before = sink.all.size();
        ask(before + 1, password);
        sink.wait_for(before + 1);
        return sink.all.at(before).second;
    }

    HttpLoop loop;
    Decisions sink;
    std::shared_ptr<const Chain> chain;
};

TEST_F(HttpLoginTest, AsksAsOneAsksWebServices) {
    std::string seen;
    const WebService service{[&](const WebService::Request& request, int, int) {
        seen = std::string{request.method_string()} + ' ' + std::string{request.target()} + ' ' +
               std::string{request[http::field::content_type]} + ' ' +
               std::string{request[http::field::authorization]} + ' ' + request.body();
        return kAllow;
    }};
    open(service, {.headers = {{"Authorization", "Bearer x"}, {"X-Tenant", "7"}}});
    EXPECT_EQ(visit("secret").outcome, Outcome::accepted);
    EXPECT_EQ(seen,
              "POST /login?x=1 application/json Bearer x "
              R"({"clientid":"c","username":"anna","password":"secret","address":"192.0.2.1",)"
              R"("listener":null,"certificate":null})");
}

TEST_F(HttpLoginTest, KeepsItsConnections) {
    const WebService service{[](const auto&, int, int) { return kAllow; }};
    open(service);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(visit(std::to_string(i)).outcome, Outcome::accepted);
    EXPECT_EQ(service.connections(), 1);
    EXPECT_EQ(service.questions(), 5);
}

TEST_F(HttpLoginTest, ClosesWhenTheServiceWantsThat) {
    const WebService service{[](const auto&, int, int) {
        return reply(R"({"result": "allow"})", "Connection: close\r\n");
    }};
    open(service);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(visit(std::to_string(i)).outcome, Outcome::accepted);
    EXPECT_EQ(service.connections(), 3);
}

TEST_F(HttpLoginTest, AsksOnceMoreWhenAKeptConnectionWasClosed) {
    const WebService service{
        [](const auto&, int, int on_connection) { return on_connection == 0 ? kAllow : kClose; }};
    open(service);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(visit(std::to_string(i)).outcome, Outcome::accepted);
    EXPECT_EQ(service.questions(), 5) << "the second and the third were asked twice";
}

TEST_F(HttpLoginTest, DoesNotAskAgainOnANewConnection) {
    const WebService service{[](const auto&, int, int) { return kClose; }};
    open(service);
    const Decision decision = visit("x");
    EXPECT_EQ(decision.outcome, Outcome::unavailable);
    EXPECT_NE(decision.why.find("closed the connection"), std::string::npos) << decision.why;
    EXPECT_EQ(service.questions(), 1);
}

TEST_F(HttpLoginTest, WhatIsNotHttpOrTooMuchIsAFailure) {
    const std::vector<std::pair<std::string, std::string>> answers{
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer in HTTP"},
        {reply(std::string(70'000, ' ')), "more than 64 KiB"},
        {reply("{}", "X: " + std::string(9'000, 'x') + "\r\n"), "more than 8 KiB"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "does not answer in HTTP"},
        {"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
         "redirect"},
        {reply("{}"), "no \"result\""}};
    const WebService service{[&](const auto&, int question, int) {
        return answers.at(static_cast<std::size_t>(question)).first;
    }};
    open(service);
    for (const auto& [answer, said] : answers) {
        const Decision decision = visit(said);
        EXPECT_EQ(decision.outcome, Outcome::unavailable) << said;
        EXPECT_NE(decision.why.find(said), std::string::npos) << decision.why;
    }
}

TEST_F(HttpLoginTest, BytesBehindAnAnswerAreNotTheNextOne) {
    const WebService service{[](const auto&, int question, int) {
        return question == 0 ? reply(R"({"result": "deny"})") + kAllow
                             : reply(R"({"result": "deny"})");
    }};
    open(service);
    EXPECT_EQ(visit("1").outcome, Outcome::bad_credentials);
    EXPECT_EQ(visit("2").outcome, Outcome::bad_credentials);
    EXPECT_EQ(service.connections(), 2);
}

TEST_F(HttpLoginTest, PatienceEnds) {
    const WebService service{[](const WebService::Request& request, int, int) {
        return request.body().find("hang") == std::string::npos ? kAllow : kNoAnswer;
    }};
    open(service, {.timeout = milliseconds{300}, .connections_max = 2});
    for (Ticket ticket = 1; ticket <= 5; ++ticket) ask(ticket, "hang" + std::to_string(ticket));
    sink.wait_for(5);
    for (const auto& [ticket, decision] : sink.all) {
        EXPECT_EQ(decision.outcome, Outcome::unavailable);
        EXPECT_NE(decision.why.find("in time"), std::string::npos) << decision.why;
    }
    // The others had to wait; one may have got a connection in the moment its time ended.
    EXPECT_LT(service.questions(), 5);
    EXPECT_EQ(visit("right").outcome, Outcome::accepted);
}

TEST_F(HttpLoginTest, AsksAFewAtATime) {
    const WebService service{[](const auto&, int, int) { return kAllow; }};
    open(service, {.connections_max = 3});
    for (Ticket ticket = 1; ticket <= 500; ++ticket) ask(ticket, std::to_string(ticket));
    sink.wait_for(500);
    for (const auto& [ticket, decision] : sink.all) EXPECT_EQ(decision.outcome, Outcome::accepted);
    EXPECT_LE(service.connections(), 3);
    EXPECT_LE(service.most_at_a_time(), 3);
}

TEST_F(HttpLoginTest, TooManyAreToldToComeBack) {
    const WebService service{[](const auto&, int, int) { return kNoAnswer; }};
    open(service);
    for (Ticket ticket = 1; ticket <= kHttpWaitingMax; ++ticket) ask(ticket, "hang");
    EXPECT_EQ(visit("one more").outcome, Outcome::overloaded);
    ASSERT_EQ(sink.all.size(), 1U);
    EXPECT_EQ(sink.all[0].second.why, "too many clients are being authenticated");
    loop.stop();
    sink.wait_for(kHttpWaitingMax + 1);
    EXPECT_EQ(sink.all.back().second.outcome, Outcome::unavailable);
    EXPECT_EQ(visit("late").why, "the broker is stopping");
}

TEST_F(HttpLoginTest, WhoeverAsksMostIsTurnedAwayForOthers) {
    std::promise<void> begun;
    const WebService service{[&](const auto&, int, int) {
        begun.set_value();
        return kNoAnswer;
    }};
    open(service, {.connections_max = 1});
    ask(0, "being asked about");
    begun.get_future().wait();
    for (Ticket ticket = 1; ticket <= kHttpQueueMax; ++ticket) ask(ticket, std::to_string(ticket));
    ask(kHttpQueueMax + 1, "somebody else", 2);
    sink.wait_for(1);
    loop.stop();
    EXPECT_EQ(sink.all[0].first, kHttpQueueMax);
    EXPECT_EQ(sink.all[0].second.outcome, Outcome::overloaded);
    EXPECT_EQ(sink.all[1].second.outcome, Outcome::unavailable) << "the others waited until now";
    EXPECT_EQ(sink.all.size(), kHttpQueueMax + 2);
}

TEST_F(HttpLoginTest, ARefusedConnectionIsAFailure) {
    std::uint16_t port = 0;
    {
        const WebService gone{[](const auto&, int, int) { return kAllow; }};
        port = gone.port();
        open(gone);
    }
    const Decision decision = visit("x");
    EXPECT_EQ(decision.outcome, Outcome::unavailable);
    EXPECT_NE(decision.why.find("cannot connect"), std::string::npos) << decision.why;
    EXPECT_NE(port, 0);
}

TEST_F(HttpLoginTest, AReplacedServiceFinishesWhatItBegan) {
    const WebService slow{[](const WebService::Request& request, int, int) {
        return request.body().find("hang") == std::string::npos ? kAllow : kNoAnswer;
    }};
    open(slow, {.timeout = milliseconds{300}});
    EXPECT_EQ(visit("x").outcome, Outcome::accepted);
    ask(2, "hang");
    const WebService other{[](const auto&, int, int) { return kAllow; }};
    open(other);
    EXPECT_EQ(visit("x").outcome, Outcome::accepted) << "nothing is remembered of the other's";
    EXPECT_EQ(other.questions(), 1);
    sink.wait_for(3);
}

TEST_F(HttpLoginTest, CertificatesAreAnothersBusinessUnlessSaid) {
    const WebService service{[](const auto&, int, int) { return kAllow; }};
    open(service);
    authenticate(chain,
                 {.client_id = "c",
                  .user = {},
                  .password = {},
                  .peer_address = {},
                  .certificate_name = "device"},
                 1,
                 sink);
    sink.wait_for(1);
    EXPECT_EQ(sink.all[0].second.outcome, Outcome::not_authorised) << "the end of the chain";
    EXPECT_EQ(service.questions(), 0);
}

TEST(HttpAuthorities, AreCertificates) {
    EXPECT_TRUE(check_authorities({}));
    const auto nonsense = check_authorities("not a certificate\n");
    ASSERT_FALSE(nonsense);
    EXPECT_NE(nonsense.error().what.find("no certificate of an authority"), std::string::npos);
    EXPECT_FALSE(
        check_authorities("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
}

}  // namespace
}  // namespace stentor::auth
