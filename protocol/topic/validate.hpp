#pragma once
// Which texts are topic names, topic filters and shared subscriptions (MQTT 4.7 and 4.8.2).
// Pure. That the text is well-formed UTF-8 is the decoder's business and not looked at again.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stentor::mqtt {

/// No topic name or filter may have more levels, whatever the configuration says: a filter's
/// wildcards then fit one machine word, and every stack a match needs has a fixed size.
inline constexpr std::size_t kTopicLevelsMax = 64;
/// The most a UTF-8 string on the wire can hold (MQTT 1.5.4).
inline constexpr std::size_t kTopicBytesMax = 65'535;

struct TopicLimits {
    std::size_t levels_max = kTopicLevelsMax;  // 1 .. kTopicLevelsMax; more counts as the maximum
};

enum class TopicCheck : std::uint8_t {
    ok,
    invalid,          // breaks the grammar: 0x8F for a filter, 0x90 for a name
    too_many_levels,  // well-formed, and refused by our limit
};

/// A topic name: 1 .. 65535 bytes [MQTT-4.7.3-1] [MQTT-4.7.3-3], no U+0000 [MQTT-4.7.3-2],
/// no wildcard character [MQTT-3.3.2-2] [MQTT-4.7.1-1].
[[nodiscard]] TopicCheck check_topic_name(std::string_view name, TopicLimits limits = {}) noexcept;

/// A topic filter: as a name, but a level may be "+" and the last one "#"; wildcard characters
/// stand nowhere else [MQTT-4.7.1-1] [MQTT-4.7.1-2]. "$share/..." is not treated specially here.
[[nodiscard]] TopicCheck check_topic_filter(std::string_view filter,
                                            TopicLimits limits = {}) noexcept;

/// Whether the filter holds a wildcard, i.e. can match more than one topic. For valid filters.
[[nodiscard]] inline bool has_wildcard(std::string_view filter) noexcept {
    return filter.find_first_of("+#") != std::string_view::npos;
}

/// What a client may put into SUBSCRIBE, taken apart.
struct SubscriptionFilter {
    TopicCheck check = TopicCheck::invalid;  // of the whole; unless ok, the rest is empty
    std::string_view share_name;             // empty: not a shared subscription
    std::string_view filter;                 // what topics are matched against

    [[nodiscard]] bool is_shared() const noexcept { return !share_name.empty(); }
};

/// Takes a topic filter, or "$share/{ShareName}/{filter}", apart. The views point into `text`.
/// A text that begins with "$share/" must have a share name of at least one character without
/// '/', '+' or '#' [MQTT-4.8.2-1], then '/' and a valid topic filter [MQTT-4.8.2-2]; the limit of
/// levels holds for that filter. "$share" alone and "$shared/x" are ordinary filters.
[[nodiscard]] SubscriptionFilter parse_subscription_filter(std::string_view text,
                                                           TopicLimits limits = {}) noexcept;

}  // namespace stentor::mqtt
