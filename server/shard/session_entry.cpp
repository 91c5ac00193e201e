#include "server/shard/session_entry.hpp"

#include <algorithm>

namespace stentor::server {

Subscription* SessionEntry::find(std::string_view text) {
    const auto at = std::lower_bound(
        subscriptions.begin(), subscriptions.end(), text, [](const Subscription& s, auto key) {
            return s.text < key;
        });
    return at != subscriptions.end() && at->text == text ? &*at : nullptr;
}

Subscription* SessionEntry::find_share(std::uint64_t key) noexcept {
    const auto at =
        std::find_if(subscriptions.begin(), subscriptions.end(), [&](const Subscription& s) {
            return s.share_key == key && !s.withheld;
        });
    return at != subscriptions.end() ? &*at : nullptr;
}

}  // namespace stentor::server
