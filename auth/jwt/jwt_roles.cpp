#include "auth/jwt/jwt_roles.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace stentor::auth {
namespace {

namespace json = boost::json;

Result<void, JwtRefusal> add(std::string_view name, std::vector<std::string_view>& names) {
    if (!is_role_name(name)) {
        return JwtRefusal{"one of its roles is no name: empty, longer than " +
                          std::to_string(kRoleNameBytesMax) + " bytes, or with control characters"};
    }
    if (names.size() == kRolesMax) {
        return JwtRefusal{"it has more than " + std::to_string(kRolesMax) + " roles"};
    }
    names.push_back(name);
    return {};
}

}  // namespace

Result<RoleNamesPtr, JwtRefusal> read_jwt_roles(const json::value& claim) {
    std::vector<std::string_view> names;
    if (claim.is_string()) {
        std::string_view rest{claim.get_string().data(), claim.get_string().size()};
        while (!rest.empty()) {
            const std::size_t end = std::min(rest.find(' '), rest.size());
            if (end != 0) STENTOR_TRY_VOID(add(rest.substr(0, end), names));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return RoleNames::of(names);
    }
    if (!claim.is_array()) return JwtRefusal{"its roles are neither an array nor a text"};
    for (const json::value& each : claim.get_array()) {
        if (!each.is_string()) return JwtRefusal{"its roles are not all texts"};
        STENTOR_TRY_VOID(add({each.get_string().data(), each.get_string().size()}, names));
    }
    return RoleNames::of(names);
}

}  // namespace stentor::auth
