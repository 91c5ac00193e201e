#include "server/admin/api.hpp"

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
/// without a name on this machine); administrators.
enum class Permission : std::uint8_t { anybody, figures };

std::string_view path_of(const Request& request) {
    const std::string_view target{request.target().data(), request.target().size()};
    return target.substr(0, target.find('?'));
}

Reply still_starting() {
    return error_reply(Status::service_unavailable,
                       "not_ready",
                       "the broker is starting: the store is being recovered",
                       "try again");
}

bool fits(std::string_view pattern, std::string_view path) { return pattern == path; }

}  // namespace

struct Api::Route {
    http::verb method;
    std::string_view path;
    Permission permission;
    Answer (Api::*answer)(Call&);
};

const Api::Route Api::kRoutes[] = {
    {http::verb::get, "/livez", Permission::anybody, &Api::livez},
    {http::verb::get, "/readyz", Permission::anybody, &Api::readyz},
    {http::verb::get, "/metrics", Permission::figures, &Api::metrics},
};

Api::Api(ApiParts parts) : parts_{std::move(parts)}, visitors_{*parts_.door, *parts_.access} {}

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
                                    "/livez, /readyz and /metrics are served")};
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
    if (visitor.identity.admin) co_return std::nullopt;
    const bool is_anonymous = visitor.identity.user.empty();
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
    const char* why = nullptr;
    switch (parts_.readiness->load()) {
        case Readiness::ready:
            co_return Reply{.body = "{\"status\":\"ready\"}\n"};
        case Readiness::starting:
            why = "the broker is starting: the store is being recovered";
            break;
        case Readiness::store_failed:
            why = "the store has failed and is being opened again";
            break;
        case Readiness::stopping:
            why = "the broker is stopping";
            break;
    }
    co_return error_reply(Status::service_unavailable, "not_ready", why, "try again, or elsewhere");
}

}  // namespace stentor::admin
