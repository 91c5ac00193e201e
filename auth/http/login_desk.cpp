#include "auth/http/login_desk.hpp"

#include "auth/executor.hpp"

#include <algorithm>

namespace stentor::auth {
namespace {

constexpr std::uint32_t kLinesMax = 3;
constexpr Duration kLinesInterval = std::chrono::seconds{10};
constexpr std::size_t kRefusedPart = 4;  // of the cache
constexpr std::size_t kJoinedBytesMax = std::size_t{16} << 20U;
constexpr const char* kUnavailable = "the authentication service cannot be asked: ";

/// The name of a client to whom the service gives none.
std::string_view own_name(const ConnectCredentials& client) noexcept {
    if (!client.certificate_name.empty()) return client.certificate_name;
    return client.user ? std::string_view{*client.user} : std::string_view{};
}

void conclude(LoginDesk::Visitor visitor, const LoginVerdict& verdict, Instant now) {
    Request& request = visitor.request;
    const LoginAnswer& answer = verdict.answer;
    if (answer.result == LoginResult::ignore) {
        std::move(request).pass_on();
        return;
    }
    if (answer.result == LoginResult::allow && now < verdict.ends) {
        Terms terms{.grants = answer.grants, .roles = answer.roles, .is_admin = answer.is_admin};
        if (verdict.ends != kNever) {
            terms.valid_for = std::chrono::ceil<std::chrono::milliseconds>(verdict.ends - now);
        }
        std::move(request).accept("http", answer.user, std::move(terms));
        return;
    }
    const ConnectCredentials& client = request.credentials();
    const bool tried = client.user.has_value() || client.password.has_value();
    std::string why = "the authentication service refuses";
    if (!answer.reason.empty()) why += ": " + answer.reason;
    std::move(request).deny(tried ? Outcome::bad_credentials : Outcome::not_authorised,
                            std::move(why));
}

}  // namespace

LoginDesk::LoginDesk(LoginDeskOptions options, LoginService& service, LoginCounters& counters)
    : options_{std::move(options)},
      service_{service},
      accepted_{options_.cache_bytes_max - options_.cache_bytes_max / kRefusedPart},
      refused_{options_.cache_bytes_max / kRefusedPart},
      counters_{counters},
      failure_lines_{kLinesMax, kLinesInterval},
      recovery_lines_{kLinesMax, kLinesInterval} {}

void LoginDesk::ask(Visitor visitor, Instant now) {
    const ConnectCredentials& client = visitor.request.credentials();
    const std::size_t bytes = client.bytes();
    const std::uint64_t lane = client.lane;
    // Made once more when its turn comes: it is far larger than what it is made of.
    const Fingerprint fingerprint = fingerprints_.of(login_question(client));
    for (AnswerCache* cache : {&accepted_, &refused_}) {
        const LoginVerdict* const known = cache->find(fingerprint, now);
        if (known == nullptr) continue;
        ++counters_.remembered;
        conclude(std::move(visitor), *known, now);
        return;
    }
    const auto [open, is_new] = open_by_fingerprint_.try_emplace(fingerprint, next_id_);
    if (!is_new) {
        Question& question = open_.at(open->second);
        if (question.has_begun && !visitor.request.begins()) return;
        if (joined_bytes_ + bytes > kJoinedBytesMax) {
            std::move(visitor.request).deny(Outcome::overloaded, kNoRoom);
            return;
        }
        ++counters_.joined;
        joined_bytes_ += bytes;
        question.joined_bytes += bytes;
        question.visitors.push_back(std::move(visitor));
        return;
    }
    const QuestionId id = next_id_++;
    Question& question = open_[id];
    question.fingerprint = fingerprint;
    question.visitors.push_back(std::move(visitor));
    service_.ask(id, lane, bytes);
}

std::optional<SecretText> LoginDesk::begin(QuestionId id) {
    const auto at = open_.find(id);
    if (at == open_.end()) return std::nullopt;  // they were sent away
    Question& question = at->second;
    // Guesses made side by side count as well; and nothing is asked about who has gone.
    std::vector<Visitor> still_there;
    for (Visitor& visitor : question.visitors) {
        if (visitor.request.begins()) still_there.push_back(std::move(visitor));
    }
    question.visitors = std::move(still_there);
    if (question.visitors.empty()) {
        (void)take(at);
        return std::nullopt;
    }
    question.has_begun = true;
    ++counters_.asked;
    return login_question(question.visitors.front().request.credentials());
}

void LoginDesk::turned_away(QuestionId id) {
    const auto at = open_.find(id);
    if (at == open_.end()) return;
    for (Visitor& visitor : take(at).visitors) {
        std::move(visitor.request).deny(Outcome::overloaded, kNoRoom);
    }
}

LoginDesk::Question LoginDesk::take(Questions::iterator at) {
    Question question = std::move(at->second);
    open_.erase(at);
    open_by_fingerprint_.erase(question.fingerprint);
    joined_bytes_ -= question.joined_bytes;
    return question;
}

void LoginDesk::answered(QuestionId id,
                         const Result<HttpReply, HttpFailure>& reply,
                         Instant now,
                         std::int64_t wall_ms) {
    const auto at = open_.find(id);
    if (at == open_.end()) return;  // they were sent away
    Question question = take(at);

    // All visitors of a question have said the same.
    const ConnectCredentials& client = question.visitors.front().request.credentials();
    Result<LoginAnswer, HttpFailure> answer = HttpFailure{};
    if (reply) {
        answer = read_login_answer(
            *reply, {.client_id = client.client_id, .user = own_name(client)}, wall_ms);
    } else {
        answer = reply.error();
    }
    if (!answer) {
        failed(answer.error(), now);
        for (Visitor& visitor : question.visitors) {
            std::move(visitor.request)
                .deny(Outcome::unavailable, kUnavailable + answer.error().why);
        }
        return;
    }
    works_again(now);
    LoginVerdict verdict{.answer = *std::move(answer)};
    if (verdict.answer.valid_for) verdict.ends = saturating_add(now, *verdict.answer.valid_for);
    remember(question.fingerprint, verdict, now);
    for (Visitor& visitor : question.visitors) conclude(std::move(visitor), verdict, now);
}

void LoginDesk::remember(const Fingerprint& question, const LoginVerdict& verdict, Instant now) {
    const bool is_accepted = verdict.answer.result == LoginResult::allow;
    const Duration keeps = is_accepted ? options_.keeps_accepted
                                       : std::min(options_.keeps_accepted, options_.keeps_refused);
    if (keeps <= Duration{0}) return;
    AnswerCache& cache = is_accepted ? accepted_ : refused_;
    cache.put(question, verdict, std::min(saturating_add(now, keeps), verdict.ends));
}

void LoginDesk::send_all_away() {
    open_by_fingerprint_.clear();
    joined_bytes_ = 0;
    for (auto& [id, question] : std::exchange(open_, {})) {
        for (Visitor& visitor : question.visitors) {
            std::move(visitor.request)
                .deny(Outcome::unavailable, kUnavailable + std::string{"the broker is stopping"});
        }
    }
}

void LoginDesk::failed(const HttpFailure& failure, Instant now) {
    ++failures_in_a_row_;
    const std::uint64_t all = ++counters_.failures;
    const auto pass = failure_lines_.admit(now);
    if (!pass) return;
    STENTOR_LOG(
        warn,
        LogEvent(
            "auth_service_failed",
            {{"service", options_.service}, {"failures", all}, {"suppressed", pass.suppressed}}),
        "the authentication service cannot be asked, clients are told to come back: {}",
        failure.why);
}

void LoginDesk::works_again(Instant now) {
    if (failures_in_a_row_ == 0) return;
    const std::uint64_t failures = std::exchange(failures_in_a_row_, 0);
    const auto pass = recovery_lines_.admit(now);
    if (!pass) return;
    STENTOR_LOG(
        info,
        LogEvent("auth_service_answers", {{"service", options_.service}, {"failures", failures}}),
        "the authentication service answers again");
}

}  // namespace stentor::auth
