#include "persistence/contract/filter_set.hpp"

#include "base/hash.hpp"
#include "protocol/message.hpp"
#include "protocol/topic/filter_trie.hpp"
#include "protocol/topic/match.hpp"
#include "protocol/topic/validate.hpp"

#include <boost/unordered/unordered_flat_set.hpp>

#include <algorithm>
#include <iterator>
#include <utility>

namespace stentor::store {
namespace {

// So few are compared one after the other.
constexpr std::size_t kFewFilters = 4;

/// Strangers choose the filters; from the process's secret, so that they do not know it.
[[nodiscard]] HashKey level_key() noexcept {
    return {.k0 = mqtt::topic_hash("filter set, first half"),
            .k1 = mqtt::topic_hash("filter set, second half")};
}

struct TopicHash {
    using is_avalanching = void;
    std::size_t operator()(std::string_view topic) const noexcept {
        return mqtt::topic_hash(topic);
    }
};

}  // namespace

struct FilterSet::Matcher {
    boost::unordered_flat_set<std::string_view, TopicHash> exact;
    HashKey key = level_key();
    mqtt::FilterTrie wildcards{key};
};

FilterSet::FilterSet(std::vector<std::string> filters) {
    if (!std::is_sorted(filters.begin(), filters.end())) std::sort(filters.begin(), filters.end());
    filters.erase(std::unique(filters.begin(), filters.end()), filters.end());
    for (const std::string& filter : filters) {
        // Sorted, so the order is the set's; a multiplication, so that it counts.
        fingerprint_ = fingerprint_ * 0x9E37'79B9'7F4A'7C15U + mqtt::topic_hash(filter);
    }
    const auto is_exact = [](const std::string& filter) { return !mqtt::has_wildcard(filter); };
    const auto first = std::stable_partition(filters.begin(), filters.end(), is_exact);
    wildcards_.assign(std::make_move_iterator(first), std::make_move_iterator(filters.end()));
    filters.erase(first, filters.end());
    exact_ = std::move(filters);
}

FilterSet::~FilterSet() = default;

const FilterSet::Matcher& FilterSet::matcher() const {
    std::call_once(matcher_made_, [this] {
        auto made = std::make_unique<Matcher>();
        if (exact_.size() > kFewFilters) made->exact.insert(exact_.begin(), exact_.end());
        if (wildcards_.size() > kFewFilters) {
            mqtt::FilterNumber number = 0;
            for (const std::string& filter : wildcards_) made->wildcards.insert(filter, number++);
        }
        matcher_ = std::move(made);
    });
    return *matcher_;
}

bool FilterSet::matches(std::string_view topic) const {
    const bool few_exact = exact_.size() <= kFewFilters;
    if (few_exact && std::find(exact_.begin(), exact_.end(), topic) != exact_.end()) return true;
    if (!few_exact && matcher().exact.contains(topic)) return true;
    if (wildcards_.size() <= kFewFilters) {
        return std::any_of(wildcards_.begin(), wildcards_.end(), [&](const std::string& filter) {
            return mqtt::matches(filter, topic);
        });
    }
    std::vector<mqtt::FilterNumber> found;  // allocates for topics that match only
    matcher().wildcards.match(topic, mqtt::LevelHashes{matcher().key, topic}, found);
    return !found.empty();
}

void FilterSet::matching(std::string_view topic, std::vector<std::string_view>& out) const {
    const auto begin = static_cast<std::ptrdiff_t>(out.size());
    const auto exact = std::lower_bound(exact_.begin(), exact_.end(), topic);
    if (exact != exact_.end() && *exact == topic) out.emplace_back(*exact);
    if (wildcards_.size() <= kFewFilters) {
        std::copy_if(wildcards_.begin(),
                     wildcards_.end(),
                     std::back_inserter(out),
                     [&](const std::string& filter) { return mqtt::matches(filter, topic); });
    } else {
        std::vector<mqtt::FilterNumber> found;
        matcher().wildcards.match(topic, mqtt::LevelHashes{matcher().key, topic}, found);
        for (const mqtt::FilterNumber number : found) out.emplace_back(wildcards_[number]);
    }
    std::sort(out.begin() + begin, out.end());
}

}  // namespace stentor::store
