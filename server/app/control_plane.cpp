#include "server/app/control_plane.hpp"

#include "auth/http/login_desk.hpp"
#include "base/clock.hpp"
#include "server/app/build_facts.hpp"
#include "server/app/reload_desk.hpp"
#include "server/app/service_manager.hpp"
#include "server/app/service_watch.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace stentor::app {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::milliseconds kUntilReady{100};

std::uint64_t microseconds(Duration duration) {
    const auto count = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
    return static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
}

admin::HttpFigures figures_of(const admin::HttpCounters& counters) {
    admin::HttpFigures figures;
    figures.answers.assign(counters.answers.begin(), counters.answers.end());
    figures.connections = counters.connections;
    figures.tls_handshakes = counters.tls_handshakes;
    figures.bytes_received = counters.bytes_received;
    figures.bytes_sent = counters.bytes_sent;
    std::copy(counters.refused_at_door.begin(),
              counters.refused_at_door.end(),
              figures.refused_at_door.begin());
    return figures;
}

std::string_view name(config::AcknowledgeAfter after) {
    switch (after) {
        case config::AcknowledgeAfter::disk:
            return "disk";
        case config::AcknowledgeAfter::os:
            return "os";
        case config::AcknowledgeAfter::memory:
            break;
    }
    return "memory";
}

/// The answer comes on the main thread.
struct AskingToReload {
    ReloadDesk* desk;
    asio::any_io_executor executor;

    template <class Handler>
    void operator()(Handler&& handler) const {
        auto waiting = std::make_shared<std::decay_t<Handler>>(std::forward<Handler>(handler));
        desk->ask([waiting, executor = executor](admin::ReloadReport report) {
            asio::post(executor, [waiting, report = std::move(report)]() mutable {
                (*waiting)(std::move(report));
            });
        });
    }
};

admin::LoginFigures figures_of(const auth::LoginCounters& counters) {
    return {.requests = counters.asked,
            .failures = counters.failures,
            .remembered = counters.remembered,
            .joined = counters.joined};
}

}  // namespace

ControlPlane::ControlPlane(Parts parts)
    : parts_{std::move(parts)},
      started_at_{static_cast<double>(wall_clock_unix_ms()) / 1000},
      started_{monotonic_now()},
      backups_{parts_.options->node.data_dir, parts_.options->http.backup_folder},
      api_{api_parts()} {}

ControlPlane::~ControlPlane() { finish(); }

admin::ApiParts ControlPlane::api_parts() {
    const config::LimitOptions& limits = parts_.options->limits;
    return {.door = parts_.gate,
            .access = parts_.gate,
            .readiness = &readiness_,
            .metrics = [this] { return metrics(); },
            .publish =
                [this](server::PublishJob::Messages messages) {
                    return publisher_->publish(std::move(messages));
                },
            .shards = shards_to_ask(),
            .listeners = [this] { return urls_; },
            .node = [this] { return node(); },
            .reload = [this] { return reload(); },
            .back_up = [this](std::string name) { return backups_.back_up(std::move(name)); },
            .version = kBuild.version,
            .rules = {.packet_bytes_max = limits.packet_bytes_max,
                      .topic_levels_max = limits.topic_levels_max},
            .messages_per_second_max = limits.messages_per_second_max,
            .now = parts_.now};
}

admin::ShardsToAsk ControlPlane::shards_to_ask() {
    return {.count = [this] { return mailboxes_.size(); },
            .home_of_client =
                [this](std::string_view client) { return parts_.placement->of_client(client); },
            .home_of_topic =
                [this](std::string_view topic) { return parts_.placement->of_topic(topic); },
            .ask =
                [this](ShardId shard, server::Question question) {
                    return inquiries_->ask(shard, std::move(question));
                },
            .kick =
                [this](ShardId shard, std::string client_id, bool discards) {
                    return inquiries_->kick(shard, std::move(client_id), discards);
                }};
}

