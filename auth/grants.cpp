#include "auth/grants.hpp"

#include "protocol/topic/validate.hpp"

#include <algorithm>
#include <array>

namespace stentor::auth {
namespace {

struct Placeholder {
    std::string_view text;
    std::string_view GrantNames::*name;
};
constexpr std::array<Placeholder, 4> kPlaceholders{{{"%u", &GrantNames::user},
                                                    {"${username}", &GrantNames::user},
                                                    {"%c", &GrantNames::client_id},
                                                    {"${clientid}", &GrantNames::client_id}}};

}  // namespace

bool stays_in_its_level(std::string_view name, std::string_view before) noexcept {
    if (before.empty() && name.starts_with('$')) return false;
    return !name.empty() && name.find_first_of("/+#") == std::string_view::npos;
}

Filled fill_placeholders(std::string_view pattern, const GrantNames& names, std::string& filter) {
    filter.clear();
    if (mqtt::check_topic_filter(pattern) != mqtt::TopicCheck::ok) return Filled::no_filter;
    while (!pattern.empty()) {
        const auto* const found =
            std::find_if(kPlaceholders.begin(), kPlaceholders.end(), [&](const Placeholder& each) {
                return pattern.starts_with(each.text);
            });
        if (found == kPlaceholders.end()) {
            filter += pattern.front();
            pattern.remove_prefix(1);
            continue;
        }
        const std::string_view name = names.*(found->name);
        if (!stays_in_its_level(name, filter)) return Filled::names_nothing;
        filter += name;
        pattern.remove_prefix(found->text.size());
    }
    const bool is_filter = mqtt::check_topic_filter(filter) == mqtt::TopicCheck::ok;
    return is_filter ? Filled::ok : Filled::names_nothing;  // the names made it too long
}

}  // namespace stentor::auth
