// Filter grammar, matching and the filter's shape, against definitions written a second time here:
// recursive, over lists of levels, straight from the sentences of MQTT 4.7 and 4.8.2.
// Input: two texts, separated by a line feed.

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "protocol/topic/filter_shape.hpp"
#include "protocol/topic/level_order.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/validate.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace mqtt = stentor::mqtt;
using Levels = std::vector<std::string>;

Levels split(std::string_view text) {
    Levels levels(1);
    for (const char c : text) {
        if (c == '/') {
            levels.emplace_back();
        } else {
            levels.back() += c;
        }
    }
    return levels;
}

bool holds_any(const std::string& level, std::string_view characters) {
    return std::any_of(level.begin(), level.end(), [&](char c) {
        return characters.find(c) != std::string_view::npos;
    });
}

bool is_topic_text(std::string_view text) {
    return !text.empty() && text.size() <= 65'535 && text.find('\0') == std::string_view::npos;
}

bool is_name(std::string_view text) {
    return is_topic_text(text) && !holds_any(std::string{text}, "+#");
}

bool is_filter(std::string_view text) {
    if (!is_topic_text(text)) return false;
    const Levels levels = split(text);
    for (std::size_t i = 0; i < levels.size(); ++i) {
        if (levels[i] == "+" || (levels[i] == "#" && i + 1 == levels.size())) continue;
        if (holds_any(levels[i], "+#")) return false;
    }
    return true;
}

bool match_from(const Levels& filter, std::size_t f, const Levels& topic, std::size_t t) {
    if (f == filter.size()) return t == topic.size();
    if (filter[f] == "#") return true;
    if (t == topic.size()) return false;
    return (filter[f] == "+" || filter[f] == topic[t]) && match_from(filter, f + 1, topic, t + 1);
}

bool naive_match(std::string_view filter, std::string_view topic) {
    const Levels filter_levels = split(filter);
    const bool leading_wildcard = filter_levels[0] == "+" || filter_levels[0] == "#";
    if (topic[0] == '$' && leading_wildcard) return false;
    return match_from(filter_levels, 0, split(topic), 0);
}

void check_grammar(std::string_view text) {
    const bool fits = split(text).size() <= mqtt::kTopicLevelsMax;
    const auto expected = [&](bool valid) {
        if (!valid) return mqtt::TopicCheck::invalid;
        return fits ? mqtt::TopicCheck::ok : mqtt::TopicCheck::too_many_levels;
    };
    STENTOR_ASSERT(mqtt::check_topic_name(text) == expected(is_name(text)));
    STENTOR_ASSERT(mqtt::check_topic_filter(text) == expected(is_filter(text)));
}

void check_share(std::string_view text) {
    const mqtt::SubscriptionFilter parts = mqtt::parse_subscription_filter(text);
    const Levels levels = split(text);
    if (levels[0] != "$share" || levels.size() == 1) {
        STENTOR_ASSERT(parts.check == mqtt::check_topic_filter(text));
        STENTOR_ASSERT(!parts.is_shared());
        return;
    }
    if (parts.check != mqtt::TopicCheck::ok) {
        STENTOR_ASSERT(parts.filter.empty() && parts.share_name.empty());
        const bool name_is_valid = levels.size() > 2 && !levels[1].empty() &&
                                   !holds_any(levels[1], std::string_view{"+#\0", 3});
        STENTOR_ASSERT(!name_is_valid || text.size() > mqtt::kTopicBytesMax ||
                       mqtt::check_topic_filter(text.substr(8 + levels[1].size())) !=
                           mqtt::TopicCheck::ok);
        return;
    }
    STENTOR_ASSERT(parts.share_name == levels[1] && !levels[1].empty());
    STENTOR_ASSERT("$share/" + levels[1] + "/" + std::string{parts.filter} == text);
    STENTOR_ASSERT(is_filter(parts.filter) && !holds_any(levels[1], "+#"));
}

void check_match(std::string_view filter, std::string_view topic) {
    if (mqtt::check_topic_filter(filter) != mqtt::TopicCheck::ok ||
        mqtt::check_topic_name(topic) != mqtt::TopicCheck::ok) {
        return;
    }
    const bool expected = naive_match(filter, topic);
    STENTOR_ASSERT(mqtt::matches(filter, topic) == expected);

    const stentor::HashKey key{.k0 = 1, .k1 = 2};
    const mqtt::FilterShape shape = mqtt::shape_of(filter);
    const mqtt::LevelHashes levels{key, topic};
    const bool found = !(topic[0] == '$' && shape.begins_with_wildcard()) &&
                       shape.admits(levels.size()) &&
                       mqtt::literal_hash(shape, levels) ==
                           mqtt::literal_hash(shape, mqtt::LevelHashes{key, filter});
    STENTOR_ASSERT(found == expected);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input = stentor::as_text(std::as_bytes(std::span{data, size}));
    const std::size_t separator = std::min(input.find('\n'), input.size());
    const std::string_view first = input.substr(0, separator);
    const std::string_view second = input.substr(std::min(separator + 1, input.size()));
    for (const std::string_view text : {first, second}) {
        check_grammar(text);
        check_share(text);
    }
    check_match(first, second);
    check_match(second, first);
    if (is_name(first) && is_name(second)) {
        STENTOR_ASSERT(mqtt::level_order(first, second) == (split(first) <=> split(second)));
    }
    return 0;
}
