#include "server/admin/api.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

namespace stentor::admin {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

/// Takes "boss" for an administrator, "anna" for somebody else; counts whom it is asked about.
class People final : public HttpAccess, public server::AccessControl {
  public:
    void admit_visitor(HttpCredentials credentials,
                       const server::PeerInfo& peer,
                       std::function<void(server::Admission)> answer) override {
        ++asked;
        server::Admission admission;
        const std::string user = credentials.user.value_or("");
        admission.accepted = user == "boss" || user == "anna" ||
                             (!credentials.user && (anybody || peer.loopback_listener));
        admission.reason = reason;
        admission.identity = {.user = user, .admin = user == "boss", .edition = edition_now};
        answer(std::move(admission));
    }
    std::optional<server::Admission> admit(const mqtt::ConnectRequest& /*request*/,
                                           const server::PeerInfo& /*peer*/,
                                           ShardId /*shard*/,
                                           ConnectionId /*connection*/) override {
        return std::nullopt;
    }
    std::unique_ptr<server::AuthExchange> begin_exchange(
        const mqtt::ConnectRequest& /*request*/, const server::PeerInfo& /*peer*/) override {
        return nullptr;
    }
    bool allows(server::TopicAction /*action*/,
                const server::Identity& /*identity*/,
                std::string_view /*client_id*/,
                std::string_view /*topic*/) const override {
        return false;
    }
    bool checks_deliveries(const server::Identity& /*identity*/) const noexcept override {
        return false;
    }
    std::uint32_t edition() const noexcept override { return edition_now; }
    mqtt::ReasonCode review(server::Identity& identity,
                            std::string_view /*client_id*/,
                            const server::PeerInfo& /*peer*/) const override {
        identity.edition = edition_now;
        return mqtt::ReasonCode::not_authorized;
    }

    int asked = 0;
    bool anybody = false;
    mqtt::ReasonCode reason = mqtt::ReasonCode::bad_user_name_or_password;
    std::uint32_t edition_now = 1;
};

class ApiTest : public testing::Test {
  public:
    static asio::awaitable<std::optional<std::string>> page() { co_return "figures"; }

    asio::awaitable<void> serving(Call call, Reply& out) {
        Begun begun = co_await api.begin(call);
        if (begun.refusal) {
            out = *std::move(begun.refusal);
            co_return;
        }
        EXPECT_EQ(begun.body_bytes_max, 0U);
        out = co_await api.answer(call);
    }
    Reply ask(http::verb method, std::string_view target, std::string_view authorization = {}) {
        request = {};
        request.method(method);
        request.target({target.data(), target.size()});
        request.set(http::field::host, host);
        if (!authorization.empty()) {
            request.set(http::field::authorization, {authorization.data(), authorization.size()});
        }
        Reply reply;
        asio::io_context io;
        Call call{.request = &request, .peer = peer, .visitor = &visitor};
        asio::co_spawn(io, serving(call, reply), asio::detached);
        io.run();
        return reply;
    }
    unsigned status(http::verb method,
                    std::string_view target,
                    std::string_view authorization = {}) {
        return static_cast<unsigned>(ask(method, target, authorization).status);
    }
    unsigned metrics(std::string_view authorization = {}) {
        return status(http::verb::get, "/metrics", authorization);
    }

    // user:x, in base64
    static constexpr std::string_view kBoss = "Basic Ym9zczp4";
    static constexpr std::string_view kAnna = "Basic YW5uYTp4";

