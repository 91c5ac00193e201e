#include "server/app/serve_command.hpp"

#include "auth/jwt/jwt_authenticator.hpp"
#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "base/file_limit.hpp"
#include "base/log.hpp"
#include "server/app/access.hpp"
#include "server/app/announce.hpp"
#include "server/app/bind_check.hpp"
#include "server/app/doors.hpp"
#include "server/app/exit_code.hpp"
#include "server/app/file_watch.hpp"
#include "server/app/reload_desk.hpp"
#include "server/app/server.hpp"
#include "server/app/service_manager.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>
#include <sys/signalfd.h>
#include <thread>
#include <utility>
#include <vector>

namespace stentor::app {
namespace {

constexpr std::size_t kHashQueueMax = 1024;
constexpr std::chrono::seconds kLookAfterFiles{5};
constexpr unsigned kHashThreadsMax = 4;  // of 19 MiB each while they hash

stentor::LogLevel level_of(config::LogLevel level) noexcept {
    return static_cast<stentor::LogLevel>(level);
}
static_assert(static_cast<int>(stentor::LogLevel::warn) ==
              static_cast<int>(config::LogLevel::warn));
static_assert(static_cast<int>(stentor::LogLevel::error) ==
              static_cast<int>(config::LogLevel::error));

stentor::LogFormat format_of(config::LogFormat format) noexcept {
    return static_cast<stentor::LogFormat>(format);
}
static_assert(static_cast<int>(stentor::LogFormat::json) ==
              static_cast<int>(config::LogFormat::json));

/// TERM, INT and HUP arrive here instead of interrupting anything; threads started later inherit
/// the mask. SIGPIPE is off: a peer that has gone is an error of the write.
class Signals {
  public:
    Signals() {
        ::sigemptyset(&mask_);
        for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&mask_, signal);
        ::sigprocmask(SIG_BLOCK, &mask_, nullptr);
        std::signal(SIGPIPE, SIG_IGN);
        descriptor_ = Descriptor{::signalfd(-1, &mask_, SFD_CLOEXEC | SFD_NONBLOCK)};
        STENTOR_ASSERT(descriptor_, "a process that starts can have one more descriptor");
    }

    static constexpr int kNothing = -1;
    static constexpr int kReady = -2;
    static constexpr int kAsked = -3;

    struct Others {
        int stopped;
        int ready;  // a negative one never is
        int asked;
    };
    /// Waits for a signal and returns its number, 0 once `stopped` is readable, kReady or kAsked
    /// once these are, kNothing after `patience`.
    [[nodiscard]] int wait_also_for(Others others, std::chrono::milliseconds patience) const {
        std::array<pollfd, 4> descriptors{
            {{.fd = descriptor_.get(), .events = POLLIN, .revents = 0},
             {.fd = others.stopped, .events = POLLIN, .revents = 0},
             {.fd = others.ready, .events = POLLIN, .revents = 0},
             {.fd = others.asked, .events = POLLIN, .revents = 0}}};
        while (true) {
            signalfd_siginfo info{};
            if (::read(descriptor_.get(), &info, sizeof info) == sizeof info) {
                return static_cast<int>(info.ssi_signo);
            }
            const int count =
                ::poll(descriptors.data(), descriptors.size(), static_cast<int>(patience.count()));
            if (count == 0) return kNothing;
            if (count > 0 && descriptors[1].revents != 0) return 0;
            if (count > 0 && descriptors[2].revents != 0) return kReady;
            if (count > 0 && descriptors[3].revents != 0) return kAsked;
        }
    }

  private:
    sigset_t mask_{};
    Descriptor descriptor_;
};

std::string one_line(const config::Diagnostic& diagnostic) {
    std::string text = diagnostic.source;
    if (diagnostic.place.line != 0) {
        text += ':' + std::to_string(diagnostic.place.line) + ':' +
                std::to_string(diagnostic.place.column);
    }
    text += ": " + diagnostic.what;
    return diagnostic.hint.empty() ? text : text + " (" + diagnostic.hint + ')';
}

std::string one_line(const Problem& problem) {
    return problem.hint.empty() ? problem.what : problem.what + " (" + problem.hint + ')';
}

/// A start that ends here, for who reads stderr and for who asks the service manager.
int refuse(const std::vector<config::Diagnostic>& mistakes) {
    std::cerr << config::render(mistakes);
    service_manager::tell(service_manager::status(one_line(mistakes.front())));
    return kExitUsage;
}

/// The broker between its start and its end.
class Service {
  public:
    Service(const config::Sources& sources, config::Loaded loaded)
        : sources_{sources},
          options_{std::move(loaded.options)},
          origins_{std::move(loaded.origins)},
          // Half: the rest is for what comes before and behind. See kThinksTimes for the end.
          workers_{std::make_unique<auth::Workers>(auth::WorkersOptions{
              .threads = std::clamp(std::thread::hardware_concurrency(), 1U, kHashThreadsMax),
              .queue_jobs_max = kHashQueueMax,
              .queue_time_max = Duration{options_.limits.connect_timeout} / 2})} {}

