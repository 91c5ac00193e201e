#pragma once
// What X-Forwarded-For says about who is behind the proxies.
// Pure; any thread.

#include "server/transport/network_list.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stentor::server {

struct ForwardedClient {
    std::string address;     // numeric; empty: the list names nobody
    std::uint16_t port = 0;  // 0: not said
    bool is_proxy = false;   // all of the list are trusted proxies
};

/// The last of `list` that is not in `trusted`: what stands before it anybody can have written.
/// `list` is all fields of the request in their order, joined with commas; elements are
/// `192.0.2.1`, `192.0.2.1:5678`, `2001:db8::1` or `[2001:db8::1]:5678`.
/// Nothing if what stands where the client should be is no address.
[[nodiscard]] std::optional<ForwardedClient> forwarded_client(std::string_view list,
                                                              const NetworkList& trusted);

}  // namespace stentor::server