    People people;
    std::atomic<Readiness> readiness{Readiness::ready};
    Api api{{.door = &people, .access = &people, .readiness = &readiness, .metrics = page}};
    Request request;
    server::PeerInfo peer;
    const char* host = "localhost:80";
    std::unique_ptr<Visitor> visitor;
};

TEST_F(ApiTest, EveryPathHasItsMethods) {
    EXPECT_EQ(status(http::verb::get, "/livez"), 200U);
    EXPECT_EQ(status(http::verb::head, "/livez"), 200U);
    EXPECT_EQ(status(http::verb::get, "/livez?x=1"), 200U);
    EXPECT_EQ(status(http::verb::get, "/livez/"), 404U);
    EXPECT_EQ(status(http::verb::get, "/"), 404U);
    EXPECT_EQ(status(http::verb::post, "/nothing"), 404U);
    const Reply reply = ask(http::verb::delete_, "/readyz");
    EXPECT_EQ(static_cast<unsigned>(reply.status), 405U);
    ASSERT_EQ(reply.headers.size(), 1U);
    EXPECT_EQ(reply.headers[0].first, "Allow");
    EXPECT_EQ(reply.headers[0].second, "GET, HEAD");
    EXPECT_THAT(reply.body, testing::HasSubstr("\"code\":\"method_not_allowed\""));
    EXPECT_EQ(people.asked, 0);
}

TEST_F(ApiTest, IsReadyOnlyWhileClientsAreServed) {
    EXPECT_EQ(status(http::verb::get, "/readyz"), 200U);
    for (const auto other : {Readiness::starting, Readiness::store_failed, Readiness::stopping}) {
        readiness = other;
        EXPECT_EQ(status(http::verb::get, "/readyz"), 503U);
        EXPECT_EQ(status(http::verb::get, "/livez"), 200U);
    }
}

TEST_F(ApiTest, AsksAboutNobodyBeforeTheStartIsSureToSucceed) {
    readiness = Readiness::starting;
    EXPECT_EQ(metrics(kBoss), 503U);
    EXPECT_EQ(people.asked, 0);
}

TEST_F(ApiTest, FiguresAreForAdministratorsAndThisMachine) {
    EXPECT_EQ(metrics(kBoss), 200U);
    EXPECT_EQ(metrics(kAnna), 403U);
    EXPECT_EQ(metrics(), 401U);
    peer.loopback_listener = true;
    EXPECT_EQ(metrics(), 200U);
    // Pages' own names, for 127.0.0.1.
    for (const char* name : {"rebound.example",
                             "127.example.org",
                             "127.0.0.1.example.org:80",
                             "localhost.example.org",
                             "[::1",
                             "[::1]example.org"}) {
        host = name;
        EXPECT_EQ(metrics(), 401U) << name;
    }
    for (const char* name : {"127.0.0.2", "[::1]", "[::1]:80", "LOCALHOST", ""}) {
        host = name;
        EXPECT_EQ(metrics(), 200U) << name;
    }
    host = "rebound.example";
    peer.loopback_listener = false;
    people.anybody = true;
    EXPECT_EQ(metrics(), 403U);
}

TEST_F(ApiTest, RemembersAVisitorForTheSameHeader) {
    EXPECT_EQ(metrics(kBoss), 200U);
    EXPECT_EQ(metrics(kBoss), 200U);
    EXPECT_EQ(people.asked, 1);
    EXPECT_EQ(metrics(kAnna), 403U);
    EXPECT_EQ(people.asked, 2);
    EXPECT_EQ(metrics(kBoss), 200U);
    people.edition_now = 2;  // a reload, after which nobody may stay
    EXPECT_EQ(metrics(kBoss), 200U);
    EXPECT_EQ(people.asked, 4);
}

TEST_F(ApiTest, SaysWhyNobodyComesIn) {
    people.reason = mqtt::ReasonCode::connection_rate_exceeded;
    EXPECT_EQ(metrics(), 429U);
    people.reason = mqtt::ReasonCode::banned;
    EXPECT_EQ(metrics(), 403U);
    people.reason = mqtt::ReasonCode::server_unavailable;
    EXPECT_EQ(metrics(), 503U);
    for (const std::string_view header : {"Basic", "Basic %%%", "Basic Ym9zcw==", "Digest x"}) {
        EXPECT_EQ(metrics(header), 401U) << header;
    }
}

}  // namespace
}  // namespace stentor::admin
