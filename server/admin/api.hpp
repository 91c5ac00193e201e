#pragma once
// The HTTP API: which path does what, who may, and the answers. docs/http.md is its reference.
// The HTTP server's thread.
//
// Bounds: bodies under way, kBodiesBytesMax and a quarter of it of one visitor (one is always let
// in); messages of a visitor, by limits.messages_per_second_max. A visitor is a user, or an address
// (an IPv6 network) without one.

#include "base/clock.hpp"
#include "base/hash.hpp"
#include "base/leaky_table.hpp"
#include "server/admin/http_handler.hpp"
#include "server/admin/publish_request.hpp"
#include "server/admin/publisher.hpp"
#include "server/admin/visitor.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace stentor::admin {

/// What /readyz says. Written by the supervising thread, read by the API's.
enum class Readiness : std::uint8_t {
    starting,
    waiting_for_disk,  // as starting, but with shards that can be asked
    ready,
    store_failed,
    stopping
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

  private:
    using Answer = boost::asio::awaitable<Reply>;
    struct Route;
    static const Route kRoutes[];

    [[nodiscard]] boost::asio::awaitable<std::optional<Reply>> refusal(Call& call);
    [[nodiscard]] Answer livez(Call& call);
    [[nodiscard]] Answer readyz(Call& call);
    [[nodiscard]] Answer metrics(Call& call);
    [[nodiscard]] Reply not_ready() const;
    [[nodiscard]] static std::string_view path_behind(const Call& call);

    // api_publish.cpp
    [[nodiscard]] boost::asio::awaitable<Begun> begin_publish_one(Call& call);
    [[nodiscard]] boost::asio::awaitable<Begun> begin_publish_json(Call& call);
    [[nodiscard]] Answer publish_one(Call& call);
    [[nodiscard]] Answer publish_json(Call& call);
    [[nodiscard]] Answer publish(Call& call, Asked asked);
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
};

}  // namespace stentor::admin