void ControlPlane::open(std::span<const server::Listener> listeners,
                        std::span<const server::Door> doors,
                        std::span<const std::string> urls) {
    doors_ = doors;
    urls_ = urls;
    admin::HttpLimits limits;
    limits.head_time = parts_.options->limits.connect_timeout;
    limits.cors_origins = parts_.options->http.cors_origins;
    http_.emplace(limits, listeners, doors, *parts_.addresses, api_);
    http_->start();
    if (service_manager::listens()) watch_for_service_manager();
}

void ControlPlane::watch_for_service_manager() {
    ServiceWatchParts parts;
    parts.readiness = &readiness_;
    parts.doors = urls_.size();
    parts.ask = [this] { return ask_shards(); };
    parts.log_bytes = [this] {
        const bool keeps = !parts_.options->node.keeps_nothing();
        return keeps ? std::optional{log_bytes()} : std::nullopt;
    };
    asio::co_spawn(
        http_->io(), app::watch_for_service_manager(http_->io(), std::move(parts)), asio::detached);
}

asio::awaitable<std::optional<admin::Figures>> ControlPlane::ask_shards() {
    admin::Snapshots* shards = watching_.load();
    if (shards == nullptr) co_return std::nullopt;
    admin::Figures figures = co_await shards->take();
    co_return figures;
}

void ControlPlane::watch(std::span<server::Mailbox* const> mailboxes) {
    mailboxes_ = mailboxes;
    snapshots_.emplace(http_->io(), mailboxes);
    watching_.store(&*snapshots_);
    inquiries_.emplace(http_->io(), mailboxes);
    publisher_.emplace(
        http_->io(),
        mailboxes,
        [this] { return readiness_.load() == admin::Readiness::ready; },
        admin::Publisher::Patience{});
    if (parts_.options->node.sys_interval.count() == 0) return;
    asio::co_spawn(http_->io(), speak(), asio::detached);
}

void ControlPlane::finish() {
    if (http_) http_->finish();
}

void ControlPlane::committed(const store::CommitGroup& group) {
    commits_.microseconds.add(microseconds(parts_.now() - group.at));
    commits_.records.add(group.records.size());
}

asio::awaitable<admin::MetricsInput> ControlPlane::look() {
    admin::MetricsInput input;
    input.version = kBuild.version;
    input.commit = kBuild.commit;
    input.started_at = started_at_;
    input.ready = readiness_.load() == admin::Readiness::ready;
    input.figures = co_await watching_.load()->take();
    for (std::size_t i = 0; i < urls_.size(); ++i) {
        admin::MetricsInput::Listener listener{.url = urls_[i]};
        const auto& mqtt = input.figures.all.connections;
        listener.connections =
            (i < mqtt.size() ? mqtt[i] : 0) + http_->connections(static_cast<std::uint16_t>(i));
        if (doors_[i].certificates != nullptr) {
            const auto ends = doors_[i].certificates->get()->review().ends().time_since_epoch();
            listener.certificate_ends = std::chrono::duration<double>(ends).count();
        }
        input.listeners.push_back(std::move(listener));
    }
    input.commit_microseconds = commits_.microseconds.copy();
    input.commit_records = commits_.records.copy();
    input.auth_microseconds = parts_.gate->decision_times();
    input.auth_decisions = parts_.gate->decisions();
    input.logins = figures_of(*parts_.logins);
    input.log_bytes = log_bytes();
    input.store_reopened = std::max<std::uint64_t>(times_ready_.load(), 1) - 1;
    input.http = figures_of(http_->counters());
    co_return input;
}

/// Nothing while the store is being recovered: there are no shards yet.
asio::awaitable<std::optional<std::string>> ControlPlane::metrics() {
    if (watching_.load() == nullptr) co_return std::nullopt;
    const admin::MetricsInput input = co_await look();
    co_return admin::metrics_page(input);
}