    int run(const Signals& signals) {
        began_ = monotonic_now();
        (void)key_watch_.changed(jwt_files(options_.auth.jwt));  // before they are read
        (void)ban_watch_.changed({options_.auth.ban_file});      // before it is read
        auto access = load_access(options_, *workers_, http_loop_);
        if (!access) {
            std::vector<config::Diagnostic> mistakes = access.error();
            config::point_to_origins(mistakes, origins_);
            return refuse(mistakes);
        }
        jwt_keys_ = access->jwt_keys;
        auto server = Server::start(options_, *std::move(access));
        if (!server) {
            const std::string why = one_line(named_holder(server.error()));
            STENTOR_LOG(error, "start_failed", "{}", why);
            service_manager::tell(service_manager::status("start failed: " + why));
            return kExitFailed;
        }
        server_ = *std::move(server);
        announce_doors(server_->listening_urls());
        wait_for_the_end(signals);
        const auto ended = server_->run();
        // Requests that still wait somewhere are answered now, while their sinks exist; the loop's
        // before the workers, to whom it may pass some on.
        http_loop_.stop();
        workers_.reset();
        if (ended) {
            STENTOR_LOG(info, "stopped", "bye");
            return kExitOk;
        }
        const std::string why = one_line(ended.error());
        STENTOR_LOG(error, "stopped", "{}", why);
        service_manager::tell(service_manager::status(why));
        return kExitFailed;
    }

  private:
    /// If a listener cannot be bound, the same with the name of who holds its port and a way out.
    [[nodiscard]] Problem named_holder(const Problem& problem) const {
        for (const config::ListenerOptions& listener : options_.listeners) {
            if (auto found = bind_problem(listener.url)) return *std::move(found);
        }
        return problem;
    }

    void wait_for_the_end(const Signals& signals) {
        int stops = 0;
        int ready = server_->ready_descriptor();
        ReloadDesk& desk = server_->reload_desk();
        while (const int signal = signals.wait_also_for({.stopped = server_->stopped_descriptor(),
                                                         .ready = ready,
                                                         .asked = desk.descriptor()},
                                                        kLookAfterFiles)) {
            if (signal == Signals::kReady) {
                ready = -1;
                const auto took =
                    std::chrono::duration_cast<std::chrono::milliseconds>(monotonic_now() - began_);
                announce_ready(options_, took.count());
                service_manager::tell("READY=1\n");
                is_ready_ = true;
                continue;
            }
            if (signal == Signals::kNothing) {
                server_->look_after_files(options_);
                look_after_keys();
                look_after_bans();
                continue;
            }
            if (signal == Signals::kAsked) {
                desk.serve([this] { return reload_as_told(); });
                continue;
            }
            if (signal == SIGHUP) {
                (void)reload_as_told();
                continue;
            }
            const bool first = ++stops == 1;
            if (first) service_manager::tell("STOPPING=1\nSTATUS=draining\n");
            STENTOR_LOG(info,
                        LogEvent("stopping",
                                 {{"signal", signal == SIGTERM ? "TERM" : "INT"},
                                  {"stop", first ? "drain" : "at_once"}}),
                        "{}",
                        first ? "draining; a second signal stops at once" : "stopping at once");
            server_->request_stop(first ? StopMode::drain : StopMode::at_once);
        }
        desk.close();
    }

    /// A service manager that waits for the first READY=1 would take a reload's for it.
    admin::ReloadReport reload_as_told() {
        if (is_ready_) service_manager::tell_reloading();
        admin::ReloadReport report = reload();
        if (is_ready_) service_manager::tell("READY=1\n");
        if (report.outcome == admin::ReloadReport::Outcome::applied) return report;
        // What it has read of these was not taken: they are looked at again by themselves.
        key_watch_.forget();
        ban_watch_.forget();
        const auto& why = report.mistakes.front();
        service_manager::tell(service_manager::status(
            "reload failed, the old configuration stays in force: " +
            (why.hint.empty() ? why.what : why.what + " (" + why.hint + ')')));
        return report;
    }

