// POST /v1/publish and /v1/publish/{topic}.
#include "base/address.hpp"
#include "server/admin/api.hpp"
#include "server/admin/visitor.hpp"

#include <boost/beast/http/field.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <utility>

namespace stentor::admin {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;
using mqtt::ReasonCode;
using server::PublishOutcome;

namespace {

constexpr std::chrono::seconds kAtOnce{1};  // so much of the rate may be used up before one waits

/// Before the body has come: what the head says of it.
std::uint64_t announced_bytes(const Request& request, std::uint64_t bytes_max) {
    if (request.chunked()) return bytes_max;
    const auto length = request[http::field::content_length];
    std::uint64_t bytes = 0;
    (void)std::from_chars(length.data(), length.data() + length.size(), bytes);
    return std::min(bytes, bytes_max);
}

Reply come_again(const Mistake& mistake, std::chrono::seconds after) {
    Reply reply = error_reply(mistake);
    reply.headers.emplace_back("Retry-After", std::to_string(after.count()));
    return reply;
}

Reply busy() {
    return come_again({.status = Status::service_unavailable,
                       .code = "busy",
                       .error = "there is more to publish than the broker keeps up with; nothing "
                                "of this request was published",
                       .hint = "send it again a little later"},
                      std::chrono::seconds{1});
}

Reply unknown_outcome() {
    return come_again(
        {.status = Status::service_unavailable,
         .code = "outcome_unknown",
         .error = "the store has failed, or the broker stops, before it could say what has become "
                  "of this request: it may have been published or not",
         .hint = "send it again if it must arrive; twice is then possible"},
        std::chrono::seconds{1});
}

Mistake failure_of(ReasonCode reason) {
    if (reason == ReasonCode::quota_exceeded) {
        return {.status = Status::insufficient_storage,
                .code = "store_full",
                .error = "the store has no room for the message",
                .hint = "store.max_bytes and store.min_free_bytes, see docs/limits.md"};
    }
    if (reason == ReasonCode::server_unavailable) {
        return {.status = Status::service_unavailable,
                .code = "not_ready",
                .error =
                    "the broker is stopping, or opens its store again; the message was not "
                    "published",
                .hint = "send it again when /readyz says 200"};
    }
    return {.status = Status::service_unavailable,
            .code = "store_failed",
            .error = "the store could not commit; the message was not published",
            .hint = "send it again; the broker's log says more"};
}

bool is_published(const PublishOutcome& outcome) {
    return outcome.reason == ReasonCode::success ||
           outcome.reason == ReasonCode::no_matching_subscribers;
}

json::object to_json(const PublishOutcome& outcome) {
    json::object object{{"id", nullptr}, {"live", outcome.live}, {"durable", outcome.durable}};
    if (outcome.seq != kNoSeq) object["id"] = std::to_string(outcome.seq.value());
    return object;
}

Reply accepted(const json::value& body) {
    return {.status = Status::accepted, .body = json::serialize(body) + '\n'};
}

}  // namespace

std::uint64_t Api::visitor_key(const Call& call) const {
    if (!call.identity.user.empty()) {
        return keyed_hash(visitor_hash_key_, 'u' + call.identity.user);
    }
    const auto address = AddressKey::of(call.peer.address);
    return keyed_hash(visitor_hash_key_, 'a' + std::string{address ? address->text() : ""});
}

/// Room for the body, or the answer that there is none.
Begun Api::body_of(Call& call, std::uint64_t bytes_max) {
    const std::uint64_t bytes = announced_bytes(*call.request, bytes_max);
    const std::uint64_t visitor = visitor_key(call);
    const auto at = bodies_of_.find(visitor);
    const std::uint64_t mine = at == bodies_of_.end() ? 0 : at->second;
    if ((bodies_bytes_ != 0 && bodies_bytes_ + bytes > kBodiesBytesMax) ||
        (mine != 0 && mine + bytes > kBodiesBytesMax / kVisitorsPart)) {
        return {.refusal = busy()};
    }
    if (bytes != 0) {
        bodies_bytes_ += bytes;
        bodies_of_[visitor] += bytes;
        call.room = std::shared_ptr<void>{this, [this, visitor, bytes](void* /*api*/) {
                                              bodies_bytes_ -= bytes;
                                              const auto of = bodies_of_.find(visitor);
                                              of->second -= bytes;
                                              if (of->second == 0) bodies_of_.erase(of);
                                          }};
    }
    return {.body_bytes_max = bytes_max};
}

std::optional<Mistake> Api::may_publish(const Call& call, std::string_view topic) const {
    // $SYS belongs to the broker (MQTT 4.7.2).
    if (!topic.starts_with("$SYS/") &&
        parts_.access->allows(server::TopicAction::publish, call.identity, kHttpClientId, topic)) {
        return std::nullopt;
    }
    const std::string who =
        call.identity.user.empty() ? "anybody without a name" : '"' + call.identity.user + '"';
    return Mistake{.status = Status::forbidden,
                   .code = "not_authorized",
                   .error = fmt::format("the rules do not allow {} to publish there", who),
                   .hint = "on the broker's machine: stentor check --as USER --publish TOPIC"};
}

std::optional<Reply> Api::too_fast(const Call& call) const {
    if (!published_lately_) return std::nullopt;
    const Duration level = published_lately_->level(visitor_key(call), monotonic_now());
    if (level <= Duration{kAtOnce}) return std::nullopt;
    const auto wait = std::chrono::ceil<std::chrono::seconds>(level - Duration{kAtOnce});
    return come_again({.status = Status::too_many_requests,
                       .code = "too_many_messages",
                       .error = "more messages than limits.messages_per_second_max allows one "
                                "user, or one address without a user",
                       .hint = "nothing of this request was published; see Retry-After"},
                      wait);
}

Duration Api::cost_of(std::size_t messages) const {
    const Duration each = Duration{std::chrono::seconds{1}} / parts_.messages_per_second_max;
    return each * static_cast<Duration::rep>(messages);
}

void Api::count(const Call& call, std::size_t messages) {
    if (!published_lately_) return;
    (void)published_lately_->add(visitor_key(call), cost_of(messages), monotonic_now());
}

/// They were not published after all.
void Api::uncount(const Call& call, std::size_t messages) {
    if (!published_lately_) return;
    published_lately_->take_out(visitor_key(call), cost_of(messages), monotonic_now());
}

/// Both begin so: what can be refused before the body has come.
std::optional<Reply> Api::early_refusal(const Call& call) const {
    const auto target = call.request->target();
    if (target.find('?') != target.npos) {
        return error_reply(Status::bad_request,
                           "bad_request",
                           "publishing has no query",
                           "a ? in the topic is written %3F; QoS, TTL and Retain are headers");
    }
    return too_fast(call);
}

asio::awaitable<Begun> Api::begin_publish_one(Call& call) {
    if (auto refusal = early_refusal(call)) co_return Begun{.refusal = std::move(refusal)};
    const auto topic = topic_of(call.path_value, parts_.rules);
    if (!topic) co_return Begun{.refusal = error_reply(topic.error())};
    if (const auto mistake = may_publish(call, *topic)) {
        co_return Begun{.refusal = error_reply(*mistake)};
    }
    co_return body_of(call, parts_.rules.packet_bytes_max);
}

asio::awaitable<Begun> Api::begin_publish_json(Call& call) {
    if (auto refusal = early_refusal(call)) co_return Begun{.refusal = std::move(refusal)};
    co_return body_of(call, kJsonBytesMax);
}

Api::Answer Api::publish_one(Call& call) {
    const auto topic = topic_of(call.path_value, parts_.rules);
    if (!topic) co_return error_reply(topic.error());
    auto message = message_of(*call.request, *topic, parts_.rules, parts_.now());
    if (!message) co_return error_reply(message.error());
    Asked asked;
    asked.messages.push_back(*std::move(message));
    Reply reply = co_await publish(call, std::move(asked));
    co_return reply;
}

Api::Answer Api::publish_json(Call& call) {
    auto asked = messages_of(call.request->body(), parts_.rules, parts_.now());
    if (!asked) co_return error_reply(asked.error());
    Reply reply = co_await publish(call, *std::move(asked));
    co_return reply;
}

std::optional<Reply> Api::without_outcome(Publisher::How how) const {
    switch (how) {
        case Publisher::How::done:
            break;
        case Publisher::How::busy:
            return busy();
        case Publisher::How::not_ready:
            return not_ready();
        case Publisher::How::unknown:
            return unknown_outcome();
    }
    return std::nullopt;
}

/// As if it had been published: whoever subscribes gets the empty message, and 204 comes when it is
/// on disk.
Api::Answer Api::clear_retained(Call& call) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    const auto topic = topic_of(call.path_value, parts_.rules);
    if (!topic) co_return error_reply(topic.error());
    if (topic->starts_with("$SYS/")) {
        co_return error_reply(
            Status::forbidden, "not_authorized", "what is below $SYS is the broker's");
    }
    server::Question question = server::RetainedValueQuestion{*topic};
    const ShardId home = parts_.shards.home_of_topic(*topic);
    auto finding = co_await parts_.shards.ask(home, std::move(question));
    if (!finding) co_return shards_busy();
    if (!std::get<server::RetainedValueFound>(*finding).exists) {
        co_return error_reply(
            Status::not_found, "no_such_value", "the topic has no retained message");
    }
    std::vector<MessagePtr> messages{mqtt::Message::create({.topic = *topic,
                                                            .qos = mqtt::QoS::at_least_once,
                                                            .retain = true,
                                                            .arrival = parts_.now()})};
    const auto published = co_await parts_.publish(std::move(messages));
    if (auto none = without_outcome(published.how)) co_return *std::move(none);
    const PublishOutcome& outcome = published.outcomes.front();
    if (!is_published(outcome)) co_return error_reply(failure_of(outcome.reason));
    co_return Reply{.status = Status::no_content};
}

