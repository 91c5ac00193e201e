#include "server/config/load.hpp"

#include "server/config/service_url.hpp"
#include "server/config/text_file.hpp"
#include "server/config/unknown_key.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

namespace stentor::config {
namespace {

constexpr std::string_view kEnvironmentPrefix = "STENTOR_";
constexpr std::size_t kListenersMax = 256;
constexpr std::array<std::string_view, 7> kSections{
    "node", "listener", "store", "limits", "auth", "http", "logging"};

/// "LIMITS__PACKET_BYTES_MAX" -> "limits.packet_bytes_max".
std::string path_of_variable(std::string_view name) {
    std::string path;
    for (std::size_t i = 0; i < name.size(); ++i) {
        if (name.substr(i, 2) == "__") {
            path += '.';
            ++i;
        } else {
            const char c = name[i];
            path += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        }
    }
    return path;
}

/// "limits.packet_bytes_max" -> "STENTOR_LIMITS__PACKET_BYTES_MAX".
std::string variable_of_path(std::string_view path) {
    std::string name{kEnvironmentPrefix};
    for (const char c : path) {
        if (c == '.') {
            name += "__";
        } else {
            name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        }
    }
    return name;
}

class Loader {
  public:
    Result<Loaded, std::vector<Diagnostic>> run(const Sources& sources) {
        if (sources.file) read_file(*sources.file);
        apply_environment(sources.environment);
        // Before the settings, which may say more about these listeners.
        apply_listen(sources.listen);
        for (const std::string& setting : sources.settings) apply_setting(setting);
        if (sources.data_dir) {
            apply("node.data_dir", *sources.data_dir, "--data " + *sources.data_dir);
        }
        if (errors_.empty()) check_together();
        if (!errors_.empty()) return std::move(errors_);
        return std::move(loaded_);
    }

  private:
    void read_file(const std::string& path) {
        if (path.empty()) {
            fail("configuration file",
                 ValueError{.what = "its name is empty", .hint = "leave -c out to go without one"});
            return;
        }
        auto text = read_text_file(
            path,
            kConfigFileBytesMax,
            "`stentor check --print-example > " + path + "` makes one to begin with");
        if (!text) {
            fail("configuration file", std::move(text).error());
            return;
        }
        read_document(*text, path, loaded_.options, loaded_.origins, errors_);
    }

    void apply_environment(std::vector<std::string> environment) {
        // In order of their names: listener 0 exists before listener 1 is asked for.
        std::sort(environment.begin(), environment.end());
        for (const std::string& entry : environment) {
            const auto equals = entry.find('=');
            if (equals == std::string::npos) continue;
            const std::string_view name = std::string_view{entry}.substr(0, equals);
            if (!name.starts_with(kEnvironmentPrefix)) continue;
            const std::string_view rest = name.substr(kEnvironmentPrefix.size());
            const std::string source = "environment variable " + std::string{name};
            if (rest.find("__") == std::string_view::npos) {
                refuse_if_meant(rest, source);
                continue;
            }
            const std::size_t errors_before = errors_.size();
            apply(path_of_variable(rest), entry.substr(equals + 1), source);
            if (errors_.size() != errors_before) name_variable(errors_.back());
        }
    }

    /// STENTOR_NODE_SHARDS means node.shards; STENTOR_JOBS is somebody else's.
    void refuse_if_meant(std::string_view rest, const std::string& source) {
        const std::string_view section = rest.substr(0, rest.find('_'));
        const std::string name = path_of_variable(section);
        if (std::ranges::find(kSections, name) == kSections.end()) return;
        std::string meant = std::string{kEnvironmentPrefix} + std::string{section} + "__";
        meant += section.size() < rest.size() ? rest.substr(section.size() + 1) : "<KEY>";
        fail(source,
             ValueError{.what = "section and key are separated by two underscores",
                        .hint = "did you mean \"" + meant + "\"?"});
    }

