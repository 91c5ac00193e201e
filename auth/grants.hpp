#pragma once
// What a client may do because its credentials say so (a token's claim), beside the ACL file.
// Immutable and counted: sessions on several shards may hold the same. Any thread.

#include "base/intrusive.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::auth {

/// One filter, and what is allowed below it.
struct Grant {
    std::string filter;
    bool read = false;
    bool write = false;
};

/// A client that has grants may do what they allow, less what the ACL file denies; what that file
/// allows is not added (Acl::publish() and its siblings).
class Grants final : public Counted<Grants> {
  public:
    explicit Grants(std::vector<Grant> all) noexcept : all_{std::move(all)} {}

    [[nodiscard]] const std::vector<Grant>& all() const noexcept { return all_; }

  private:
    std::vector<Grant> all_;
};

using GrantsPtr = IntrusivePtr<const Grants>;

/// Whose names stand for the placeholders of a filter.
struct GrantNames {
    std::string_view user;
    std::string_view client_id;
};

enum class Filled : std::uint8_t {
    ok,
    names_nothing,  // a name that is no single level stands for a placeholder: it may grant nothing
    no_filter,      // the text is no topic filter
};

/// Whether a name may stand for a placeholder behind `before` of a filter: one that is empty, holds
/// '/', '+' or '#', or would make a "$SYS" of the beginning, reaches into the topics of others.
[[nodiscard]] bool stays_in_its_level(std::string_view name, std::string_view before) noexcept;

/// Writes `pattern` to `filter` with %u or ${username}, %c or ${clientid} replaced.
[[nodiscard]] Filled fill_placeholders(std::string_view pattern,
                                       const GrantNames& names,
                                       std::string& filter);

}  // namespace stentor::auth
