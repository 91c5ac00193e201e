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
        out = co_await api.answer(call);
    }
    /// What a coroutine returns.
    template <class Value>
    static asio::awaitable<void> keep(asio::awaitable<Value> from, Value& to) {
        Value value = co_await std::move(from);
        to = std::move(value);
    }
    template <class Value>
    static void run(asio::awaitable<Value> from, Value& to) {
        asio::io_context io;
        asio::co_spawn(io, keep(std::move(from), to), asio::detached);
        io.run();
    }
    Begun begun(Call& call) {
        Begun result;
        run(api.begin(call), result);
        return result;
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
    Reply last;
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
    for (const auto other : {Readiness::starting,
                             Readiness::waiting_for_disk,
                             Readiness::store_failed,
                             Readiness::stopping}) {
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
    outcomes({{.reason = ReasonCode::server_unavailable}});
    EXPECT_THAT(post("/v1/publish/a", "x").body, testing::HasSubstr("\"not_ready\""));
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

TEST_F(ApiTest, PublishingHasNoQuery) {
    outcomes({{}});
    EXPECT_EQ(post("/v1/publish/a?retain=true", "x").status, Status::bad_request);
    EXPECT_EQ(post("/v1/publish?x", R"({"topic":"a"})").status, Status::bad_request);
    EXPECT_EQ(post("/v1/publish/a%3Fb", "x").status, Status::accepted);
    ASSERT_EQ(published.size(), 1U);
    EXPECT_EQ(published[0]->topic(), "a?b");
}

/// Requests of unknown length, each begun while all before it are under way.
TEST_F(ApiTest, BodiesUnderWayAreBoundedAndNobodyHasAllOfThem) {
    struct Body {
        Request request;
        std::unique_ptr<Visitor> visitor;
        Call call;
    };
    people.anybody = true;
    std::vector<std::unique_ptr<Body>> under_way;
    const auto begins = [&](const std::string& address) {
        auto each = std::make_unique<Body>();
        each->request.method(http::verb::post);
        each->request.target("/v1/publish");
        each->request.chunked(true);
        each->call.request = &each->request;
        each->call.visitor = &each->visitor;
        each->call.peer.address = address;
        const bool has_begun = !begun(each->call).refusal;
        under_way.push_back(std::move(each));
        return has_begun;
    };
    // 4 MiB each: 16 for one address, 64 for all.
    for (const char* address : {"10.0.0.1", "10.0.0.2", "2001:db8::1", "10.0.0.4"}) {
        for (int i = 0; i < 4; ++i) EXPECT_TRUE(begins(address)) << address;
        EXPECT_FALSE(begins(address)) << address;
    }
    EXPECT_FALSE(begins("2001:db8::2"));  // the same network
    EXPECT_FALSE(begins("10.0.0.5"));     // nobody has left any
    under_way.clear();
    EXPECT_TRUE(begins("10.0.0.5"));
}

TEST_F(ApiTest, AUserPublishesAtABoundedRate) {
    Api bounded{parts(2)};
    const auto status_of = [&](std::string_view who, const std::string& text) {
        request = {};
        request.method(http::verb::post);
        request.target("/v1/publish");
        request.body() = text;
        request.set(http::field::authorization, {who.data(), who.size()});
        visitor.reset();
        Call call{.request = &request, .peer = peer, .visitor = &visitor};
        Begun begins;
        run(bounded.begin(call), begins);
        last = begins.refusal ? *begins.refusal : Reply{};
        if (!begins.refusal) run(bounded.answer(call), last);
        return last.status;
    };
    const std::string closed = R"([{"topic":"closed"},{"topic":"closed"},{"topic":"closed"}])";
    const std::string three = R"([{"topic":"a"},{"topic":"a"},{"topic":"a"}])";
    // Neither what the rules refuse nor what finds no room counts.
    outcomes({});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status_of(kAnna, closed), Status::multi_status);
    outcome = {.how = Publisher::How::busy};
    for (int i = 0; i < 3; ++i) EXPECT_EQ(status_of(kAnna, three), Status::service_unavailable);
    outcomes({{}, {}, {}});
    EXPECT_EQ(status_of(kAnna, three), Status::accepted);
    EXPECT_EQ(status_of(kAnna, three), Status::too_many_requests);
    ASSERT_FALSE(last.headers.empty());
    EXPECT_EQ(last.headers[0].first, "Retry-After");
    EXPECT_EQ(status_of(kBoss, three), Status::accepted);
}

}  // namespace
}  // namespace stentor::admin
