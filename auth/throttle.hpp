#pragma once
// Slows down whoever guesses passwords: after a few failures from an address, or for a user,
// further attempts are refused before anything is hashed, until failures are forgotten, one at a
// time.
//
//     if (throttle.refuses(attempt, now)) ...                  // cheap, before it waits its turn
//     const auto reserved = throttle.begin(attempt, now);      // nothing: refused by now
//     throttle.failed(attempt, now, *reserved)  or succeeded() or undecided()
//
// Guesses made side by side count like those made one after the other: what is being looked at
// counts as a failure until it turns out to be none.
//
// What counts does not depend on whether the user exists. Nobody can lock another one out for long:
// a user's failures, from wherever they came, refuse only attempts for that user from addresses
// where such an attempt has failed. The bound of an address is far wider: thousands of phones may
// have the same one, and some of them a wrong password; and who has come in from there lately is
// let in whatever the others do. Addresses that many share without telling (loopback, a proxy that
// does not say for whom) are not counted and not refused.
//
// Any thread. Fixed memory: see entries in the options; LeakyTable says what happens at the bound.

#include "base/clock.hpp"
#include "base/hash.hpp"
#include "base/leaky_table.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>

namespace stentor::auth {

struct ThrottleOptions {
    std::uint32_t failures_per_address_max = 100;  // 0: no bound
    std::uint32_t failures_per_user_max = 10;      // 0: no bound
    Duration forgets_one_after =
        std::chrono::seconds{10};  // of a user; an address's ten times as fast
};

class Throttle {
  public:
    /// `entries` of addresses, of users, and of pairs of them that failed, or came in: 16 bytes
    /// each.
    Throttle(const ThrottleOptions& options, const HashKey& key, std::size_t entries = 1U << 16U);

    /// From now on; what has been counted stays.
    void set_options(const ThrottleOptions& options);

    /// Who tries. A value.
    struct Attempt {
        std::uint64_t address = 0;  // 0: shared by many, not counted
        std::uint64_t network = 0;  // 0: of IPv4
        std::uint64_t user = 0;     // 0: gives no name
        std::uint64_t pair = 0;
    };
    /// `address` is numeric or empty; of an IPv6 address the first 64 bits count: they are one
    /// customer's. Some have 48: those together may fail as often as sixteen addresses. `user` as
    /// CONNECT gives it, or empty.
    [[nodiscard]] Attempt attempt(std::string_view address, std::string_view user) const noexcept;

    [[nodiscard]] bool refuses(const Attempt& attempt, Instant now);

    /// What an attempt under way has been counted in.
    struct Reserved {
        bool address = false;
        bool network = false;
        bool user = false;
        bool pair = false;
    };
    /// refuses() once more, as of now; if not, the attempt counts as failed until it is told how it
    /// ended.
    [[nodiscard]] std::optional<Reserved> begin(const Attempt& attempt, Instant now);
    void failed(const Attempt& attempt, Instant now);  // one that did not begin()
    void failed(const Attempt& attempt, Instant now, const Reserved& reserved);
    void succeeded(const Attempt& attempt, Instant now);  // the same
    void succeeded(const Attempt& attempt, Instant now, const Reserved& reserved);
    /// Nothing has been learned about it.
    void undecided(const Attempt& attempt, const Reserved& reserved);

    /// How many it has refused.
    [[nodiscard]] std::uint64_t refused() const;

  private:
    [[nodiscard]] bool is_too_many(const Attempt& attempt, Instant now) const noexcept;
    [[nodiscard]] Reserved count(const Attempt& attempt, Instant now) noexcept;
    void give_back(const Attempt& attempt, const Reserved& reserved) noexcept;
    [[nodiscard]] Duration address_forgets_after() const noexcept;
    [[nodiscard]] Duration network_forgets_after() const noexcept;

    const HashKey key_;
    mutable std::mutex mutex_;  // guards what follows
    ThrottleOptions options_;
    LeakyTable addresses_;  // and networks
    LeakyTable users_;
    LeakyTable pairs_;
    LeakyTable known_;  // pairs that came in: how long they are remembered
    std::uint64_t refused_ = 0;
};

}  // namespace stentor::auth
