#include "server/app/control_plane.hpp"

#include "auth/http/login_desk.hpp"
#include "base/clock.hpp"
#include "server/app/build_facts.hpp"
#include "server/app/service_manager.hpp"
#include "server/app/service_watch.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
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
            .rules = {.packet_bytes_max = limits.packet_bytes_max,
                      .topic_levels_max = limits.topic_levels_max},
            .messages_per_second_max = limits.messages_per_second_max,
            .now = parts_.now};
}

void ControlPlane::open(std::span<const server::Listener> listeners,
                        std::span<const server::Door> doors,
                        std::span<const std::string> urls) {
    doors_ = doors;
    urls_ = urls;
    admin::HttpLimits limits;
    limits.head_time = parts_.options->limits.connect_timeout;
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
