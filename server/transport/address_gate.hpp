#pragma once
// How many connections there may be, of all and of one address, and whom an address is refused to:
// asked when a connection is accepted, before a byte of it has been read, and again when a proxy
// has said for whom it speaks.
// Any thread: one for all shards. Memory: a few bytes per address that is connected, and 1 MiB for
// those that come often.

#include "base/address.hpp"
#include "base/clock.hpp"
#include "base/hash.hpp"
#include "base/leaky_table.hpp"

#include <boost/unordered/unordered_flat_map.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string_view>
#include <utility>

namespace stentor::server {

/// Of each 0: no bound.
struct AddressLimits {
    std::uint32_t connections_max = 0;
    std::uint32_t connections_per_address_max = 0;
    std::uint32_t connects_per_second_per_address_max = 0;
};

class AddressGate;

/// A connection's place among those of its address and, but for some, of the process; ends with it.
class AddressPlace {
  public:
    AddressPlace() = default;
    AddressPlace(AddressPlace&& other) noexcept
        : gate_{std::exchange(other.gate_, nullptr)},
          address_{std::exchange(other.address_, 0)},
          counts_{other.counts_} {}
    AddressPlace& operator=(AddressPlace&& other) noexcept {
        std::swap(gate_, other.gate_);
        std::swap(address_, other.address_);
        std::swap(counts_, other.counts_);
        return *this;
    }
    AddressPlace(const AddressPlace&) = delete;
    AddressPlace& operator=(const AddressPlace&) = delete;
    ~AddressPlace();

  private:
    friend class AddressGate;
    AddressGate* gate_ = nullptr;
    std::uint64_t address_ = 0;  // whose it is; 0: nobody's that is counted
    bool counts_ = false;        // among all
};

class AddressGate {
  public:
    /// Whether an address is banned now; any thread may ask.
    using Banned = std::function<bool(std::string_view address)>;

    AddressGate(const AddressLimits& limits, const HashKey& key, Banned banned);

    enum class Answer : std::uint8_t {
        welcome,
        banned,
        too_many,             // connections_max
        too_many_of_address,  // connections_per_address_max
        too_often,            // connects_per_second_per_address_max
    };
    /// Whom the address stands for: loopback always stands for many.
    enum class Speaks : std::uint8_t { for_itself, for_others };
    /// Whether connections_max is meant for it: not where its kind is bounded by itself.
    enum class Among : std::uint8_t { all, themselves };

    /// A connection has come from `address` (numeric, or empty). welcome: it has `place` from here
    /// on. `now` comes from one clock, whoever asks.
    [[nodiscard]] Answer enter(
        std::string_view address, Speaks speaks, Among among, Instant now, AddressPlace& place);
    /// The connection is from `address`, as a proxy has said: counted as that one's instead, unless
    /// it is already.
    [[nodiscard]] Answer turns_out(std::string_view address,
                                   Speaks speaks,
                                   Instant now,
                                   AddressPlace& place);

    /// Those that connections_max is meant for.
    [[nodiscard]] std::uint32_t connections() const noexcept { return open_.load(); }

  private:
    friend class AddressPlace;
    /// 0: not counted.
    [[nodiscard]] std::uint64_t key_of(std::string_view address, Speaks speaks) const;
    [[nodiscard]] Answer enter_address(std::uint64_t key, Instant now, AddressPlace& place);
    void leave_address(std::uint64_t address) noexcept;

    const AddressLimits limits_;
    const HashKey key_;
    const Banned banned_;
    std::atomic<std::uint32_t> open_{0};
    std::mutex mutex_;  // guards what follows
    boost::unordered_flat_map<std::uint64_t, std::uint32_t> connected_;
    LeakyTable recent_;
};

/// For the log.
[[nodiscard]] constexpr const char* name(AddressGate::Answer answer) noexcept {
    switch (answer) {
        case AddressGate::Answer::banned:
            return "banned";
        case AddressGate::Answer::too_many:
            return "connections_max";
        case AddressGate::Answer::too_many_of_address:
            return "connections_per_address_max";
        case AddressGate::Answer::too_often:
            return "connects_per_second_per_address_max";
        case AddressGate::Answer::welcome:
            break;
    }
    return "welcome";
}

}  // namespace stentor::server
