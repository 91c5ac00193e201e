#include "server/admin/api.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::admin {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

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
    asio::awaitable<std::optional<server::Finding>> find(ShardId shard, server::Question question) {
        asked.emplace_back(shard, std::move(question));
        if (findings.empty()) co_return std::nullopt;
        server::Finding next = std::move(findings.front());
        findings.pop_front();
        co_return std::optional{std::move(next)};
    }
    asio::awaitable<std::optional<server::Finding>> kick(ShardId shard,
                                                         std::string client_id,
                                                         bool discards) {
        kicked = std::to_string(shard.value()) + ' ' + client_id + (discards ? " for good" : "");
        server::Question none = server::ClientQuestion{};
        auto finding = co_await find(shard, std::move(none));
        co_return finding;
    }
    static asio::awaitable<NodeFacts> node_facts() {
        co_return NodeFacts{.name = "n", .started_unix_ms = 1000, .shards = 2};
    }
    asio::awaitable<ReloadReport> reload() { co_return reloaded; }
    asio::awaitable<BackupReport> back_up(std::string name) {
        backup_name = std::move(name);
        co_return backed_up;
    }
    ShardsToAsk shards() {
        return {
            .count = [] { return 2U; },
            .home_of_client =
                [](std::string_view id) { return ShardId{static_cast<std::uint16_t>(id == "b")}; },
            .home_of_topic = [](std::string_view /*t*/) { return ShardId{1}; },
            .ask = [this](ShardId shard, server::Question q) { return find(shard, std::move(q)); },
            .kick = [this](ShardId shard,
                           std::string id,
                           bool discards) { return kick(shard, std::move(id), discards); }};
    }
    ApiParts parts(std::uint32_t messages_per_second_max) {
        return {.door = &people,
                .access = &people,
                .readiness = &readiness,
                .metrics = page,
                .publish = [this](auto messages) { return publish(std::move(messages)); },
                .shards = shards(),
                .listeners = [this] { return std::span<const std::string>{listeners}; },
                .node = node_facts,
                .reload = [this] { return reload(); },
                .back_up = [this](std::string name) { return back_up(std::move(name)); },
                .version = "1.2.3",
                .rules = {.packet_bytes_max = 1000, .topic_levels_max = 8},
                .messages_per_second_max = messages_per_second_max,
                .now = [] { return Instant{std::chrono::seconds{1}}; }};
    }
    /// What Anna is answered.
    Reply post(std::string_view target, std::string text) {
        body = std::move(text);
        return ask(http::verb::post, target, kAnna);
    }
    /// What an administrator is answered.
    json::value get(std::string_view target, http::verb method = http::verb::get) {
        last = ask(method, target, kBoss);
        boost::json::error_code none;
        return json::parse(last.body, none);
    }
    std::string code(std::string_view target, http::verb method = http::verb::get) {
        const json::value answer = get(target, method);
        const auto* code = answer.is_object() ? answer.get_object().if_contains("code") : nullptr;
        return std::to_string(static_cast<unsigned>(last.status)) +
               (code == nullptr ? "" : ' ' + std::string{code->as_string()});
    }
    template <class Question>
    const Question& question(std::size_t at) {
        return std::get<Question>(asked.at(at).second);
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
    std::deque<server::Finding> findings;  // for those who ask, in turn
    std::vector<std::pair<ShardId, server::Question>> asked;
    std::string kicked;
    std::vector<std::string> listeners{"mqtt://127.0.0.1:1883"};
    ReloadReport reloaded;
    BackupReport backed_up;
    std::string backup_name;
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

server::ClientsPage clients_page(const std::vector<std::string>& names, server::ListPlace next) {
    server::ClientsPage page{.next = std::move(next)};
    for (const std::string& name : names) page.items.push_back({.client_id = name});
    return page;
}

TEST_F(ApiTest, AdministratorsPathsAreForThem) {
    for (const RouteInfo& route : Api::routes()) {
        if (route.permission != Permission::admins) continue;
        std::string target = documented_path(route.path);
        if (const auto open = target.find('{'); open != std::string::npos) {
            target.replace(open, target.find('}') - open + 1, "x");
        }
        EXPECT_EQ(status(route.method, target, kAnna), 403U) << target;
        EXPECT_EQ(status(route.method, target), 401U) << target;
        peer.loopback_listener = true;
        EXPECT_EQ(status(route.method, target), 403U) << target << ": nobody is not an admin";
        peer.loopback_listener = false;
    }
    EXPECT_TRUE(asked.empty());
    EXPECT_TRUE(published.empty());
}

TEST_F(ApiTest, AListGoesOnOverSlicesAndShards) {
    findings.push_back(clients_page({"1"}, {.listing = 5, .slot = 1024}));
    findings.push_back(clients_page({}, {.listing = 5, .slot = 2048, .done = true}));
    findings.push_back(clients_page({"2", "3"}, {.listing = 6, .slot = 9}));
    const json::value page = get("/v1/clients?limit=3&connected=false&prefix=%31&username=");
    ASSERT_EQ(last.status, Status::ok) << last.body;
    EXPECT_EQ(page.at("clients").as_array().size(), 3U);
    EXPECT_EQ(page.at("clients").at(2).at("client_id"), "3");
    ASSERT_EQ(asked.size(), 3U);
    using Question = server::ClientsQuestion;
    EXPECT_EQ(question<Question>(0).items_max, 3U);
    EXPECT_EQ(question<Question>(0).connected, false);
    EXPECT_EQ(question<Question>(0).prefix, "1");
    EXPECT_EQ(question<Question>(0).user, "");
    EXPECT_EQ(question<Question>(1).from.slot, 1024U);
    EXPECT_EQ(question<Question>(1).items_max, 2U);
    EXPECT_EQ(asked[2].first, ShardId{1});
    EXPECT_EQ(question<Question>(2).from.slot, 0U);
    const std::string next{page.at("next").as_string()};
    findings.push_back(clients_page({}, {.listing = 6, .slot = 9, .done = true}));
    const json::value end = get("/v1/clients?after=" + next);
    EXPECT_TRUE(end.at("clients").as_array().empty());
    EXPECT_TRUE(end.at("next").is_null());
    EXPECT_EQ(asked[3].first, ShardId{1});
    EXPECT_EQ(question<Question>(3).from.slot, 9U);
    EXPECT_EQ(question<Question>(3).from.listing, 6U);
    EXPECT_EQ(question<Question>(3).items_max, Api::kPageItems);
}

TEST_F(ApiTest, ListsHaveTheirErrors) {
    EXPECT_EQ(code("/v1/clients"), "503 busy");
    EXPECT_EQ(last.headers.at(0).first, "Retry-After");
    server::ClientsPage stale;
    stale.is_stale = true;
    findings.push_back(stale);
    EXPECT_EQ(code("/v1/clients"), "410 stale_cursor");
    for (const char* query :
         {"limit=0", "limit=1001", "connected=x", "conected=true", "limit=1&limit=1"}) {
        EXPECT_EQ(code(std::string{"/v1/clients?"} + query), "400 bad_request") << query;
    }
    EXPECT_EQ(code("/v1/clients?after=x"), "400 bad_cursor");
    EXPECT_EQ(code("/v1/subscriptions?topic=%23"), "400 bad_topic");
    EXPECT_EQ(code("/v1/retained?filter=a/%23/b"), "400 bad_filter");
    EXPECT_EQ(code("/v1/retained?filter=%ff"), "400 bad_filter");
    EXPECT_EQ(code("/v1/topics?after=r"), "400 bad_cursor") << "another list's";
    readiness = Readiness::store_failed;
    for (const char* path : {"/v1/clients",
                             "/v1/clients/x",
                             "/v1/subscriptions",
                             "/v1/retained",
                             "/v1/topics",
                             "/v1/clients/x/subscriptions"}) {
        EXPECT_EQ(code(path), "503 not_ready") << path;
    }
}

TEST_F(ApiTest, APageIsBoundedInBytesAndInQuestions) {
    server::ClientsPage large{.next = {.slot = 1}};
    for (int i = 0; i < 20; ++i) large.items.push_back({.client_id = std::string(65'000, 'x')});
    findings.push_back(large);
    EXPECT_FALSE(get("/v1/clients?limit=1000").at("next").is_null());
    EXPECT_EQ(asked.size(), 1U) << "there is enough";
    for (std::size_t i = 0; i < 2 * Api::kQuestionsMax; ++i) {
        findings.push_back(clients_page({}, {.slot = 1}));
    }
    EXPECT_FALSE(get("/v1/clients").at("next").is_null());
    EXPECT_EQ(findings.size(), Api::kQuestionsMax);
}

TEST_F(ApiTest, AnswersThatNobodyReadsAreBoundedTogether) {
    std::vector<Reply> unread;
    const auto asks = [&] {
        server::ClientsPage large{.next = {.slot = 1}};
        for (int i = 0; i < 17; ++i) large.items.push_back({.client_id = std::string(65'000, 'x')});
        findings.push_back(large);
        return ask(http::verb::get, "/v1/clients", kBoss);
    };
    while (unread.size() < 100) {
        Reply reply = asks();
        if (reply.status != Status::ok) break;
        unread.push_back(std::move(reply));
    }
    EXPECT_EQ(unread.size(), Api::kAnswersBytesMax / unread[0].body.size());
    unread.clear();
    EXPECT_EQ(asks().status, Status::ok);
}

TEST_F(ApiTest, AClientIsAskedForAtItsHome) {
    findings.emplace_back(
        server::ClientFound{server::ClientDetails{.summary = {.client_id = "b"}}});
    EXPECT_EQ(get("/v1/clients/%62").at("client_id"), "b");
    EXPECT_EQ(asked.at(0).first, ShardId{1});
    findings.emplace_back(server::ClientFound{});
    EXPECT_EQ(code("/v1/clients/a%2Fb%C3%A4"), "404 no_such_client");
    EXPECT_EQ(question<server::ClientQuestion>(1).client_id, "a/b\xC3\xA4");
    EXPECT_EQ(code("/v1/clients/a/b"), "404 not_found");
    EXPECT_EQ(code("/v1/clients/%"), "404 no_such_client");
    EXPECT_EQ(code("/v1/clients/b"), "503 busy");
}

TEST_F(ApiTest, KickingHasItsOutcomes) {
    const auto kicking = [&](std::string_view target, server::Kicked how) {
        findings.emplace_back(how);
        return code(target, http::verb::delete_);
    };
    const std::string_view b = "/v1/clients/b";
    EXPECT_EQ(kicking(b, {.has_session = true, .was_connected = true}), "204");
    EXPECT_EQ(kicked, "1 b");
    EXPECT_TRUE(last.body.empty());
    EXPECT_EQ(kicking(b, {.has_session = true}), "404 not_connected");
    EXPECT_EQ(kicking("/v1/clients/b?session=true", {.has_session = true}), "204");
    EXPECT_EQ(kicked, "1 b for good");
    EXPECT_EQ(kicking(b, {}), "404 no_such_client");
    EXPECT_EQ(code("/v1/clients/b?session=perhaps", http::verb::delete_), "400 bad_request");
    EXPECT_EQ(code(b, http::verb::delete_), "503 outcome_unknown");
}

TEST_F(ApiTest, OneClientsSubscriptionsGoOnBehindTheLastFilter) {
    server::SubscriptionsPage page{.next = {.slot = 3, .next_text = "x/y"}};
    page.items.push_back({.client_id = "b", .filter = "a", .options = {}});
    findings.emplace_back(page);
    const json::value first = get("/v1/clients/b/subscriptions?limit=1");
    EXPECT_EQ(first.at("subscriptions").at(0).at("filter"), "a");
    page.next.done = true;
    findings.emplace_back(page);
    const std::string next{first.at("next").as_string()};
    EXPECT_TRUE(get("/v1/clients/b/subscriptions?after=" + next).at("next").is_null());
    using Question = server::SubscriptionsQuestion;
    EXPECT_EQ(question<Question>(1).from.next_text, "x/y");
    EXPECT_EQ(question<Question>(1).client_id, "b");
    server::SubscriptionsPage none;
    none.is_found = false;
    findings.emplace_back(none);
    EXPECT_EQ(code("/v1/clients/b/subscriptions"), "404 no_such_client");
}

server::RetainedFound retained_page(const std::vector<std::string>& topics) {
    server::RetainedFound found{.cursor = {.next_topic = {}, .done = true}};
    for (const std::string& topic : topics) {
        found.values.push_back({.message = mqtt::Message::create(
                                    {.topic = topic, .payload = as_bytes("on"), .retain = true}),
                                .seq = Seq{1}});
        found.wanted.push_back(topic == "b");
    }
    return found;
}

TEST_F(ApiTest, RetainedMessagesComeInTheOrderOfTheirTopics) {
    const auto page = [&](std::string_view target) {
        findings = {retained_page({"a", "c"}), retained_page({"b"})};
        return get(target);
    };
    const json::value all = page("/v1/retained?filter=%23");
    ASSERT_EQ(all.at("retained").as_array().size(), 3U);
    EXPECT_EQ(all.at("retained").at(1).at("topic"), "b");
    EXPECT_EQ(all.at("retained").at(1).at("payload"), "on");
    EXPECT_TRUE(all.at("next").is_null());
    const json::value first = page("/v1/topics?limit=2");
    EXPECT_EQ(first.at("topics").at(1).at("topic"), "b");
    EXPECT_EQ(first.at("topics").at(1).at("subscribed"), true);
    EXPECT_EQ(first.at("topics").at(0).at("subscribed"), false);
    asked.clear();
    (void)page("/v1/topics?after=" + std::string{first.at("next").as_string()});
    EXPECT_EQ(question<server::RetainedQuestion>(0).cursor.next_topic, "c");
    EXPECT_EQ(question<server::RetainedQuestion>(0).filter, "#");
}

TEST_F(ApiTest, ClearingPublishesAnEmptyRetainedMessage) {
    findings.emplace_back(server::RetainedValueFound{.exists = true});
    outcomes({{.seq = Seq{1}}});
    EXPECT_EQ(code("/v1/retained/a/b%20c", http::verb::delete_), "204");
    ASSERT_EQ(published.size(), 1U);
    EXPECT_EQ(published[0]->topic(), "a/b c");
    EXPECT_TRUE(published[0]->retain());
    EXPECT_TRUE(published[0]->payload().empty());
    published.clear();
    findings.emplace_back(server::RetainedValueFound{.exists = false});
    EXPECT_EQ(code("/v1/retained/a", http::verb::delete_), "404 no_such_value");
    EXPECT_EQ(code("/v1/retained/$SYS/x", http::verb::delete_), "403 not_authorized");
    EXPECT_EQ(code("/v1/retained/%23", http::verb::delete_), "400 bad_topic");
    EXPECT_TRUE(published.empty());
    findings.emplace_back(server::RetainedValueFound{.exists = true});
    outcome = {.how = Publisher::How::unknown};
    EXPECT_EQ(code("/v1/retained/a", http::verb::delete_), "503 outcome_unknown");
}

TEST_F(ApiTest, TheNodeSaysWhetherItIsReadyAndWhyNot) {
    json::value node = get("/v1/node");
    EXPECT_EQ(node.at("ready"), true);
    EXPECT_TRUE(node.at("why").is_null());
    EXPECT_EQ(node.at("started_at"), "1970-01-01T00:00:01Z");
    readiness = Readiness::store_failed;
    node = get("/v1/node");
    EXPECT_EQ(node.at("ready"), false);
    EXPECT_THAT(std::string{node.at("why").as_string()}, testing::HasSubstr("store has failed"));
}

TEST_F(ApiTest, AReloadSaysWhatHasComeOfIt) {
    const auto reload = [&] { return get("/v1/node/reload", http::verb::post); };
    reloaded = {.outcome = ReloadReport::Outcome::applied,
                .changed = {"logging.level"},
                .restart_needed = {"node.shards"}};
    EXPECT_EQ(json::serialize(reload()),
              R"({"applied":true,"changed":["logging.level"],"restart_needed":["node.shards"]})");
    reloaded = {
        .outcome = ReloadReport::Outcome::refused,
        .mistakes = {{.source = "f.toml", .line = 3, .column = 1, .what = "no", .hint = "h"}}};
    const json::value refused = reload();
    EXPECT_EQ(last.status, Status::unprocessable_entity);
    EXPECT_EQ(refused.at("code"), "reload_refused");
    EXPECT_EQ(refused.at("error"), "f.toml:3:1: no");
    EXPECT_EQ(refused.at("mistakes").at(0).at("line"), 3);
    reloaded = {};
    EXPECT_EQ(code("/v1/node/reload", http::verb::post), "503 not_ready");
}

TEST_F(ApiTest, ABackupHasANameAndNoPath) {
    const auto code_of = [&](std::string_view query) {
        return code("/v1/node/backup" + std::string{query}, http::verb::post);
    };
    backed_up = {.outcome = BackupReport::Outcome::done, .directory = "/b/x", .bytes = 5};
    EXPECT_EQ(code_of("?name=x-1_2.z"), "201");
    EXPECT_EQ(backup_name, "x-1_2.z");
    EXPECT_EQ(code_of(""), "201");
    EXPECT_THAT(backup_name, testing::ContainsRegex("^20..-..-..T..-..-..Z$"));
    backup_name.clear();
    for (const char* bad : {"?name=",
                            "?name=..",
                            "?name=.x",
                            "?name=a/b",
                            "?name=a%2Fb",
                            "?name=a%00",
                            "?name=x.partial",
                            "?name=%C3%A4"}) {
        EXPECT_EQ(code_of(bad), "400 bad_name") << bad;
    }
    EXPECT_EQ(backup_name, "");
    const std::array<std::pair<BackupReport::Outcome, std::string_view>, 5> others{
        {{BackupReport::Outcome::off, "409 backup_off"},
         {BackupReport::Outcome::in_memory, "409 backup_in_memory"},
         {BackupReport::Outcome::exists, "409 backup_exists"},
         {BackupReport::Outcome::under_way, "409 backup_under_way"},
         {BackupReport::Outcome::failed, "500 backup_failed"}}};
    for (const auto& [outcome_now, expected] : others) {
        backed_up = {.outcome = outcome_now};
        EXPECT_EQ(code_of(""), expected);
    }
}

TEST_F(ApiTest, TheDocumentIsForEverybody) {
    const Reply reply = ask(http::verb::get, "/openapi.json");
    EXPECT_EQ(reply.status, Status::ok);
    EXPECT_EQ(json::parse(reply.body).at("info").at("version"), "1.2.3");
    EXPECT_EQ(ask(http::verb::get, "/openapi.json").body, reply.body);
}

}  // namespace
}  // namespace stentor::admin