    /// A suggested key is suggested as the variable that sets it.
    static void name_variable(Diagnostic& error) {
        constexpr std::string_view kMean = "did you mean \"";
        if (!error.what.starts_with("unknown key") || !error.hint.starts_with(kMean)) return;
        const std::string path =
            error.hint.substr(kMean.size(), error.hint.rfind('"') - kMean.size());
        error.hint = std::string{kMean} + variable_of_path(path) + "\"?";
    }

    void apply_setting(const std::string& setting) {
        const auto equals = setting.find('=');
        const std::string source = "--set " + setting.substr(0, equals);
        if (equals == std::string::npos || equals == 0) {
            fail("--set " + setting,
                 ValueError{.what = "a setting has a key and a value",
                            .hint = "for example --set limits.receive_maximum=20"});
            return;
        }
        std::string value = setting.substr(equals + 1);
        // Quotes as in the file may stand around a text.
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
            value = value.substr(1, value.size() - 2);
        }
        apply(setting.substr(0, equals), std::move(value), source);
    }

    void apply_listen(const std::vector<std::string>& listen) {
        if (listen.empty()) return;
        loaded_.options.listeners.clear();
        for (const std::string& url : listen) {
            const std::string number = std::to_string(loaded_.options.listeners.size());
            loaded_.options.listeners.emplace_back();
            apply("listener." + number + ".url", url, "--listen " + url);
        }
    }

    void apply(const std::string& path, std::string value, const std::string& source) {
        std::string key_path = path;
        ListenerOptions unused;
        ListenerOptions* listener = &unused;
        if (path.starts_with("listener.")) {
            listener = find_listener(key_path, source);
            if (listener == nullptr) return;
        }
        const Key* key = find_key(key_path);
        if (key == nullptr) {
            fail(source, unknown_path(key_path));
            return;
        }
        auto done = assign(*key, Target{loaded_.options, *listener}, FromText{std::move(value)});
        if (!done) {
            fail(source, std::move(done).error());
            return;
        }
        loaded_.origins[path] = Origin{.source = source, .place = {}, .line_text = {}};
    }

    /// The listener that "listener.0.url" means; the path becomes "listener.url". Null after an
    /// error. Without a number the only listener is meant, and one past the last makes a new one.
    ListenerOptions* find_listener(std::string& path, const std::string& source) {
        std::vector<ListenerOptions>& listeners = loaded_.options.listeners;
        constexpr std::string_view kSection = "listener.";
        const std::string_view rest = std::string_view{path}.substr(kSection.size());
        std::size_t number = 0;
        const auto read = std::from_chars(rest.data(), rest.data() + rest.size(), number);
        if (read.ec != std::errc{}) {
            if (listeners.size() == 1) return &listeners.front();
            fail(source,
                 ValueError{.what = "there are " + std::to_string(listeners.size()) + " listeners",
                            .hint = "say which one: listener.0." + std::string{rest}});
            return nullptr;
        }
        if (number > listeners.size() || number >= kListenersMax) {
            fail(source,
                 ValueError{.what = "there is no listener " + std::to_string(number),
                            .hint = "they count from 0, and the next one is " +
                                    std::to_string(listeners.size())});
            return nullptr;
        }
        if (number == listeners.size()) listeners.emplace_back();
        const std::string name{read.ptr, rest.data() + rest.size()};  // ".url"
        path = "listener" + name;
        return &listeners[number];
    }