asio::awaitable<admin::NodeFacts> ControlPlane::node() {
    const admin::MetricsInput input = co_await look();
    const server::ShardSnapshot& all = input.figures.all;
    admin::NodeFacts facts{.name = parts_.options->node.name,
                           .version = input.version,
                           .commit = input.commit,
                           .started_unix_ms = static_cast<std::int64_t>(started_at_ * 1000),
                           .uptime_seconds = microseconds(monotonic_now() - started_) / 1'000'000,
                           .shards = input.figures.shards,
                           .shards_silent = input.figures.silent,
                           .sessions_connected = all.sessions_connected,
                           .sessions_away = all.sessions_away,
                           .subscriptions = all.subscriptions,
                           .shared_groups = all.shared_groups,
                           .retained_messages = all.retained_messages,
                           .inflight_messages = all.inflight_messages,
                           .http_connections = input.http.connections,
                           .listeners = {},
                           .store = store_facts(input)};
    for (const admin::MetricsInput::Listener& each : input.listeners) {
        facts.listeners.push_back({.url = each.url, .connections = each.connections});
    }
    co_return facts;
}

admin::NodeFacts::Store ControlPlane::store_facts(const admin::MetricsInput& input) const {
    const auto& counts = input.commit_records.counts;
    admin::NodeFacts::Store store{
        .directory = {},
        .acknowledge_after = std::string{name(parts_.options->store.acknowledge_after)},
        .log_bytes = input.log_bytes,
        .log_bytes_max = parts_.options->store.bytes_max,
        .commits = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}),
        .reopened = input.store_reopened};
    if (parts_.options->node.keeps_nothing()) return store;
    store.directory = parts_.options->node.data_dir;
    std::error_code unknown;
    const auto space = std::filesystem::space(store.directory, unknown);
    if (!unknown) store.disk_free_bytes = space.available;
    return store;
}

asio::awaitable<admin::ReloadReport> ControlPlane::reload() {
    const AskingToReload asking{parts_.reloads, co_await asio::this_coro::executor};
    admin::ReloadReport report =
        co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(admin::ReloadReport)>(
            asking, asio::use_awaitable);
    co_return report;
}

/// A few files: a segment each.
std::uint64_t ControlPlane::log_bytes() const {
    if (parts_.options->node.keeps_nothing()) return 0;
    std::uint64_t bytes = 0;
    std::error_code error;
    const std::filesystem::path folder{parts_.options->node.data_dir};
    for (std::filesystem::directory_iterator at{folder / "log", error}, end; !error && at != end;
         at.increment(error)) {
        std::error_code gone;
        const auto size = at->file_size(gone);
        if (!gone) bytes += size;
    }
    return bytes;
}

asio::awaitable<void> ControlPlane::speak() {
    asio::steady_timer timer{http_->io()};
    std::uint32_t life = 0;
    for (;;) {
        const admin::Readiness now = readiness_.load();
        const bool serves = now != admin::Readiness::starting && now != admin::Readiness::stopping;
        if (serves) {
            if (std::exchange(life, lives_.load()) != life) topics_.forget();
            const admin::MetricsInput input = co_await look();
            const auto uptime =
                std::chrono::duration_cast<std::chrono::seconds>(monotonic_now() - started_);
            publish(
                topics_.round(input, monotonic_now(), static_cast<std::uint64_t>(uptime.count())));
        }
        const config::Milliseconds interval = parts_.options->node.sys_interval;
        timer.expires_after(serves ? interval : std::min(interval, kUntilReady));
        (void)co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

void ControlPlane::publish(const std::vector<admin::SysTopics::Value>& values) {
    if (values.empty()) return;
    std::vector<server::MessagePtr> messages;
    messages.reserve(values.size());
    for (const admin::SysTopics::Value& value : values) {
        messages.push_back(mqtt::Message::create({.topic = value.topic,
                                                  .payload = as_bytes(value.text),
                                                  .retain = true,
                                                  .arrival = parts_.now()}));
    }
    bool all = true;
    for (server::Mailbox* mailbox : mailboxes_) {
        server::ShardMessage message = server::BrokerValues{messages};
        all = mailbox->push(message) == server::Push::ok && all;
    }
    if (!all) topics_.forget();  // said again in the next round
}

}  // namespace stentor::app
