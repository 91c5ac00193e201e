#include "server/core/filter_scan.hpp"

#include "protocol/topic/level_order.hpp"
#include "protocol/topic/topic_levels.hpp"

namespace stentor::server {

namespace {

constexpr std::size_t kNoOpenLevel = static_cast<std::size_t>(-1);

}  // namespace

FilterScan::FilterScan(std::string_view filter)
    : begins_with_wildcard_{filter.starts_with('+') || filter.starts_with('#')} {
    for (const std::string_view level : mqtt::TopicLevels{filter}) levels_.push_back(level);
}

FilterScan::Verdict FilterScan::look_at(std::string_view topic) {
    if (begins_with_wildcard_ && topic.starts_with('$')) {
        next_ = "%";  // the character after '$' [MQTT-4.7.2-1]
        return Verdict::go_to;
    }
    std::size_t open_level_end = kNoOpenLevel;  // where in `topic` the last "+" so far ends
    std::size_t begin = 0;                      // of the topic's level; npos: it has no more
    for (const std::string_view wanted : levels_) {
        if (wanted == "#") return Verdict::matches;
        if (begin == std::string_view::npos) {  // what matches lies below this topic
            next_.assign(topic).append("/");
            if (wanted != "+") next_.append(wanted);
            return Verdict::go_to;
        }
        const std::size_t separator = topic.find('/', begin);
        const std::size_t end = separator == std::string_view::npos ? topic.size() : separator;
        if (wanted == "+") {
            open_level_end = end;
        } else {
            const auto order = mqtt::level_order(topic.substr(begin, end - begin), wanted);
            if (order < 0) {  // the wanted level comes later under the same parent
                next_.assign(topic.substr(0, begin)).append(wanted);
                return Verdict::go_to;
            }
            if (order > 0) return go_past(topic, open_level_end);
        }
        begin = separator == std::string_view::npos ? separator : separator + 1;
    }
    if (begin == std::string_view::npos) return Verdict::matches;
    return go_past(topic, open_level_end);  // the topic is deeper than the filter
}

// The last open level has to take its next value: past all that begins with topic[0, end).
FilterScan::Verdict FilterScan::go_past(std::string_view topic, std::size_t open_level_end) {
    if (open_level_end == kNoOpenLevel) return Verdict::past_the_end;
    next_.assign(topic.substr(0, open_level_end)).append(1, mqtt::kFirstAfterSeparator);
    return Verdict::go_to;
}

}  // namespace stentor::server