    void check_together() {
        const std::vector<ListenerOptions>& listeners = loaded_.options.listeners;
        if (listeners.size() > kListenersMax) {
            fail_at("listener." + std::to_string(kListenersMax) + ".url",
                    "there are " + std::to_string(listeners.size()) + " listeners, and " +
                        std::to_string(kListenersMax) + " are the most",
                    "one that is bound to 0.0.0.0 or [::] serves all addresses");
            return;
        }
        for (std::size_t i = 0; i < listeners.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) check_apart(j, i);
        }
        if (loaded_.options.limits.session_expiry_max == Milliseconds{0}) {
            warn("limits.session_expiry_max",
                 "every session ends with its connection, those of 3.1.1 clients with Clean "
                 "Session 0 too: what comes while they are away is lost",
                 "set how long they are kept, for example \"1d\"; left out, it is 90 days");
        }
        const AuthOptions& auth = loaded_.options.auth;
        check_login_service(auth.http);
        for (std::size_t i = 0; i < listeners.size(); ++i) {
            check_tls(i);
            check_proxies(i);
            const bool has_users = !auth.password_file.empty() || auth.jwt.is_on() ||
                                   auth.http.is_on() ||
                                   listeners[i].tls.client_certificate != ClientCertificate::none;
            const bool open =
                auth.anonymous == AnonymousPolicy::always ||
                (auth.anonymous == AnonymousPolicy::loopback && is_loopback(listeners[i].url));
            if (open || has_users) continue;
            warn("listener." + std::to_string(i) + ".url",
                 "nobody can connect to " + to_string(listeners[i].url) +
                     ": it demands a user, and there are none",
                 "set auth.password_file (see `stentor user add`), [auth.jwt], [auth.http], or "
                 "auth.anonymous = \"always\"");
        }
    }

    void check_login_service(const HttpAuthOptions& http) {
        if (!http.is_on()) {
            if (!http.headers_file.empty() || !http.ca_file.empty() || http.certificates) {
                warn("auth.http.url",
                     "no service is asked: [auth.http] says how, but not whom",
                     "set auth.http.url, or leave the section out");
            }
            return;
        }
        const auto url = parse_service_url(http.url);
        if (!url || url->uses_tls) return;  // check_service_url has told
        if (url->host != "localhost" && !is_loopback_address(url->host)) {
            warn("auth.http.url",
                 "passwords cross the network in clear on their way to " + url->host,
                 "write https://, or run the service on this machine");
        }
        if (!http.ca_file.empty()) {
            warn("auth.http.ca_file",
                 "the service has no certificate to check: it is asked over http://",
                 "write https:// in auth.http.url");
        }
    }

    void check_tls(std::size_t number) {
        const ListenerOptions& listener = loaded_.options.listeners[number];
        const TlsOptions& tls = listener.tls;
        const std::string here = "listener." + std::to_string(number);
        const Scheme scheme = listener.url.scheme;
        const bool needs =
            scheme == Scheme::mqtts || scheme == Scheme::wss || scheme == Scheme::https;
        const bool may = needs || scheme == Scheme::automatic;
        if (tls.certificate_file.empty() != tls.key_file.empty()) {
            fail_at(here + (tls.key_file.empty() ? ".tls.certificate" : ".tls.key"),
                    to_string(listener.url) + " has " +
                        (tls.key_file.empty() ? "a certificate without its key"
                                              : "a key without its certificate"),
                    R"(tls = { certificate = "server.crt", key = "server.key" })");
        } else if (needs && tls.certificate_file.empty()) {
            fail_at(here + ".url",
                    to_string(listener.url) + " has no certificate",
                    "add tls = { certificate = \"server.crt\", key = \"server.key\" } to this "
                    "listener; `stentor init` makes both");
        } else if (!may && !tls.certificate_file.empty()) {
            fail_at(here + ".tls.certificate",
                    to_string(listener.url) + " does not speak TLS",
                    "write mqtts://, wss:// or auto://");
        }
        const bool asks = tls.client_certificate != ClientCertificate::none;
        if (asks && tls.client_ca_file.empty()) {
            fail_at(here + ".tls.client_certificate",
                    "client certificates cannot be checked: client_ca is missing",
                    "name the PEM file of the authority that signs them");
        } else if (!asks && !tls.client_ca_file.empty()) {
            warn(here + ".tls.client_ca",
                 "clients are not asked for certificates",
                 R"(set client_certificate = "required" or "optional")");
        }
        if (!asks && !tls.client_crl_file.empty()) {
            warn(here + ".tls.client_crl",
                 "clients are not asked for certificates, so none is looked up in this list",
                 R"(set client_ca, and client_certificate = "required" or "optional")");
        }
    }

