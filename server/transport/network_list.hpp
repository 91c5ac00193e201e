#pragma once
// Addresses and networks (10.0.0.0/8, ::1), and whether an address lies in one of them.
// Pure. Immutable after parse(); any thread.

#include "base/address.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {

class NetworkList {
  public:
    NetworkList() = default;

    /// Nothing if one of the texts is neither an address nor an address with a prefix length.
    [[nodiscard]] static std::optional<NetworkList> parse(std::span<const std::string> texts);

    /// `address` is numeric, without port and brackets; anything else is in no network. An IPv4
    /// address and its mapped form (::ffff:10.0.0.1) are the same.
    [[nodiscard]] bool contains(std::string_view address) const noexcept;
    [[nodiscard]] static bool is_address(std::string_view text) noexcept {
        return parse_address(text).has_value();
    }
    [[nodiscard]] bool empty() const noexcept { return networks_.empty(); }

  private:
    std::vector<Network> networks_;
};

}  // namespace stentor::server
