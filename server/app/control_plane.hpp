#pragma once
// Everything about the broker that is not MQTT: the HTTP server with its API, metrics, $SYS.
// Made, started and finished by the server's main and supervising threads; works on the HTTP
// server's, which asks shards by mailbox only.

#include "persistence/contract/engine.hpp"
#include "server/admin/api.hpp"
#include "server/admin/http_server.hpp"
#include "server/admin/inquiries.hpp"
#include "server/admin/metrics_page.hpp"
#include "server/admin/publisher.hpp"
#include "server/admin/snapshots.hpp"
#include "server/admin/sys_topics.hpp"
#include "server/app/backup_process.hpp"
#include "server/app/gate.hpp"
#include "server/config/options.hpp"
#include "server/core/placement.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace stentor::auth {
struct LoginCounters;
}

namespace stentor::app {

class ReloadDesk;

class ControlPlane {
  public:
    struct Parts {
        const config::Options* options = nullptr;
        Gate* gate = nullptr;
        server::AddressGate* addresses = nullptr;
        const auth::LoginCounters* logins = nullptr;
        const server::Placement* placement = nullptr;
        ReloadDesk* reloads = nullptr;
        std::function<Instant()> now;  // the store's clock
    };

    /// What `parts` points to outlives this object.
    explicit ControlPlane(Parts parts);
    ~ControlPlane();  // finish() has returned, or open() was not called
    ControlPlane(const ControlPlane&) = delete;
    ControlPlane& operator=(const ControlPlane&) = delete;

    /// Once: serves HTTP from here on, as not ready. All three outlive this object.
    void open(std::span<const server::Listener> listeners,
              std::span<const server::Door> doors,
              std::span<const std::string> urls);
    /// Once, after open() and before any shard runs.
    void watch(std::span<server::Mailbox* const> mailboxes);
    void finish();

    [[nodiscard]] server::HttpReceiver& receiver() noexcept { return *http_; }
    [[nodiscard]] admin::Snapshots& snapshots() noexcept { return *snapshots_; }

    // Any thread.
    void set_readiness(admin::Readiness readiness) noexcept {
        if (readiness == admin::Readiness::ready) ++times_ready_;
        readiness_.store(readiness);
    }
    /// Unless the broker stops anyway.
    void store_failed() noexcept {
        auto now = admin::Readiness::ready;
        readiness_.compare_exchange_strong(now, admin::Readiness::store_failed);
    }
    /// Shards begin that know nothing of what $SYS has said so far.
    void shards_begin() noexcept { ++lives_; }
    void committed(const store::CommitGroup& group);

  private:
    [[nodiscard]] boost::asio::awaitable<admin::MetricsInput> look();
    [[nodiscard]] boost::asio::awaitable<std::optional<std::string>> metrics();
    [[nodiscard]] boost::asio::awaitable<void> speak();
    [[nodiscard]] boost::asio::awaitable<std::optional<admin::Figures>> ask_shards();
    void watch_for_service_manager();
    [[nodiscard]] boost::asio::awaitable<admin::NodeFacts> node();
    [[nodiscard]] boost::asio::awaitable<admin::ReloadReport> reload();
    [[nodiscard]] admin::ApiParts api_parts();
    [[nodiscard]] admin::ShardsToAsk shards_to_ask();
    [[nodiscard]] admin::NodeFacts::Store store_facts(const admin::MetricsInput& input) const;
    void publish(const std::vector<admin::SysTopics::Value>& values);
    [[nodiscard]] std::uint64_t log_bytes() const;

    const Parts parts_;
    const double started_at_;
    const Instant started_;
    std::span<const server::Door> doors_;
    std::span<const std::string> urls_;
    std::span<server::Mailbox* const> mailboxes_;
    admin::CommitCounters commits_;
    std::atomic<admin::Readiness> readiness_{admin::Readiness::starting};
    std::atomic<std::uint32_t> lives_{0};
    std::atomic<std::uint64_t> times_ready_{0};  // each time the store had been opened
    BackupProcess backups_;
    admin::Api api_;
    // Both longer than the requests that wait for them.
    std::optional<admin::Publisher> publisher_;
    std::optional<admin::Inquiries> inquiries_;
    std::optional<admin::HttpServer> http_;
    std::optional<admin::Snapshots> snapshots_;
    std::atomic<admin::Snapshots*> watching_{nullptr};
    admin::SysTopics topics_;
};

}  // namespace stentor::app