    void check_proxies(std::size_t number) {
        const ListenerOptions& listener = loaded_.options.listeners[number];
        if (!listener.proxy_protocol || !listener.trusted_proxies.empty()) return;
        fail_at("listener." + std::to_string(number) + ".proxy_protocol",
                "no proxy is trusted, so no PROXY header would be believed",
                R"(list them, for example trusted_proxies = ["10.0.0.0/8"])");
    }

    void check_apart(std::size_t first, std::size_t second) {
        const ListenUrl& a = loaded_.options.listeners[first].url;
        const ListenUrl& b = loaded_.options.listeners[second].url;
        const bool both_unix =
            a.scheme == Scheme::unix_socket && b.scheme == Scheme::unix_socket && a.path == b.path;
        const bool both_port = a.scheme != Scheme::unix_socket && b.scheme != Scheme::unix_socket &&
                               a.port != 0 && a.port == b.port && a.host == b.host;
        if (!both_unix && !both_port) return;
        fail_at("listener." + std::to_string(second) + ".url",
                "two listeners cannot share " + to_string(b),
                "give one of them another port");
    }

    [[nodiscard]] Diagnostic diagnostic_at(const std::string& path,
                                           std::string what,
                                           std::string hint) const {
        Diagnostic diagnostic{.source = "configuration",
                              .place = {},
                              .line_text = {},
                              .what = std::move(what),
                              .hint = std::move(hint)};
        if (const auto found = loaded_.origins.find(path); found != loaded_.origins.end()) {
            diagnostic.source = found->second.source;
            diagnostic.place = found->second.place;
            diagnostic.line_text = found->second.line_text;
        }
        return diagnostic;
    }

    void fail_at(const std::string& path, std::string what, std::string hint) {
        errors_.push_back(diagnostic_at(path, std::move(what), std::move(hint)));
    }
    void warn(const std::string& path, std::string what, std::string hint) {
        loaded_.warnings.push_back(diagnostic_at(path, std::move(what), std::move(hint)));
    }
    void fail(std::string source, ValueError error) {
        errors_.push_back(Diagnostic{.source = std::move(source),
                                     .place = {},
                                     .line_text = {},
                                     .what = std::move(error.what),
                                     .hint = std::move(error.hint)});
    }

    Loaded loaded_;
    std::vector<Diagnostic> errors_;
};

bool same_listeners(const std::vector<ListenerOptions>& a, const std::vector<ListenerOptions>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
        return std::all_of(keys().begin(), keys().end(), [&](const Key& key) {
            return !key.of_listener() || key.applies == Applies::at_reload ||
                   format_value(key, x) == format_value(key, y);
        });
    });
}

}  // namespace

Result<Loaded, std::vector<Diagnostic>> load(const Sources& sources) {
    return Loader{}.run(sources);
}

void point_to_origins(std::vector<Diagnostic>& diagnostics, const Origins& origins) {
    for (Diagnostic& diagnostic : diagnostics) {
        const auto found = origins.find(diagnostic.source);
        if (found == origins.end()) continue;
        const Origin& origin = found->second;
        // "--set auth.acl_file" names the key already.
        if (!origin.source.ends_with(found->first)) {
            diagnostic.what = found->first + ": " + diagnostic.what;
        }
        diagnostic.source = origin.source;
        diagnostic.place = origin.place;
        diagnostic.line_text = origin.line_text;
    }
}

std::vector<std::string> process_environment() {
    std::vector<std::string> entries;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        entries.emplace_back(*entry);
    }
    return entries;
}

std::vector<Change> changes(const Options& before, const Options& after) {
    std::vector<Change> found;
    for (const Key& key : keys()) {
        if (key.of_listener()) continue;
        if (format_value(key, before) == format_value(key, after)) continue;
        found.push_back({.path = key.path, .applies = key.applies});
    }
    if (!same_listeners(before.listeners, after.listeners)) {
        found.push_back({.path = "listener", .applies = Applies::at_restart});
    }
    return found;
}

}  // namespace stentor::config
