#include "server/transport/network_list.hpp"

#include <algorithm>

namespace stentor::server {

std::optional<NetworkList> NetworkList::parse(std::span<const std::string> texts) {
    NetworkList list;
    for (const std::string_view text : texts) {
        const auto network = parse_network(text);
        if (!network) return std::nullopt;
        list.networks_.push_back(
            {.address = masked(network->address, network->bits), .bits = network->bits});
    }
    return list;
}

bool NetworkList::contains(std::string_view address) const noexcept {
    if (networks_.empty()) return false;
    const auto parsed = parse_address(address);
    return parsed && std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
               return masked(*parsed, network.bits) == network.address;
           });
}

}  // namespace stentor::server
