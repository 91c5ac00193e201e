#pragma once
// For tests: topics and filters from a seed, over so few levels that they meet often.
// Pure.

#include "base/random.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stentor::mqtt {

class RandomTopics {
  public:
    explicit RandomTopics(std::uint64_t seed) : random_{seed} {}

    /// 0 .. count - 1.
    [[nodiscard]] std::size_t below(std::size_t count) {
        return static_cast<std::size_t>(random_.below(count));
    }

    /// A valid topic name of up to `levels_max` levels, some of them empty, some with '$'.
    [[nodiscard]] std::string name(std::size_t levels_max = 5) {
        std::string text;
        const std::size_t levels = 1 + below(levels_max);
        for (std::size_t i = 0; i < levels; ++i) {
            if (i != 0) text += '/';
            text += level();
        }
        return text.empty() ? std::string{"/"} : text;
    }

    /// A valid topic filter; about half of them have a wildcard.
    [[nodiscard]] std::string filter(std::size_t levels_max = 5) {
        std::string text;
        const std::size_t levels = 1 + below(levels_max);
        const bool may_be_open = below(4) != 0;
        for (std::size_t i = 0; i < levels; ++i) {
            if (i != 0) text += '/';
            const bool is_last = i + 1 == levels;
            if (may_be_open && is_last && below(4) == 0) {
                text += '#';
            } else if (may_be_open && below(4) == 0) {
                text += '+';
            } else {
                text += level();
            }
        }
        return text.empty() ? std::string{"/"} : text;
    }

  private:
    [[nodiscard]] std::string_view level() {
        // '!' and "a!" sort between "a" and its children in plain byte order; "a " is below '/'.
        static constexpr std::array<std::string_view, 11> kLevels{
            "a",
            "b",
            "a!",
            "a ",
            "",
            "$a",
            "%",
            "\xC3\xA4",
            "a-level-of-more-than-sixteen-bytes",
            "c",
            "0"};
        return below(3) != 0 ? kLevels[below(2)] : kLevels[below(kLevels.size())];
    }

    Random random_;
};

}  // namespace stentor::mqtt