    /// If it is refused, everything is as it was.
    admin::ReloadReport reload() {
        auto loaded = config::load(sources_);
        if (!loaded) return keep(loaded.error());
        (void)key_watch_.changed(jwt_files(loaded->options.auth.jwt));
        (void)ban_watch_.changed({loaded->options.auth.ban_file});
        auto access = load_access(loaded->options, *workers_, http_loop_);
        if (!access) {
            std::vector<config::Diagnostic> mistakes = access.error();
            config::point_to_origins(mistakes, loaded->origins);
            return keep(mistakes);
        }
        config::Options& fresh = loaded->options;
        auto listeners = with_tls_of(options_.listeners, fresh.listeners);
        admin::ReloadReport report{.outcome = admin::ReloadReport::Outcome::applied};
        for (const config::Change& change : config::changes(options_, fresh)) {
            const bool applies = change.applies == config::Applies::at_reload;
            (applies ? report.changed : report.restart_needed).emplace_back(change.path);
        }
        if (tls_appears_or_goes(listeners, fresh.listeners)) {
            report.restart_needed.emplace_back("listener.tls");
        }
        config::Options wanted = options_;
        wanted.auth = fresh.auth;
        wanted.http = fresh.http;
        wanted.listeners = std::move(listeners);
        wanted.logging.level = fresh.logging.level;
        auto jwt_keys = access->jwt_keys;
        const auto reloaded = server_->reload(wanted, *std::move(access));
        if (!reloaded) {
            std::vector<config::Diagnostic> mistakes;
            for (const TlsRefusal& each : reloaded.error().all) {
                mistakes.push_back(mistake_of(each, wanted.listeners, fresh.listeners));
            }
            config::point_to_origins(mistakes, loaded->origins);
            return keep(mistakes);
        }
        options_ = std::move(wanted);
        jwt_keys_ = std::move(jwt_keys);
        set_log_level(level_of(options_.logging.level));
        const std::vector<TlsRefusal>& kept = *reloaded;
        for (const TlsRefusal& each : kept) {
            tell_kept(each, mistake_of(each, options_.listeners, fresh.listeners), loaded->origins);
        }
        STENTOR_LOG(info,
                    LogEvent("reloaded", {{"listeners_kept", kept.size()}}),
                    "configuration, users and rules are in force{}",
                    kept.empty() ? "" : "; not all certificates");
        if (report.restart_needed.empty()) return report;
        const std::string restart = fmt::format("{}", fmt::join(report.restart_needed, ", "));
        STENTOR_LOG(warn,
                    LogEvent("restart_needed", {{"keys", restart}}),
                    "these changes wait for the next start: {}",
                    restart);
        return report;
    }

    /// One door's certificates are no reason to keep what others, users and rules were.
    void tell_kept(const TlsRefusal& refusal,
                   config::Diagnostic mistake,
                   const config::Origins& origins) const {
        static LogEvery every{20, std::chrono::seconds{10}};
        const auto pass = every.admit(monotonic_now());
        if (!pass) return;
        std::vector<config::Diagnostic> mistakes{std::move(mistake)};
        config::point_to_origins(mistakes, origins);
        STENTOR_LOG(error,
                    LogEvent("certificates_kept",
                             {{"listener", server_->listening_urls()[refusal.listener]},
                              {"file", refusal.file},
                              {"source", mistakes.front().source},
                              {"line", mistakes.front().place.line},
                              {"suppressed", pass.suppressed}}),
                    "the old certificates stay in force: {}",
                    one_line(mistakes.front()));
    }

    /// Keys of tokens are replaced when their issuer rotates them, without a word to the broker.
    void look_after_keys() {
        if (jwt_keys_ == nullptr || !key_watch_.changed(jwt_files(options_.auth.jwt))) return;
        auto keys = read_jwt_keys(options_.auth.jwt);
        if (!keys) {
            log_mistakes(keys.error());
            STENTOR_LOG(warn, "jwt_keys_kept", "the old keys of tokens stay in force");
            return;
        }
        const std::size_t count = keys->keys().size();
        jwt_keys_->replace(*std::move(keys));
        STENTOR_LOG(info,
                    LogEvent("jwt_keys_renewed", {{"keys", count}}),
                    "tokens are verified with the keys as they are now");
    }

