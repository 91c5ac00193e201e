#include "auth/filter_relation.hpp"

#include "protocol/topic/topic_levels.hpp"

namespace stentor::auth {
namespace {

using mqtt::TopicLevels;

bool begins_with_wildcard(std::string_view filter) noexcept {
    return !filter.empty() && (filter.front() == '+' || filter.front() == '#');
}

bool begins_with_dollar(std::string_view filter) noexcept { return filter.starts_with('$'); }

bool kept_apart_by_dollar(std::string_view a, std::string_view b) noexcept {
    return (begins_with_wildcard(a) && begins_with_dollar(b)) ||
           (begins_with_dollar(a) && begins_with_wildcard(b));  // [MQTT-4.7.2-1]
}

}  // namespace

bool covers(std::string_view rule, std::string_view filter) noexcept {
    if (kept_apart_by_dollar(rule, filter)) return false;
    // Every topic has a first level, so "+/#" is "#" in other words; below it is not ("a/+/#"
    // leaves out "a").
    if (rule == "+/#") rule = "#";
    auto r = TopicLevels{rule}.begin();
    auto f = TopicLevels{filter}.begin();
    const auto end = TopicLevels::end();
    while (r != end && f != end) {
        if (*r == "#") return true;
        if (*f == "#") return false;
        if (*r != "+" && *r != *f) return false;  // also a literal against "+"
        ++r;
        ++f;
    }
    return f == end && (r == end || *r == "#");  // "a/#" covers "a"
}

bool overlap(std::string_view a, std::string_view b) noexcept {
    if (kept_apart_by_dollar(a, b)) return false;
    auto x = TopicLevels{a}.begin();
    auto y = TopicLevels{b}.begin();
    const auto end = TopicLevels::end();
    while (x != end && y != end) {
        if (*x == "#" || *y == "#") return true;
        if (*x != "+" && *y != "+" && *x != *y) return false;
        ++x;
        ++y;
    }
    if (x == end && y == end) return true;
    return x == end ? *y == "#" : *x == "#";
}

}  // namespace stentor::auth
