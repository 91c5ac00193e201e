#include "server/app/doors.hpp"

#include "base/clock.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace stentor::app {

namespace {

using server::TlsFinding;
using server::TlsProblem;

server::ClientCertificates client_certificates(config::ClientCertificate wanted) {
    switch (wanted) {
        case config::ClientCertificate::none:
            break;
        case config::ClientCertificate::optional:
            return server::ClientCertificates::optional;
        case config::ClientCertificate::required:
            return server::ClientCertificates::required;
    }
    return server::ClientCertificates::none;
}

std::vector<std::string> files_of(const config::TlsOptions& options) {
    const server::TlsOptions tls = tls_options(options);
    std::vector<std::string> files{tls.client_ca_file, tls.client_crl_file};
    for (const server::TlsOptions::Pair& pair : tls.certificates) {
        files.push_back(pair.certificate_file);
        files.push_back(pair.key_file);
    }
    std::erase(files, std::string{});
    return files;
}

bool is_about_list(TlsFinding::Kind kind) noexcept {
    return kind == TlsFinding::Kind::revocation_list_expired ||
           kind == TlsFinding::Kind::revocation_list_not_yet_valid;
}

/// Whether clients are locked out in the same way already: who comes to the same certificate, all
/// who show one, or those of the same list.
bool holds(const std::vector<TlsFinding>& findings, const TlsFinding& wanted) {
    return std::any_of(findings.begin(), findings.end(), [&wanted](const TlsFinding& each) {
        return each.kind == wanted.kind && each.weight <= wanted.weight &&
               each.certificate == wanted.certificate &&
               (!is_about_list(each.kind) || each.subject == wanted.subject);
    });
}

}  // namespace

server::TlsOptions tls_options(const config::TlsOptions& options) {
    server::TlsOptions tls;
    if (!options.certificate_file.empty()) {
        tls.certificates.push_back({options.certificate_file, options.key_file});
    }
    for (const std::string& pair : options.more_certificates) {
        const std::size_t colon = pair.find(':');  // there is one: config checks
        tls.certificates.push_back({pair.substr(0, colon), pair.substr(colon + 1)});
    }
    tls.client_ca_file = options.client_ca_file;
    tls.client_crl_file = options.client_crl_file;
    tls.client_certificates = client_certificates(options.client_certificate);
    tls.version_min = options.version_min == config::TlsVersion::v1_3 ? server::TlsVersion::tls1_3
                                                                      : server::TlsVersion::tls1_2;
    tls.ciphers = options.ciphers;
    return tls;
}

Result<server::Door, Problem> make_door(const config::ListenerOptions& listener) {
    using config::Scheme;
    server::Door door;
    const Scheme scheme = listener.url.scheme;
    const bool certified = !listener.tls.certificate_file.empty();
    if (scheme == Scheme::mqtts || scheme == Scheme::wss || scheme == Scheme::https) {
        door.tls = server::Door::Tls::always;
    }
    if (scheme == Scheme::automatic && certified) door.tls = server::Door::Tls::sniff;
    if (scheme == Scheme::ws || scheme == Scheme::wss) {
        door.speech = server::Door::Speech::web_socket;
        door.web_socket.path = listener.url.path;
    }
    if (scheme == Scheme::automatic) {
        door.speech = server::Door::Speech::sniff;
        door.web_socket.serves_others = true;
    }
    if (scheme == Scheme::http || scheme == Scheme::https) {
        door.speech = server::Door::Speech::http;
    }
    door.web_socket.origins = listener.allowed_origins;
    door.proxy_header = listener.proxy_protocol;
    if (listener.connections_max != 0) {
        door.connections = std::make_unique<server::ConnectionCount>(listener.connections_max);
    }
    if (listener.connects_per_second_max != 0) {
        door.connects = std::make_unique<server::SecondlyGate>(listener.connects_per_second_max);
    }
    auto trusted = server::NetworkList::parse(listener.trusted_proxies);
    if (!trusted) return Problem{"trusted_proxies has what is no network", {}};
    door.trusted_proxies = std::move(*trusted);
    if (door.tls == server::Door::Tls::never) return door;
    const server::WallTime now{std::chrono::milliseconds{wall_clock_unix_ms()}};
    auto loaded = usable_certificates(listener, nullptr, now);
    if (!loaded) {
        return Problem{to_string(listener.url) + ": " + loaded.error().what, loaded.error().hint};
    }
    door.certificates = std::make_unique<server::TlsSlot>();
    door.certificates->set(*std::move(loaded));
    return door;
}

Result<std::shared_ptr<const server::TlsContext>, TlsProblem> usable_certificates(
    const config::ListenerOptions& listener,
    const server::TlsContext* running,
    server::WallTime now) {
    auto loaded = server::TlsContext::load(tls_options(listener.tls), running);
    if (!loaded) return loaded;
    std::vector<TlsFinding> old;
    if (running != nullptr) old = running->review().at(now);
    for (TlsFinding& finding : (*loaded)->review().at(now)) {
        if (finding.weight == TlsFinding::Weight::warning) continue;
        const bool hinders_start = finding.kind == TlsFinding::Kind::revocation_list_expired &&
                                   finding.weight == TlsFinding::Weight::locks_out;
        if (running == nullptr ? hinders_start : !holds(old, finding)) {
            return std::move(finding.problem);
        }
    }
    return loaded;
}

std::string tls_key(const std::string& file, const config::TlsOptions& tls, std::size_t number) {
    const std::string here = "listener." + std::to_string(number) + ".tls.";
    if (file.empty() && !tls.ciphers.empty()) return here + "ciphers";
    if (file.empty() || file == tls.certificate_file) return here + "certificate";
    if (file == tls.key_file) return here + "key";
    if (file == tls.client_ca_file) return here + "client_ca";
    if (file == tls.client_crl_file) return here + "client_crl";
    return here + "more_certificates";
}

std::vector<config::ListenerOptions> with_tls_of(
    std::vector<config::ListenerOptions> running,
    const std::vector<config::ListenerOptions>& fresh) {
    std::vector<bool> used(fresh.size());
    for (config::ListenerOptions& listener : running) {
        for (std::size_t i = 0; i < fresh.size(); ++i) {
            if (used[i] || !(fresh[i].url == listener.url)) continue;
            used[i] = true;
            const config::TlsOptions& tls = fresh[i].tls;
            if (tls.certificate_file.empty() == listener.tls.certificate_file.empty()) {
                listener.tls = tls;
            }
            break;
        }
    }
    return running;
}

bool tls_appears_or_goes(const std::vector<config::ListenerOptions>& running,
                         const std::vector<config::ListenerOptions>& fresh) {
    return !std::equal(running.begin(),
                       running.end(),
                       fresh.begin(),
                       fresh.end(),
                       [](const auto& one, const auto& other) {
                           return !(one.url == other.url) || one.tls.certificate_file.empty() ==
                                                                 other.tls.certificate_file.empty();
                       }) &&
           running.size() == fresh.size();
}

std::vector<std::string> certificate_files(const std::vector<config::ListenerOptions>& listeners) {
    std::vector<std::string> all;
    for (const config::ListenerOptions& listener : listeners) {
        std::vector<std::string> files = files_of(listener.tls);
        all.insert(all.end(),
                   std::make_move_iterator(files.begin()),
                   std::make_move_iterator(files.end()));
    }
    return all;
}

}  // namespace stentor::app
