#include "protocol/session/client/client_types.hpp"

namespace stentor::mqtt {

std::string_view name(SendRefusal refusal) noexcept {
    switch (refusal) {
        case SendRefusal::not_connected:
            return "not connected";
        case SendRefusal::window_full:
            return "window full";
        case SendRefusal::packet_too_large:
            return "packet too large";
        case SendRefusal::qos_not_supported:
            return "QoS not supported";
        case SendRefusal::retain_not_supported:
            return "retain not supported";
        case SendRefusal::topic_alias_invalid:
            return "topic alias invalid";
        case SendRefusal::wildcard_subscriptions_not_supported:
            return "wildcard subscriptions not supported";
        case SendRefusal::shared_subscriptions_not_supported:
            return "shared subscriptions not supported";
        case SendRefusal::subscription_identifiers_not_supported:
            return "subscription identifiers not supported";
    }
    return "unknown";
}

}  // namespace stentor::mqtt
