#pragma once
// Slows down whoever guesses passwords: after a few failures from an address, or for a user,
// further attempts are refused before anything is hashed, until failures are forgotten, one at a
// time.
//
//     if (throttle.refuses(attempt, now)) ...                  // cheap, before it waits its turn
//     if (throttle.begin(attempt, now) != Throttle::Start::begins) ...
//     throttle.failed(attempt, now)  or succeeded()            // unless nothing was learned
//     throttle.end(attempt)
//
// Guesses made side by side count like those made one after the other: no more of them are looked
// at together than may fail.
//
// What counts does not depend on whether the user exists. Nobody can lock another one out for long:
// a user's failures, from wherever they came, refuse only attempts for that user from addresses
// where such an attempt has failed. The bound of an address is far wider: thousands of phones may
// have the same one, and some of them a wrong password; and who has come in from there lately is
// let in whatever the others do. Addresses that many share without telling (loopback, a proxy that
// does not say for whom) have no bound; but together they are one place from which a user's name
// has failed, or has come in, so that who guesses there has the user's bound.
//
// Any thread. Fixed memory (LeakyTable says what happens at the bound), and a few numbers for each
// attempt that has begun and not ended.

#include "base/clock.hpp"
#include "base/hash.hpp"
#include "base/leaky_table.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <unordered_map>

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
        std::uint64_t address = 0;  // 0: shared by many, no bound
        std::uint64_t network = 0;  // 0: of IPv4
        std::uint64_t user = 0;     // 0: gives no name
        std::uint64_t pair = 0;

        [[nodiscard]] bool is_nobody() const noexcept { return address == 0 && user == 0; }
    };
    /// `address` is numeric or empty; of an IPv6 address the first 64 bits count: they are one
    /// customer's. Some have 48: those together may fail as often as sixteen addresses. `user` as
    /// CONNECT gives it, or empty.
    [[nodiscard]] Attempt attempt(std::string_view address, std::string_view user) const noexcept;

    [[nodiscard]] bool refuses(const Attempt& attempt, Instant now);

    enum class Start : std::uint8_t {
        begins,
        refused,             // refuses(), by now
        too_many_undecided,  // it would be if all failed that are being looked at
    };
    /// Before an attempt is looked at. If it begins, end() has to follow.
    [[nodiscard]] Start begin(const Attempt& attempt, Instant now);
    void failed(const Attempt& attempt, Instant now);
    void succeeded(const Attempt& attempt, Instant now);
    /// One that began has been decided; after failed() or succeeded(), so that no other one slips
    /// through between.
    void end(const Attempt& attempt) noexcept;

    /// How many it has refused.
    [[nodiscard]] std::uint64_t refused() const;

  private:
    enum class Counts : std::uint8_t { failures, undecided_as_well };

    [[nodiscard]] bool is_too_many(const Attempt& attempt,
                                   Instant now,
                                   Counts counts) const noexcept;
    [[nodiscard]] Duration address_forgets_after() const noexcept;
    [[nodiscard]] Duration network_forgets_after() const noexcept;

    const HashKey key_;
    mutable std::mutex mutex_;  // guards what follows
    ThrottleOptions options_;
    LeakyTable addresses_;  // and networks
    LeakyTable users_;
    LeakyTable pairs_;
    LeakyTable known_;  // pairs that came in: how long they are remembered
    std::unordered_map<std::uint64_t, std::uint32_t> undecided_;  // by keys of all tables
    std::uint64_t refused_ = 0;
};

}  // namespace stentor::auth
