#include "server/app/check_command.hpp"

#include "base/clock.hpp"
#include "base/log.hpp"
#include "persistence/sqlite/inspect/glance.hpp"
#include "server/app/access.hpp"
#include "server/app/bind_check.hpp"
#include "server/app/doors.hpp"
#include "server/app/exit_code.hpp"
#include "server/app/port_owner.hpp"
#include "server/config/reference.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <sys/stat.h>
#include <system_error>
#include <utility>

namespace stentor::app {
namespace {

using config::Diagnostic;

/// Collects what was found; good news goes to stdout, bad news to stderr.
class Report {
  public:
    void good(std::string_view about, std::string_view what) {
        std::cout << about << std::string(about.size() < 14 ? 14 - about.size() : 1, ' ') << what
                  << '\n';
    }
    void mistakes(std::vector<Diagnostic> diagnostics) {
        config::point_to_origins(diagnostics, origins_);
        std::cerr << config::render(diagnostics);
        code_ = kExitUsage;
    }
    /// Where the keys were given, for the mistakes that follow.
    void know(config::Origins origins) { origins_ = std::move(origins); }
    void warnings(const std::vector<Diagnostic>& diagnostics) {
        std::cerr << config::render(diagnostics, "warning");
    }
    void warning(Diagnostic diagnostic) {
        std::vector<Diagnostic> one{std::move(diagnostic)};
        config::point_to_origins(one, origins_);
        warnings(one);
    }
    void not_ready(const Problem& problem) {
        std::cerr << "error: " << problem.what << '\n';
        if (!problem.hint.empty()) std::cerr << "     = " << problem.hint << '\n';
        code_ = std::max(code_, kExitFailed);
    }
    /// The same of what a key names: shown where that key was given.
    void not_ready(Diagnostic diagnostic) {
        std::vector<Diagnostic> one{std::move(diagnostic)};
        config::point_to_origins(one, origins_);
        std::cerr << config::render(one);
        code_ = std::max(code_, kExitFailed);
    }
    [[nodiscard]] int code() const noexcept { return code_; }

