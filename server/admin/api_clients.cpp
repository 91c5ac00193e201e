// One client, and its end.
#include "server/admin/api.hpp"
#include "server/admin/api_routes.hpp"

#include <boost/json/serialize.hpp>

#include <array>
#include <utility>

namespace stentor::admin {

namespace {

std::string_view target_of(const Call& call) {
    return {call.request->target().data(), call.request->target().size()};
}

Reply unknown_outcome() {
    return error_reply(Status::service_unavailable,
                       "outcome_unknown",
                       "the broker has had no time, has lost its store or stops: what has become "
                       "of this request is not known",
                       "ask again");
}

constexpr std::array<std::string_view, 1> kKickQuery{"session"};

}  // namespace

Api::Answer Api::get_client(Call& call) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    const auto client = percent_decoded(call.path_value);
    if (!client) co_return no_such_client();
    server::Question question = server::ClientQuestion{*client};
    const ShardId home = parts_.shards.home_of_client(*client);
    auto finding = co_await parts_.shards.ask(home, std::move(question));
    if (!finding) co_return shards_busy();
    const auto& found = std::get<server::ClientFound>(*finding);
    if (!found.details) co_return no_such_client();
    const auto shown = to_json(*found.details, time_scale(), parts_.listeners());
    co_return Reply{.body = boost::json::serialize(shown) + '\n'};
}

/// The client is told 0x98 (5.0, 3.14.2.1); 3.1.1 knows no DISCONNECT from here.
Api::Answer Api::kick_client(Call& call) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    const auto query = Query::of(target_of(call), kKickQuery);
    if (!query) co_return error_reply(query.error());
    const auto session = query->flag("session");
    if (!session) co_return error_reply(session.error());
    const bool discards = session->value_or(false);
    const auto client = percent_decoded(call.path_value);
    if (!client) co_return no_such_client();
    std::string name = *client;
    const ShardId home = parts_.shards.home_of_client(*client);
    auto finding = co_await parts_.shards.kick(home, std::move(name), discards);
    if (!finding) co_return unknown_outcome();
    const auto kicked = std::get<server::Kicked>(*finding);
    if (!kicked.has_session) co_return no_such_client();
    if (!kicked.was_connected && !discards) {
        co_return error_reply(Status::not_found,
                              "not_connected",
                              "the client is not connected; its session waits for it",
                              "?session=true ends the session");
    }
    co_return Reply{.status = Status::no_content};
}

}  // namespace stentor::admin
