#include "server/transport/network_list.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>

namespace stentor::server {

std::optional<NetworkList::Address> NetworkList::parse_address(std::string_view text) noexcept {
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    if (text.size() >= terminated.size()) return std::nullopt;
    std::copy(text.begin(), text.end(), terminated.begin());
    Address address{};
    if (::inet_pton(AF_INET6, terminated.data(), address.data()) == 1) return address;
    constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    std::copy(kMapped.begin(), kMapped.end(), address.begin());
    if (::inet_pton(AF_INET, terminated.data(), address.data() + kMapped.size()) == 1) {
        return address;
    }
    return std::nullopt;
}

std::optional<NetworkList> NetworkList::parse(std::span<const std::string> texts) {
    NetworkList list;
    for (const std::string_view text : texts) {
        const std::size_t slash = text.find('/');
        const std::string_view host = text.substr(0, slash);
        const auto address = parse_address(host);
        if (!address) return std::nullopt;
        const bool v4 = host.find(':') == std::string_view::npos;
        const unsigned most = v4 ? 32 : 128;
        unsigned bits = most;
        if (slash != std::string_view::npos) {
            const std::string_view length = text.substr(slash + 1);
            const auto [end, error] =
                std::from_chars(length.data(), length.data() + length.size(), bits);
            if (error != std::errc{} || end != length.data() + length.size() || bits > most) {
                return std::nullopt;
            }
        }
        list.networks_.push_back({.address = *address, .bits = bits + (v4 ? 96U : 0U)});
    }
    return list;
}

bool NetworkList::contains(std::string_view address) const noexcept {
    const auto parsed = parse_address(address);
    if (!parsed) return false;
    return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
        const unsigned whole = network.bits / 8;
        if (std::memcmp(parsed->data(), network.address.data(), whole) != 0) return false;
        const unsigned rest = network.bits % 8;
        if (rest == 0) return true;
        const auto differing =
            static_cast<unsigned>((*parsed)[whole]) ^ static_cast<unsigned>(network.address[whole]);
        return differing >> (8U - rest) == 0;
    });
}

}  // namespace stentor::server
