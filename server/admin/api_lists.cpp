// The lists: clients, subscriptions, retained messages, topics. A page is gathered from slices that
// shards look at one after the other.
//
// What a co_await is given has a name: g++ 12 destroys temporaries of such expressions twice.
#include "protocol/codec/utf8.hpp"
#include "protocol/topic/validate.hpp"
#include "server/admin/api.hpp"
#include "server/admin/api_routes.hpp"
#include "server/admin/retained_merge.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;
namespace json = boost::json;
using server::ClientsPage;
using server::ClientsQuestion;
using server::SubscriptionsPage;
using server::SubscriptionsQuestion;

namespace {

constexpr char kClientsCursor = 'c';
constexpr char kSubscriptionsCursor = 's';
constexpr char kClientSubscriptionsCursor = 'o';
constexpr char kRetainedCursor = 'r';
constexpr char kTopicsCursor = 't';
/// What an item costs besides its texts, about.
constexpr std::size_t kItemBytes = 256;

std::string_view target_of(const Call& call) {
    return {call.request->target().data(), call.request->target().size()};
}

Result<Query, Mistake> query_of(const Call& call, const RouteInfo& route) {
    std::vector<std::string_view> names;
    for (const Parameter& each : route.parameters) {
        if (each.in == ParameterIn::query) names.push_back(each.name);
    }
    return Query::of(target_of(call), names);
}

std::size_t bytes_of(const server::ClientSummary& client) {
    return client.client_id.size() + client.user.size() + kItemBytes;
}
std::size_t bytes_of(const server::ListedSubscription& subscription) {
    return subscription.client_id.size() + subscription.filter.size() + kItemBytes;
}
std::size_t bytes_of(const server::RetainedValue& value) {
    return std::min(value.message->bytes(), kPayloadShownMax) + kItemBytes;
}

json::object shown(const server::ClientSummary& client,
                   const TimeScale& scale,
                   std::span<const std::string> listeners) {
    return to_json(client, scale, listeners);
}
json::object shown(const server::ListedSubscription& subscription,
                   const TimeScale& /*scale*/,
                   std::span<const std::string> /*listeners*/) {
    return to_json(subscription);
}

Reply page_reply(std::string_view name, json::array items, json::value next) {
    const json::object page{{name, std::move(items)}, {"next", std::move(next)}};
    return {.body = json::serialize(page) + '\n'};
}

std::optional<Mistake> bad_filter(std::string_view filter) {
    if (mqtt::is_mqtt_text(filter) && mqtt::check_topic_filter(filter) == mqtt::TopicCheck::ok) {
        return std::nullopt;
    }
    return Mistake{.code = "bad_filter",
                   .error = "filter is no topic filter",
                   .hint = "'#' stands at the end only and is written %23, '+' alone in its level"};
}

}  // namespace

/// Fills `page` from `place` on, which is moved behind what was looked at. Something: it cannot.
template <class Question, class Listed>
asio::awaitable<std::optional<Reply>> Api::gather(Question question,
                                                  Cursors::Place& place,
                                                  Page& page) {
    const TimeScale scale = time_scale();
    const std::size_t shards = parts_.shards.count();
    for (std::size_t asked = 0; asked < kQuestionsMax && place.shard < shards && !page.is_full();
         ++asked) {
        question.from = place.at;
        question.items_max = page.limit - page.items.size();
        server::Question next = question;
        auto finding = co_await parts_.shards.ask(ShardId{place.shard}, std::move(next));
        if (!finding) co_return shards_busy();
        auto& found = std::get<Listed>(*finding);
        if (found.is_stale) co_return error_reply(stale_cursor());
        if (!found.is_found) co_return no_such_client();
        for (const auto& item : found.items) {
            page.bytes += bytes_of(item);
            page.items.push_back(shown(item, scale, parts_.listeners()));
        }
        place.at = std::move(found.next);
        if (!place.at.done) continue;
        place = {.shard = static_cast<std::uint16_t>(place.shard + 1)};
    }
    co_return std::nullopt;
}

/// A list over all shards.
template <class Question, class Listed>
Api::Answer Api::list(char kind,
                      std::string_view name,
                      std::optional<std::string> after,
                      Question question) {
    Cursors::Place place;
    if (after) {
        auto from = cursors_.place(kind, *after);
        if (!from) co_return error_reply(from.error());
        place = *std::move(from);
    }
    Page page{.limit = question.items_max};
    auto failed = co_await gather<Question, Listed>(std::move(question), place, page);
    if (failed) co_return *std::move(failed);
    const bool is_done = place.shard >= parts_.shards.count();
    co_return page_reply(name,
                         std::move(page.items),
                         is_done ? json::value(nullptr) : json::value(cursors_.of(kind, place)));
}

Api::Answer Api::list_clients(Call& call) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    const auto query = query_of(call, kClients);
    if (!query) co_return error_reply(query.error());
    const auto limit = query->number("limit", kPageItems, 1, kPageItemsMax);
    if (!limit) co_return error_reply(limit.error());
    const auto connected = query->flag("connected");
    if (!connected) co_return error_reply(connected.error());
    ClientsQuestion question;
    question.items_max = *limit;
    question.connected = *connected;
    question.prefix = query->text("prefix").value_or("");
    question.user = query->text("username");
    auto after = query->text("after");
    Reply reply = co_await list<ClientsQuestion, ClientsPage>(
        kClientsCursor, "clients", std::move(after), std::move(question));
    co_return reply;
}

