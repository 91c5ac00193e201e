#pragma once
// Between the chain of authenticators and a web service: remembers its answers, asks once where
// many want the same, and says what follows for each client. No sockets: whoever has some is told
// what to ask and tells what came back. Time is handed in. One thread.
//
//     desk.ask({std::move(request), ...}, now);    // perhaps service.ask(id, lane, bytes)
//     const auto question = desk.begin(id);        // when there is a connection for it
//     desk.answered(id, reply, now, wall_ms);      // or turned_away(id)

#include "auth/authenticator.hpp"
#include "auth/http/answer_cache.hpp"
#include "auth/http/login_answer.hpp"
#include "auth/http/login_question.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stentor::auth {

using QuestionId = std::uint64_t;

/// Who has the sockets, and the queue.
class LoginService {
  public:
    /// LoginDesk::answered() or turned_away() follows, unless begin() said that nobody waits any
    /// more; turned_away() also before this returns. `lane`, `bytes`: see FairQueue.
    virtual void ask(QuestionId id, std::uint64_t lane, std::size_t bytes) = 0;

  protected:
    ~LoginService() = default;
};

struct LoginDeskOptions {
    Duration keeps_accepted = std::chrono::seconds{60};  // 0: not at all
    Duration keeps_refused = std::chrono::seconds{5};    // and "ignore"
    std::size_t cache_bytes_max = std::size_t{16} << 20U;
    std::string service = {};  // for the log; no secrets
};

/// What has happened at a desk, and those before it. Any thread may read it.
struct LoginCounters {
    std::atomic<std::uint64_t> asked{0};       // questions to the service that began
    std::atomic<std::uint64_t> remembered{0};  // clients answered from memory
    std::atomic<std::uint64_t> joined{0};      // clients that waited for a question already asked
    std::atomic<std::uint64_t> failures{0};    // questions without an answer
};

/// One of a bounded number; gives its place back when it is destroyed.
class WaitingPlace {
  public:
    WaitingPlace() = default;  // not counted
    explicit WaitingPlace(std::atomic<std::size_t>& taken) noexcept : taken_{&taken} {}
    WaitingPlace(WaitingPlace&& other) noexcept : taken_{std::exchange(other.taken_, nullptr)} {}
    WaitingPlace& operator=(WaitingPlace&&) = delete;
    WaitingPlace(const WaitingPlace&) = delete;
    WaitingPlace& operator=(const WaitingPlace&) = delete;
    ~WaitingPlace() {
        if (taken_ != nullptr) --*taken_;
    }

  private:
    std::atomic<std::size_t>* taken_ = nullptr;
};

class LoginDesk {
  public:
    struct Visitor {
        Request request;
        WaitingPlace place = {};
    };

    /// Both outlive the desk; it counts on in `counters`.
    LoginDesk(LoginDeskOptions options, LoginService& service, LoginCounters& counters);

    void ask(Visitor visitor, Instant now);
    /// What to ask the service, whose turn it is for. From now on whoever waits for it counts as
    /// somebody whose password is being looked at. Nothing: nobody waits any more.
    [[nodiscard]] std::optional<SecretText> begin(QuestionId id);
    /// There is no room for it: whoever waits is to come again.
    void turned_away(QuestionId id);
    void answered(QuestionId id,
                  const Result<HttpReply, HttpFailure>& reply,
                  Instant now,
                  std::int64_t wall_ms);
    /// Whoever waits is told that nobody can say (Outcome::unavailable); for the end.
    void send_all_away();

    [[nodiscard]] std::size_t remembered() const noexcept {
        return accepted_.size() + refused_.size();
    }

  private:
    struct Question {
        Fingerprint fingerprint{};
        bool has_begun = false;
        std::vector<Visitor> visitors = {};
        std::size_t joined_bytes = 0;  // of all but the first
    };
    using Questions = std::unordered_map<QuestionId, Question>;

    Question take(Questions::iterator at);

    void remember(const Fingerprint& question, const LoginVerdict& verdict, Instant now);
    void failed(const HttpFailure& failure, Instant now);
    void works_again(Instant now);

    const LoginDeskOptions options_;
    LoginService& service_;
    const FingerprintMaker fingerprints_;
    // Apart, so that whoever makes up names does not drive out those who are known.
    AnswerCache accepted_;
    AnswerCache refused_;
    Questions open_;
    std::size_t joined_bytes_ = 0;  // of all questions
    std::unordered_map<Fingerprint, QuestionId, AnswerCache::FirstBytes> open_by_fingerprint_;
    QuestionId next_id_ = 1;
    LoginCounters& counters_;
    std::uint64_t failures_in_a_row_ = 0;
    LogEvery failure_lines_;
    LogEvery recovery_lines_;
};

}  // namespace stentor::auth
