#include "server/admin/api.hpp"

#include "base/clock.hpp"
#include "base/random.hpp"
#include "server/admin/api_routes.hpp"
#include "server/metrics/prometheus_text.hpp"

#include <boost/beast/http/verb.hpp>

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

std::string_view path_of(const Request& request) {
    const std::string_view target{request.target().data(), request.target().size()};
    return target.substr(0, target.find('?'));
}

/// Users and addresses whose rate is known.
constexpr std::size_t kPublishers = 4096;

/// Smaller answers are bounded by the number of connections.
constexpr std::size_t kSmallAnswer = std::size_t{64} * 1024;

Reply still_starting() {
    return error_reply(Status::service_unavailable,
                       "not_ready",
                       "the broker is starting: the store is being recovered",
                       "try again");
}

}  // namespace

struct Api::Route {
    RouteInfo info;
    Answer (Api::*answer)(Call&);
    /// Who may has been asked; null: no body is wanted.
    asio::awaitable<Begun> (Api::*begin)(Call&) = nullptr;
};

const Api::Route Api::kRoutes[] = {
    {kLivez, &Api::livez},
    {kReadyz, &Api::readyz},
    {kMetrics, &Api::metrics},
    {kOpenapi, &Api::openapi},
    {kPublish, &Api::publish_json, &Api::begin_publish_json},
    {kPublishTopic, &Api::publish_one, &Api::begin_publish_one},
    {kClients, &Api::list_clients},
    {kClient, &Api::get_client},
    {kKick, &Api::kick_client},
    {kClientSubscriptions, &Api::list_subscriptions_of},
    {kSubscriptions, &Api::list_subscriptions},
    {kRetained, &Api::list_retained},
    {kClearRetained, &Api::clear_retained},
    {kTopics, &Api::list_topics},
    {kNode, &Api::node},
    {kReload, &Api::reload},
    {kBackup, &Api::back_up},
};

std::vector<RouteInfo> Api::routes() {
    std::vector<RouteInfo> all;
    for (const Route& route : kRoutes) all.push_back(route.info);
    return all;
}

Api::Api(ApiParts parts)
    : parts_{std::move(parts)},
      visitors_{*parts_.door, *parts_.access},
      visitor_hash_key_{random_hash_key()},
      cursors_{static_cast<std::uint32_t>(random_seed())} {
    if (parts_.messages_per_second_max != 0) published_lately_.emplace(kPublishers);
}

asio::awaitable<Begun> Api::begin(Call& call) {
    const std::string_view path = path_of(*call.request);
    http::verb method = call.request->method();
    if (method == http::verb::head) method = http::verb::get;
    std::string allowed;
    for (const Route& route : kRoutes) {
        const auto value = path_value(route.info.path, path);
        if (!value) continue;
        if (route.info.method == method) {
            call.route = static_cast<std::size_t>(&route - kRoutes);
            call.path_value = *value;
            Begun begun;
            begun.refusal = co_await refusal(call);
            if (!begun.refusal && route.begin != nullptr) {
                begun = co_await (this->*route.begin)(call);
            }
            co_return begun;
        }
        const auto name = http::to_string(route.info.method);
        allowed.append(allowed.empty() ? "" : ", ").append(name.data(), name.size());
        if (route.info.method == http::verb::get) allowed.append(", HEAD");
    }
    co_return no_such_path(std::move(allowed));
}

/// `allowed`: the methods that it has.
Begun Api::no_such_path(std::string allowed) {
    if (allowed.empty()) {
        return {error_reply(Status::not_found,
                            "not_found",
                            "there is nothing at this path",
                            "GET /openapi.json says what there is")};
    }
    Reply reply = error_reply(Status::method_not_allowed,
                              "method_not_allowed",
                              "this path has no such method",
                              "it has " + allowed);
    reply.headers.emplace_back("Allow", std::move(allowed));
    return {std::move(reply)};
}

asio::awaitable<std::optional<Reply>> Api::refusal(Call& call) {
    const Permission wanted = kRoutes[call.route].info.permission;
    if (wanted == Permission::anybody) co_return std::nullopt;
    // Nobody is asked about people before it is sure that this start does not fail.
    if (parts_.readiness->load() == Readiness::starting) co_return still_starting();
    VisitorCheck::Outcome visitor = co_await visitors_.identify(call);
    if (visitor.refusal) co_return std::move(visitor.refusal);
    call.identity = std::move(visitor.identity);
    if (wanted == Permission::admitted || call.identity.admin) co_return std::nullopt;
    const bool is_anonymous = call.identity.user.empty();
    if (wanted == Permission::figures && is_anonymous && is_local(call)) co_return std::nullopt;
    co_return error_reply(
        Status::forbidden, "forbidden", "this is for administrators", "http.admins names them");
}

asio::awaitable<Reply> Api::answer(Call& call) {
    const Route& route = kRoutes[call.route];
    Reply reply = co_await (this->*route.answer)(call);
    keep_room_for(reply);
    co_return reply;
}

/// Large answers that their readers have not taken are bounded together.
void Api::keep_room_for(Reply& reply) {
    const std::size_t bytes = reply.body.size();
    if (bytes <= kSmallAnswer) return;
    if (answers_bytes_ != 0 && answers_bytes_ + bytes > kAnswersBytesMax) {
        reply = error_reply(Status::service_unavailable,
                            "busy",
                            "too many answers wait to be read by those who asked",
                            "try again a little later");
        return;
    }
    answers_bytes_ += bytes;
    reply.room =
        std::shared_ptr<void>{this, [this, bytes](void* /*api*/) { answers_bytes_ -= bytes; }};
}

Reply Api::shards_busy() {
    Reply reply = error_reply(Status::service_unavailable,
                              "busy",
                              "the broker has had no time to look, or opens its store again",
                              "ask again a little later");
    reply.headers.emplace_back("Retry-After", "1");
    return reply;
}

Reply Api::no_such_client() {
    return error_reply(Status::not_found,
                       "no_such_client",
                       "no client of that name is connected or has a session",
                       "GET /v1/clients lists them; the name is percent-encoded in the path");
}

TimeScale Api::time_scale() const {
    return {.store_now = parts_.now(), .unix_ms_now = wall_clock_unix_ms()};
}

Api::Answer Api::livez(Call& /*call*/) { co_return Reply{.body = "{\"status\":\"alive\"}\n"}; }

Api::Answer Api::metrics(Call& /*call*/) {
    std::optional<std::string> page = co_await parts_.metrics();
    if (page) {
        co_return Reply{.body = *std::move(page),
                        .content_type = metrics::PrometheusText::kContentType};
    }
    co_return still_starting();
}

Api::Answer Api::readyz(Call& /*call*/) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    co_return Reply{.body = "{\"status\":\"ready\"}\n"};
}

Reply Api::not_ready() const {
    return error_reply(
        Status::service_unavailable, "not_ready", why_not_ready(), "try again, or elsewhere");
}

const char* Api::why_not_ready() const {
    switch (parts_.readiness->load()) {
        case Readiness::ready:
            break;
        case Readiness::starting:
            return "the broker is starting: the store is being recovered";
        case Readiness::waiting_for_disk:
            return "the disk has no room to open the store, or fails";
        case Readiness::store_failed:
            return "the store has failed and is being opened again";
        case Readiness::stopping:
            return "the broker is stopping";
    }
    return "the broker was not ready a moment ago";
}

}  // namespace stentor::admin
