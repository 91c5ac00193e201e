#include "protocol/topic/match.hpp"

#include "protocol/topic/topic_levels.hpp"

namespace stentor::mqtt {

bool matches(std::string_view filter, std::string_view topic) noexcept {
    if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) {
        return false;  // [MQTT-4.7.2-1]
    }
    const TopicLevels filter_levels{filter};
    const TopicLevels topic_levels{topic};
    auto wanted = filter_levels.begin();
    auto present = topic_levels.begin();
    for (; wanted != filter_levels.end(); ++wanted) {
        if (*wanted == "#") return true;  // also when nothing is left: "a/#" matches "a"
        if (present == topic_levels.end()) return false;
        if (*wanted != "+" && *wanted != *present) return false;
        ++present;
    }
    return present == topic_levels.end();
}

}  // namespace stentor::mqtt
