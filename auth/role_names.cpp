#include "auth/role_names.hpp"

#include "base/assert.hpp"

namespace stentor::auth {

bool is_role_name(std::string_view text) noexcept {
    return !text.empty() && text.size() <= kRoleNameBytesMax &&
           std::none_of(text.begin(), text.end(), [](char c) {
               const auto byte = static_cast<unsigned char>(c);
               return byte < 0x20U || byte == 0x7FU;
           });
}

RoleNamesPtr RoleNames::of(const std::vector<std::string_view>& names) {
    STENTOR_ASSERT(names.size() <= kRolesMax);
    std::string lines;
    for (auto name = names.begin(); name != names.end(); ++name) {
        STENTOR_ASSERT(is_role_name(*name));
        if (std::find(names.begin(), name, *name) != name) continue;
        if (!lines.empty()) lines += '\n';
        lines += *name;
    }
    if (lines.empty()) return {};
    lines.shrink_to_fit();
    return make_intrusive<RoleNames>(std::move(lines));
}

bool RoleNames::contains(std::string_view name) const {
    return !all_of([name](std::string_view each) { return each != name; });
}

}  // namespace stentor::auth
