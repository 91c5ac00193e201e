#pragma once
// The HTTP API: which path does what, who may, and the answers. docs/http.md is its reference.
// The HTTP server's thread.
//
// Bounds: bodies under way, kBodiesBytesMax and a quarter of it of one visitor (one is always let
// in); messages of a visitor, by limits.messages_per_second_max. A visitor is a user, or an address
// (an IPv6 network) without one. An answer is a page of a list at most, kPageBytesMax and one item;
// those that are not written yet, kAnswersBytesMax together; the questions of one request to
// shards, kQuestionsMax.

#include "base/clock.hpp"
#include "base/hash.hpp"
#include "base/leaky_table.hpp"
#include "server/admin/cursors.hpp"
#include "server/admin/http_handler.hpp"
#include "server/admin/listing_json.hpp"
#include "server/admin/node_report.hpp"
#include "server/admin/publish_request.hpp"
#include "server/admin/publisher.hpp"
#include "server/admin/query.hpp"
#include "server/admin/route.hpp"
#include "server/admin/visitor.hpp"
#include "server/shard/inquiry.hpp"

#include <boost/json/array.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stentor::admin {

/// What /readyz says. Written by the supervising thread, read by the API's.
enum class Readiness : std::uint8_t {
    starting,
    waiting_for_disk,  // as starting, but with shards that can be asked
    ready,
    store_failed,
    stopping
};

/// How shards are asked. Only when it is ready.
struct ShardsToAsk {
    std::function<std::size_t()> count;
    std::function<ShardId(std::string_view)> home_of_client;
    std::function<ShardId(std::string_view)> home_of_topic;
    /// Nothing: it has no time, or is being replaced.
    std::function<boost::asio::awaitable<std::optional<server::Finding>>(ShardId, server::Question)>
        ask;
    /// The client's end, with its session's if the last one says so.
    std::function<boost::asio::awaitable<std::optional<server::Finding>>(
        ShardId, std::string, bool)>
        kick;
};

struct ApiParts {
    HttpAccess* door = nullptr;
    const server::AccessControl* access = nullptr;
    const std::atomic<Readiness>* readiness = nullptr;
    /// The text of /metrics; nothing: not yet.
    std::function<boost::asio::awaitable<std::optional<std::string>>()> metrics;
    /// What is published goes here; only when it is ready.
    std::function<boost::asio::awaitable<Publisher::Published>(server::PublishJob::Messages)>
        publish;
    ShardsToAsk shards = {};
    std::function<std::span<const std::string>()> listeners;  // their URLs
    std::function<boost::asio::awaitable<NodeFacts>()> node;
    std::function<boost::asio::awaitable<ReloadReport>()> reload;
    std::function<boost::asio::awaitable<BackupReport>(std::string)> back_up;  // its name
    std::string_view version = {};                                             // the broker's
    PublishRules rules = {};
    std::uint32_t messages_per_second_max = 0;  // of a visitor; 0: no bound
    std::function<Instant()> now;               // the store's clock
};

class Api final : public HttpHandler {
  public:
    /// What `parts` points to outlives the API.
    explicit Api(ApiParts parts);

    [[nodiscard]] boost::asio::awaitable<Begun> begin(Call& call) override;
    [[nodiscard]] boost::asio::awaitable<Reply> answer(Call& call) override;

    /// What there is, in the table's order.
    [[nodiscard]] static std::vector<RouteInfo> routes();

    static constexpr std::size_t kPageItemsMax = 1000;
    static constexpr std::size_t kPageItems = 100;  // if nobody says how many
    static constexpr std::size_t kPageBytesMax = std::size_t{1} << 20U;
    static constexpr std::size_t kAnswersBytesMax = std::size_t{64} << 20U;
    static constexpr std::size_t kQuestionsMax = 1024;

  private:
    using Answer = boost::asio::awaitable<Reply>;
    struct Route;
    static const Route kRoutes[];