Api::Answer Api::list_subscriptions(Call& call) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    const auto query = query_of(call, kSubscriptions);
    if (!query) co_return error_reply(query.error());
    const auto limit = query->number("limit", kPageItems, 1, kPageItemsMax);
    if (!limit) co_return error_reply(limit.error());
    const auto topic = query->text("topic");
    if (topic && mqtt::check_topic_name(*topic) != mqtt::TopicCheck::ok) {
        co_return error_reply(Status::bad_request,
                              "bad_topic",
                              "topic is no topic name",
                              "it has no wildcards; filter finds subscriptions by their filter");
    }
    SubscriptionsQuestion question;
    question.items_max = *limit;
    question.filter = query->text("filter").value_or("");
    question.topic = topic.value_or("");
    auto after = query->text("after");
    Reply reply = co_await list<SubscriptionsQuestion, SubscriptionsPage>(
        kSubscriptionsCursor, "subscriptions", std::move(after), std::move(question));
    co_return reply;
}

/// One session's, in the order of their filters: the cursor is the next filter.
Api::Answer Api::list_subscriptions_of(Call& call) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    const auto query = query_of(call, kClientSubscriptions);
    if (!query) co_return error_reply(query.error());
    const auto limit = query->number("limit", kPageItems, 1, kPageItemsMax);
    if (!limit) co_return error_reply(limit.error());
    const auto client = percent_decoded(call.path_value);
    if (!client) co_return no_such_client();
    const ShardId home = parts_.shards.home_of_client(*client);
    Cursors::Place place{.shard = home.value()};
    if (const auto after = query->text("after")) {
        auto text = cursors_.topic(kClientSubscriptionsCursor, *after);
        if (!text) co_return error_reply(text.error());
        place.at.next_text = *std::move(text);
    }
    Page page{.limit = *limit};
    json::value next;
    for (std::size_t asked = 0; asked < kQuestionsMax && !page.is_full(); ++asked) {
        SubscriptionsQuestion wanted;
        wanted.from = place.at;
        wanted.items_max = page.limit - page.items.size();
        wanted.client_id = *client;
        server::Question question = std::move(wanted);
        auto finding = co_await parts_.shards.ask(home, std::move(question));
        if (!finding) co_return shards_busy();
        auto& found = std::get<SubscriptionsPage>(*finding);
        if (!found.is_found) co_return no_such_client();
        for (const auto& item : found.items) {
            page.bytes += bytes_of(item);
            page.items.push_back(to_json(item));
        }
        place.at = std::move(found.next);
        if (place.at.done) break;
    }
    if (!place.at.done) next = cursors_.of_topic(kClientSubscriptionsCursor, place.at.next_text);
    co_return page_reply("subscriptions", std::move(page.items), std::move(next));
}

/// Fills `page` from `next_topic` on. Something: it cannot.
asio::awaitable<std::optional<Reply>> Api::merge(
    std::string_view filter, std::string& next_topic, Page& page, bool& done, Show show) {
    RetainedMerge values{parts_.shards.count(), next_topic};
    for (std::size_t asked = 0; asked < kQuestionsMax && !page.is_full();) {
        if (const auto shard = values.shard_to_ask()) {
            server::RetainedQuestion wanted;
            wanted.filter = filter;
            wanted.cursor = values.cursor(*shard);
            wanted.values_max = page.limit - page.items.size();
            server::Question question = std::move(wanted);
            auto finding = co_await parts_.shards.ask(*shard, std::move(question));
            if (!finding) co_return shards_busy();
            values.add(*shard, std::move(std::get<server::RetainedFound>(*finding)));
            ++asked;
            continue;
        }
        const auto item = values.next();
        if (!item) break;
        page.bytes += bytes_of(item->value);
        page.items.push_back(show(item->value, item->wanted));
    }
    auto next = values.next_topic();
    done = !next;
    next_topic = std::move(next).value_or("");
    co_return std::nullopt;
}

Api::Answer Api::list_values(Call& call, char kind, std::string_view name, Show show) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    const auto query = query_of(call, kRetained);
    if (!query) co_return error_reply(query.error());
    const auto limit = query->number("limit", kPageItems, 1, kPageItemsMax);
    if (!limit) co_return error_reply(limit.error());
    const std::string filter = query->text("filter").value_or("#");
    if (const auto mistake = bad_filter(filter)) co_return error_reply(*mistake);
    std::string next_topic;
    if (const auto after = query->text("after")) {
        auto text = cursors_.topic(kind, *after);
        if (!text) co_return error_reply(text.error());
        next_topic = *std::move(text);
    }
    Page page{.limit = *limit};
    bool done = false;
    auto failed = co_await merge(filter, next_topic, page, done, std::move(show));
    if (failed) co_return *std::move(failed);
    json::value next;
    if (!done) next = cursors_.of_topic(kind, next_topic);
    co_return page_reply(name, std::move(page.items), std::move(next));
}

Api::Answer Api::list_retained(Call& call) {
    Show show = [scale = time_scale()](const server::RetainedValue& value, bool /*wanted*/) {
        return to_json(value, scale);
    };
    Reply reply = co_await list_values(call, kRetainedCursor, "retained", std::move(show));
    co_return reply;
}

Api::Answer Api::list_topics(Call& call) {
    Show show = [](const server::RetainedValue& value, bool wanted) {
        return json::object{{"topic", value.message->topic()},
                            {"payload_bytes", value.message->payload().size()},
                            {"subscribed", wanted}};
    };
    Reply reply = co_await list_values(call, kTopicsCursor, "topics", std::move(show));
    co_return reply;
}

}  // namespace stentor::admin