/// Those the rules allow; of a list each has its own answer.
Api::Answer Api::publish(Call& call, Asked asked) {
    if (parts_.readiness->load() != Readiness::ready) co_return not_ready();
    if (auto refusal = too_fast(call)) co_return *std::move(refusal);  // others came meanwhile
    std::vector<std::optional<Mistake>> mistakes;
    std::vector<MessagePtr> allowed;
    for (MessagePtr& message : asked.messages) {
        mistakes.push_back(may_publish(call, message->topic()));
        if (!mistakes.back()) allowed.push_back(std::move(message));
    }
    if (!asked.is_list && mistakes[0]) co_return error_reply(*mistakes[0]);
    const std::size_t messages = allowed.size();
    count(call, messages);
    Publisher::Published published{.how = Publisher::How::done};
    if (!allowed.empty()) published = co_await parts_.publish(std::move(allowed));
    const bool has_begun =
        published.how == Publisher::How::done || published.how == Publisher::How::unknown;
    if (!has_begun) uncount(call, messages);
    if (auto none = without_outcome(published.how)) co_return *std::move(none);
    json::array answers;
    bool all = true;
    auto next = published.outcomes.begin();
    for (std::optional<Mistake>& mistake : mistakes) {
        if (!mistake) {
            const PublishOutcome& outcome = *next++;
            if (is_published(outcome)) {
                answers.push_back(to_json(outcome));
                continue;
            }
            mistake = failure_of(outcome.reason);
            if (!asked.is_list) co_return error_reply(*mistake);
        }
        all = false;
        answers.push_back(admin::to_json(*mistake));
    }
    if (!asked.is_list) co_return accepted(answers[0]);
    Reply reply = accepted(answers);
    if (!all) reply.status = Status::multi_status;
    co_return reply;
}

}  // namespace stentor::admin
