#include "server/admin/api.hpp"

#include "base/random.hpp"
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

/// Who may come: anybody; whoever may know how the broker fares (administrators, and who is let in
/// without a name on this machine); whoever is let in, the rest is up to the rules.
enum class Permission : std::uint8_t { anybody, figures, admitted };

std::string_view path_of(const Request& request) {
    const std::string_view target{request.target().data(), request.target().size()};
    return target.substr(0, target.find('?'));
}

/// Users and addresses whose rate is known.
constexpr std::size_t kPublishers = 4096;

Reply still_starting() {
    return error_reply(Status::service_unavailable,
                       "not_ready",
                       "the broker is starting: the store is being recovered",
                       "try again");
}

/// A pattern that ends with '*' stands for all that begins like it.
bool fits(std::string_view pattern, std::string_view path) {
    if (!pattern.ends_with('*')) return pattern == path;
    return path.starts_with(pattern.substr(0, pattern.size() - 1));
}

}  // namespace

struct Api::Route {
    http::verb method;
    std::string_view path;
    Permission permission;
    Answer (Api::*answer)(Call&);
    /// Who may has been asked; null: no body is wanted.
    asio::awaitable<Begun> (Api::*begin)(Call&) = nullptr;
};

const Api::Route Api::kRoutes[] = {
    {http::verb::get, "/livez", Permission::anybody, &Api::livez},
    {http::verb::get, "/readyz", Permission::anybody, &Api::readyz},
    {http::verb::get, "/metrics", Permission::figures, &Api::metrics},
    {http::verb::post,
     "/v1/publish",
     Permission::admitted,
     &Api::publish_json,
     &Api::begin_publish_json},
    {http::verb::post,
     "/v1/publish/*",
     Permission::admitted,
     &Api::publish_one,
     &Api::begin_publish_one},
};

Api::Api(ApiParts parts)
    : parts_{std::move(parts)},
      visitors_{*parts_.door, *parts_.access},
      visitor_hash_key_{random_hash_key()} {
    if (parts_.messages_per_second_max != 0) published_lately_.emplace(kPublishers);
}

/// What of the path the route's '*' stands for.
std::string_view Api::path_behind(const Call& call) {
    return path_of(*call.request).substr(kRoutes[call.route].path.size() - 1);
}

asio::awaitable<Begun> Api::begin(Call& call) {
    const std::string_view path = path_of(*call.request);
    http::verb method = call.request->method();
    if (method == http::verb::head) method = http::verb::get;
    std::string allowed;
    for (const Route& route : kRoutes) {
        if (!fits(route.path, path)) continue;
        if (route.method == method) {
            call.route = static_cast<std::size_t>(&route - kRoutes);
            Begun begun;
            begun.refusal = co_await refusal(call);
            if (!begun.refusal && route.begin != nullptr) {
                begun = co_await (this->*route.begin)(call);
            }
            co_return begun;
        }
        const auto name = http::to_string(route.method);
        allowed.append(allowed.empty() ? "" : ", ").append(name.data(), name.size());
        if (route.method == http::verb::get) allowed.append(", HEAD");
    }
    if (allowed.empty()) {
        co_return Begun{error_reply(Status::not_found,
                                    "not_found",
                                    "there is nothing at this path",
                                    "/v1/publish, /livez, /readyz and /metrics are served")};
    }
    Reply reply = error_reply(Status::method_not_allowed,
                              "method_not_allowed",
                              "this path has no such method",
                              "it has " + allowed);
    reply.headers.emplace_back("Allow", std::move(allowed));
    co_return Begun{std::move(reply)};
}

asio::awaitable<std::optional<Reply>> Api::refusal(Call& call) {
    const Permission wanted = kRoutes[call.route].permission;
    if (wanted == Permission::anybody) co_return std::nullopt;
    // Nobody is asked about people before it is sure that this start does not fail.
    if (parts_.readiness->load() == Readiness::starting) co_return still_starting();
    VisitorCheck::Outcome visitor = co_await visitors_.identify(call);
    if (visitor.refusal) co_return std::move(visitor.refusal);
    call.identity = std::move(visitor.identity);
    if (wanted == Permission::admitted || call.identity.admin) co_return std::nullopt;
    const bool is_anonymous = call.identity.user.empty();
    if (is_anonymous && is_local(call)) co_return std::nullopt;
    co_return error_reply(
        Status::forbidden, "forbidden", "this is for administrators", "http.admins names them");
}

asio::awaitable<Reply> Api::answer(Call& call) {
    const Route& route = kRoutes[call.route];
    Reply reply = co_await (this->*route.answer)(call);
    co_return reply;
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
    const char* why = "the broker was not ready a moment ago";
    switch (parts_.readiness->load()) {
        case Readiness::ready:
            break;
        case Readiness::starting:
            why = "the broker is starting: the store is being recovered";
            break;
        case Readiness::waiting_for_disk:
            why = "the disk has no room to open the store, or fails";
            break;
        case Readiness::store_failed:
            why = "the store has failed and is being opened again";
            break;
        case Readiness::stopping:
            why = "the broker is stopping";
            break;
    }
    return error_reply(Status::service_unavailable, "not_ready", why, "try again, or elsewhere");
}

}  // namespace stentor::admin