  private:
    config::Origins origins_;
    int code_ = kExitOk;
};

void check_access(const config::AuthOptions& auth, Report& report) {
    if (!auth.password_file.empty()) {
        if (const auto file = read_password_file(auth.password_file)) {
            report.good("users", std::to_string(file->user_count()) + " in " + auth.password_file);
        } else {
            report.mistakes(file.error());
        }
    }
    if (!auth.acl_file.empty()) {
        if (const auto acl = read_acl_file(auth.acl_file, auth::SubscribePolicy::refuse)) {
            const std::size_t roles = acl->role_count();
            report.good("rules",
                        std::to_string(acl->rule_count()) + " in " + auth.acl_file +
                            (roles == 0 ? "" : ", roles: " + std::to_string(roles)));
        } else {
            report.mistakes(acl.error());
        }
    }
    if (!auth.ban_file.empty()) {
        if (const auto bans = read_ban_file(auth.ban_file)) {
            report.good("bans", std::to_string(bans->size()) + " in " + auth.ban_file);
        } else {
            report.mistakes(bans.error());
        }
    }
}

void check_jwt(const config::JwtOptions& jwt, Report& report) {
    if (!jwt.is_on()) return;
    const auto keys = read_jwt_keys(jwt);
    if (!keys) {
        report.mistakes(keys.error());
        return;
    }
    for (const auth::JwtKey& key : keys->keys()) {
        report.good(
            "token key",
            key.description() + (key.id().empty() ? std::string{} : ", kid \"" + key.id() + '"'));
    }
    for (const std::string& note : keys->notes()) {
        report.good("token key", "left out: " + note);
    }
}

/// errno of making a directory in `place`, 0 if that works. Permissions do not tell: root has them
/// in /proc, where nothing can be made.
int cannot_hold_directories(const std::filesystem::path& place) {
    std::string probe = (place / ".stentor-check-XXXXXX").string();
    if (::mkdtemp(probe.data()) == nullptr) return errno;
    return ::rmdir(probe.c_str()) == 0 ? 0 : errno;
}

void check_login_service(const config::HttpAuthOptions& http, Report& report) {
    if (!http.is_on()) return;
    const auto logins = read_http_logins(http);
    if (!logins) {
        report.mistakes(logins.error());
        return;
    }
    std::string what = logins->desk.service;
    if (logins->uses_tls) {
        what += ", with a certificate from " +
                (http.ca_file.empty() ? "the system's authorities" : http.ca_file);
    }
    report.good("logins", what + " (not asked now)");
}

void check_data_dir(const config::NodeOptions& node, Report& report) {
    if (node.keeps_nothing()) {
        report.good("data", "kept in memory only");
        return;
    }
    std::error_code error;
    std::filesystem::path place = std::filesystem::absolute(node.data_dir, error);
    // What does not exist yet is made; then the directory above it counts.
    const bool exists = std::filesystem::exists(place, error);
    while (!std::filesystem::exists(place, error) && place.has_relative_path()) {
        place = place.parent_path();
    }
    if (!std::filesystem::is_directory(place, error)) {
        report.not_ready(Problem{.what = "the data directory " + node.data_dir +
                                         " cannot be made: " + place.string() +
                                         " is not a directory",
                                 .hint = "set node.data_dir or --data"});
    } else if (const int failed = cannot_hold_directories(place); failed != 0) {
        report.not_ready(Problem{.what = "the data directory " + node.data_dir + " cannot be " +
                                         (exists ? "written: " : "made: ") +
                                         std::generic_category().message(failed) + " (" +
                                         place.string() + ")",
                                 .hint = "give the directory to this user, or set node.data_dir"});
    } else {
        report.good("data", node.data_dir + (exists ? "" : " (will be made)"));
    }
}

/// Not its contents: they take as long as there are, and `stentor store check` is there for them.
void check_store(const config::NodeOptions& node, Report& report) {
    if (node.keeps_nothing()) return;
    const auto glance = store::glance_at(node.data_dir);
    if (!glance) {
        report.not_ready(Problem{.what = glance.error().what, .hint = glance.error().hint});
        return;
    }
    if (!glance->is_there) return;
    std::string what =
        glance->is_older ? "of an earlier version: the next start migrates it" : "of this version";
    what += ", " + std::to_string(glance->segments) + " files of the log";
    report.good("store", what + (glance->is_running ? " (in use by a running stentor)" : ""));
}

/// The broker that is being checked may be running: then its port is rightly in use.
bool held_by_stentor(const config::ListenUrl& url) {
    const auto owner = url.scheme == config::Scheme::unix_socket ? owner_of_unix_socket(url.path)
                                                                 : owner_of_port(url.port);
    return owner && owner->name == "stentor";
}

void check_certificates(const config::Options& options, Report& report) {
    const server::WallTime now{std::chrono::milliseconds{wall_clock_unix_ms()}};
    for (std::size_t number = 0; number < options.listeners.size(); ++number) {
        const config::ListenerOptions& listener = options.listeners[number];
        if (listener.tls.certificate_file.empty()) continue;
        const auto diagnostic = [&listener, number](const server::TlsProblem& problem) {
            return Diagnostic{.source = tls_key(problem.file, listener.tls, number),
                              .place = {},
                              .line_text = {},
                              .what = to_string(listener.url) + ": " + problem.what,
                              .hint = problem.hint};
        };
        const auto context = server::TlsContext::load(tls_options(listener.tls), nullptr);
        if (!context) {
            report.not_ready(diagnostic(context.error()));
            continue;
        }
        bool good = true;
        for (const server::TlsFinding& finding : (*context)->review().at(now)) {
            if (finding.weight == server::TlsFinding::Weight::warning) {
                report.warning(diagnostic(finding.problem));
                continue;
            }
            report.not_ready(diagnostic(finding.problem));
            good = false;
        }
        if (!good) continue;
        const server::TlsReview& review = (*context)->review();
        const auto days =
            std::chrono::duration_cast<std::chrono::days>(review.ends() - now).count();
        report.good("certificate",
                    review.ends_first() + " (ends in " + std::to_string(days) + " days)");
    }
}

void check_listeners(const config::Options& options, Report& report) {
    for (const config::ListenerOptions& listener : options.listeners) {
        const std::string url = to_string(listener.url);
        const auto problem = bind_problem(listener.url);
        if (!problem) {
            report.good("listener", url);
        } else if (held_by_stentor(listener.url)) {
            report.good("listener", url + " (in use by a running stentor)");
        } else {
            report.not_ready(*problem);
        }
    }
}

}  // namespace

int run_check(const CheckArguments& arguments) {
    if (arguments.print == CheckArguments::Print::reference) {
        std::cout << config::reference_markdown();
        return kExitOk;
    }
    if (arguments.print == CheckArguments::Print::example) {
        std::cout << config::example_toml();
        return kExitOk;
    }
    log_start({.level = LogLevel::error, .format = LogFormat::text});
    Report report;
    const auto loaded = config::load(arguments.sources);
    if (!loaded) {
        report.mistakes(loaded.error());
        return report.code();
    }
    if (arguments.question.is_asked()) {
        return answer_rule_question(loaded->options, arguments.question);
    }
    report.good("configuration", arguments.sources.file.value_or("defaults (no file given)"));
    report.warnings(loaded->warnings);
    report.know(loaded->origins);
    check_access(loaded->options.auth, report);
    check_jwt(loaded->options.auth.jwt, report);
    check_login_service(loaded->options.auth.http, report);
    check_data_dir(loaded->options.node, report);
    check_store(loaded->options.node, report);
    check_certificates(loaded->options, report);
    check_listeners(loaded->options, report);
    return report.code();
}

}  // namespace stentor::app