    [[nodiscard]] boost::asio::awaitable<std::optional<Reply>> refusal(Call& call);
    [[nodiscard]] Answer livez(Call& call);
    [[nodiscard]] Answer readyz(Call& call);
    [[nodiscard]] Answer metrics(Call& call);
    [[nodiscard]] Reply not_ready() const;
    [[nodiscard]] const char* why_not_ready() const;
    [[nodiscard]] static Begun no_such_path(std::string allowed);
    void keep_room_for(Reply& reply);
    [[nodiscard]] TimeScale time_scale() const;
    [[nodiscard]] static Reply shards_busy();
    [[nodiscard]] static Reply no_such_client();

    // api_lists.cpp
    struct Page {
        boost::json::array items = {};
        std::size_t bytes = 0;
        std::size_t limit = 0;
        [[nodiscard]] bool is_full() const noexcept {
            return items.size() >= limit || bytes >= kPageBytesMax;
        }
    };
    template <class Question, class Listed>
    [[nodiscard]] boost::asio::awaitable<std::optional<Reply>> gather(Question question,
                                                                      Cursors::Place& place,
                                                                      Page& page);
    template <class Question, class Listed>
    [[nodiscard]] Answer list(char kind,
                              std::string_view name,
                              std::optional<std::string> after,
                              Question question);
    [[nodiscard]] Answer list_clients(Call& call);
    [[nodiscard]] Answer list_subscriptions(Call& call);
    [[nodiscard]] Answer list_subscriptions_of(Call& call);
    [[nodiscard]] Answer list_retained(Call& call);
    [[nodiscard]] Answer list_topics(Call& call);
    /// A value, and whether somebody subscribes to its topic.
    using Show = std::function<boost::json::object(const server::RetainedValue&, bool)>;
    [[nodiscard]] boost::asio::awaitable<std::optional<Reply>> merge(
        std::string_view filter, std::string& next_topic, Page& page, bool& done, Show show);
    [[nodiscard]] Answer list_values(Call& call, char kind, std::string_view name, Show show);

    // api_clients.cpp
    [[nodiscard]] Answer get_client(Call& call);
    [[nodiscard]] Answer kick_client(Call& call);

    // api_node.cpp
    [[nodiscard]] Answer node(Call& call);
    [[nodiscard]] Answer reload(Call& call);
    [[nodiscard]] Answer back_up(Call& call);
    [[nodiscard]] Answer openapi(Call& call);

    // api_publish.cpp
    [[nodiscard]] boost::asio::awaitable<Begun> begin_publish_one(Call& call);
    [[nodiscard]] boost::asio::awaitable<Begun> begin_publish_json(Call& call);
    [[nodiscard]] Answer publish_one(Call& call);
    [[nodiscard]] Answer publish_json(Call& call);
    [[nodiscard]] Answer publish(Call& call, Asked asked);
    [[nodiscard]] Answer clear_retained(Call& call);
    [[nodiscard]] std::optional<Reply> without_outcome(Publisher::How how) const;
    [[nodiscard]] std::optional<Mistake> may_publish(const Call& call,
                                                     std::string_view topic) const;
    [[nodiscard]] std::uint64_t visitor_key(const Call& call) const;
    [[nodiscard]] Begun body_of(Call& call, std::uint64_t bytes_max);
    [[nodiscard]] std::optional<Reply> too_fast(const Call& call) const;
    [[nodiscard]] std::optional<Reply> early_refusal(const Call& call) const;
    [[nodiscard]] Duration cost_of(std::size_t messages) const;
    void count(const Call& call, std::size_t messages);
    void uncount(const Call& call, std::size_t messages);

    static constexpr std::uint64_t kBodiesBytesMax = std::uint64_t{64} << 20U;
    static constexpr std::uint64_t kVisitorsPart = 4;

    const ApiParts parts_;
    VisitorCheck visitors_;
    std::uint64_t bodies_bytes_ = 0;
    std::unordered_map<std::uint64_t, std::uint64_t> bodies_of_;  // by visitor_key(); none is 0
    const HashKey visitor_hash_key_;
    std::optional<LeakyTable> published_lately_;  // there is a bound on the rate
    Cursors cursors_;
    std::size_t answers_bytes_ = 0;
    std::string openapi_;  // made when it is first asked for
};

}  // namespace stentor::admin
