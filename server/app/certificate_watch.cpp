#include "server/app/certificate_watch.hpp"

#include "base/log.hpp"
#include "server/app/doors.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace stentor::app {

namespace {

using server::TlsFinding;
using server::TlsProblem;
using server::WallTime;

constexpr std::chrono::hours kTellAgain{24};
constexpr std::chrono::minutes kTryAgain{1};

/// Not if the clock was set back: rather twice than not.
bool is_within(WallTime now, WallTime since, WallTime::duration time) {
    return now >= since && now < since + time;
}

/// One file may hold several.
std::string about(const TlsFinding& finding) {
    return finding.problem.file + ' ' + std::to_string(finding.certificate) + ' ' + finding.subject;
}

TlsRefusal refusal_of(std::size_t number, TlsProblem problem) {
    return {.listener = number,
            .file = std::move(problem.file),
            .why = {std::move(problem.what), std::move(problem.hint)}};
}

}  // namespace

CertificateWatch::CertificateWatch(const std::vector<std::string>& urls,
                                   std::vector<server::Door>& doors)
    : urls_{urls}, doors_{doors} {}

std::vector<TlsRefusal> CertificateWatch::renew(
    const std::vector<config::ListenerOptions>& listeners, WallTime now) {
    (void)files_.changed(certificate_files(listeners));
    return take(load(listeners, now), listeners, now);
}

Result<std::vector<TlsRefusal>, TlsMistakes> CertificateWatch::reload(
    const std::vector<config::ListenerOptions>& listeners, WallTime now) {
    (void)files_.changed(certificate_files(listeners));  // before they are read
    auto loaded = load(listeners, now);
    TlsMistakes mistakes;
    for (std::size_t i = 0; i < loaded.size(); ++i) {
        if (!loaded[i] || loaded[i]->has_value()) continue;
        if (i < in_force_.size() && in_force_[i] == listeners[i].tls) continue;
        mistakes.all.push_back(refusal_of(i, loaded[i]->error()));
    }
    if (!mistakes.all.empty()) return mistakes;
    return {boost::system::in_place_value, take(std::move(loaded), listeners, now)};
}

/// What each door would get; nothing for those without TLS.
std::vector<std::optional<CertificateWatch::Loaded>> CertificateWatch::load(
    const std::vector<config::ListenerOptions>& listeners, WallTime now) const {
    std::vector<std::optional<Loaded>> loaded(std::min(doors_.size(), listeners.size()));
    for (std::size_t i = 0; i < loaded.size(); ++i) {
        if (doors_[i].certificates == nullptr) continue;
        const auto running = doors_[i].certificates->get();
        loaded[i].emplace(usable_certificates(listeners[i], running.get(), now));
    }
    return loaded;
}

std::vector<TlsRefusal> CertificateWatch::take(
    std::vector<std::optional<Loaded>> loaded,
    const std::vector<config::ListenerOptions>& listeners,
    WallTime now) {
    know(listeners);
    std::vector<TlsRefusal> kept;
    for (std::size_t i = 0; i < loaded.size(); ++i) {
        if (!loaded[i]) continue;
        if (auto problem = take_door(i, *std::move(loaded[i]), listeners[i].tls, now)) {
            kept_[i].told = now;
            kept.push_back(refusal_of(i, *std::move(problem)));
        }
        tell(i, now);
    }
    return kept;
}

/// Fails with the reason why the door keeps what it has.
std::optional<TlsProblem> CertificateWatch::take_door(std::size_t number,
                                                      Loaded loaded,
                                                      const config::TlsOptions& options,
                                                      WallTime now) {
    kept_.resize(doors_.size());
    Kept& kept = kept_[number];
    kept.tried = now;
    if (!loaded) {
        kept.why = loaded.error().what + loaded.error().hint;
        return loaded.error();
    }
    in_force_[number] = options;
    server::TlsSlot& slot = *doors_[number].certificates;
    const bool was_kept = !std::exchange(kept.why, {}).empty();
    const bool is_new = !(*loaded)->is_like(*slot.get());
    slot.set(*std::move(loaded));
    std::erase_if(told_, [number](const Told& told) { return told.door == number; });
    if (!is_new && !was_kept) return std::nullopt;
    STENTOR_LOG(info,
                LogEvent("certificates_renewed", {{"listener", urls_[number]}}),
                "new connections to {} get the certificates as they are now",
                urls_[number]);
    return std::nullopt;
}

