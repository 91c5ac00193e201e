#pragma once
// The query of a request's target: names and values, percent-decoded. '+' is itself, as in topic
// filters, and no blank. A name nobody knows, or one that stands there twice, is a mistake.
// Pure. Any thread.

#include "base/result.hpp"
#include "server/admin/reply.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace stentor::admin {

/// What a percent-encoded text means. Nothing: it is not encoded so.
[[nodiscard]] std::optional<std::string> percent_decoded(std::string_view text);
/// All but what stands for itself anywhere in a URL.
[[nodiscard]] std::string percent_encoded(std::string_view text);

class Query {
  public:
    [[nodiscard]] static Result<Query, Mistake> of(std::string_view target,
                                                   std::span<const std::string_view> known);

    /// Nothing: it is not there.
    [[nodiscard]] std::optional<std::string> text(std::string_view name) const;
    [[nodiscard]] Result<std::optional<bool>, Mistake> flag(std::string_view name) const;
    [[nodiscard]] Result<std::size_t, Mistake> number(std::string_view name,
                                                      std::size_t otherwise,
                                                      std::size_t least,
                                                      std::size_t most) const;

  private:
    std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace stentor::admin
