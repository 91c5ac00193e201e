#include "auth/throttle.hpp"

#include "base/address.hpp"

#include <algorithm>
#include <string>

namespace stentor::auth {

namespace {

constexpr Duration kKnownFor = std::chrono::hours{24};
constexpr int kAddressForgetsFaster = 10;

/// Whether a level stands for so many failures; the last of them may be partly forgotten.
bool has_failed(Duration level, std::uint32_t times, Duration each) noexcept {
    return level > (times - 1) * each;
}

/// Apart from what the other tables are asked; never 0, which is nobody.
std::uint64_t hash_of(const HashKey& key, char kind, std::string_view text) {
    return keyed_hash(key, std::string{kind}.append(text)) | 1U;
}

}  // namespace

Throttle::Throttle(const ThrottleOptions& options, const HashKey& key, std::size_t entries)
    : key_{key},
      options_{options},
      addresses_{entries},
      users_{entries},
      pairs_{entries},
      known_{entries} {}

void Throttle::set_options(const ThrottleOptions& options) {
    const std::lock_guard lock{mutex_};
    options_ = options;
}

Throttle::Attempt Throttle::attempt(std::string_view address,
                                    std::string_view user) const noexcept {
    Attempt attempt;
    const auto who = AddressKey::of(address);
    if (who && !who->is_loopback()) attempt.address = hash_of(key_, 'a', who->text());
    if (!user.empty()) attempt.user = hash_of(key_, 'u', user);
    if (attempt.address != 0 && attempt.user != 0) {
        attempt.pair = hash_of(key_, 'p', std::string{who->text()}.append(user));
    }
    return attempt;
}

bool Throttle::refuses(const Attempt& attempt, Instant now) {
    if (attempt.address == 0) return false;
    const std::lock_guard lock{mutex_};
    const Duration each = options_.forgets_one_after;
    const bool address =
        options_.failures_per_address_max != 0 && has_failed(addresses_.level(attempt.address, now),
                                                             options_.failures_per_address_max,
                                                             each / kAddressForgetsFaster);
    const bool user =
        options_.failures_per_user_max != 0 && attempt.pair != 0 &&
        has_failed(pairs_.level(attempt.pair, now), 1, each) &&
        has_failed(users_.level(attempt.user, now), options_.failures_per_user_max, each);
    if (!address && !user) return false;
    if (attempt.pair != 0 && known_.level(attempt.pair, now) != Duration::zero()) return false;
    ++refused_;
    return true;
}

void Throttle::failed(const Attempt& attempt, Instant now) {
    if (attempt.address == 0) return;
    const std::lock_guard lock{mutex_};
    // Answers that come in a crowd do not pile up: no more is remembered than the bound.
    const auto count =
        [now](LeakyTable& table, std::uint64_t key, std::uint32_t times_max, Duration each) {
            if (times_max == 0 || has_failed(table.level(key, now), times_max, each)) return;
            (void)table.add(key, each, now);
        };
    const Duration each = options_.forgets_one_after;
    count(addresses_,
          attempt.address,
          options_.failures_per_address_max,
          each / kAddressForgetsFaster);
    if (attempt.pair == 0) return;
    count(users_, attempt.user, options_.failures_per_user_max, each);
    count(pairs_, attempt.pair, options_.failures_per_user_max, each);
    known_.forget(attempt.pair);
}

void Throttle::succeeded(const Attempt& attempt, Instant now) {
    if (attempt.pair == 0) return;
    const std::lock_guard lock{mutex_};
    const Duration left = known_.level(attempt.pair, now);
    known_.add(attempt.pair, kKnownFor - std::min(left, kKnownFor), now);
}

std::uint64_t Throttle::refused() const {
    const std::lock_guard lock{mutex_};
    return refused_;
}

}  // namespace stentor::auth
