#include "protocol/topic/validate.hpp"

#include "protocol/topic/topic_levels.hpp"

#include <algorithm>

namespace stentor::mqtt {

namespace {

constexpr std::string_view kSharePrefix = "$share/";

bool has_topic_length(std::string_view text) noexcept {
    return !text.empty() && text.size() <= kTopicBytesMax;  // [MQTT-4.7.3-1] [MQTT-4.7.3-3]
}

TopicCheck check_levels(std::size_t levels, TopicLimits limits) noexcept {
    return levels > std::min(limits.levels_max, kTopicLevelsMax) ? TopicCheck::too_many_levels
                                                                 : TopicCheck::ok;
}

}  // namespace

TopicCheck check_topic_name(std::string_view name, TopicLimits limits) noexcept {
    if (!has_topic_length(name)) return TopicCheck::invalid;
    std::size_t levels = 1;
    for (const char c : name) {
        if (c == '\0' || c == '+' || c == '#') return TopicCheck::invalid;
        if (c == '/') ++levels;
    }
    return check_levels(levels, limits);
}

TopicCheck check_topic_filter(std::string_view filter, TopicLimits limits) noexcept {
    if (!has_topic_length(filter)) return TopicCheck::invalid;
    std::size_t levels = 1;
    for (std::size_t i = 0; i < filter.size(); ++i) {
        const bool at_start = i == 0 || filter[i - 1] == '/';
        const bool at_end = i + 1 == filter.size();
        switch (filter[i]) {
            case '\0':
                return TopicCheck::invalid;  // [MQTT-4.7.3-2]
            case '/':
                ++levels;
                break;
            case '#':  // [MQTT-4.7.1-1]
                if (!at_start || !at_end) return TopicCheck::invalid;
                break;
            case '+':  // [MQTT-4.7.1-2]
                if (!at_start || !(at_end || filter[i + 1] == '/')) return TopicCheck::invalid;
                break;
            default:
                break;
        }
    }
    return check_levels(levels, limits);
}

SubscriptionFilter parse_subscription_filter(std::string_view text, TopicLimits limits) noexcept {
    SubscriptionFilter parts;
    if (!text.starts_with(kSharePrefix)) {
        parts.check = check_topic_filter(text, limits);
        if (parts.check == TopicCheck::ok) parts.filter = text;
        return parts;
    }
    if (text.size() > kTopicBytesMax) return parts;
    const std::string_view rest = text.substr(kSharePrefix.size());
    const std::size_t name_bytes = rest.find('/');
    if (name_bytes == std::string_view::npos || name_bytes == 0) return parts;  // [MQTT-4.8.2-2]
    const std::string_view share_name = rest.substr(0, name_bytes);
    // [MQTT-4.8.2-1]; U+0000 is in no UTF-8 string of MQTT [MQTT-1.5.4-2].
    if (share_name.find_first_of(std::string_view{"+#\0", 3}) != std::string_view::npos) {
        return parts;
    }
    const std::string_view filter = rest.substr(name_bytes + 1);
    parts.check = check_topic_filter(filter, limits);
    if (parts.check == TopicCheck::ok) {
        parts.share_name = share_name;
        parts.filter = filter;
    }
    return parts;
}

}  // namespace stentor::mqtt