    /// Somebody who has to be kept out is kept out at once, without a SIGHUP.
    void look_after_bans() {
        const std::string& path = options_.auth.ban_file;
        if (path.empty() || !ban_watch_.changed({path})) return;
        auto bans = read_ban_file(path);
        if (!bans) {
            log_mistakes(bans.error());
            STENTOR_LOG(warn, "bans_kept", "the old bans stay in force");
            return;
        }
        const std::size_t count = bans->size();
        server_->set_bans(std::make_shared<const auth::BanList>(*std::move(bans)));
        STENTOR_LOG(info,
                    LogEvent("bans_renewed", {{"bans", count}}),
                    "the bans are in force as the file is now");
    }

    /// At the key of the file as it was just read: listeners may have changed places in it.
    static config::Diagnostic mistake_of(const TlsRefusal& refusal,
                                         const std::vector<config::ListenerOptions>& listeners,
                                         const std::vector<config::ListenerOptions>& fresh) {
        const config::ListenerOptions& refused = listeners[refusal.listener];
        const auto same = std::find_if(fresh.begin(), fresh.end(), [&](const auto& each) {
            return each.url == refused.url && each.tls == refused.tls;
        });
        const auto number = static_cast<std::size_t>(same - fresh.begin());
        return {.source = same == fresh.end() ? std::string{"listener"}
                                              : tls_key(refusal.file, refused.tls, number),
                .place = {},
                .line_text = {},
                .what = refusal.why.what,
                .hint = refusal.why.hint};
    }

    static void log_mistakes(const std::vector<config::Diagnostic>& errors) {
        for (const config::Diagnostic& error : errors) {
            STENTOR_LOG(
                error,
                LogEvent("reload_failed", {{"source", error.source}, {"line", error.place.line}}),
                "{}",
                one_line(error));
        }
    }

    static admin::ReloadReport keep(const std::vector<config::Diagnostic>& errors) {
        log_mistakes(errors);
        STENTOR_LOG(warn, "reload_failed", "the old configuration stays in force");
        admin::ReloadReport report{.outcome = admin::ReloadReport::Outcome::refused};
        for (const config::Diagnostic& error : errors) {
            report.mistakes.push_back({.source = error.source,
                                       .line = error.place.line,
                                       .column = error.place.column,
                                       .what = error.what,
                                       .hint = error.hint});
        }
        return report;
    }

    const config::Sources& sources_;
    config::Options options_;
    const config::Origins origins_;  // of the options it started with
    std::unique_ptr<auth::Workers> workers_;
    auth::HttpLoop http_loop_;
    std::unique_ptr<Server> server_;
    Instant began_;
    bool is_ready_ = false;                       // READY=1 has been said
    std::shared_ptr<auth::JwtKeyRing> jwt_keys_;  // null: tokens are not accepted
    FileWatch key_watch_;
    FileWatch ban_watch_;
};

void raise_file_limit_for(const config::Options& options) {
    const std::uint64_t limit = raise_file_limit();
    std::uint64_t wanted = 0;
    for (const config::ListenerOptions& listener : options.listeners) {
        wanted += listener.connections_max;
    }
    if (wanted <= connections_possible(limit)) return;
    STENTOR_LOG(warn,
                LogEvent("file_limit", {{"limit", limit}, {"max_connections", wanted}}),
                "the system allows {} open files, too few for max_connections = {}; raise it with "
                "`ulimit -Hn` or LimitNOFILE= of systemd",
                limit,
                wanted);
}

}  // namespace

int run_serve(const config::Sources& sources) {
    const Signals signals;
    auto loaded = config::load(sources);
    if (!loaded) return refuse(loaded.error());
    const config::Options& options = loaded->options;
    log_start(
        {.level = level_of(options.logging.level), .format = format_of(options.logging.format)});
    if (!sources.file) welcome(options);
    for (const config::Diagnostic& warning : loaded->warnings) {
        STENTOR_LOG(warn, "configuration", "{}", one_line(warning));
    }
    if (service_manager::is_kept_waiting()) {
        STENTOR_LOG(warn,
                    "service_manager",
                    "this build has no libsystemd: use Type=exec, and no WatchdogSec=");
    }
    raise_file_limit_for(options);
    return Service{sources, *std::move(loaded)}.run(signals);
}

}  // namespace stentor::app
