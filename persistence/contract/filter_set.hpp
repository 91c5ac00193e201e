#pragma once
// The filters of a session that reads the log, made once and used by all its pages.
// Immutable but for a matcher made at its first use. Counted; any thread.

#include "base/intrusive.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace stentor::store {

class FilterSet : public Counted<FilterSet> {
  public:
    /// Plain filters ($share prefix removed), each valid; one that comes twice counts once.
    explicit FilterSet(std::vector<std::string> filters);
    ~FilterSet();
    FilterSet(const FilterSet&) = delete;
    FilterSet& operator=(const FilterSet&) = delete;

    /// Filters without wildcards: topics. In order of their bytes.
    [[nodiscard]] const std::vector<std::string>& exact() const noexcept { return exact_; }
    [[nodiscard]] const std::vector<std::string>& wildcards() const noexcept { return wildcards_; }
    [[nodiscard]] std::size_t size() const noexcept { return exact_.size() + wildcards_.size(); }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Equal for equal sets, and for hardly any others.
    [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }
    [[nodiscard]] friend bool operator==(const FilterSet& a, const FilterSet& b) noexcept {
        return a.fingerprint_ == b.fingerprint_ && a.exact_ == b.exact_ &&
               a.wildcards_ == b.wildcards_;
    }

    /// Whether one of them matches the valid topic name; what that costs hardly depends on how many
    /// they are. The first call takes time for each of them.
    [[nodiscard]] bool matches(std::string_view topic) const;
    /// Appends all that match, in order of their bytes; valid as long as the set.
    void matching(std::string_view topic, std::vector<std::string_view>& out) const;

  private:
    struct Matcher;
    [[nodiscard]] const Matcher& matcher() const;

    std::vector<std::string> exact_;
    std::vector<std::string> wildcards_;
    std::uint64_t fingerprint_ = 0;
    mutable std::once_flag matcher_made_;
    mutable std::unique_ptr<const Matcher> matcher_;
};
using FilterSetPtr = IntrusivePtr<const FilterSet>;

}  // namespace stentor::store
