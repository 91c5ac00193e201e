#include "server/app/doors.hpp"

#include "base/log.hpp"

#include <algorithm>
#include <iterator>
#include <memory>

namespace stentor::app {

namespace {

constexpr std::chrono::hours kWarnBefore{30 * 24};
constexpr std::chrono::hours kWarnBeforeList{2 * 24};  // many live for a week

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
    auto trusted = server::NetworkList::parse(listener.trusted_proxies);
    if (!trusted) return Problem{"trusted_proxies has what is no network", {}};
    door.trusted_proxies = std::move(*trusted);
    if (door.tls == server::Door::Tls::never) return door;
    door.certificates = std::make_unique<server::TlsSlot>();
    STENTOR_TRY_VOID(renew_certificates(listener, door));
    return door;
}

Result<void, Problem> check_certificates(const std::vector<config::ListenerOptions>& listeners) {
    for (const config::ListenerOptions& listener : listeners) {
        if (listener.tls.certificate_file.empty()) continue;
        const auto loaded = server::TlsContext::load(tls_options(listener.tls), nullptr);
        if (loaded) continue;
        return Problem{to_string(listener.url) + ": " + loaded.error().what, loaded.error().hint};
    }
    return {};
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

Result<void, Problem> renew_certificates(const config::ListenerOptions& listener,
                                         server::Door& door) {
    if (door.certificates == nullptr) return {};
    const auto old = door.certificates->get();
    auto loaded = server::TlsContext::load(tls_options(listener.tls), old.get());
    if (!loaded) {
        return Problem{to_string(listener.url) + ": " + loaded.error().what, loaded.error().hint};
    }
    door.certificates->set(std::move(*loaded));
    return {};
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

void warn_of_expiry(const config::ListenerOptions& listener,
                    const server::Door& door,
                    std::chrono::system_clock::time_point now) {
    if (door.certificates == nullptr) return;
    const auto context = door.certificates->get();
    if (context->list_ends() - now < kWarnBeforeList) {
        const std::string& file = listener.tls.client_crl_file;
        STENTOR_LOG(
            warn,
            LogEvent("revocation_list_expires", {{"file", file}}),
            "the revocation list in {} is or will soon be out of date, and then every client "
            "with a certificate is refused: get a new one",
            file);
    }
    const auto left = context->ends() - now;
    if (left > kWarnBefore) return;
    const auto days = std::chrono::duration_cast<std::chrono::hours>(left).count() / 24;
    if (left < std::chrono::seconds{0}) {
        STENTOR_LOG(error,
                    LogEvent("certificate_expired", {{"file", context->ends_first()}}),
                    "the certificate in {} has ended: clients will refuse it",
                    context->ends_first());
        return;
    }
    STENTOR_LOG(warn,
                LogEvent("certificate_expires", {{"file", context->ends_first()}, {"days", days}}),
                "the certificate in {} ends in {} days",
                context->ends_first(),
                days);
}

}  // namespace stentor::app
