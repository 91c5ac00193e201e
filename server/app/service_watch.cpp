#include "server/app/service_watch.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"
#include "server/app/service_manager.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace stentor::app {

namespace asio = boost::asio;
using admin::Readiness;

namespace {

constexpr Duration kStatusInterval = std::chrono::seconds{10};
constexpr Duration kAskAgain = std::chrono::milliseconds{500};
/// While the disk has no room or fails, the start takes as long as it takes; this is said each
/// round.
constexpr Duration kMoreTime = std::chrono::minutes{1};

/// "1 client", "2 clients".
std::string count_of(std::size_t count, const char* noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string store_state(const std::optional<std::uint64_t>& log_bytes) {
    if (!log_bytes) return "nothing is kept on disk";
    constexpr double kMiB = 1 << 20U;
    return fmt::format("store open, {:.1f} MiB of log", static_cast<double>(*log_bytes) / kMiB);
}

std::string serving(const ServiceFacts& facts) {
    return fmt::format("{} on {}, {} away; {}",
                       count_of(facts.clients, "client"),
                       count_of(facts.doors, "listener"),
                       count_of(facts.sessions_away, "session"),
                       store_state(facts.log_bytes));
}

/// What has been said, and since when somebody is silent.
class Watch {
  public:
    explicit Watch(ServiceWatchParts parts)
        : parts_{std::move(parts)}, watchdog_{service_manager::watchdog_time()} {}

    [[nodiscard]] asio::awaitable<std::optional<admin::Figures>> ask() { return parts_.ask(); }

    /// Says what is new; returns when to ask again.
    [[nodiscard]] Duration tell(const std::optional<admin::Figures>& figures) {
        const Instant now = monotonic_now();
        const ServiceFacts facts = facts_of(figures, now);
        std::string lines;
        if (facts.readiness == Readiness::waiting_for_disk) {
            lines += fmt::format("EXTEND_TIMEOUT_USEC={}\n", kMoreTime.count());
        }
        if (std::string line = status_line(facts); line != said_) {
            lines += service_manager::status(line);
            said_ = std::move(line);
        }
        const bool all_turn = figures && figures->silent == 0;
        if (watchdog_ && all_turn && now >= due_) {
            lines += "WATCHDOG=1\n";
            due_ = now + *watchdog_ / 2;
        }
        if (!lines.empty()) service_manager::tell(lines);
        if (!all_turn) return kAskAgain;
        return watchdog_ ? std::clamp(due_ - now, Duration{1}, kStatusInterval) : kStatusInterval;
    }

  private:
    ServiceFacts facts_of(const std::optional<admin::Figures>& figures, Instant now) {
        ServiceFacts facts;
        facts.readiness = parts_.readiness->load();
        facts.doors = parts_.doors;
        if (!figures) return facts;
        facts.clients = figures->all.sessions_connected;
        facts.sessions_away = figures->all.sessions_away;
        facts.log_bytes = parts_.log_bytes();
        facts.shards = figures->shards;
        facts.silent = figures->silent;
        note_silence(facts, now);
        return facts;
    }

    /// Shards that begin or end are silent as well: nothing to complain about.
    void note_silence(ServiceFacts& facts, Instant now) {
        if (facts.silent == 0 || facts.readiness != Readiness::ready) {
            silent_since_.reset();
            return;
        }
        if (!silent_since_) {
            silent_since_ = now;
            STENTOR_LOG(
                warn,
                LogEvent("shards_silent", {{"shards", facts.shards}, {"silent", facts.silent}}),
                "a shard does not answer; until it does, the service manager's watchdog "
                "is left waiting");
        }
        const auto silence = now - *silent_since_;
        facts.silent_seconds = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::seconds>(silence).count());
    }

    const ServiceWatchParts parts_;
    const std::optional<Duration> watchdog_;
    Instant due_;
    std::optional<Instant> silent_since_;
    std::string said_;
};

}  // namespace

std::string status_line(const ServiceFacts& facts) {
    switch (facts.readiness) {
        case Readiness::starting:
            return "starting: the store is being opened";
        case Readiness::waiting_for_disk:
            return "no room on the disk to open the store, or it fails: clients are told to come "
                   "back later";
        case Readiness::store_failed:
            return "the store has failed and is opened anew: clients are told to come back later";
        case Readiness::stopping:
            return fmt::format("stopping; {} left", count_of(facts.clients, "client"));
        case Readiness::ready:
            break;
    }
    if (facts.silent == 0) return serving(facts);
    return fmt::format("{} of {} not answering for {} s; {}",
                       facts.silent,
                       count_of(facts.shards, "shard"),
                       facts.silent_seconds,
                       serving(facts));
}

asio::awaitable<void> watch_for_service_manager(asio::io_context& io, ServiceWatchParts parts) {
    Watch watch{std::move(parts)};
    asio::steady_timer timer{io};
    for (;;) {
        const std::optional<admin::Figures> figures = co_await watch.ask();
        timer.expires_after(watch.tell(figures));
        (void)co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

}  // namespace stentor::app
