#include "auth/throttle.hpp"

#include "base/address.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace stentor::auth {

namespace {

constexpr Duration kKnownFor = std::chrono::hours{24};
constexpr int kAddressForgetsFaster = 10;
constexpr unsigned kNetworkBits = 48;            // of IPv6
constexpr std::uint32_t kNetworkAddresses = 16;  // as many addresses' failures

bool is_ipv4(const AddressBytes& address) noexcept {
    constexpr AddressBytes kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return masked(address, 96) == kMapped;
}

/// Whether a level stands for so many failures; the last of them may be partly forgotten.
bool has_failed(Duration level, std::uint32_t times, Duration each) noexcept {
    return level > (times - 1) * each;
}

/// Apart from what the other tables are asked; never 0, which is nobody.
std::uint64_t hash_of(const HashKey& key, char kind, std::string_view text) {
    return keyed_hash(key, std::string{kind}.append(text)) | 1U;
}

/// Of what an attempt is counted in; 0: none.
std::array<std::uint64_t, 4> keys_of(const Throttle::Attempt& attempt) noexcept {
    const bool is_pair = attempt.pair != 0;
    return {attempt.address, attempt.network, is_pair ? attempt.user : 0, attempt.pair};
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
    if (who && !who->is_loopback()) {
        attempt.address = hash_of(key_, 'a', who->text());
        const auto bytes = parse_address(address);
        if (bytes && !is_ipv4(*bytes)) {
            const AddressBytes network = masked(*bytes, kNetworkBits);
            attempt.network =
                hash_of(key_, 'n', {reinterpret_cast<const char*>(network.data()), network.size()});
        }
    }
    if (user.empty()) return attempt;
    attempt.user = hash_of(key_, 'u', user);
    // Those without an address of their own are one place, which a user can fail or be known at.
    const std::string_view place = attempt.address != 0 ? who->text() : std::string_view{};
    attempt.pair = hash_of(key_, 'p', std::string{place}.append(1, '\0').append(user));
    return attempt;
}

Duration Throttle::address_forgets_after() const noexcept {
    return options_.forgets_one_after / kAddressForgetsFaster;
}

Duration Throttle::network_forgets_after() const noexcept {
    return address_forgets_after() / kNetworkAddresses;
}

bool Throttle::is_too_many(const Attempt& attempt, Instant now, Counts counts) const noexcept {
    const auto has_reached =
        [&](const LeakyTable& table, std::uint64_t key, std::uint32_t times, Duration each) {
            Duration level = table.level(key, now);
            if (counts == Counts::undecided_as_well) {
                const auto undecided = undecided_.find(key);
                if (undecided != undecided_.end()) level += undecided->second * each;
            }
            return has_failed(level, times, each);
        };
    const std::uint32_t of_address = options_.failures_per_address_max;
    const std::uint32_t of_user = options_.failures_per_user_max;
    const Duration each = options_.forgets_one_after;
    const bool address =
        of_address != 0 && attempt.address != 0 &&
        has_reached(addresses_, attempt.address, of_address, address_forgets_after());
    const bool network =
        of_address != 0 && attempt.network != 0 &&
        has_reached(
            addresses_, attempt.network, kNetworkAddresses * of_address, network_forgets_after());
    const bool user = of_user != 0 && attempt.pair != 0 &&
                      has_reached(pairs_, attempt.pair, 1, each) &&
                      has_reached(users_, attempt.user, of_user, each);
    if (!address && !network && !user) return false;
    return attempt.pair == 0 || known_.level(attempt.pair, now) == Duration::zero();
}

bool Throttle::refuses(const Attempt& attempt, Instant now) {
    if (attempt.is_nobody()) return false;
    const std::lock_guard lock{mutex_};
    const bool refuses = is_too_many(attempt, now, Counts::failures);
    if (refuses) ++refused_;
    return refuses;
}

Throttle::Start Throttle::begin(const Attempt& attempt, Instant now) {
    if (attempt.is_nobody()) return Start::begins;
    const std::lock_guard lock{mutex_};
    if (is_too_many(attempt, now, Counts::failures)) {
        ++refused_;
        return Start::refused;
    }
    if (is_too_many(attempt, now, Counts::undecided_as_well)) return Start::too_many_undecided;
    for (const std::uint64_t key : keys_of(attempt)) {
        if (key != 0) ++undecided_[key];
    }
    return Start::begins;
}

void Throttle::end(const Attempt& attempt) noexcept {
    if (attempt.is_nobody()) return;
    const std::lock_guard lock{mutex_};
    for (const std::uint64_t key : keys_of(attempt)) {
        const auto undecided = undecided_.find(key);
        if (undecided != undecided_.end() && --undecided->second == 0) undecided_.erase(undecided);
    }
}

/// No more is remembered than the bounds: what is past them would only make forgetting take longer.
void Throttle::failed(const Attempt& attempt, Instant now) {
    if (attempt.is_nobody()) return;
    const auto add =
        [now](LeakyTable& table, std::uint64_t key, std::uint32_t times_max, Duration each) {
            if (times_max == 0 || has_failed(table.level(key, now), times_max, each)) return;
            (void)table.add(key, each, now);
        };
    const std::lock_guard lock{mutex_};
    const std::uint32_t of_address = options_.failures_per_address_max;
    const std::uint32_t of_user = options_.failures_per_user_max;
    const Duration each = options_.forgets_one_after;
    if (attempt.address != 0) {
        add(addresses_, attempt.address, of_address, address_forgets_after());
    }
    if (attempt.network != 0) {
        add(addresses_, attempt.network, kNetworkAddresses * of_address, network_forgets_after());
    }
    if (attempt.pair == 0) return;
    add(users_, attempt.user, of_user, each);
    add(pairs_, attempt.pair, of_user, each);
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
