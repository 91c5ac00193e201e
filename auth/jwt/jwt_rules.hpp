#pragma once
// The claim that says what a token's bearer may do, in EMQX's words:
//
//     "acl": {"pub": ["devices/%c/up"], "sub": ["devices/%c/down/#", "news/#"], "all": []}
//
// "publish" and "subscribe" are understood too, and one filter instead of an array. A member that
// is none of these is a refusal: it might be meant to forbid something. Pure. Any thread.

#include "auth/grants.hpp"
#include "auth/jwt/jwt_token.hpp"
#include "base/result.hpp"

#include <boost/json/value.hpp>

#include <cstddef>

namespace stentor::auth {

inline constexpr std::size_t kJwtRulesMax = 256;  // topic filters of one token

/// Not null, though it may grant nothing. Fails for what is not understood and for more than
/// kJwtRulesMax filters.
[[nodiscard]] Result<GrantsPtr, JwtRefusal> read_jwt_rules(const boost::json::value& claim,
                                                           const GrantNames& names);

}  // namespace stentor::auth
