#include "base/suggest.hpp"

#include <algorithm>
#include <vector>

namespace stentor {
namespace {

constexpr std::size_t kWordMax = 100;  // longer words are no typing mistakes of ours
constexpr std::size_t kStumpMin = 4;
constexpr std::size_t kShort = 5;  // letters

std::string folded(std::string_view word) {
    std::string result{word};
    for (char& c : result) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        if (c == '-') c = '_';
    }
    // The dashes of a flag are no part of what was meant.
    return result.substr(std::min(result.find_first_not_of('_'), result.size()));
}

/// How many mistakes a word of this size may have to be still the same word.
std::size_t mistakes_max(std::size_t size) noexcept {
    return size < kShort ? 1 : std::max<std::size_t>(2, size / 3);
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
    // Three rows of the usual table: a swap looks two rows back.
    std::vector<std::size_t> two_back(b.size() + 1);
    std::vector<std::size_t> previous(b.size() + 1);
    std::vector<std::size_t> current(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replace = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            current[j] = std::min({previous[j] + 1, current[j - 1] + 1, replace});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                current[j] = std::min(current[j], two_back[j - 2] + 1);
            }
        }
        two_back.swap(previous);
        previous.swap(current);
    }
    return previous[b.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    if (word.empty() || word.size() > kWordMax) return {};
    const std::string wanted = folded(word);
    std::string_view best;
    std::size_t best_distance = mistakes_max(wanted.size()) + 1;
    for (const std::string_view candidate : candidates) {
        const std::string name = folded(candidate);
        std::size_t distance = edit_distance(wanted, name);
        // A cut-off or extended name ("password" for "password_file") is a better guess than its
        // distance says; a short stump is none.
        if (wanted.size() >= kStumpMin && name.starts_with(wanted)) {
            distance = std::min<std::size_t>(distance, 1);
        } else if (name.size() >= kStumpMin && wanted.starts_with(name)) {
            distance = std::min<std::size_t>(distance, 2);
        }
        // Two unrelated short words are always a few edits apart.
        if (distance >= std::max(wanted.size(), name.size())) continue;
        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

}  // namespace stentor
