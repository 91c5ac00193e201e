#include "server/app/announce.hpp"

#include "base/log.hpp"
#include "server/app/version.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <sys/stat.h>

namespace stentor::app {
namespace {

bool stdout_is_stderr() noexcept {
    struct stat out {};
    struct stat err {};
    return ::fstat(STDOUT_FILENO, &out) == 0 && ::fstat(STDERR_FILENO, &err) == 0 &&
           out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

/// Of the format of the log, but for stdout's own reader: `auto` asks whether that is a person.
const char* ready_line(config::LogFormat format) noexcept {
    const bool text = format == config::LogFormat::text ||
                      (format == config::LogFormat::automatic && ::isatty(STDOUT_FILENO) == 1);
    return text ? "ready" : R"({"event":"ready"})";
}

std::string boxed(const std::vector<std::string>& lines) {
    std::size_t width = 0;
    for (const std::string& line : lines) width = std::max(width, line.size());
    const std::string border = '+' + std::string(width + 2, '-') + "+\n";
    std::string out = border;
    for (const std::string& line : lines) {
        out += "| " + line + std::string(width - line.size(), ' ') + " |\n";
    }
    return out + border;
}

std::string who_may_connect(const config::Options& options) {
    const bool all_loopback =
        std::all_of(options.listeners.begin(), options.listeners.end(), [](const auto& listener) {
            return is_loopback(listener.url);
        });
    const config::AuthOptions& auth = options.auth;
    const bool has_users = !auth.password_file.empty() || auth.jwt.is_on() || auth.http.is_on();
    switch (options.auth.anonymous) {
        case config::AnonymousPolicy::always:
            return "Everybody who reaches it may connect.";
        case config::AnonymousPolicy::never:
            return has_users ? "Clients need a user name and password."
                             : "Nobody may connect: there are no users.";
        case config::AnonymousPolicy::loopback:
            break;
    }
    if (all_loopback) return "Only this machine can connect; no password is needed.";
    return has_users ? "Clients from other machines need a user name and password."
                     : "Clients from other machines are refused: there are no users.";
}

std::string where_data_goes(const config::Options& options) {
    return options.node.keeps_nothing() ? "Nothing is kept on disk."
                                        : "Data is kept in " + options.node.data_dir + '.';
}

constexpr std::string_view kAddUser = "stentor user add users NAME";
constexpr std::string_view kOpenUp =
    "stentor serve --listen mqtt://0.0.0.0:1883 --set auth.password_file=users";
constexpr std::string_view kAllSettings = "stentor check --print-example > stentor.toml";

}  // namespace

std::string welcome_box(const config::Options& options) {
    return boxed({
        fmt::format("Stentor {} runs without a configuration file.", version()),
        who_may_connect(options),
        where_data_goes(options),
        "",
        "To let other machines in:",
        fmt::format("  {}", kAddUser),
        fmt::format("  {}", kOpenUp),
        fmt::format("All settings: {}", kAllSettings),
    });
}

void welcome(const config::Options& options) {
    if (::isatty(STDERR_FILENO) == 1 && options.logging.format != config::LogFormat::json) {
        std::fputs(welcome_box(options).c_str(), stderr);  // scripts read what stdout says
        return;
    }
    STENTOR_LOG(info,
                LogEvent("configuration",
                         {{"clients", who_may_connect(options)},
                          {"data", where_data_goes(options)},
                          {"to_let_others_in", fmt::format("{}; {}", kAddUser, kOpenUp)},
                          {"all_settings", kAllSettings}}),
                "Stentor {} runs without a configuration file",
                version());
}

void announce_doors(const std::vector<std::string>& urls) {
    for (const std::string& url : urls) std::printf("listening url=%s\n", url.c_str());
    std::fflush(stdout);
    if (stdout_is_stderr()) return;
    for (const std::string& url : urls) {
        // The words of the plain line, for whoever reads only the log.
        STENTOR_LOG(
            info, LogEvent("listening", {{"url", url}}), "listening url={} for clients", url);
    }
}

void announce_ready(const config::Options& options, std::int64_t started_in_ms) {
    std::printf("%s\n", ready_line(options.logging.format));
    std::fflush(stdout);
    if (stdout_is_stderr()) return;
    STENTOR_LOG(info,
                LogEvent("ready",
                         {{"version", version()},
                          {"pid", ::getpid()},
                          {"name", options.node.name},
                          {"listeners", options.listeners.size()}}),
                "started in {} ms",
                started_in_ms);
}

}  // namespace stentor::app
