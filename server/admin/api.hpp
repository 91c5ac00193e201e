#pragma once
// The HTTP API: which path does what, who may, and the answers. docs/http.md is its reference.
// The HTTP server's thread.

#include "server/admin/http_handler.hpp"
#include "server/admin/visitor.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::admin {

/// What /readyz says. Written by the supervising thread, read by the API's.
enum class Readiness : std::uint8_t { starting, ready, store_failed, stopping };

struct ApiParts {
    HttpAccess* door = nullptr;
    const server::AccessControl* access = nullptr;
    const std::atomic<Readiness>* readiness = nullptr;
    /// The text of /metrics; nothing: not yet.
    std::function<boost::asio::awaitable<std::optional<std::string>>()> metrics;
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

    const ApiParts parts_;
    VisitorCheck visitors_;
};

}  // namespace stentor::admin
