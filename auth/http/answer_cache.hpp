#pragma once
// Answers of a web service, remembered for a while: by the fingerprint of the question, so that no
// password is kept. Bounded in bytes: what was used longest ago gives way.
// Pure: time is handed in. One thread.

#include "auth/http/login_answer.hpp"
#include "auth/http/login_question.hpp"
#include "base/clock.hpp"

#include <cstddef>
#include <cstring>
#include <list>
#include <unordered_map>

namespace stentor::auth {

/// An answer on its way to clients: `valid_for` has become a point in time.
struct LoginVerdict {
    LoginAnswer answer;
    Instant ends = kNever;
};

class AnswerCache {
  public:
    struct FirstBytes {  // of a keyed hash: nobody can choose them
        std::size_t operator()(const Fingerprint& of) const noexcept {
            std::size_t hash = 0;
            std::memcpy(&hash, of.data(), sizeof hash);
            return hash;
        }
    };

    /// 0: nothing is kept.
    explicit AnswerCache(std::size_t bytes_max) noexcept : bytes_max_{bytes_max} {}

    /// Null: there is none, or its time is over. Until the next call of a function that is not
    /// const.
    [[nodiscard]] const LoginVerdict* find(const Fingerprint& question, Instant now);
    /// In the place of an earlier one.
    void put(const Fingerprint& question, LoginVerdict verdict, Instant until);

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  private:
    struct Entry {
        Fingerprint question;
        LoginVerdict verdict;
        Instant until;
        std::size_t bytes;
    };
    using Entries = std::list<Entry>;

    void forget(Entries::iterator entry);

    const std::size_t bytes_max_;
    std::size_t bytes_ = 0;
    Entries entries_;  // what was used last in front
    std::unordered_map<Fingerprint, Entries::iterator, FirstBytes> places_;
};

}  // namespace stentor::auth
