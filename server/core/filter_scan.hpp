#pragma once
// Finds the topics that a filter matches in a set ordered by levels, leaving out whole ranges.
// Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::server {

/// Usage: look at the first topic; on `matches` go on with the next one, on `go_to` with the first
/// one that is not before next_topic(), and so on. Nothing that matches is left out.
class FilterScan {
  public:
    enum class Verdict : std::uint8_t { matches, go_to, past_the_end };

    /// `filter` is valid and must outlive this object.
    explicit FilterScan(std::string_view filter);

    /// `topic` is a valid topic name. On `go_to`, next_topic() is after `topic`, and no topic
    /// between the two matches; on `past_the_end` no topic after this one does.
    [[nodiscard]] Verdict look_at(std::string_view topic);

    /// Valid until the next look_at(); not a topic anybody need have used.
    [[nodiscard]] std::string_view next_topic() const noexcept { return next_; }

  private:
    Verdict go_past(std::string_view topic, std::size_t open_level_end);

    std::vector<std::string_view> levels_;  // of the filter
    bool begins_with_wildcard_;
    std::string next_;
};

}  // namespace stentor::server