void CertificateWatch::try_again(std::size_t number,
                                 const config::ListenerOptions& listener,
                                 WallTime now) {
    Kept& kept = kept_[number];
    const std::string before = kept.why;
    const auto running = doors_[number].certificates->get();
    const auto problem =
        take_door(number, usable_certificates(listener, running.get(), now), listener.tls, now);
    if (!problem || (kept.why == before && is_within(now, kept.told, kTellAgain))) return;
    kept.told = now;
    tell_kept(number, *problem);
}

void CertificateWatch::tell_kept(std::size_t number, const TlsProblem& problem) const {
    STENTOR_LOG(
        error,
        LogEvent("certificates_kept", {{"listener", urls_[number]}, {"file", problem.file}}),
        "the old certificates stay in force: {} ({})",
        problem.what,
        problem.hint);
}

/// The doors were made of the listeners that this sees first.
void CertificateWatch::know(const std::vector<config::ListenerOptions>& listeners) {
    for (std::size_t i = in_force_.size(); i < doors_.size() && i < listeners.size(); ++i) {
        in_force_.push_back(listeners[i].tls);
    }
}

void CertificateWatch::look(const std::vector<config::ListenerOptions>& listeners, WallTime now) {
    know(listeners);
    if (files_.changed(certificate_files(listeners))) {
        for (const TlsRefusal& kept : renew(listeners, now)) {
            tell_kept(kept.listener, {kept.why.what, kept.why.hint, kept.file});
        }
        return;
    }
    for (std::size_t i = 0; i < doors_.size() && i < listeners.size(); ++i) {
        if (doors_[i].certificates == nullptr) continue;
        const bool keeps = i < kept_.size() && !kept_[i].why.empty();
        if (keeps && !is_within(now, kept_[i].tried, kTryAgain)) try_again(i, listeners[i], now);
        tell(i, now);
    }
}

void CertificateWatch::tell(std::size_t number, WallTime now) {
    const std::vector<TlsFinding> findings = doors_[number].certificates->get()->review().at(now);
    const auto is_about = [number](const Told& told, const TlsFinding& finding) {
        return told.door == number && told.kind == finding.kind && told.about == about(finding);
    };
    for (const TlsFinding& finding : findings) {
        const auto told = std::find_if(
            told_.begin(), told_.end(), [&](const Told& each) { return is_about(each, finding); });
        if (told != told_.end() && is_within(now, told->at, kTellAgain)) continue;
        tell(number, finding);
        if (told != told_.end()) {
            told->at = now;
        } else {
            told_.push_back({number, finding.kind, about(finding), now});
        }
    }
    std::erase_if(told_, [&](const Told& each) {
        return each.door == number &&
               std::none_of(findings.begin(), findings.end(), [&](const TlsFinding& finding) {
                   return is_about(each, finding);
               });
    });
}

void CertificateWatch::tell(std::size_t number, const TlsFinding& finding) const {
    const bool warns = finding.weight == TlsFinding::Weight::warning;
    const LogLevel level = warns ? LogLevel::warn : LogLevel::error;
    if (!log_enabled(level)) return;
    const char* const event = name(finding.kind);
    const std::string& file = finding.problem.file;
    const std::string& url = urls_[number];
    if (finding.days) {
        log_line(level,
                 LogEvent(event, {{"listener", url}, {"file", file}, {"days", *finding.days}}),
                 "{} ({})",
                 finding.problem.what,
                 finding.problem.hint);
        return;
    }
    log_line(level,
             LogEvent(event, {{"listener", url}, {"file", file}}),
             "{} ({})",
             finding.problem.what,
             finding.problem.hint);
}

}  // namespace stentor::app
