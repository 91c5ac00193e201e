#include "server/app/certificate_watch.hpp"

#include "base/log.hpp"
#include "server/app/doors.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace stentor::app {

namespace {

using server::TlsFinding;
using server::WallTime;

constexpr std::chrono::hours kTellAgain{24};
constexpr std::chrono::minutes kTryAgain{1};

/// Not if the clock was set back: rather twice than not.
bool is_within(WallTime now, WallTime since, WallTime::duration time) {
    return now >= since && now < since + time;
}

}  // namespace

CertificateWatch::CertificateWatch(const std::vector<std::string>& urls,
                                   std::vector<server::Door>& doors)
    : urls_{urls}, doors_{doors} {}

Result<void, TlsRefusal> CertificateWatch::would_take(
    const std::vector<config::ListenerOptions>& listeners, WallTime now) const {
    for (std::size_t i = 0; i < doors_.size() && i < listeners.size(); ++i) {
        if (doors_[i].certificates == nullptr) continue;
        const auto running = doors_[i].certificates->get();
        const auto usable = usable_certificates(listeners[i], running.get(), now);
        if (usable) continue;
        return TlsRefusal{.listener = i,
                          .file = usable.error().file,
                          .why = {urls_[i] + ": " + usable.error().what, usable.error().hint}};
    }
    return {};
}

void CertificateWatch::renew(const std::vector<config::ListenerOptions>& listeners, WallTime now) {
    (void)files_.changed(certificate_files(listeners));
    for (std::size_t i = 0; i < doors_.size() && i < listeners.size(); ++i) {
        if (doors_[i].certificates == nullptr) continue;
        renew_door(i, listeners[i], now, Silence::no);
        tell(i, now);
    }
}

void CertificateWatch::renew_door(std::size_t number,
                                  const config::ListenerOptions& listener,
                                  WallTime now,
                                  Silence silence) {
    kept_.resize(doors_.size());
    server::TlsSlot& slot = *doors_[number].certificates;
    const auto running = slot.get();
    auto usable = usable_certificates(listener, running.get(), now);
    if (!usable) {
        keep(number, usable.error(), now, silence);
        return;
    }
    slot.set(*std::move(usable));
    kept_[number] = {};
    std::erase_if(told_, [number](const Told& told) { return told.door == number; });
    STENTOR_LOG(info,
                LogEvent("certificates_renewed", {{"listener", urls_[number]}}),
                "new connections to {} get the certificates as they are now",
                urls_[number]);
}

void CertificateWatch::keep(std::size_t number,
                            const server::TlsProblem& problem,
                            WallTime now,
                            Silence silence) {
    Kept& kept = kept_[number];
    kept.is = true;
    kept.tried = now;
    const bool changed = std::exchange(kept.why, problem.what) != problem.what;
    if (silence == Silence::unless_changed && !changed) return;
    STENTOR_LOG(
        error,
        LogEvent("certificates_kept", {{"listener", urls_[number]}, {"file", problem.file}}),
        "the old certificates stay in force: {} ({})",
        problem.what,
        problem.hint);
}

void CertificateWatch::look(const std::vector<config::ListenerOptions>& listeners, WallTime now) {
    if (files_.changed(certificate_files(listeners))) {
        renew(listeners, now);
        return;
    }
    for (std::size_t i = 0; i < doors_.size() && i < listeners.size(); ++i) {
        if (doors_[i].certificates == nullptr) continue;
        if (i < kept_.size() && kept_[i].is && !is_within(now, kept_[i].tried, kTryAgain)) {
            renew_door(i, listeners[i], now, Silence::unless_changed);
        }
        tell(i, now);
    }
}

void CertificateWatch::tell(std::size_t number, WallTime now) {
    const std::vector<TlsFinding> findings = doors_[number].certificates->get()->review().at(now);
    const auto is_about = [number](const Told& told, const TlsFinding& finding) {
        return told.door == number && told.kind == finding.kind &&
               told.about == finding.problem.file + std::to_string(finding.certificate);
    };
    for (const TlsFinding& finding : findings) {
        const auto told = std::find_if(
            told_.begin(), told_.end(), [&](const Told& each) { return is_about(each, finding); });
        if (told != told_.end() && is_within(now, told->at, kTellAgain)) continue;
        tell(number, finding);
        if (told != told_.end()) {
            told->at = now;
        } else {
            told_.push_back({number,
                             finding.kind,
                             finding.problem.file + std::to_string(finding.certificate),
                             now});
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
    const bool locks_out = finding.weight == TlsFinding::Weight::locks_out;
    const LogLevel level = locks_out ? LogLevel::error : LogLevel::warn;
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
