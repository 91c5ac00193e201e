#pragma once
// Roles as a token's claim, or a web service's answer, names them: ["sensor", "reader"], or one
// text with blanks between them, as `scope` has it (RFC 8693, section 4.2). Pure. Any thread.

#include "auth/jwt/jwt_token.hpp"
#include "auth/role_names.hpp"
#include "base/result.hpp"

#include <boost/json/value.hpp>

namespace stentor::auth {

/// Null: it names none. Fails for what is not understood, for it may be a role that forbids
/// something, and for more than kRolesMax names.
[[nodiscard]] Result<RoleNamesPtr, JwtRefusal> read_jwt_roles(const boost::json::value& claim);

}  // namespace stentor::auth
