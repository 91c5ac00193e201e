#include "server/admin/api.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
    bool allows(server::TopicAction action,
                const server::Identity& /*identity*/,
                std::string_view /*client_id*/,
                std::string_view topic) const override {
        return action == server::TopicAction::publish && !topic.starts_with("closed");
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
        body_bytes_max = begun.body_bytes_max;
        if (before_answer) before_answer();
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
        if (!body.empty()) request.set(http::field::content_length, std::to_string(body.size()));
        request.body() = body;
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

    asio::awaitable<Publisher::Published> publish(server::PublishJob::Messages messages) {
        published = std::move(messages);
        co_return outcome;
    }
    ApiParts parts(std::uint32_t messages_per_second_max) {
        return {.door = &people,
                .access = &people,
                .readiness = &readiness,
                .metrics = page,
                .publish = [this](auto messages) { return publish(std::move(messages)); },
                .rules = {.packet_bytes_max = 1000, .topic_levels_max = 8},
                .messages_per_second_max = messages_per_second_max,
                .now = [] { return Instant{std::chrono::seconds{1}}; }};
    }
    /// What Anna is answered.
    Reply post(std::string_view target, std::string text) {
        body = std::move(text);
        return ask(http::verb::post, target, kAnna);
    }
    /// The outcomes of so many messages.
    void outcomes(std::vector<server::PublishOutcome> all) {
        outcome = {.how = Publisher::How::done, .outcomes = std::move(all)};
    }

    // user:x, in base64
    static constexpr std::string_view kBoss = "Basic Ym9zczp4";
    static constexpr std::string_view kAnna = "Basic YW5uYTp4";

    People people;
    std::atomic<Readiness> readiness{Readiness::ready};
    server::PublishJob::Messages published;
    Publisher::Published outcome;
    Api api{parts(0)};
    Request request;
    std::string body;
    std::uint64_t body_bytes_max = 0;
    std::function<void()> before_answer;
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

TEST_F(ApiTest, PublishesTheBodyToTheTopicInThePath) {
    outcomes({{.seq = Seq{7}, .live = true, .durable = true}});
    const Reply reply = post("/v1/publish/a%20b/c", "hello");
    EXPECT_EQ(reply.status, Status::accepted);
    EXPECT_EQ(reply.body, "{\"id\":\"7\",\"live\":true,\"durable\":true}\n");
    ASSERT_EQ(published.size(), 1U);
    EXPECT_EQ(published[0]->topic(), "a b/c");
    EXPECT_EQ(as_text(published[0]->payload()), "hello");
    EXPECT_EQ(body_bytes_max, 1000U);
}

TEST_F(ApiTest, PublishingHasItsErrors) {
    using mqtt::ReasonCode;
    EXPECT_EQ(status(http::verb::get, "/v1/publish/a"), 405U);
    EXPECT_EQ(status(http::verb::post, "/v1/publish/a"), 401U);
    EXPECT_EQ(post("/v1/publish/", "x").status, Status::bad_request);
    EXPECT_EQ(post("/v1/publish", "x").status, Status::bad_request);
    EXPECT_EQ(post("/v1/publish/closed", "x").status, Status::forbidden);
    EXPECT_EQ(post("/v1/publish/$SYS/x", "x").status, Status::forbidden);
    EXPECT_EQ(post("/v1/publish", R"({"topic":"closed"})").status, Status::forbidden);
    EXPECT_TRUE(published.empty());
    outcome = {.how = Publisher::How::busy};
    EXPECT_THAT(post("/v1/publish/a", "x").body, testing::HasSubstr("\"busy\""));
    outcome = {.how = Publisher::How::unknown};
    EXPECT_THAT(post("/v1/publish/a", "x").body, testing::HasSubstr("\"outcome_unknown\""));
    outcomes({{.reason = ReasonCode::quota_exceeded}});
    EXPECT_EQ(post("/v1/publish/a", "x").status, Status::insufficient_storage);
    outcomes({{.reason = ReasonCode::implementation_specific_error}});
    EXPECT_THAT(post("/v1/publish/a", "x").body, testing::HasSubstr("\"store_failed\""));
    outcomes({{.reason = ReasonCode::server_shutting_down}});
    EXPECT_THAT(post("/v1/publish/a", "x").body, testing::HasSubstr("\"stopping\""));
    outcomes({{.reason = ReasonCode::no_matching_subscribers}});
    EXPECT_EQ(post("/v1/publish/a", "x").status, Status::accepted);
    readiness = Readiness::store_failed;
    EXPECT_EQ(post("/v1/publish/a", "x").status, Status::service_unavailable);
}

TEST_F(ApiTest, EachMessageOfAListHasItsAnswer) {
    outcomes({{.live = true}, {.reason = mqtt::ReasonCode::quota_exceeded}});
    const Reply reply = post("/v1/publish", R"([{"topic":"a"},{"topic":"closed"},{"topic":"b"}])");
    EXPECT_EQ(reply.status, Status::multi_status);
    EXPECT_EQ(published.size(), 2U);
    EXPECT_THAT(reply.body,
                testing::MatchesRegex(R"(\[\{"id":null,"live":true,"durable":false\},)"
                                      R"(\{"code":"not_authorized",.*\},)"
                                      R"(\{"code":"store_full",.*\}\].*)"));
    outcomes({{}});
    EXPECT_EQ(post("/v1/publish", R"([{"topic":"a"}])").body,
              "[{\"id\":null,\"live\":false,\"durable\":false}]\n");
}

TEST_F(ApiTest, BodiesUnderWayAreBounded) {
    std::vector<Reply> within;
    // Each asks for more while it is under way: 64 MiB are there for bodies of unknown size.
    int depth = 0;
    before_answer = [&] {
        if (++depth == 100) return;
        Request other;
        other.method(http::verb::post);
        other.target("/v1/publish");
        other.set(http::field::authorization, {kAnna.data(), kAnna.size()});
        std::unique_ptr<Visitor> stranger;
        Call call{.request = &other, .peer = peer, .visitor = &stranger};
        Reply reply;
        asio::io_context io;
        asio::co_spawn(io, serving(call, reply), asio::detached);
        io.run();
        within.push_back(std::move(reply));
    };
    body = "";
    outcomes({{}});
    (void)ask(http::verb::post, "/v1/publish", kAnna);
    // The innermost had no room; all others came as far as their body, which is no JSON.
    ASSERT_EQ(within.size(), 16U);
    EXPECT_THAT(within[0].body, testing::HasSubstr("\"busy\""));
    EXPECT_THAT(within[1].body, testing::HasSubstr("\"bad_request\""));
    before_answer = nullptr;
    EXPECT_EQ(post("/v1/publish/a", "x").status, Status::accepted);  // all of it was given back
}

TEST_F(ApiTest, AUserPublishesAtABoundedRate) {
    Api bounded{parts(2)};
    const auto ask_bounded = [&](std::string_view who) {
        request = {};
        request.method(http::verb::post);
        request.target("/v1/publish");
        request.body() = R"([{"topic":"a"},{"topic":"a"},{"topic":"a"}])";
        request.set(http::field::authorization, {who.data(), who.size()});
        std::unique_ptr<Visitor> stranger;
        Call call{.request = &request, .peer = peer, .visitor = &stranger};
        Reply reply;
        asio::io_context io;
        asio::co_spawn(
            io,
            [&]() -> asio::awaitable<void> {
                Begun begun = co_await bounded.begin(call);
                EXPECT_FALSE(begun.refusal);
                reply = co_await bounded.answer(call);
            },
            asio::detached);
        io.run();
        return reply;
    };
    outcomes({{}, {}, {}});
    EXPECT_EQ(ask_bounded(kAnna).status, Status::accepted);
    const Reply late = ask_bounded(kAnna);
    EXPECT_EQ(late.status, Status::too_many_requests);
    ASSERT_FALSE(late.headers.empty());
    EXPECT_EQ(late.headers[0].first, "Retry-After");
    EXPECT_EQ(ask_bounded(kBoss).status, Status::accepted);
}

}  // namespace
}  // namespace stentor::admin
