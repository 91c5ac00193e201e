#include "server/transport/address_gate.hpp"

#include <chrono>

namespace stentor::server {

namespace {

constexpr std::size_t kRememberedAddresses = std::size_t{1} << 16U;

}  // namespace

AddressPlace::~AddressPlace() {
    if (gate_ == nullptr) return;
    gate_->leave_address(address_);
    if (counts_) gate_->open_.fetch_sub(1, std::memory_order_relaxed);
}

AddressGate::AddressGate(const AddressLimits& limits, const HashKey& key, Banned banned)
    : limits_{limits},
      key_{key},
      banned_{std::move(banned)},
      recent_{limits.connects_per_second_per_address_max == 0 ? 0 : kRememberedAddresses} {}

AddressGate::Answer AddressGate::enter(
    std::string_view address, Speaks speaks, Among among, Instant now, AddressPlace& place) {
    AddressPlace taken;
    taken.gate_ = this;  // gives it back unless it is kept
    taken.counts_ = among == Among::all;
    if (taken.counts_) {
        const std::uint32_t open = open_.fetch_add(1, std::memory_order_relaxed);
        const std::uint32_t max = limits_.connections_max;
        if (max != 0 && open >= max) return Answer::too_many;
    }
    if (banned_ && banned_(address)) return Answer::banned;
    const Answer answer = enter_address(key_of(address, speaks), now, taken);
    if (answer == Answer::welcome) place = std::move(taken);
    return answer;
}

AddressGate::Answer AddressGate::turns_out(std::string_view address,
                                           Speaks speaks,
                                           Instant now,
                                           AddressPlace& place) {
    if (banned_ && banned_(address)) return Answer::banned;
    const std::uint64_t key = key_of(address, speaks);
    if (key == place.address_) return Answer::welcome;
    leave_address(std::exchange(place.address_, 0));
    return enter_address(key, now, place);
}

std::uint64_t AddressGate::key_of(std::string_view address, Speaks speaks) const {
    if (limits_.connections_per_address_max == 0 &&
        limits_.connects_per_second_per_address_max == 0) {
        return 0;
    }
    const auto who = AddressKey::of(address);
    if (!who || who->is_loopback() || speaks == Speaks::for_others) return 0;
    return keyed_hash(key_, who->text()) | 1U;
}

AddressGate::Answer AddressGate::enter_address(std::uint64_t key,
                                               Instant now,
                                               AddressPlace& place) {
    if (key == 0) return Answer::welcome;
    const std::uint32_t rate_max = limits_.connects_per_second_per_address_max;
    const std::lock_guard lock{mutex_};
    if (limits_.connections_per_address_max != 0) {
        const auto at = connected_.find(key);
        if (at != connected_.end() && at->second >= limits_.connections_per_address_max) {
            return Answer::too_many_of_address;
        }
    }
    if (rate_max != 0) {
        // One second's worth at once, and those that are refused do not count.
        const Duration each = Duration{std::chrono::seconds{1}} / rate_max;
        if (recent_.level(key, now) > std::chrono::seconds{1} - each) return Answer::too_often;
        (void)recent_.add(key, each, now);
    }
    if (limits_.connections_per_address_max != 0) ++connected_[key];
    place.address_ = key;
    return Answer::welcome;
}

void AddressGate::leave_address(std::uint64_t address) noexcept {
    if (address == 0 || limits_.connections_per_address_max == 0) return;
    const std::lock_guard lock{mutex_};
    const auto at = connected_.find(address);
    if (at == connected_.end()) return;
    if (--at->second == 0) connected_.erase(at);
}

}  // namespace stentor::server
