#pragma once
// Roles that a client's credentials name (a token's claim, a web service's answer). What a role may
// do stands in the ACL file.
// Immutable and counted: sessions on several shards may hold the same. Any thread.

#include "base/intrusive.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stentor::auth {

inline constexpr std::size_t kRolesMax = 64;  // of one client, from its credentials or in the file
inline constexpr std::size_t kRoleNameBytesMax = 128;

/// Not empty, not too long, no control characters.
[[nodiscard]] bool is_role_name(std::string_view text) noexcept;

class RoleNames;
using RoleNamesPtr = IntrusivePtr<const RoleNames>;

/// As small as it can be: each connected client may have its own.
class RoleNames final : public Counted<RoleNames> {
  public:
    /// Null: there are none. At most kRolesMax role names; one that is there twice counts once.
    [[nodiscard]] static RoleNamesPtr of(const std::vector<std::string_view>& names);

    explicit RoleNames(std::string lines) noexcept : lines_{std::move(lines)} {}

    /// Calls visit(std::string_view) for each until it says false; whether it never did.
    template <class Visit>
    bool all_of(Visit&& visit) const;

    [[nodiscard]] bool contains(std::string_view name) const;
    [[nodiscard]] std::size_t bytes() const noexcept { return sizeof(*this) + lines_.capacity(); }

  private:
    std::string lines_;  // a name a line: no name has the character that ends one
};

template <class Visit>
bool RoleNames::all_of(Visit&& visit) const {
    std::string_view rest = lines_;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        if (!visit(rest.substr(0, end))) return false;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return true;
}

}  // namespace stentor::auth
