#pragma once
// Numeric network addresses as bytes, networks of them, and whom an address is counted as.
// Pure. Values; any thread.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace stentor {

/// Of an IPv6 address; IPv4 in its mapped form (::ffff:10.0.0.1).
using AddressBytes = std::array<std::uint8_t, 16>;

/// Without port and brackets; anything else is nothing.
[[nodiscard]] std::optional<AddressBytes> parse_address(std::string_view text) noexcept;

struct Network {
    AddressBytes address{};
    unsigned bits = 0;  // of the 128 that count
};

/// An address, or one with a prefix length: "10.0.0.0/8", "2001:db8::/32".
[[nodiscard]] std::optional<Network> parse_network(std::string_view text) noexcept;

/// With all but the first `bits` cleared.
[[nodiscard]] AddressBytes masked(AddressBytes address, unsigned bits) noexcept;

/// An IPv4 address, or the first 64 bits of an IPv6 address: whoever has one of these has them all.
class AddressKey {
  public:
    /// `numeric` as parse_address() takes it.
    [[nodiscard]] static std::optional<AddressKey> of(std::string_view numeric) noexcept;

    [[nodiscard]] bool is_loopback() const noexcept { return is_loopback_; }
    /// The bytes, for hashing. Lives as long as the key.
    [[nodiscard]] std::string_view text() const noexcept;

  private:
    AddressBytes bytes_{};
    bool is_loopback_ = false;
};

}  // namespace stentor
