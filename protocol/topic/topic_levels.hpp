#pragma once
// Walks over the levels of a topic name or filter without copying: "a//b" has "a", "" and "b".
// Pure. The views point into the text the range was made from.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string_view>

namespace stentor::mqtt {

/// A forward range of std::string_view, one per level; the empty text has one empty level.
/// Adjacent separators make empty levels, which are levels like any other (MQTT 4.7.1.1).
class TopicLevels {
  public:
    class Iterator {
      public:
        using value_type = std::string_view;
        using difference_type = std::ptrdiff_t;

        Iterator() noexcept = default;
        explicit Iterator(std::string_view text) noexcept
            : rest_{text}, length_{length_of_first(text)} {}

        [[nodiscard]] std::string_view operator*() const noexcept {
            return rest_.substr(0, length_);
        }
        /// Whether this is the last level of the text.
        [[nodiscard]] bool is_last() const noexcept { return length_ == rest_.size(); }
        /// This level, the separator after it and all that follows.
        [[nodiscard]] std::string_view rest() const noexcept { return rest_; }

        Iterator& operator++() noexcept {
            if (is_last()) {
                *this = Iterator{};
                return *this;
            }
            rest_.remove_prefix(length_ + 1);
            length_ = length_of_first(rest_);
            return *this;
        }
        Iterator operator++(int) noexcept {
            const Iterator before = *this;
            ++*this;
            return before;
        }

        friend bool operator==(const Iterator& a, const Iterator& b) noexcept {
            return a.rest_.data() == b.rest_.data();
        }
        friend bool operator==(const Iterator& a, std::default_sentinel_t /*end*/) noexcept {
            return a.rest_.data() == nullptr;
        }

      private:
        static std::size_t length_of_first(std::string_view text) noexcept {
            return std::min(text.find('/'), text.size());
        }

        std::string_view rest_;  // null data: past the last level
        std::size_t length_ = 0;
    };

    explicit TopicLevels(std::string_view text) noexcept
        : text_{text.data() == nullptr ? std::string_view{""} : text} {}

    [[nodiscard]] Iterator begin() const noexcept { return Iterator{text_}; }
    [[nodiscard]] static std::default_sentinel_t end() noexcept { return {}; }

  private:
    std::string_view text_;
};

/// Separators plus one.
[[nodiscard]] inline std::size_t count_levels(std::string_view text) noexcept {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '/')) + 1;
}

}  // namespace stentor::mqtt
